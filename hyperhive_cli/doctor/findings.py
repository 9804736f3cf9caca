"""What is well and what is not, from what was seen: one `Finding` each. Pure; looking is the business of others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Any

from hyperhive_cli.claude.compatibility import NEWEST_TESTED, OLDEST_TESTED, missing_flags, read_version, unknown_lines

CLEANUP_DEFAULT_DAYS = 30  # after which claude deletes a conversation's transcript
FREE_LEAST_BYTES = 100 * 2**20
FREE_FEW_BYTES = 2**30
NARROW_COLUMNS = 80
INSTALL = "npm install -g @anthropic-ai/claude-code"
_NO = {"", "0", "false", "no", "off"}  # as claude reads a switch


class Level(StrEnum):
    """How bad it is. Only `wrong` makes the doctor fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it (None: nothing)."""

    what: str
    level: Level
    finding: str
    advice: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the fields of `doctor --json`."""
        return asdict(self)


def fine(what: str, finding: str) -> Finding:
    """Give what is well."""
    return Finding(what, Level.OK, finding)


def warning(what: str, finding: str, advice: str) -> Finding:
    """Give what may become a trouble."""
    return Finding(what, Level.WARNING, finding, advice)


def wrong(what: str, finding: str, advice: str) -> Finding:
    """Give what keeps the agent from working."""
    return Finding(what, Level.WRONG, finding, advice)


def judge_version(said: str) -> Finding:
    """Judge what `claude --version` printed."""
    version = read_version(said)
    if version is None:
        return wrong("version", "claude does not say which release it is", INSTALL)
    name, oldest, newest = (".".join(map(str, one)) for one in (version, OLDEST_TESTED, NEWEST_TESTED))
    if version > NEWEST_TESTED:
        return warning("version", f"{name}, newer than any that was tried ({newest})", "watch its first turns")
    if version < OLDEST_TESTED:
        return warning("version", f"{name}, older than any that was tried ({oldest})", INSTALL)
    return fine("version", f"{name}, within {oldest} to {newest}, which were tried")


def judge_help(text: str) -> Finding:
    """Judge what `claude --help` printed."""
    missing = missing_flags(text)
    if missing:
        return wrong("flags", f"claude does not know {', '.join(missing)} any more", "a release that was tried")
    return fine("flags", "all that a turn uses are there")


def judge_login(status: int, report: Mapping[str, Any], linked: Path | None = None) -> Finding:
    """Judge how `claude auth status` ended, and the JSON that it printed; `linked`: its login is a link to elsewhere.

    Measured, 2.1.197 and 2.1.330: whoever renews a linked login replaces the link and leaves the file behind it as
    it was, with a token that is used up.
    """
    if status != 0 or report.get("loggedIn") is False:
        return wrong("login", "claude is not logged in", "hyperhive login, or claude auth login")
    if linked is not None:
        said = f"{linked} is a link: when the login is renewed, all but one of those that share it are logged out"
        return warning("login", said, "a login for each folder, or one folder for all: CLAUDE_CONFIG_DIR")
    return fine("login", f"logged in, by {report.get('apiKeySource') or report.get('authMethod') or 'an unknown way'}")


def judge_lines(lines: Iterable[Mapping[str, Any]]) -> Finding:
    """Judge the lines of claude that the history holds, which are read once."""
    counted = count()
    unknown = unknown_lines(line for line, _ in zip(lines, counted, strict=False))
    if unknown:
        named = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        return warning(
            "stream", f"lines of types not known here: {named}", "they are kept as they are; upgrade hyperhive"
        )
    return fine("stream", f"{next(counted)} lines in the history, all of types known here")


def judge_space(free_bytes: int) -> Finding:
    """Judge the space that is left for the state folder."""
    said = f"{free_bytes / 2**30:.1f} GiB free" if free_bytes >= 2**30 else f"{free_bytes / 2**20:.0f} MiB free"
    if free_bytes < FREE_LEAST_BYTES:
        return wrong("disk", said, "make room: without it no message is accepted and no turn begins")
    return warning("disk", said, "make room soon") if free_bytes < FREE_FEW_BYTES else fine("disk", said)


def judge_terminal(*, is_terminal: bool, encoding: str, columns: int, environ: Mapping[str, str]) -> Finding:
    """Judge where this is printed, which is where `run` would show the agent."""
    is_utf8 = encoding.lower().replace("-", "") == "utf8"
    if not is_utf8:
        return warning("terminal", f"it is told to use {encoding or 'no encoding'}, not UTF-8", "export LANG=C.UTF-8")
    if not is_terminal:
        return fine("terminal", "none: plain lines are printed")
    colours = "without colours" if environ.get("NO_COLOR") or environ.get("TERM") in {None, "", "dumb"} else "colours"
    said = f"{columns} columns, UTF-8, {colours}"
    if columns < NARROW_COLUMNS:
        return warning("terminal", said, f"{NARROW_COLUMNS} columns show more")
    return fine("terminal", said)


def judge_rights(*, is_root: bool, skips_permissions: bool, environ: Mapping[str, str]) -> Finding:
    """Judge who runs the agent. As root claude refuses --dangerously-skip-permissions, unless told of a sandbox."""
    if not is_root:
        return fine("user", "not root")
    if environ.get("IS_SANDBOX", "") not in _NO:
        return fine("user", "root, in a sandbox as IS_SANDBOX says")
    advice = "run it as another user; in a sandbox, export IS_SANDBOX=1"
    if skips_permissions:
        return wrong("user", "root, for whom claude refuses --dangerously-skip-permissions", advice)
    return warning("user", "root: whatever a tool does is done to the whole machine", advice)


_TABLE = "in a table of all: this kernel has no lists of children (CONFIG_PROC_CHILDREN), so it takes a little longer"
_PS = "by `ps`, once a second: one that loses its parent in between outlives its turn"
_BLIND = "not at all, for /proc is missing or another namespace's: what a tool leaves behind outlives its turn"


def judge_processes(way: str) -> Finding:
    """Judge how the guard finds what a turn has started: its `WAY`."""
    said = "what a turn starts is found"
    if way == "ps":
        return warning("processes", f"{said} {_PS}", "Linux, where nothing outlives a turn")
    if way == "blind":
        return warning("processes", f"{said} {_BLIND}", "mount -t proc proc /proc")
    return fine("processes", f"{said} {_TABLE if way == 'table' else 'in lists of the kernel'}")


def judge_scrub(*, has_bubblewrap: bool, is_linux: bool, environ: Mapping[str, str]) -> Finding:
    """Judge whether claude can keep its key from its tools, as it is told to."""
    name = "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"
    if environ.get(name, "").strip().lower() in _NO:
        return fine("scrub", "tools see claude's environment")
    if is_linux and not has_bubblewrap:
        return wrong(
            "scrub", f"{name} is set and there is no bubblewrap: claude does not start", f"install bwrap, or {name}=0"
        )
    return fine("scrub", "tools do not see claude's key")


def judge_cleanup(days: object) -> Finding:
    """Judge `cleanupPeriodDays` of claude's settings, None where it is not set."""
    if days is None:
        return fine("transcripts", f"claude deletes its own after {CLEANUP_DEFAULT_DAYS} days; the history here stays")
    if isinstance(days, bool) or not isinstance(days, int | float):
        return warning("transcripts", "cleanupPeriodDays in claude's settings is no number", "mend the settings")
    advice = f"cleanupPeriodDays of {CLEANUP_DEFAULT_DAYS} or more in claude's settings"
    if days < 1:
        return warning("transcripts", "claude keeps none: no session can be resumed for long", advice)
    said = f"claude deletes its own after {days:g} days"
    return warning("transcripts", said, advice) if days < CLEANUP_DEFAULT_DAYS else fine("transcripts", said)


def judge_config_folder(folder: Path, trouble: str | None, free_bytes: int) -> Finding:
    """Judge the folder of claude's own files: why it cannot be written (None: it can), and what is free there."""
    if trouble is not None:
        return wrong(
            "claude's folder",
            f"{trouble}: no conversation and no login is kept",
            "chown or chmod it, or CLAUDE_CONFIG_DIR",
        )
    if free_bytes < FREE_LEAST_BYTES:
        said = f"{folder}: {free_bytes / 2**20:.0f} MiB free"
        return wrong("claude's folder", said, "make room: without it no conversation is kept")
    return fine("claude's folder", f"{folder}, can be written")


def judge_neighbours(agents: Sequence[str], *, by_login: bool) -> Finding:
    """Judge the other agents that run now with the same claude folder. One login's token is renewed by one alone."""
    if not agents:
        return fine("neighbours", "no other agent of yours runs")
    said = f"{len(agents)} more agents run with the same claude folder: {', '.join(sorted(agents)[:5])}"
    if by_login:
        advice = "an API key or `claude setup-token` for each: they race to renew one login, and may all lose it"
        return warning("neighbours", said, advice)
    return fine("neighbours", said)

"""Judges what the checks of `doctor` have found: one `Finding` each. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Any

from hyperhive_cli.claude.compatibility import NEWEST_TESTED, OLDEST_TESTED, missing_flags, read_version, unknown_lines
from hyperhive_cli.claude.program import INSTALL
from hyperhive_cli.core.text import plural

CLEANUP_DEFAULT_DAYS = 30  # after which claude deletes a conversation's transcript
FREE_LEAST_BYTES = 100 * 2**20
FREE_FEW_BYTES = 2**30
NARROW_COLUMNS = 80
_NO = {"", "0", "false", "no", "off"}  # as claude reads a switch


class Level(StrEnum):
    """How serious it is. Only `wrong` makes the doctor fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, the result, and what to do about it (None: nothing)."""

    what: str
    level: Level
    finding: str
    advice: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `doctor --json`."""
        return asdict(self)


def fine(what: str, finding: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(what, Level.OK, finding)


def warning(what: str, finding: str, advice: str) -> Finding:
    """Return a finding that may become a problem."""
    return Finding(what, Level.WARNING, finding, advice)


def wrong(what: str, finding: str, advice: str) -> Finding:
    """Return a finding that keeps the agent from working."""
    return Finding(what, Level.WRONG, finding, advice)


def judge_version(printed: str) -> Finding:
    """Judge what `claude --version` printed."""
    version = read_version(printed)
    if version is None:
        return wrong("version", "claude --version does not print a version", INSTALL)
    name, oldest, newest = (".".join(map(str, one)) for one in (version, OLDEST_TESTED, NEWEST_TESTED))
    if version > NEWEST_TESTED:
        return warning("version", f"{name}, untested (newest tested: {newest})", "check its first turns")
    if version < OLDEST_TESTED:
        return warning("version", f"{name}, untested (oldest tested: {oldest})", INSTALL)
    return fine("version", f"{name} (tested: {oldest} to {newest})")


def judge_help(text: str) -> Finding:
    """Judge what `claude --help` printed."""
    missing = missing_flags(text)
    if missing:
        return wrong("flags", f"claude no longer knows {', '.join(missing)}", "install a tested release")
    return fine("flags", "claude has every flag that a turn uses")


def judge_login(status: int, report: Mapping[str, Any], linked: Path | None = None) -> Finding:
    """Judge the exit status of `claude auth status`, and the JSON that it printed; `linked`: its login, if a link.

    Measured, 2.1.197 and 2.1.330: the claude that renews a linked login replaces the link and leaves the file behind
    it unchanged, with a token that is used up.
    """
    if status != 0 or report.get("loggedIn") is False:
        return wrong("login", "claude is not logged in", "hyperhive login, or claude auth login")
    if linked is not None:
        words = f"{linked} is a link: when the login is renewed, all but one of those that share it are logged out"
        return warning("login", words, "a login for each folder, or one folder for all: CLAUDE_CONFIG_DIR")
    return fine("login", f"logged in, by {report.get('apiKeySource') or report.get('authMethod') or 'an unknown way'}")


def judge_lines(lines: Iterable[Mapping[str, Any]]) -> Finding:
    """Judge the lines of claude in the history; they are iterated once."""
    counted = count()
    unknown = unknown_lines(line for line, _ in zip(lines, counted, strict=False))
    if unknown:
        named = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        return warning("stream", f"lines of unknown types: {named}", "they are stored unchanged; upgrade hyperhive")
    return fine("stream", f"the newest {next(counted)} lines in the history are of known types")


def judge_archive(sound: int, size_bytes: int, damaged: Sequence[str], *, is_checked: bool) -> Finding:
    """Judge the segments of the history: how many are sound, what is wrong with others, if all could be checked."""
    if damaged:
        advice = "restore a backup, or nothing: the rest is read, and it is deleted when its time is over"
        return warning("archive", "; ".join(damaged), advice)
    if not is_checked:
        words = f"not checked completely: the newest {plural(sound, 'segment')} intact"
        return warning("archive", words, "hyperhive history list --check")
    if not sound:
        return fine("archive", "nothing is archived yet")
    return fine("archive", f"{plural(sound, 'segment')} intact, {size_bytes / 2**20:.1f} MiB")


def judge_space(free_bytes: int) -> Finding:
    """Judge the free space for the state folder."""
    words = f"{free_bytes / 2**30:.1f} GiB free" if free_bytes >= 2**30 else f"{free_bytes / 2**20:.0f} MiB free"
    if free_bytes < FREE_LEAST_BYTES:
        return wrong("disk", words, "free some space: no message can be accepted and no turn started")
    return warning("disk", words, "free some space soon") if free_bytes < FREE_FEW_BYTES else fine("disk", words)


def judge_terminal(*, is_terminal: bool, encoding: str, columns: int, environ: Mapping[str, str]) -> Finding:
    """Judge the terminal that this is printed on, as `run` would use it."""
    is_utf8 = encoding.lower().replace("-", "") == "utf8"
    if not is_utf8:
        return warning("terminal", f"its encoding is {encoding or 'not set'}, not UTF-8", "export LANG=C.UTF-8")
    if not is_terminal:
        return fine("terminal", "none: plain lines are printed")
    colours = "without colours" if environ.get("NO_COLOR") or environ.get("TERM") in {None, "", "dumb"} else "colours"
    words = f"{columns} columns, UTF-8, {colours}"
    if columns < NARROW_COLUMNS:
        return warning("terminal", words, f"{NARROW_COLUMNS} columns show more")
    return fine("terminal", words)


def judge_rights(*, is_root: bool, skips_permissions: bool, environ: Mapping[str, str]) -> Finding:
    """Judge the user. As root claude refuses --dangerously-skip-permissions, unless IS_SANDBOX is set."""
    if not is_root:
        return fine("user", "not root")
    if environ.get("IS_SANDBOX", "") not in _NO:
        return fine("user", "root, in a sandbox (IS_SANDBOX)")
    advice = "run it as another user; in a sandbox, export IS_SANDBOX=1"
    if skips_permissions:
        return wrong("user", "root: claude refuses --dangerously-skip-permissions", advice)
    return warning("user", "root: a tool can change anything on this machine", advice)


_LISTS = "found by the kernel's lists of children"
_TABLE = "found by a table of all processes, a little slower: this kernel lacks CONFIG_PROC_CHILDREN"
_PS = "found by `ps` once a second: one that loses its parent in between outlives its turn"
_BLIND = "not found, because /proc is missing or another namespace's: what a tool leaves behind outlives its turn"


def judge_processes(way: str) -> Finding:
    """Judge how the guard finds a turn's processes: its `WAY`."""
    words = "a turn's processes are"
    if way == "ps":
        return warning("processes", f"{words} {_PS}", "Linux, where nothing outlives a turn")
    if way == "blind":
        return warning("processes", f"{words} {_BLIND}", "mount -t proc proc /proc")
    return fine("processes", f"{words} {_TABLE if way == 'table' else _LISTS}")


def judge_scrub(*, has_bubblewrap: bool, is_linux: bool, environ: Mapping[str, str]) -> Finding:
    """Judge whether claude can hide its key from its tools, if it should."""
    name = "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"
    if environ.get(name, "").strip().lower() in _NO:
        return fine("scrub", "tools see claude's environment")
    if is_linux and not has_bubblewrap:
        return wrong(
            "scrub", f"{name} is set and bubblewrap is missing: claude does not start", f"install bwrap, or {name}=0"
        )
    return fine("scrub", "tools do not see claude's key")


def judge_cleanup(days: object) -> Finding:
    """Judge `cleanupPeriodDays` of claude's settings, None if it is not set."""
    if days is None:
        return fine("transcripts", f"claude deletes its own after {CLEANUP_DEFAULT_DAYS} days; the history stays")
    if isinstance(days, bool) or not isinstance(days, int | float):
        return warning("transcripts", "cleanupPeriodDays in claude's settings is not a number", "fix the settings")
    advice = f"cleanupPeriodDays of {CLEANUP_DEFAULT_DAYS} or more in claude's settings"
    if days < 1:
        return warning("transcripts", "claude keeps none: no session can be resumed for long", advice)
    words = f"claude deletes its own after {days:g} days"
    return warning("transcripts", words, advice) if days < CLEANUP_DEFAULT_DAYS else fine("transcripts", words)


def judge_config_folder(folder: Path, trouble: str | None, free_bytes: int) -> Finding:
    """Judge the folder of claude's own files: why it is not writable (None: it is), and the free space there."""
    if trouble is not None:
        return wrong(
            "claude's folder",
            f"{trouble}: no conversation and no login can be saved",
            "chown or chmod it, or CLAUDE_CONFIG_DIR",
        )
    if free_bytes < FREE_LEAST_BYTES:
        words = f"{folder}: {free_bytes / 2**20:.0f} MiB free"
        return wrong("claude's folder", words, "free some space: no conversation can be saved")
    return fine("claude's folder", f"{folder} is writable")


def judge_neighbours(agents: Sequence[str], *, by_login: bool) -> Finding:
    """Judge the other agents that run with the same claude folder. Only one of them can renew a login's token."""
    if not agents:
        return fine("neighbours", "none of your other agents runs")
    words = f"{plural(len(agents), 'more agent')} with the same claude folder: {', '.join(sorted(agents)[:5])}"
    if by_login:
        advice = "an API key or `claude setup-token` for each: they race to renew one login, and may all lose it"
        return warning("neighbours", words, advice)
    return fine("neighbours", words)

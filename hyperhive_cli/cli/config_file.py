"""The configuration files: which settings they may have, and their values. Pure: texts and tables in, values out.

Anyone who can write in the workspace can write its file, the agent included. So that file may only say how the work
is done. What gives rights, starts programs, speaks for the operator, or decides who pays how much comes from the user
alone.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.settings import WORKSPACE_FILE

FILE_LIMIT_BYTES = 64 * 1024
TABLE = "run"

# The options of `run`, as in the files. Each is in exactly one of the three sets, which a test checks.
WORKSPACE_MAY = frozenset(
    {"model", "drain", "drain-wait", "json", "quiet", "partial", "continue", "prewarm", "no-wakeups"}
    | {"turn-timeout", "start-timeout", "stall-timeout", "background-wait", "compact-at", "compact-instructions"}
)
USER_ALONE = frozenset(
    {"claude", "message", "permission-mode", "dangerously-skip-permissions", "expect-auth", "pass-env"}
    | {"allow-self-control", "allow-cross-session", "on-event", "on-event-kind", "report-at", "hive", "machine"}
    | {"keep-messages", "history-days", "history-bytes", "adopt-crons"}
    | {"web", "web-bind", "web-allow-host", "web-url", "web-cert", "web-key"}
    # A budget that the agent could raise or remove would not be one.
    | {"max-turn-cost", "max-day-cost", "max-turn-tokens", "max-tool-calls", "reserve"}
)
NOWHERE = frozenset({"workspace"})  # it decides which file is read

Kind = Literal["switch", "number", "duration", "text", "texts"]
_KIND_WORDS = {
    "switch": "true or false",
    "number": "a number",
    "duration": "a number of seconds, or a string such as '2h30m'",
    "text": "a string",
    "texts": "a list of strings",
}
_AT_LINE = re.compile(r"line (\d+)")


@dataclass(frozen=True, slots=True)
class Source:
    """One configuration file. `is_workspace`: anyone who can write in the workspace may have written it."""

    path: Path
    text: str
    is_workspace: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and the file it comes from; `place` is file and line, for errors."""

    value: Any
    source: Source
    place: str


def read_name(source: Source, key: str) -> str | None:
    """Return what a file sets for all commands, `agent` or `hive`; raises UsageError if it is unfit, or not TOML."""
    found = _parse(source).get(key)
    if found is not None and not isinstance(found, str):
        raise UsageError(f"{place_of(source, key)}: `{key}` must be {_KIND_WORDS['text']}")
    return found


def read_settings(source: Source, kinds: Mapping[str, Kind]) -> dict[str, Setting]:
    """Return the options of `run` that a file sets, of those in `kinds`; raises UsageError, which names the place.

    The values have the right type; their range is not checked.
    """
    found = _parse(source)
    for key in found.keys() - {"agent", TABLE} - ({"hive"} if not source.is_workspace else set()):
        hint = f"[{TABLE}] above it" if key in kinds else f"agent, or the table [{TABLE}]"
        raise UsageError(f"{place_of(source, key)}: unknown setting outside of a table: {key!r}", hint)
    if "agent" in found and not source.is_workspace:
        raise UsageError(f"{place_of(source, 'agent')}: `agent` is only allowed in the {WORKSPACE_FILE} of a workspace")
    table = found.get(TABLE, {})
    if not isinstance(table, dict):
        raise UsageError(f"{place_of(source, TABLE)}: `{TABLE}` must be a table", f"[{TABLE}]")
    return {key: _read_setting(source, key, value, kinds) for key, value in table.items()}


def _read_setting(source: Source, key: str, value: object, kinds: Mapping[str, Kind]) -> Setting:
    place = place_of(source, key, in_table=True)
    if key not in kinds or key in NOWHERE:
        raise UsageError(f"{place}: unknown setting: {key!r}", _suggest(key, kinds.keys() - NOWHERE))
    if source.is_workspace and key not in WORKSPACE_MAY:
        raise UsageError(
            f"{place}: {key!r} is not allowed in a workspace file: the agent could edit it",
            f"--{key}, its environment variable, or your own configuration file",
        )
    if not _fits(value, kinds[key]):
        raise UsageError(f"{place}: {key!r} must be {_KIND_WORDS[kinds[key]]}")
    return Setting(value, source, place)


def _fits(value: object, kind: Kind) -> bool:
    match kind:
        case "switch":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "duration":
            return isinstance(value, int | float | str) and not isinstance(value, bool)
        case "texts":
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case "text":
            return isinstance(value, str)


def merge(*files: Mapping[str, Setting]) -> dict[str, Setting]:
    """Merge the settings of several files, the strongest first."""
    return {key: setting for file in reversed(files) for key, setting in file.items()}


def place_of(source: Source, key: str, *, in_table: bool = False) -> str:
    """Return the file and the line of a key; only the file if the line is not found, as TOML has many spellings."""
    inside = False
    for number, line in enumerate(source.text.splitlines(), 1):
        if line.lstrip().startswith("["):
            inside = re.match(rf"\s*\[\s*{TABLE}\s*\]", line) is not None
            if not in_table and re.match(rf"\s*\[+\s*[\"']?{re.escape(key)}\b", line):
                return f"{source.path}:{number}"
        elif inside == in_table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return f"{source.path}:{number}"
    return str(source.path)


def _suggest(key: str, names: Iterable[str]) -> str:
    known = sorted(names)
    close = difflib.get_close_matches(key.replace("_", "-"), known, n=1, cutoff=0.5)
    return close[0] if close else ", ".join(known)


def _parse(source: Source) -> dict[str, Any]:
    if source.text.startswith("\ufeff"):
        raise UsageError(f"{source.path}:1: not valid TOML: it starts with a byte order mark", "save it without one")
    try:
        return tomllib.loads(source.text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits raises Python's own ValueError
        line = _AT_LINE.search(str(error))
        where = f"{source.path}:{line[1]}" if line else str(source.path)
        raise UsageError(f"{where}: not valid TOML: {error}") from error

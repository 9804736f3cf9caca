"""claude's `--settings`: merges the operator's value (given after `--`) with the harness's own settings. Pure.

Measured, 2.1.197 and 2.1.332:
- If the option is repeated, only the last one counts; they are not merged.
- A value in braces is JSON. Any other value is a file, relative to claude's working folder. An empty value is ignored.
- A file that is not JSON is silently ignored. Comments are not allowed.
- Permission rules such as `Read(/x)` and the paths of the sandbox are relative to the folder of the file, so in a copy
  elsewhere a `deny` rule would deny nothing. `//x` is absolute.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NoReturn

FLAG = "--settings"
# Other sessions of the same user can send messages to a running or waiting claude (since about 2.1.300; 2.1.197 accepts
# the setting without having the feature). On the command line it overrides the user's own settings.
OURS: Mapping[str, Any] = {"crossSessionInbound": "refuse"}
_FILE_RULE = re.compile(r"((?:Read|Edit|Write|MultiEdit|NotebookEdit|NotebookRead|Glob|Grep|LS)\()/(?!/)", re.ASCII)
_PATTERN = set("*?[]{}!\\")  # a folder name with one of these would be a pattern in a rule


def split_settings(words: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the effective `--settings` (None without one) and the other words. Raises ValueError without a value."""
    value, others = None, list[str]()
    rest = iter(words)
    for word in rest:
        name, equals, given = word.partition("=")
        if name != FLAG:
            others.append(word)
        elif (found := given if equals else next(rest, None)) is None:
            raise ValueError(f"{FLAG} needs a value")
        else:
            value = found
    return value, tuple(others)


def is_inline(value: str) -> bool:
    """Return True if a value is JSON or empty, and not the path of a file."""
    text = value.strip()
    return not text or (text.startswith("{") and text.endswith("}"))


def merged_settings(content: str | bytes, folder: PurePath | None = None) -> str:
    """Return settings, overridden by the harness's own, as one line of JSON.

    Paths relative to `folder` become absolute. Raises ValueError for anything but a JSON object.
    """
    found = _parsed(content)
    if folder is not None:
        _make_absolute(found, folder)
    return json.dumps({**found, **OURS}, separators=(",", ":"))


def _parsed(content: str | bytes) -> dict[str, Any]:
    text = content.removeprefix("\ufeff") if isinstance(content, str) else content  # `json` handles a BOM in bytes
    if not text.strip():
        return {}
    try:
        found = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the content is wrong, not a type in the code
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _make_absolute(settings: dict[str, Any], folder: PurePath) -> None:
    def anchored_rule(rule: str) -> str:
        if not _FILE_RULE.match(rule):
            return rule
        if _PATTERN & set(str(folder)):
            raise ValueError(f"{rule} is relative to {folder}, a name that would be a pattern")
        return _FILE_RULE.sub(lambda match: f"{match[1]}/{str(folder).rstrip('/')}/", rule)

    def anchored_path(path: str) -> str:
        return path if path.startswith(("/", "~")) else str(folder / path)

    for name in ("allow", "ask", "deny"):
        _replace(_table(settings, "permissions"), name, anchored_rule)
    sandbox = _table(settings, "sandbox")
    filesystem = _table(sandbox, "filesystem")
    for name in filesystem:
        _replace(filesystem, name, anchored_path)
    files = _table(sandbox, "credentials").get("files")
    for entry in files if isinstance(files, list) else []:
        if isinstance(entry, dict) and isinstance(path := entry.get("path"), str):
            entry["path"] = anchored_path(path)


def _table(of: dict[str, Any], name: str) -> dict[str, Any]:
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def _replace(table: dict[str, Any], name: str, change: Callable[[str], str]) -> None:
    found = table.get(name)
    if isinstance(found, list):
        table[name] = [change(one) if isinstance(one, str) else one for one in found]

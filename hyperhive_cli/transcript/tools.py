"""What a tool was asked and what it answered, in a few words. Pure: no I/O, no rich.

Inputs and answers are whatever JSON the model, a tool or a server of tools made; odd shapes give a
duller summary, never an error.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.claude.sentences import text_in
from hyperhive_cli.claude.server_tools import is_server_result, server_result
from hyperhive_cli.core.text import brief, head_lines, number, one_line, plural, text_of, tokens

_SUMMARY_CHARS = 400
_ANSWER_LINES = 3
_MOST_KEYS = 6
_WRAPPED_CHARS = 4096
_EXIT_CODE = re.compile(r"Exit code (\d{1,9})(?:\n|$)")
# The binary wraps some answers for the model's eye; a person needs the text alone.
_WRAPPERS = re.compile(r"</?(?:tool_use_error|persisted-output|local-command-std(?:out|err))>")

# tool → the keys of its input that say what it is about; the first that is there wins.
_SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "Bash": ("command",),
    "BashOutput": ("bash_id",),
    "Edit": ("file_path",),
    "Glob": ("pattern",),
    "Grep": ("pattern",),
    "KillShell": ("shell_id",),
    "LS": ("path",),
    "Monitor": ("description", "command"),
    "MultiEdit": ("file_path",),
    "NotebookEdit": ("notebook_path", "file_path"),
    "Read": ("file_path",),
    "SendMessage": ("summary", "message"),
    "Skill": ("skill", "command"),
    "Task": ("description", "prompt"),
    "Agent": ("description", "prompt"),
    "TaskStop": ("task_id",),
    "ToolSearch": ("query",),
    "WebFetch": ("url",),
    "WebSearch": ("query",),
    "Write": ("file_path",),
    # Tools of the API.
    "bash_code_execution": ("command",),
    "code_execution": ("code",),
    "text_editor_code_execution": ("path", "command"),
    "web_fetch": ("url",),
    "web_search": ("query",),
}
_PATHS = frozenset({"file_path", "notebook_path", "path"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A tool's answer in short: a `label` (`exit 3`, `2 lines written`), its first lines, how many more."""

    failed: bool = False
    label: str = ""
    lines: tuple[str, ...] = ()
    more: int = 0


def call_summary(name: str, given: object, cwd: str = "") -> str:
    """Give one cleaned line that says what a tool was asked; `cwd` is the session's folder."""
    if not isinstance(given, Mapping):
        return "" if given is None else brief(given)
    for key in _SUBJECTS.get(name, ()):
        value = given.get(key)
        if isinstance(value, str) and value.strip():
            return _subject(key, value, given, cwd)
    return " ".join(_pairs(given))


def _subject(key: str, value: str, given: Mapping[str, Any], cwd: str) -> str:
    if key in _PATHS:
        return one_line(relative(value, cwd), _SUMMARY_CHARS)
    where = given.get("path")
    if key == "pattern" and isinstance(where, str) and relative(where, cwd) != ".":
        half = _SUMMARY_CHARS // 2
        return f"{one_line(value, half)} in {one_line(relative(where, cwd), half)}"
    return one_line(value, _SUMMARY_CHARS)


def _pairs(given: Mapping[str, Any]) -> Iterator[str]:
    for position, (key, value) in enumerate(given.items()):
        if position == _MOST_KEYS:
            yield "…"
            return
        yield f"{one_line(str(key), 30)}={brief(value, 40)}"


def relative(path: str, cwd: str) -> str:
    """Give `path` as seen from `cwd` when it lies inside, else unchanged."""
    if not cwd or not path.startswith(cwd):
        return path
    rest = path[len(cwd) :]
    if not rest or rest == "/":
        return "."
    return rest.lstrip("/") if rest.startswith("/") or cwd.endswith("/") else path


def answer_summary(name: str, block: Mapping[str, Any], sibling: object = None) -> Answer:
    """Read a `tool_result` block; `sibling` is the line's `tool_use_result`, the same in structured form."""
    if is_server_result(block):
        return _served(block)
    text = content_text(block.get("content"))
    if block.get("is_error") is True:
        return _failure(text)
    reader = _READERS.get(name)
    found = reader(sibling) if reader and isinstance(sibling, Mapping) else None
    return found or _plain(text)


def _served(block: Mapping[str, Any]) -> Answer:
    found = server_result(block)
    lines, more = head_lines(found.text, _ANSWER_LINES)
    return Answer(found.failed, one_line(found.label, 60), tuple(lines), more)


def _failure(text: str) -> Answer:
    code = _EXIT_CODE.match(text)
    lines, more = head_lines(text[code.end() :] if code else text, _ANSWER_LINES)
    return Answer(failed=True, label=f"exit {code[1]}" if code else "error", lines=tuple(lines), more=more)


def _plain(text: str) -> Answer:
    lines, more = head_lines(text, _ANSWER_LINES)
    return Answer(label="" if lines else "no output", lines=tuple(lines), more=more)


def _written(sibling: Mapping[str, Any]) -> Answer | None:
    changed = _patch_counts(sibling.get("structuredPatch"))
    if changed:
        return Answer(label=f"{plural(changed[0], 'line')} added, {changed[1]:,} removed")
    content = sibling.get("content")
    if sibling.get("type") != "create" or not isinstance(content, str):
        return None
    total = content.count("\n") + (not content.endswith("\n") and content != "")
    return Answer(label=f"created, {plural(total, 'line')}")


def _patch_counts(patch: object) -> tuple[int, int] | None:
    """Count the added and removed lines of a structured patch, None when there is none."""
    if not isinstance(patch, list) or not patch:
        return None
    hunks = [hunk.get("lines") for hunk in patch if isinstance(hunk, Mapping)]
    lines = [line for hunk in hunks if isinstance(hunk, list) for line in hunk if isinstance(line, str)]
    return sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)


def _subagent(sibling: Mapping[str, Any]) -> Answer | None:
    if sibling.get("isAsync") is True or sibling.get("status") == "async_launched":
        return Answer(label="runs in the background")
    if sibling.get("status") != "completed":
        return None
    lines, more = head_lines(content_text(sibling.get("content")), _ANSWER_LINES)
    spent = number(sibling.get("totalTokens"))
    label = "completed" if spent is None else f"completed, {tokens(spent)} tokens"
    return Answer(label=label, lines=tuple(lines), more=more)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Answer | None]] = {
    "Write": _written,
    "Edit": _written,
    "MultiEdit": _written,
    "Task": _subagent,
    "Agent": _subagent,
}


def content_text(content: object) -> str:
    """Give the text of a message's or an answer's content: a string, or a list of blocks."""
    if isinstance(content, str):
        return _unwrapped(content)
    if isinstance(content, list):
        return _unwrapped("\n".join(_block_text(block) for block in content))
    return text_of(content)


def _block_text(block: object) -> str:
    if not isinstance(block, Mapping):
        return text_of(block)
    text = block.get("text")
    if block.get("type") == "text" and isinstance(text, str):
        return text
    return text_in(block) or f"[{brief(block.get('type', 'block'))}]"


def _unwrapped(text: str) -> str:
    # Wrappers stand at the very start, and a long text is not searched through for their ends.
    if not text.startswith("<"):
        return text
    return _WRAPPERS.sub("", text[:_WRAPPED_CHARS]) + text[_WRAPPED_CHARS:]

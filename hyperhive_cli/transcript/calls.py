"""What a tool was asked, in one line. Pure.

Inputs are any JSON that the model made; an odd shape gives a duller summary, never an error.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperhive_cli.core.text import brief, one_line

SUBAGENT_TOOLS = frozenset({"Task", "Agent"})
_SUMMARY_CHARS = 400
_MAX_KEYS = 6

# tool → the keys of its input that say what it is about; the first one with a text wins.
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


def call_summary(name: str, given: object, cwd: str = "") -> str:
    """Return one cleaned line that says what a tool was asked; `cwd` is the session's folder."""
    if not isinstance(given, Mapping):
        return "" if given is None else brief(given)
    for key in _SUBJECTS.get(name, ()):
        value = given.get(key)
        if isinstance(value, str) and value.strip():
            return _subject(key, value, given, cwd)
    return " ".join(_pairs(given))


def asked_prompt(name: str, given: object) -> str | None:
    """Return what a subagent is asked, None for another tool."""
    prompt = given.get("prompt") if name in SUBAGENT_TOOLS and isinstance(given, Mapping) else None
    return prompt if isinstance(prompt, str) else None


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
        if position == _MAX_KEYS:
            yield "…"
            return
        yield f"{one_line(str(key), 30)}={brief(value, 40)}"


def relative(path: str, cwd: str) -> str:
    """Return `path` relative to `cwd` if it lies inside, else unchanged."""
    if not cwd or not path.startswith(cwd):
        return path
    rest = path[len(cwd) :]
    if not rest or rest == "/":
        return "."
    return rest.lstrip("/") if rest.startswith("/") or cwd.endswith("/") else path

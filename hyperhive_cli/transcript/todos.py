"""The agent's list of tasks, from the tools that write it. Pure.

`TodoWrite` replaces the list. In newer releases `TaskCreate` adds to it, where the answer names the task's id, and
`TaskUpdate` changes one task. Inputs are any JSON that the model made; an odd shape changes nothing.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hyperhive_cli.core.text import one_line, text_of
from hyperhive_cli.transcript.shapes import mapping

MAX_TODOS = 200
_TEXT_CHARS = 300
_STATES: Mapping[str, str] = {"pending": "open", "in_progress": "doing", "completed": "done"}
_UNNAMED = "call "  # before the id of a call whose task has no id yet
TODO_TOOLS = frozenset({"TodoWrite", "TaskCreate", "TaskUpdate"})


class Todo(NamedTuple):
    """A task of the list. `state`: open, doing or done."""

    text: str
    state: str


class TodoList:
    """The list as the last call has left it."""

    def __init__(self) -> None:
        self._todos: dict[str, Todo] = {}

    def take_call(self, call: str, name: str, given: object) -> tuple[Todo, ...] | None:
        """Take in a tool call by its id. Return the list after it, None if it does not change the list."""
        if name not in TODO_TOOLS or not isinstance(given, Mapping):
            return None
        match name, given.get("todos"), given.get("taskId"):
            case "TodoWrite", list(todos), _:
                read = (_todo(todo, "content") for todo in todos[:MAX_TODOS])
                self._todos = {str(place): todo for place, todo in enumerate(read) if todo is not None}
            case "TaskCreate", _, _ if (todo := _todo(given, "subject")) and len(self._todos) < MAX_TODOS:
                self._todos[_UNNAMED + call] = todo
            case "TaskUpdate", _, str(ident) if ident in self._todos:
                self._update(ident, given)
            case _:
                return None
        return tuple(self._todos.values())

    def take_answer(self, call: str, structured: object) -> None:
        """Take in the `tool_use_result` of a call: that of `TaskCreate` names the task's id."""
        ident = mapping(mapping(structured).get("task")).get("id")
        if isinstance(ident, str) and (todo := self._todos.pop(_UNNAMED + call, None)) is not None:
            self._todos[ident] = todo

    def _update(self, ident: str, given: Mapping[str, Any]) -> None:
        if given.get("status") == "deleted":
            del self._todos[ident]
            return
        was = self._todos[ident]
        text = one_line(text_of(given.get("subject")), _TEXT_CHARS) or was.text
        self._todos[ident] = Todo(text, _STATES.get(text_of(given.get("status")), was.state))


def _todo(found: object, key: str) -> Todo | None:
    if not isinstance(found, Mapping):
        return None
    text = one_line(text_of(found.get(key)), _TEXT_CHARS)
    return Todo(text, _STATES.get(text_of(found.get("status")), "open")) if text else None


def todos_summary(todos: tuple[Todo, ...]) -> str:
    """Return the list in one line: how much is done, and what is being done."""
    doing = next((todo.text for todo in todos if todo.state == "doing"), "")
    done = sum(todo.state == "done" for todo in todos)
    return f"{done} of {len(todos)} done" + (f": {doing}" if doing else "")

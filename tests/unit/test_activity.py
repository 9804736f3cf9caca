"""What a turn is doing now, from its events, and the words for it."""

from typing import Any

import pytest

from hyperhive_cli.core.events import LiveEvent, Stream, TurnEnd, TurnStart
from hyperhive_cli.transcript.activity import Activity
from hyperhive_cli.transcript.status_words import activity_words

START = TurnStart(sender="operator", body="do it", unread=0, turn_id=1, message_id=1, attempt=1, model="haiku")
END = TurnEnd(ok=True, note=None, turn_id=1, message_id=1, outcome="ok", duration_ms=1)


def says(*blocks: dict[str, Any], parent: str | None = None) -> Stream:
    return Stream.from_line({"type": "assistant", "parent_tool_use_id": parent, "message": {"content": [*blocks]}})


def calls(call: str, command: str, parent: str | None = None) -> Stream:
    return says({"type": "tool_use", "id": call, "name": "Bash", "input": {"command": command}}, parent=parent)


def answers(call: str) -> Stream:
    block = {"type": "tool_result", "tool_use_id": call, "content": "ok"}
    return Stream.from_line({"type": "user", "message": {"content": [block]}})


def tasks(*ids: str) -> Stream:
    line = {"type": "system", "subtype": "background_tasks_changed", "tasks": [{"task_id": one} for one in ids]}
    return Stream.from_line(line)


RESULT = Stream.from_line({"type": "result", "is_error": False, "result": "done"})
COMPACTING = Stream.from_line({"type": "system", "subtype": "status", "status": "compacting"})
WRITES, THINKS = says({"type": "text", "text": "So"}), says({"type": "thinking", "thinking": "Hm"})


def words(*events: LiveEvent, now: float = 60.0) -> str:
    """Take in events, one a second from second 1 on, and say what is done then."""
    activity = Activity()
    for second, event in enumerate(events, 1):
        activity.observe(event, second * 1000)
    return activity_words(activity.to_dict(), now)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], ""),
        ([START], "thinking 0:59"),
        ([START, WRITES], "writing 0:58"),
        ([START, WRITES, WRITES], "writing 0:58"),
        ([START, WRITES, THINKS], "thinking 0:57"),
        ([START, calls("a", "pytest -q")], "Bash 0:58 pytest -q"),
        ([START, calls("a", "pytest -q"), calls("b", "make")], "Bash 0:58 pytest -q (+1)"),
        ([START, calls("a", "pytest -q"), calls("b", "make"), answers("a")], "Bash 0:57 make"),
        ([START, calls("a", "pytest -q"), answers("a")], "thinking 0:59"),
        ([START, says({"type": "text", "text": "x"}, parent="t")], "thinking 0:59"),
        ([START, COMPACTING], "compacting 0:58"),
        ([START, tasks("t"), RESULT], "waiting for background work 0:57"),
        ([START, WRITES, tasks(), RESULT], "thinking 0:56"),
        ([START, calls("a", "x"), END], ""),
        ([START, calls("a", "x"), END, START], "thinking 0:56"),
    ],
)
def test_what_is_done_now_and_for_how_long(events: list[LiveEvent], expected: str) -> None:
    assert words(*events) == expected


@pytest.mark.parametrize("odd", [{}, {"type": "assistant"}, {"type": "user", "message": 1}, {"type": "system"}])
def test_odd_lines_change_nothing(odd: dict[str, Any]) -> None:
    assert words(START, Stream.from_line(odd)) == "thinking 0:59"

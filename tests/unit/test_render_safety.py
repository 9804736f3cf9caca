"""Hostile text and odd shapes: nothing but text reaches a terminal, nothing ends the transcript."""

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.events import (
    BusEvent,
    LiveEvent,
    ModelChanged,
    Note,
    StatusChanged,
    Stream,
    TokenUsageChanged,
    TurnEnd,
    TurnStart,
    TurnStateChanged,
    Unrecognised,
)
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.render.console.display import Console
from tests.unit.made_events import (
    NOW,
    TS,
    answer,
    assistant,
    call,
    delta,
    record,
    said,
    same_world,  # noqa: F401 - a fixture, used by name
)
from tests.unit.screen import Screen

pytestmark = pytest.mark.usefixtures("same_world")

HOSTILE = (
    "\x1b]0;title\x07 \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ \x1b]52;c;aGk=\x07 \x9b31m \x90q\x9c \x9d0;t\x9c"
    " over\rwrite \x08\x7f \u202egpj.exe \u2066x\u2069 [red]markup[/red] [link=http://evil]l[/link] :smile:"
    " ![i](http://evil/x) [t](http://evil/\u202ey) &#27;]0;x&#7; &#x202e; &rlm; \u2028 \ud800"
)
UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
ALLOWED = re.compile(r"\x1b\[[\d;]*m|\x1b\[\d+A|\x1b\[[JK]|\x1b\[\?(?:25|7|2026)[hl]|\r(?=\x1b\[|\n|$)")


def hostile_events() -> list[LiveEvent | dict[str, Any]]:
    bad = HOSTILE
    system = [
        {"type": "system", "subtype": kind, "description": bad, "message": bad, "error": bad, "tool_name": bad,
         "summary": bad, "status": bad, "model": bad, "session_id": bad, "claude_code_version": bad}
        for kind in ("init", "api_retry", "permission_denied", "task_started", "task_notification", bad)
    ]  # fmt: skip
    nested = dict.fromkeys(["type", "subtype", "result", "text", bad], bad)
    return [
        TurnStart(sender=bad, body=f"{bad}\n{bad}", unread=1, model=bad),
        *system,
        assistant(said(bad)),
        assistant(said(f"# {bad}\n\n- {bad}\n\n> {bad}\n\n```{bad}\n{bad}\n```\n\n|{bad}|\n|-|\n|{bad}|\n\n    {bad}")),
        assistant({"type": "thinking", "thinking": bad}, {"type": bad}),
        assistant(call(bad, bad, **{bad: bad}), call("b", "Bash", command=bad), call("r", "Read", file_path=bad)),
        answer("b", bad),
        answer("r", [{"type": "text", "text": bad}, {"type": bad}], is_error=True),
        answer(bad, f"Exit code 3\n{bad}", is_error=True),
        assistant(said(bad), parent_tool_use_id=bad),
        assistant(said(f"{bad} error"), error=bad),
        {"type": "user", "message": {"content": bad}},
        {"type": "result", "is_error": True, "errors": [f"{bad} 2"]},
        {"type": "rate_limit_event", "rate_limit_info": {"status": bad}},
        {"type": bad, "subtype": bad},
        nested,
        Note(text=bad, level=bad, source=bad),
        Note(text=bad, level="error", source="stderr"),
        StatusChanged(status=bad),
        ModelChanged(model=bad),
        TurnStateChanged(state=bad, since_unix=1),
        Unrecognised(bad, {bad: bad}),
        delta("content_block_delta", delta={"type": "text_delta", "text": bad}),
        delta("content_block_start", content_block={"type": "tool_use", "name": bad}),
        TurnEnd(ok=False, outcome=bad, note=bad),
    ]


def safe_record(event: LiveEvent | dict[str, Any]) -> BusEvent:
    # A lone surrogate has no JSON; the renderer reads the event alone.
    return with_event(Stream.from_line(event) if isinstance(event, dict) else event)


def with_event(event: LiveEvent) -> BusEvent:
    made = BusEvent(1, TS, event.kind, b"{}")
    made.event = event
    return made


def test_nothing_hostile_reaches_a_terminal() -> None:
    file = io.StringIO()
    with Console(file=file, live=True, now=lambda: NOW) as console:
        console.update(agent=HOSTILE, model=HOSTILE, status=HOSTILE)
        for event in hostile_events():
            console.show([safe_record(event)])
            console.tick()
    shown = file.getvalue()
    assert "not printable" not in shown
    assert "not readable" not in shown
    rest = ALLOWED.sub("", shown)
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", rest
    )
    assert r"\x1b]52;c;aGk=\x07" in rest
    assert "[red]markup[/red]" in rest
    assert ":smile:" in rest


@pytest.mark.parametrize("event", hostile_events(), ids=repr)
def test_nothing_hostile_reaches_a_pipe(event: LiveEvent | dict[str, Any]) -> None:
    file = io.StringIO()
    with Console(file=file, now=lambda: NOW) as console:
        console.show([safe_record(event)])
    assert not UNSAFE.search(file.getvalue())


texts = st.text(max_size=30)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
any_json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "type", "subtype", "message", "content", "text", "name", "input", "id", "tool_use_id", "is_error", "error",
    "parent_tool_use_id", "event", "delta", "content_block", "usage", "result", "errors", "modelUsage", "cwd",
    "compact_metadata", "tool_use_result", "status", "session_id", "model", "thinking", "rate_limit_info",
)  # fmt: skip
WORDS = (
    "assistant", "user", "system", "result", "stream_event", "rate_limit_event", "init", "api_retry", "text",
    "thinking", "tool_use", "tool_result", "content_block_start", "content_block_delta", "text_delta",
    "compact_boundary", "task_notification", "permission_denied", "Bash", "Write", "Task", "task_started",
)  # fmt: skip
claude_json = st.recursive(
    st.sampled_from(WORDS) | scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), claude_json, min_size=1), max_size=6))
def test_any_line_of_claude_is_shown_somehow(lines: list[dict[str, Any]]) -> None:
    file = io.StringIO()
    with Console(file=file, live=True, now=lambda: NOW) as console:
        console.show([safe_record(line) for line in lines])
        console.tick()
    assert "not readable" not in file.getvalue()
    assert "not printable" not in file.getvalue()
    Screen().feed(file.getvalue())


@given(any_json, any_json, any_json)
def test_any_values_of_our_own_events_are_shown_somehow(one: Any, two: Any, three: Any) -> None:  # noqa: ANN401
    events: list[LiveEvent] = [
        TurnStart(sender=one, body=two, unread=three, message_id=one, attempt=two, model=three),
        Note(text=one, level=two, source=three),
        TokenUsageChanged(usage=TokenUsage(), context_tokens=one, context_window=two),
        TurnEnd(ok=one, note=two, outcome=three, duration_ms=one, exit_status=two, cost_usd=three, tool_calls=one),
        StatusChanged(status=one),
        ModelChanged(model=two),
        TurnStateChanged(state=one, since_unix=two),
        Unrecognised(str(one), {"x": two}),
    ]
    file = io.StringIO()
    with Console(file=file, live=True, now=lambda: NOW) as console:
        console.update(agent=one, unread=two, status=three, model=one, context_window=three, since_unix=one)
        console.show([safe_record(event) for event in events])
        console.tick()
    assert "not readable" not in file.getvalue()
    assert "not printable" not in file.getvalue()
    Screen().feed(file.getvalue())


def test_an_event_that_cannot_be_read_is_one_dim_line() -> None:
    class Foreign:
        kind = "foreign"

    file = io.StringIO()
    with Console(file=file, now=lambda: NOW) as console:
        console.show([with_event(Foreign()), record(Note(text="goes on"))])  # type: ignore[arg-type]
    assert file.getvalue().splitlines() == ["· foreign: not readable (KeyError)", "· goes on"]

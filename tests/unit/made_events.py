"""Events for the renderer's tests: made-up lines of claude, and recorded runs inside a turn."""

import io
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from hyperhive_cli.core.events import BusEvent, LiveEvent, Stream, TokenUsageChanged, TurnEnd, TurnStart
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.render.console.display import Console

RECORDINGS = Path(__file__).parents[1] / "recordings"
TS = 1_795_364_671_046
NOW = 1_795_364_671.0


@pytest.fixture(autouse=True, scope="module")
def same_world() -> Iterator[None]:
    """Take what the environment says about terminals and time out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patch.delenv(name, raising=False)
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLORTERM", "truecolor")
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def record(event: LiveEvent | dict[str, Any], seq: int | None = 1) -> BusEvent:
    return BusEvent.make(seq, TS, Stream.from_line(event) if isinstance(event, dict) else event)


def assistant(*blocks: object, **fields: object) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": list(blocks)}, "parent_tool_use_id": None, **fields}


def answer(call: str, content: object, **fields: object) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call, "content": content, **fields}
    return {"type": "user", "message": {"content": [block]}, "parent_tool_use_id": None}


def call(ident: str, name: str, **given_input: object) -> dict[str, Any]:
    return {"type": "tool_use", "id": ident, "name": name, "input": given_input}


def said(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def delta(kind: str, **fields: object) -> dict[str, Any]:
    return {"type": "stream_event", "event": {"type": kind, **fields}, "parent_tool_use_id": None}


def plain(*events: LiveEvent | dict[str, Any], width: int | None = None) -> str:
    file = io.StringIO()
    with Console(file=file, width=width, now=lambda: NOW) as console:
        console.show(list(numbered(events)))
    return file.getvalue()


def numbered(events: Iterable[LiveEvent | dict[str, Any]], seq: int = 0) -> Iterator[BusEvent]:
    """Yield events as a bus numbers them, after this number: partial lines have none."""
    for event in events:
        is_partial = isinstance(event, dict) and event.get("type") == "stream_event"
        seq += not is_partial
        yield record(event, None if is_partial else seq)


def recorded_turn(name: str, release: str = "v2.1.330") -> list[LiveEvent | dict[str, Any]]:
    """Return a recording as the harness publishes it: a turn around the lines, the sums of all results at its end."""
    lines = [orjson.loads(raw) for raw in (RECORDINGS / release / f"{name}.jsonl").read_bytes().splitlines()]
    results = [line for line in lines if line["type"] == "result"]
    usage = sum((TokenUsage.from_usage(line["usage"]) for line in results), TokenUsage())
    tools = sum(
        block["type"] == "tool_use"
        for line in lines
        if line["type"] == "assistant"
        for block in line["message"]["content"]
    )
    ok = bool(results) and not results[-1]["is_error"]
    return [
        TurnStart(sender="operator", body="Look around.\nThen say what you saw.", unread=2, turn_id=12, message_id=7),
        *lines,
        TokenUsageChanged(usage=usage, context_tokens=9_000, context_window=200_000),
        TurnEnd(
            ok=ok,
            outcome="ok" if ok else "crashed",
            note=None if ok else "claude ended without a result",
            duration_ms=1234,
            exit_status=0 if ok else 1,
            cost_usd=results[-1]["total_cost_usd"] if results else None,
            tool_calls=tools,
        ),
    ]

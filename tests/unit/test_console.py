"""The transcript and the live region, from recordings of real runs and from made-up lines."""

import errno
import io
import os
import pty
import re
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.events import (
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
from hyperhive_cli.render.console import Console
from hyperhive_cli.usage import TokenUsage
from tests.unit.screen import Screen

RECORDINGS = Path(__file__).parents[1] / "recordings"
GOLDEN = Path(__file__).parent / "golden"
TS = 1_795_364_671_046
NOW = 1_795_364_671.0
SNAPSHOT = {
    "agent": "bee", "status": "online", "model": "haiku", "state": "thinking", "since_unix": NOW - 12,
    "context_tokens": 76_000, "context_window": 200_000, "unread": 3,
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _same_world() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patch.delenv(name, raising=False)
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLORTERM", "truecolor")
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def record(event: LiveEvent | dict[str, Any], seq: int = 1) -> BusEvent:
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
        console.show([record(event, seq) for seq, event in enumerate(events, 1)])
    return file.getvalue()


def recorded_turn(name: str, release: str = "v2.1.330") -> list[LiveEvent | dict[str, Any]]:
    """Give a recording as the harness would: a turn around the lines, the sums of all results at its end."""
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
        TurnStart(sender="operator", body="Look around.\nThen say what you saw.", unread=2, message_id=7),
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


# --- the transcript ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    ("name", "release"),
    [
        ("tools", "v2.1.330"),
        ("tools_denied", "v2.1.330"),
        ("subagent", "v2.1.330"),
        ("subagent", "v2.1.197"),
        ("compact", "v2.1.330"),
        ("overloaded_then_ok", "v2.1.330"),
        ("not_logged_in", "v2.1.330"),
        ("text", "v2.1.330"),
    ],
)
def test_a_recording_looks_as_agreed(name: str, release: str, width: int) -> None:
    # After a wanted change: GOLDEN_WRITE=1 pytest tests/unit/test_console.py, then read the difference.
    kept = GOLDEN / f"{name}_{release}_{width}.txt"
    shown = plain(*recorded_turn(name, release), width=width)
    if os.environ.get("GOLDEN_WRITE"):
        kept.write_text(shown)
    assert shown == kept.read_text()


@pytest.mark.parametrize(
    "path", sorted(RECORDINGS.glob("v*/*.jsonl")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_recording_is_plain_lines_within_the_width(path: Path) -> None:
    shown = plain(*recorded_turn(path.stem, path.parent.name))
    assert "not readable" not in shown
    assert "not printable" not in shown
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.search(r" \n|\n\n\n", shown)


def test_partial_lines_add_nothing_to_the_transcript() -> None:
    turn = recorded_turn("tools_partial")
    whole = [event for event in turn if not (isinstance(event, dict) and event["type"] == "stream_event")]
    assert len(whole) < len(turn)
    assert plain(*turn) == plain(*whole)


def test_long_text_is_wrapped_and_never_cut() -> None:
    words = [f"word{number}" for number in range(300)]
    shown = plain(assistant(said(" ".join(words) + "\n" + "x" * 300)), width=40)
    assert shown.split()[:300] == words
    assert shown.count("x") == 300


@pytest.mark.parametrize(
    "kept",
    ["List<String>", "<b>bold</b>", "&amp;", "[ref]: http://example.org/a", "![alt]", "first\n  second", "a_b_c"],
)
def test_markdown_loses_none_of_the_text(kept: str) -> None:
    source = kept.replace("\n  ", "\n")
    shown = plain(assistant(said(source)))
    assert kept in shown


def test_markdown_is_rendered() -> None:
    shown = plain(
        assistant(said("# Title\n\nSome **bold** `code`, [a](http://e.org) <http://auto.org>.\n\n- one\n- two"))
    )
    assert shown == ("  Title\n\n  Some bold code, a (http://e.org) http://auto.org.\n\n   • one\n   • two\n")


def test_a_table_folds_long_words() -> None:
    word = "w" * 90
    shown = plain(assistant(said(f"| a | b |\n|---|---|\n| {word} | 2 |")), width=50)
    assert shown.count("w") == 90


def test_a_huge_text_is_cut_with_its_lines_counted() -> None:
    shown = plain(assistant(said("line\n" * 100_000)))
    head, end = shown.rstrip().rsplit("\n", 1)
    assert head.count("line") == 64 * 1024 // 5 + 1 - (64 * 1024 % 5 < 4)
    assert re.fullmatch(r"  \+[\d,]+ lines", end)


def test_thinking_is_short() -> None:
    shown = plain(assistant({"type": "thinking", "thinking": "I wonder. " * 100}))
    assert shown.startswith("~ I wonder.")
    assert len(shown.splitlines()) <= 4
    assert shown.rstrip().endswith("…")


def test_an_answer_stands_under_its_call_or_says_whose_it_is() -> None:
    shown = plain(
        assistant(call("a", "Read", file_path="/x")),
        assistant(call("b", "Bash", command="ls")),
        answer("b", "one"),
        answer("a", "two"),
        answer("a", "three"),
        answer("gone", "four"),
    )
    assert shown.splitlines() == [
        "▸ Read   /x",
        "▸ Bash   ls",
        "         one",
        "  Read   two",
        "         three",
        "  result four",
    ]


def test_a_remark_between_call_and_answer_names_the_answer() -> None:
    shown = plain(assistant(call("b", "Bash", command="ls")), Note(text="hm"), answer("b", "one"))
    assert shown.splitlines()[-1] == "  Bash   one"


def test_interleaved_subagents_are_told_apart() -> None:
    def inner(parent: str, text: str) -> dict[str, Any]:
        return assistant(said(text), parent_tool_use_id=parent)

    shown = plain(
        assistant(call("a", "Task", description="count words")),
        inner("a", "One."),
        inner("a", "Two."),
        assistant(call("b", "Task", description="find files")),
        inner("a", "Three."),
        inner("b", "Four."),
        inner("?", "Five."),
    )
    bars = [line.removeprefix("  │ ").strip() for line in shown.splitlines() if line.startswith("  │")]
    assert bars == ["One.", "Two.", "count words:", "Three.", "find files:", "Four.", "subagent:", "Five."]


def test_a_result_repeats_nothing_that_was_shown() -> None:
    shown = plain(
        assistant(said("The answer.\n")),
        {"type": "result", "subtype": "success", "is_error": False, "result": "The answer."},
        assistant(said("No login"), error="authentication_failed"),
        {"type": "result", "subtype": "success", "is_error": True, "result": "No login"},
    )
    assert shown == "  The answer.\n\n✗ No login\n"


def test_a_result_shows_what_was_not_shown() -> None:
    shown = plain(
        {"type": "result", "is_error": False, "result": "Unknown command: /x"},
        {"type": "result", "is_error": True, "errors": ["No conversation", 7]},
    )
    assert shown == "  Unknown command: /x\n\n✗ No conversation\n  7\n"


def test_the_same_session_starts_once() -> None:
    init = {"type": "system", "subtype": "init", "session_id": "abcdefghij", "model": "m", "claude_code_version": "2"}
    turn = TurnStart(sender="x", body="y", unread=0)
    assert plain(init, turn, init).count("session abcdefgh · m · claude 2") == 1
    assert plain(init, init | {"session_id": "other"}).count("session") == 2


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ({"type": "system", "subtype": "api_retry", "attempt": 2, "max_retries": 10, "retry_delay_ms": 1117.9,
          "error_status": 529, "error": "overloaded"}, "↻ retry 2/10 in 1.1s: overloaded (529)"),
        ({"type": "system", "subtype": "api_retry", "error_status": None}, "↻ retry 0/0: no reason given"),
        ({"type": "system", "subtype": "compact_boundary", "compact_metadata": {"pre_tokens": 5994,
          "post_tokens": 2627}}, "◆ compacted 5,994 → 2,627 tokens"),
        ({"type": "system", "subtype": "compact_boundary"}, "◆ compacted"),
        ({"type": "system", "subtype": "brand_new"}, "· system/brand_new"),
        ({"type": "hologram", "x": 1}, "· hologram"),
        ({"no": "type"}, "· a line without a type"),
        ({"type": ["odd"], "subtype": {}}, "· [1 item]/{0 keys}"),
        ({"type": "system", "subtype": "status", "status": "requesting"}, ""),
        ({"type": "system", "subtype": "thinking_tokens", "estimated_tokens": 9}, ""),
        ({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}, ""),
        ({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": TS / 1000 + 7500}},
         "↻ rate limit: rejected, resets in 2h 05m"),
        ({"type": "user", "message": {"content": "<local-command-stdout>Compacted </local-command-stdout>"}},
         "> Compacted"),
        ({"type": "user", "message": {"content": [{"type": "text", "text": "a\nb\nc"}]}}, "> (3 lines) a"),
        (assistant({"type": "redacted_thinking"}), "~ thinking, not shown"),
        (assistant({"type": "poem"}), "· assistant/poem"),
        (StatusChanged(status="needs_login_idle"), "● status: needs login"),
        (StatusChanged(status="brand_new"), "● status: brand new"),
        (ModelChanged(model="opus"), "◆ model: opus, from the next turn on"),
        (TurnStateChanged(state="thinking", since_unix=1), ""),
        (TokenUsageChanged(usage=TokenUsage()), ""),
        (Note(text="hello"), "· hello"),
        (Note(text="careful", level="warning"), "! careful"),
        (Note(text="broken", level="error", source="stderr"), "✗ stderr: broken"),
        (Unrecognised("hive_moved", {}), "· hive_moved"),
    ],
)  # fmt: skip
def test_small_events(event: LiveEvent | dict[str, Any], shown: str) -> None:
    assert plain(event).rstrip("\n") == shown


def test_the_head_of_a_turn() -> None:
    body = "\n".join(f"line {number}" for number in range(1, 10))
    shown = plain(TurnStart(sender="alice", body=body, unread=1, message_id=12, attempt=2)).splitlines()
    assert shown[0] == "── alice · #12 · attempt 2 " + "─" * 20 + " 1 more waiting · 22 Nov 16:24 ──"
    assert shown[1:] == [*(f"  ▏ line {number}" for number in range(1, 7)), "  ▏ +3 lines"]
    assert "attempt" not in plain(TurnStart(sender="a", body="b", unread=0))
    assert "waiting" not in plain(TurnStart(sender="a", body="b", unread=0))


def test_the_foot_of_a_turn() -> None:
    usage = TokenUsage(1200, 345, 67_000, 890)
    end = TurnEnd(ok=True, outcome="ok", duration_ms=184_000, cost_usd=1.239, tool_calls=4)
    foot = "✓ ok · 3m 04s · 4 tools · 1.2k in, 345 out, 67k cached, 890 written · $1.24\n"
    assert plain(TokenUsageChanged(usage=usage), end) == foot
    assert plain(TokenUsageChanged(usage=usage), end, width=70) == foot.replace(", 890 written", "")
    assert plain(end) == "✓ ok · 3m 04s · 4 tools · $1.24\n"


def test_the_foot_says_why() -> None:
    end = TurnEnd(ok=False, outcome="bad_request", exit_status=1, note="no such model\nsecond line")
    assert plain(end) == "✗ bad request · exit 1\n  no such model\n  second line\n"


def test_usage_belongs_to_one_turn() -> None:
    end = TurnEnd(ok=True, outcome="ok")
    shown = plain(TokenUsageChanged(usage=TokenUsage(1, 2)), end, TurnStart(sender="a", body="b", unread=0), end)
    assert shown.count("1 in, 2 out") == 1


# --- safety -----------------------------------------------------------------------------------------

HOSTILE = (
    "\x1b]0;title\x07 \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ \x1b]52;c;aGk=\x07 \x9b31m \x90q\x9c \x9d0;t\x9c"
    " over\rwrite \x08\x7f \u202egpj.exe \u2066x\u2069 [red]markup[/red] [link=http://evil]l[/link] :smile:"
    " ![i](http://evil/x) [t](http://evil/\u202ey) &#27;]0;x&#7; &#x202e; &rlm; \u2028 \ud800"
)
UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
ALLOWED = re.compile(r"\x1b\[[\d;]*m|\x1b\[1A|\x1b\[2K|\x1b\[\?25[hl]|\r(?=\x1b\[2K|\x1b\[1A|$)")


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
    return BusEvent(1, TS, Stream.from_line(event) if isinstance(event, dict) else event, "{}")


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
        console.show([BusEvent(1, TS, Foreign(), "{}"), record(Note(text="goes on"))])  # type: ignore[arg-type]
    assert file.getvalue().splitlines() == ["· foreign: not readable (KeyError)", "· goes on"]


# --- the live region --------------------------------------------------------------------------------


class Terminal:
    """A live console on a fake terminal, its clock in our hand."""

    def __init__(self, width: int | None = 80, **snapshot: object) -> None:
        self.file = io.StringIO()
        self.time = NOW
        self.console = Console(snapshot=SNAPSHOT | snapshot, file=self.file, live=True, width=width, now=self.clock)

    def clock(self) -> float:
        return self.time

    def show(self, *events: LiveEvent | dict[str, Any]) -> None:
        self.console.show([record(event) for event in events])

    @property
    def screen(self) -> Screen:
        return Screen().feed(self.file.getvalue())


def test_the_bottom_line() -> None:
    terminal = Terminal()
    with terminal.console:
        assert terminal.screen.text == (
            "─" * 80 + "\nbee · ● online · haiku · ctx ▕███░░░░░▏ 38% 76k/200k · thinking 0:12 · unread 3"
        )
        assert not terminal.screen.cursor_shown
        terminal.time += 65
        terminal.console.tick()
        assert "thinking 1:17" in terminal.screen.last
        terminal.console.update(unread=9, nonsense=1)
        assert "unread 3" in terminal.screen.last
        terminal.time += 1
        terminal.console.update(unread=9)
        assert terminal.screen.last.endswith("unread 9")
    assert terminal.screen.text == ""
    assert terminal.screen.cursor_shown


@pytest.mark.parametrize("width", [24, 30, 40, 50, 60, 70, 80, 100, 200])
def test_the_bottom_line_fits(width: int) -> None:
    terminal = Terminal(width, model="claude-opus-4-7-20260101-with-a-long-tail", status="needs_login_idle")
    with terminal.console:
        rule, line = terminal.screen.text.split("\n")
        assert len(rule) == width
        assert len(line) <= width
        assert "needs login" in line
        if width >= 60:
            assert "thinking 0:12" in line
            assert "38%" in line
            assert "unread 3" in line


def test_nothing_known_is_no_reason_to_fail() -> None:
    file = io.StringIO()
    with Console(file=file, live=True, width=30, snapshot={"model": None}, now=lambda: NOW):
        assert Screen().feed(file.getvalue()).last == "waiting"


def test_events_feed_the_bottom_line() -> None:
    terminal = Terminal(120)
    usage = {"input_tokens": 12, "cache_read_input_tokens": 5600, "cache_creation_input_tokens": 340}
    main = {"type": "assistant", "parent_tool_use_id": None, "message": {"model": "m", "content": [], "usage": usage}}
    with terminal.console:

        def last(event: LiveEvent | dict[str, Any]) -> str:
            terminal.time += 1
            terminal.show(event)
            return terminal.screen.last

        assert "3% 6k/200k" in last(main)
        assert "3% 6k/200k" in last(main | {"parent_tool_use_id": "t", "message": {"usage": {"input_tokens": 99_999}}})
        synthetic = {"model": "<synthetic>", "usage": {"input_tokens": 99_999}}
        assert "3% 6k/200k" in last(main | {"message": synthetic})
        assert "1% 6k/1M" in last({"type": "result", "modelUsage": {"m": {"contextWindow": 1_000_000}}, "result": ""})
        boundary = {"type": "system", "subtype": "compact_boundary", "compact_metadata": {"post_tokens": 500_000}}
        assert "50% 500k/1M" in last(boundary)
        assert "4% 7k/190k" in last(TokenUsageChanged(usage=TokenUsage(), context_tokens=7000, context_window=190_000))
        assert "sonnet" in last(ModelChanged(model="sonnet"))
        assert "login in progress" in last(StatusChanged(status="needs_login_in_progress"))
        assert "compacting 0:00" in last(TurnStateChanged(state="compacting", since_unix=int(terminal.time) + 1))
        assert "unread 5" in last(TurnStart(sender="a", body="b", unread=5))


def test_permanent_lines_stand_above_the_region() -> None:
    terminal = Terminal()
    with terminal.console:
        terminal.show(Note(text="one"))
        terminal.show(Note(text="two"), Note(text="three"))
        rows = terminal.screen.text.split("\n")
        assert rows[:3] == ["· one", "· two", "· three"]
        assert rows[3] == "─" * 80
        assert len(rows) == 5
    assert terminal.screen.text == "· one\n· two\n· three"


def test_the_transcript_on_a_terminal_is_that_of_a_pipe() -> None:
    terminal = Terminal()
    with terminal.console:
        for event in recorded_turn("tools_partial"):
            terminal.time += 1
            terminal.show(event)
    assert terminal.screen.text + "\n" == plain(*recorded_turn("tools_partial"))


def test_a_growing_text_shows_its_last_lines_and_vanishes() -> None:
    terminal = Terminal()
    with terminal.console:
        terminal.show(delta("content_block_start", content_block={"type": "text", "text": ""}))
        for number in range(20):
            terminal.time += 1
            terminal.show(delta("content_block_delta", delta={"type": "text_delta", "text": f"line {number}\n"}))
        rows = terminal.screen.text.split("\n")
        assert [row.strip() for row in rows[-10:-2]] == [f"line {number}" for number in range(12, 20)]
        assert "line 11" not in terminal.screen.text
        terminal.show(assistant(said("The end.")))
        assert terminal.screen.text.startswith("  The end.\n───")


def test_drafts_of_thinking_and_tools() -> None:
    terminal = Terminal()
    with terminal.console:
        terminal.show(delta("content_block_delta", delta={"type": "thinking_delta", "thinking": "Hm\x1b[2J"}))
        terminal.time += 1
        terminal.console.tick()
        assert r"~ Hm\x1b[2J" in terminal.screen.text
        terminal.show(delta("content_block_start", content_block={"type": "tool_use", "name": "Write", "input": {}}))
        terminal.time += 1
        terminal.show(delta("content_block_delta", delta={"type": "input_json_delta", "partial_json": "x" * 2048}))
        assert "▸ Write …" in terminal.screen.text
        assert "~" not in terminal.screen.text
        terminal.show(TurnEnd(ok=True, outcome="ok"))
        assert "Write" not in terminal.screen.text


def test_redraws_are_rare_unless_asked_for() -> None:
    terminal = Terminal()
    with terminal.console:
        start = len(terminal.file.getvalue())
        for number in range(50):
            terminal.time += 0.001
            terminal.show(delta("content_block_delta", delta={"type": "text_delta", "text": str(number)}))
        assert len(terminal.file.getvalue()) == start
        terminal.time += 0.1
        terminal.show(delta("content_block_delta", delta={"type": "text_delta", "text": "!"}))
        once = len(terminal.file.getvalue())
        assert once > start
        terminal.console.tick()
        assert len(terminal.file.getvalue()) > once


def test_a_clock_that_is_set_back_does_not_freeze_the_region() -> None:
    terminal = Terminal()
    with terminal.console:
        terminal.time -= 3600
        terminal.console.update(unread=8)
        assert "unread 8" in terminal.screen.last


def test_an_exception_leaves_the_terminal_clean() -> None:
    terminal = Terminal()

    def fail() -> None:
        with terminal.console:
            terminal.show(Note(text="one"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert terminal.screen.text == "· one"
    assert terminal.screen.cursor_shown


def test_tick_and_update_write_nothing_into_a_pipe() -> None:
    file = io.StringIO()
    with Console(file=file, now=lambda: NOW) as console:
        console.tick()
        console.update(unread=3)
    assert file.getvalue() == ""


@pytest.mark.parametrize(("columns", "given_width", "expected"), [("50", None, 50), ("50", 70, 70), ("x", None, 80)])
def test_the_width_of_a_pipe(
    monkeypatch: pytest.MonkeyPatch, columns: str, given_width: int | None, expected: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    head = plain(TurnStart(sender="a", body="b", unread=0), width=given_width).splitlines()[0]
    assert len(head) == expected


def test_no_color_keeps_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured, weighted = Terminal(), None
    monkeypatch.setenv("NO_COLOR", "1")
    weighted = Terminal()
    for terminal in (coloured, weighted):
        with terminal.console:
            terminal.show(assistant(call("a", "Bash", command="ls")), Note(text="x", level="error"))
    assert re.search(r"\x1b\[[\d;]*3\dm", coloured.file.getvalue())
    assert not re.search(r"\x1b\[([\d;]*;)?[349]\d[\d;]*m", weighted.file.getvalue())
    assert "\x1b[1m" in weighted.file.getvalue()
    assert weighted.screen.text == coloured.screen.text


# --- readers that leave, outputs that are odd -------------------------------------------------------


def test_a_reader_that_leaves_is_told_as_broken_pipe() -> None:
    read, write = os.pipe()
    file = os.fdopen(write, "w", encoding="utf-8")
    with Console(file=file, now=lambda: NOW) as console:
        console.show([record(Note(text="one"))])
        assert os.read(read, 100) == "· one\n".encode()
        os.close(read)
        with pytest.raises(BrokenPipeError):
            console.show([record(Note(text="two"))])
        console.show([record(Note(text="three"))])
    # What the file itself still holds cannot be written either; that is its owner's business.
    with pytest.raises(BrokenPipeError):
        file.close()


class _Broken(io.StringIO):
    def __init__(self, code: int | None = None) -> None:
        super().__init__()
        self.code = code

    def write(self, text: str) -> int:
        if self.code is not None:
            raise OSError(self.code, os.strerror(self.code))
        return super().write(text)


@pytest.mark.parametrize("code", [errno.EPIPE, errno.EIO])
def test_a_terminal_that_hangs_up_is_told_as_broken_pipe(code: int) -> None:
    file = _Broken()
    with Console(file=file, live=True, now=lambda: NOW) as console:
        file.code = code
        with pytest.raises(BrokenPipeError):
            console.show([record(Note(text="two"))])
        console.tick()


def test_a_full_disk_is_told_as_it_is() -> None:
    file = _Broken()
    with Console(file=file, now=lambda: NOW) as console:
        file.code = errno.ENOSPC
        with pytest.raises(OSError, match="space") as caught:
            console.show([record(Note(text="two"))])
        assert not isinstance(caught.value, BrokenPipeError)


def test_an_output_without_unicode_gets_plain_signs() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    with Console(file=file, now=lambda: NOW) as console:
        console.show([record(assistant(call("a", "Bash", command="echo é"))), record(TurnEnd(ok=True))])
    file.flush()
    assert raw.getvalue() == b"* Bash   echo \\xe9\n\n+ ok\n"


def test_a_real_terminal_is_found_and_followed() -> None:
    master, slave = pty.openpty()
    output = bytearray()

    def drain() -> None:
        try:
            while chunk := os.read(master, 65536):
                output.extend(chunk)
        except OSError:  # Linux reports the end of a terminal as EIO
            return

    reader = threading.Thread(target=drain)
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as file:
        termios.tcsetwinsize(file.fileno(), (20, 72))
        with Console(snapshot=SNAPSHOT, file=file, now=lambda: NOW) as console:
            console.show([record(Note(text="one"))])
            termios.tcsetwinsize(file.fileno(), (20, 90))
            console.tick()
    reader.join()
    os.close(master)
    shown = output.decode().replace("\r\n", "\n")
    assert "─" * 72 + "\x1b[0m\n" in shown
    assert "─" * 90 + "\x1b[0m\n" in shown
    assert Screen().feed(shown).text == "· one"
    assert Screen().feed(shown).cursor_shown


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")

    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = Tty()
    with Console(file=file, now=lambda: NOW) as console:
        console.show([record(Note(text="one"))])
    assert file.getvalue() == "· one\n"


def test_the_wire_shape_is_shown_like_the_event() -> None:
    file, again = io.StringIO(), io.StringIO()
    records = [record(event, seq) for seq, event in enumerate(recorded_turn("tools"), 1)]
    with Console(file=file, now=lambda: NOW) as one, Console(file=again, now=lambda: NOW) as two:
        one.show(records)
        for found in records:
            two.show([BusEvent.from_json(found.to_json())])
    assert file.getvalue() == again.getvalue() != ""

"""Rows: the one translation of events that console, exports, the log of a host and the page share."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, StatusChanged, Stream, TurnEnd, TurnStart
from hyperhive_cli.transcript.log_line import row_to_log_line
from hyperhive_cli.transcript.raw_text import MAX_SPANS, WIRE_CHARS, RawText, Span
from hyperhive_cli.transcript.rows import (
    AnswerRow,
    CallRow,
    CompactionRow,
    FootRow,
    HeadRow,
    QuoteRow,
    RetryRow,
    Row,
    ThoughtRow,
)
from hyperhive_cli.transcript.translate import Translator
from hyperhive_cli.transcript.view import RowsView
from tests.unit.made_events import TS, answer, assistant, call, record, recorded_turn, said
from tests.unit.test_render_safety import UNSAFE, claude_json, hostile_events, safe_record

RED, RESET = "\x1b[31m", "\x1b[0m"


def rows_of(*events: LiveEvent | dict[str, Any]) -> list[Row]:
    translator = Translator()
    return [row for seq, event in enumerate(events, 1) for row in translator.rows(record(event, seq))]


def texts_in(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts_in(one)]
    return [text for one in value for text in texts_in(one)] if isinstance(value, list) else []


# --- what rows say ---


def test_an_answer_refers_to_its_call_and_knows_how_long_it_took() -> None:
    translator = Translator()
    (asked,) = translator.rows(BusEvent.make(1, TS, Stream.from_line(assistant(call("a", "Bash", command="make")))))
    (told,) = translator.rows(BusEvent.make(2, TS + 42_000, Stream.from_line(answer("a", "done"))))
    assert isinstance(asked, CallRow)
    assert isinstance(told, AnswerRow)
    assert (asked.call, asked.number, asked.name, asked.subject) == ("a", 1, "Bash", "make")
    assert (told.call, told.number, told.name) == ("a", 1, "Bash")
    assert (told.took_ms, told.output.plain) == (42_000, "done")


def test_a_thought_took_the_time_since_the_line_before_it_in_its_thread() -> None:
    def thought(parent: str | None) -> Stream:
        return Stream.from_line(assistant({"type": "thinking", "thinking": "hm"}, parent_tool_use_id=parent))

    go = TurnStart(turn_id=3, sender="ci", body="go", unread=0)
    timeline: list[tuple[int, LiveEvent]] = [
        (0, thought(None)), (10, go), (14, thought(None)), (15, Stream.from_line(answer("a", "x"))),
        (18, thought("a")), (21, thought("a")), (25, thought(None)),
    ]  # fmt: skip
    translator = Translator()
    rows = [row for at, event in timeline for row in translator.rows(BusEvent.make(1, TS + 1000 * at, event))]
    took = [row.took_ms for row in rows if isinstance(row, ThoughtRow)]
    assert took == [None, 4_000, None, 3_000, 10_000]


def test_the_list_of_tasks_is_that_after_the_last_call() -> None:
    def after(*lines: dict[str, Any]) -> list[list[tuple[str, str]] | None]:
        rows = [row for row in rows_of(*lines) if isinstance(row, CallRow)]
        return [None if row.todos is None else [(todo.text, todo.state) for todo in row.todos] for row in rows]

    written = [
        {"content": "look\nthere", "status": "completed"}, {"content": "run", "status": "in_progress"},
        7, {"content": 3},
    ]  # fmt: skip
    assert after(assistant(call("a", "TodoWrite", todos=written))) == [
        [("look there", "done"), ("run", "doing"), ("3", "open")]
    ]
    created = {
        **answer("b", "Task #1 created successfully: push"),
        "tool_use_result": {"task": {"id": "1", "subject": "push"}},
    }
    assert after(
        assistant(call("b", "TaskCreate", subject="push")),
        created,
        assistant(call("c", "TaskUpdate", taskId="1", status="in_progress", subject="push it")),
        assistant(call("d", "TaskUpdate", taskId="9", status="completed")),
        assistant(call("e", "TaskUpdate", taskId="1", status="deleted")),
        assistant(call("f", "TodoWrite", todos="all")),
        assistant(call("g", "Bash", todos=[])),
    ) == [[("push", "open")], [("push it", "doing")], None, [], None, None]
    (row,) = rows_of(assistant(call("a", "TodoWrite", todos=written)))
    assert isinstance(row, CallRow)
    assert row.subject == "1 of 3 done: run"
    assert row.to_dict()["todos"][1] == {"text": "run", "state": "doing"}


def test_a_subagents_prompt_and_a_files_name_are_known() -> None:
    image = {"type": "image", "source": {"media_type": "image/png", "data": "iVBORw0="}}
    task, read, told = rows_of(
        assistant(call("a", "Task", prompt="find it", description="search")),
        assistant(call("b", "Read", file_path="plots/waits.png")),
        answer("b", [image]),
    )
    assert task.to_dict()["prompt"]["text"] == "find it"
    assert read.to_dict()["prompt"] is None
    assert told.to_dict()["images"][0]["name"] == "waits.png"


def test_calls_have_no_number_after_an_event_that_was_left_out() -> None:
    translator = Translator()
    go = TurnStart(turn_id=3, sender="ci", body="go", unread=0)
    make = assistant(call("a", "Bash", command="make"))
    shown: list[tuple[int | None, LiveEvent | dict[str, Any]]] = [
        (7, go),
        (8, make),
        (None, make),
        (9, make),
        (11, make),
        (12, make),
        (20, go),
        (21, make),
    ]
    rows = [row for seq, event in shown for row in translator.rows(record(event, seq))]
    assert [row.full_number for row in rows if isinstance(row, CallRow)] == ["3.1", "3.2", "3.3", "", "", "3.1"]


def test_an_output_is_cut_in_its_middle_and_keeps_its_colours() -> None:
    text = RawText(f"\n{RED}one\ntwo{RESET}\n\n3\n4\n5\n{RED}s{RESET}ix" + "x" * 500 + "\n\n")
    found = text.excerpt(2, 1, width=10)
    assert found.head == [[Span("one", "red")], [Span("two", "red")]]
    assert (found.left_out, found.tail) == (3, [[Span("s", "red"), Span("ixxxxxxxx…")]])
    assert RawText("").excerpt(2, 1) == RawText(" \n \n").excerpt(2, 1) == ([], 0, [])


@given(st.text(st.sampled_from("ab \n"), max_size=60), st.integers(0, 4), st.integers(0, 4))
def test_an_excerpt_is_the_text_without_its_middle(raw: str, head: int, tail: int) -> None:
    found = RawText(raw).excerpt(head, tail)
    lines = [line for line in raw.split("\n") if line.strip()]
    shown = [[span.text for span in line] for line in (*found.head, *found.tail)]
    if len(lines) <= head + tail + 1:
        assert (shown, found.left_out) == ([[line] for line in lines], 0)
    else:
        assert shown == [[line] for line in (*lines[:head], *lines[len(lines) - tail :])]
        between = raw.strip("\n").count("\n") + 1 - head - tail
        assert len(lines) - head - tail <= found.left_out <= between


def test_each_row_knows_its_event_its_turn_and_its_subagent() -> None:
    rows = rows_of(
        TurnStart(sender="a", body="b", unread=0, turn_id=7),
        assistant(call("t", "Task", description="count words")),
        assistant(call("u", "Task", description="in files"), parent_tool_use_id="t"),
        assistant(said("four"), parent_tool_use_id="u"),
        assistant(said("five"), parent_tool_use_id="unknown"),
        TurnEnd(ok=True, turn_id=7),
        Note(text="between turns"),
    )
    assert [tuple(row.origin) for row in rows] == [
        (1, TS, 7, "", 0, ""),
        (2, TS, 7, "", 0, ""),
        (3, TS, 7, "t", 1, "count words"),
        (4, TS, 7, "u", 2, "in files"),
        (5, TS, 7, "unknown", 1, "subagent"),
        (6, TS, 7, "", 0, ""),
        (7, TS, None, "", 0, ""),
    ]


def test_a_head_and_a_foot_carry_every_figure() -> None:
    head, foot = rows_of(
        TurnStart(sender="alice", body="go", unread=2, message_id=12, attempt=3, model="opus", turn_id=7),
        TurnEnd(ok=False, outcome="bad_request", exit_status=1, duration_ms=1500, cost_usd=0.5, denied=2, note="no"),
    )
    assert isinstance(head, HeadRow)
    assert (head.sender, head.message, head.attempt, head.waiting, head.model) == ("alice", "12", 3, 2, "opus")
    assert isinstance(foot, FootRow)
    assert (foot.outcome, foot.word, foot.ok, foot.tone) == ("bad_request", "bad request", False, "bad")
    assert foot.to_dict()["figures"] == ["2 denied", "exit 1", "1.5s", "$0.50"]


def test_a_retry_and_a_compaction_carry_their_figures() -> None:
    retry, compaction = rows_of(
        {"type": "system", "subtype": "api_retry", "attempt": 2, "max_retries": 10, "retry_delay_ms": 1100.4,
         "error_status": 529, "error": "overloaded"},
        {"type": "system", "subtype": "compact_boundary", "compact_metadata": {"pre_tokens": 5994}},
    )  # fmt: skip
    assert isinstance(retry, RetryRow)
    assert (retry.attempt, retry.attempts, retry.until, retry.reason, retry.status) == (
        2, 10, TS + 1100, "overloaded", "529",
    )  # fmt: skip
    assert isinstance(compaction, CompactionRow)
    assert (compaction.before, compaction.after) == (5994, None)


def test_a_quote_has_its_whole_text_and_its_images() -> None:
    image = {"type": "image", "source": {"media_type": "image/png", "data": "iVBORw0="}}
    text, picture = rows_of({"type": "user", "message": {"content": [said("a\nb"), image]}})
    assert isinstance(text, QuoteRow)
    assert (text.text.plain, text.whole.plain) == ("(2 lines) a", "a\nb")
    assert picture.to_dict()["images"] == [{"type": "image/png", "bytes": 5, "name": ""}]


@pytest.mark.parametrize(
    ("name", "given_input", "shown"),
    [
        ("Bash", {"command": "make\nmake test", "description": "Build"}, "# Build\nmake\nmake test"),
        ("Bash", {"command": "make"}, "make"),
        ("Task", {"description": "alone"}, "alone"),
        ("Edit", {"a": 1}, '{\n  "a": 1\n}'),
        ("Odd", None, "null"),
        ("Odd", {"prompt": "x\x1b[2J"}, "x\\x1b[2J"),
    ],
)
def test_the_whole_input_of_a_call(name: str, given_input: object, shown: str) -> None:
    (row,) = rows_of(assistant({"type": "tool_use", "id": "a", "name": name, "input": given_input}))
    assert isinstance(row, CallRow)
    assert row.input_text() == shown


def test_the_change_that_an_edit_asks_for() -> None:
    edit = {"old_string": "a\nb\nc\nd", "new_string": "a\nB\nc\nd"}
    for given_input in (edit, {"edits": [edit, 7, {"old_string": 1}]}):
        (row,) = rows_of(assistant({"type": "tool_use", "id": "a", "name": "Edit", "input": given_input}))
        (hunk,) = row.to_dict()["diff"]
        assert hunk == {"old_start": 0, "new_start": 0, "lines": [" a", "-b", "+B", " c"], "cut": 0}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (TurnStart(sender="alice", body="go\non", unread=0, turn_id=7), "turn 7 for alice: go on"),
        (TurnEnd(ok=False, outcome="refused", denied=1, duration_ms=2000, turn_id=7, note="no"),
         "turn 7 refused, 1 denied, 2.0s: no"),
        (TurnEnd(ok=True, outcome="ok"), "turn ok, 0.0s"),
        (StatusChanged(status="needs_login_idle"), "status: needs login"),
        (Note(text="careful", level="warning"), "warning: careful"),
        (Note(text="broken", level="error"), "error: broken"),
        (Note(text="hello"), None),
        (assistant(said("hello")), None),
    ],
)  # fmt: skip
def test_the_log_of_a_host(event: LiveEvent | dict[str, Any], line: str | None) -> None:
    (row,) = rows_of(event)
    assert row_to_log_line(row) == line


# --- colours ---


@pytest.mark.parametrize(
    ("raw", "spans"),
    [
        ("plain", [Span("plain")]),
        (f"{RED}red{RESET} rest", [Span("red", "red"), Span(" rest")]),
        ("\x1b[1;32mok\x1b[22m and\x1b[39m so", [Span("ok", "green", bold=True), Span(" and", "green"), Span(" so")]),
        ("\x1b[92mbright\x1b[m.", [Span("bright", "green"), Span(".")]),
        ("\x1b[38;5;9mnine\x1b[38;5;200many\x1b[38;2;1;2;3mtrue", [Span("nine", "red"), Span("any"), Span("true")]),
        ("\x1b[38;5m\x1b[38mx", [Span("x")]),
        ("\x1b[41mback\x1b[4mline", [Span("back"), Span("line")]),
        ("\x1b[2J\x1b]0;t\x07", [Span("\\x1b[2J\\x1b]0;t\\x07")]),
        ("", []),
    ],
)
def test_colours_become_spans_and_all_else_stays_visible(raw: str, spans: list[Span]) -> None:
    assert RawText(raw).spans() == spans


def test_a_head_keeps_the_colours_of_its_lines() -> None:
    lines, more = RawText(f"\n{RED}one\ntwo{RESET} 2\n" + "x\n" * 5).head(3)
    assert (lines, more) == ([[Span("one", "red")], [Span("two", "red"), Span(" 2")], [Span("x")]], 4)
    assert RawText(RED + "x" * 500).head(3, width=10) == ([[Span("x" * 10 + "…", "red")]], 0)


def test_a_long_text_is_sent_as_its_ends_with_its_size() -> None:
    lines = [f"line {number:03}: ä" for number in range(1_000)]  # 12 bytes and the end of the line
    raw = "\n".join(lines)
    found = RawText(raw).to_dict(WIRE_CHARS)
    head, tail = found["text"].split("\n"), found["tail"]["text"].split("\n")
    assert (head, tail) == (lines[: len(head)], lines[-len(tail) :])
    assert found["lines"] == len(lines) - len(head) - len(tail)
    assert len(found["text"]) + len(found["tail"]["text"]) <= WIRE_CHARS
    left_out = "\n".join(["", *lines[len(head) : -len(tail)], ""])
    assert (found["cut"], found["bytes"]) == (len(left_out.encode()), len(raw.encode()))
    assert RawText(raw).to_dict() == {"text": raw, "spans": None, "cut": 0}
    assert RawText(raw[:WIRE_CHARS]).to_dict(WIRE_CHARS) == RawText(raw[:WIRE_CHARS]).to_dict()


def test_a_long_line_is_cut_within_and_each_end_has_its_colours() -> None:
    raw = f"{RED}r{RESET}" * 1_000 + "\udc80" * WIRE_CHARS + f"{RED}z"
    found = RawText(raw).to_dict(WIRE_CHARS)
    assert (found["lines"], found["spans"][0]) == (1, ["r", "red", False])
    assert found["tail"]["spans"][-1] == ["z", "red", False]
    assert found["bytes"] - found["cut"] < len(raw)


def test_every_text_of_a_row_is_cut_to_the_limit() -> None:
    long, limit = "x\n" * 1_000, 500
    given = {"file_path": "/a", "old_string": "", "new_string": long}
    rows = rows_of(assistant(said(long), {"type": "thinking", "thinking": long}, call("a", "Edit", **given)))
    prose, thought, edit = (row.to_dict(limit) for row in rows)
    assert (len(prose["text"]), prose["cut"]) == (limit - 1, len(long) - limit + 1)
    assert thought["cut"] == len(long.strip()) - len(thought["text"])
    (hunk,) = edit["diff"]
    assert (len(hunk["lines"]), hunk["cut"]) == (limit // 2, 1_001 - limit // 2)


def test_the_spans_of_a_text_are_bounded() -> None:
    assert len(RawText(f"{RED}r{RESET}p" * MAX_SPANS).spans()) <= MAX_SPANS + 1


@given(st.text("\x1b[0123456789;m\nab\r\x9b]") | st.text())
def test_spans_and_heads_are_safe_and_lose_no_line(raw: str) -> None:
    text = RawText(raw)
    assert not UNSAFE.search(text.plain.replace("\t", "").replace("\n", ""))
    lines, more = text.head(3)
    assert not any(UNSAFE.search(span.text.replace("\t", "")) for line in lines for span in line)
    if more == 0 and "\r" not in raw:  # a line of colours alone counts as one where it is not among the first
        shown, _ = RawText(text.plain).head(3)
        assert [[span.text for span in line] for line in shown] == [["".join(s.text for s in line)] for line in lines]


# --- whatever comes ---


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ("type", "subtype", "message", "parent_tool_use_id", "tool_use_result", "is_error", "result", "errors")
            ),
            claude_json,
            min_size=1,
        )
    )
)
def test_no_line_of_claude_stops_the_translation_and_its_rows_are_json(lines: list[dict[str, Any]]) -> None:
    view = RowsView()
    for line in lines:
        found = view.to_record(safe_record(line))
        assert not any("not readable" in text for row in found["rows"] for text in texts_in(row))
        json.loads(json.dumps(found, default=str))


@pytest.mark.parametrize("event", hostile_events(), ids=repr)
def test_nothing_hostile_is_in_the_json_of_a_row(event: LiveEvent | dict[str, Any]) -> None:
    for row in RowsView().to_record(safe_record(event))["rows"]:
        texts = texts_in({key: value for key, value in row.items() if key not in {"call", "parent"}})
        assert not any(UNSAFE.search(text.replace("\t", "").replace("\n", "")) for text in texts), row


def turns() -> list[BusEvent]:
    found = [*recorded_turn("tools"), *recorded_turn("subagent"), *recorded_turn("overloaded_then_ok")]
    return [record(event, seq) for seq, event in enumerate(found, 1)]


@pytest.mark.parametrize("cut", range(0, len(turns()), 3))
def test_a_view_that_starts_anywhere_gives_the_rows_of_the_whole(cut: int) -> None:
    whole, view, events = RowsView(), RowsView(), turns()
    wanted = [whole.to_record(event)["rows"] for event in events]
    for event in events[:cut]:
        view.observe(event)
    assert [view.to_record(event)["rows"] for event in events[cut:]] == wanted[cut:]


def test_a_view_says_what_of_the_status_an_event_changes() -> None:
    view = RowsView()
    start = view.to_record(record(TurnStart(sender="a", body="b", unread=3, model="opus"), 1))
    assert {key: start[key] for key in ("seq", "ts", "kind")} == {"seq": 1, "ts": TS, "kind": "turn_start"}
    assert start["facts"]["unread"] == 3
    assert start["facts"]["activity"]["doing"] == "thinking"
    line = view.to_record(record(assistant(call("a", "Bash", command="make")), 2))
    assert (line["type"], line["subtype"], line["parent_tool_use_id"]) == ("assistant", None, None)
    assert line["facts"]["activity"]["tool"] == "Bash"
    assert view.to_record(record(Note(text="x"), 3))["facts"] == {}
    limited = view.to_record(record(StatusChanged(status="rate_limited", until_unix=5, why="limit"), 4))["facts"]
    assert limited == {"status": "rate_limited", "waits_until": 5, "why": "limit"}
    assert view.to_record(record(TurnEnd(ok=True), 5))["facts"] == {"activity": None}

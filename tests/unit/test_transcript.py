"""The transcript of recorded runs and of made-up lines, as a pipe gets it."""

import io
import re
import time
from pathlib import Path
from typing import Any

import pytest
import rich.console

from hyperhive_cli.core.events import (
    LiveEvent,
    ModelChanged,
    Note,
    StatusChanged,
    TokenUsageChanged,
    TurnEnd,
    TurnStart,
    TurnStateChanged,
    Unrecognised,
)
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.render.blocks import THEME
from hyperhive_cli.render.console.display import Console
from hyperhive_cli.render.layout import Layout
from hyperhive_cli.transcript.raw_text import RawText
from hyperhive_cli.transcript.rows import AnswerRow, Origin
from tests.unit.agreed import Output, check
from tests.unit.made_events import (
    NOW,
    RECORDINGS,
    TS,
    answer,
    assistant,
    call,
    plain,
    record,
    recorded_turn,
    said,
    same_world,  # noqa: F401 - a fixture, used by name
)

pytestmark = pytest.mark.usefixtures("same_world")


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
def test_golden_transcript_of_a_recording(name: str, release: str) -> None:
    records = [record(event, seq) for seq, event in enumerate(recorded_turn(name, release), 1)]

    def show(file: Output, width: int) -> None:
        with Console(file=file, live=False, width=width, now=lambda: NOW) as console:
            console.show(records)

    check(f"{name}_{release}", show)


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
    assert re.fullmatch(r"  … [\d,]+ lines", end)


@pytest.mark.parametrize(
    ("thought", "shown"),
    [
        ("I wonder.", "~ I wonder."),
        ("\n\nI wonder.\nWhy?", "~ I wonder. …"),
        ("I wonder. " * 100, f"~ {'I wonder. ' * 7}I wonde…"),
    ],
)
def test_thinking_is_folded_to_its_first_line(thought: str, shown: str) -> None:
    assert plain(assistant({"type": "thinking", "thinking": thought})).splitlines() == [shown]


def lines_of_output(output: str, **fields: object) -> list[str]:
    """Return what stands under the second call of turn 12 if it is answered so."""
    shown = plain(
        TurnStart(sender="a", body="b", unread=0, turn_id=12),
        assistant(call("a", "Bash", command="one")),
        assistant(call("b", "Bash", command="two")),
        answer("b", output, **fields),
    )
    return [line.strip() for line in shown.partition("two\n")[2].splitlines()]


def test_a_long_output_keeps_its_first_and_its_last_lines() -> None:
    output = "".join(f"line {number}\n\n" for number in range(1, 20))
    assert lines_of_output(output) == ["line 1", "line 2", "… 31 lines (hyperhive show 12.2)", "line 19"]
    ends = [f"line {number}" for number in range(15, 20)]
    failed = ["✗ exit 1", "line 1", "line 2", "… 23 lines (hyperhive show 12.2)", *ends]
    assert lines_of_output(f"Exit code 1\n{output}", is_error=True) == failed


def test_a_console_with_commands_of_its_own_names_those() -> None:
    row = AnswerRow(origin=Origin(turn=12), call="a", number=3, output=RawText("1\n2\n3\n4\n5"))
    file = io.StringIO()
    rich.console.Console(file=file, width=80, theme=THEME).print(Layout(show="/show").block(row).body)
    assert "         … 2 lines (/show 12.3)" in file.getvalue().splitlines()


@pytest.mark.parametrize("count", range(1, 10))
def test_nothing_is_left_out_to_save_one_line(count: int) -> None:
    lines = [f"line {number}" for number in range(count)]
    assert (lines_of_output("\n".join(lines)) == lines) == (count <= 4)
    assert (lines_of_output("\n".join(lines), is_error=True)[1:] == lines) == (count <= 8)


def test_without_the_start_of_the_turn_no_number_is_claimed() -> None:
    shown = plain(assistant(call("a", "Bash", command="one")), answer("a", "1\n2\n3\n4\n5"))
    assert shown.splitlines()[-2].strip() == "… 2 lines"


def edited(lines: list[str], old_start: int = 7) -> dict[str, Any]:
    patch = [{"oldStart": old_start, "newStart": old_start, "lines": lines}]
    return {**answer("e", "The file was updated."), "tool_use_result": {"structuredPatch": patch}}


def test_an_edit_shows_what_it_changed() -> None:
    shown = plain(
        assistant(call("e", "Edit", file_path="/a")),
        edited(["     far", "     before", "-\told", "+        new", "     after"], 98),
    )
    assert shown.splitlines()[1:] == ["          99   before", "         100 - old", "         100 +     new"]


def test_a_large_edit_is_cut() -> None:
    start = TurnStart(sender="a", body="b", unread=0, turn_id=3)
    shown = plain(start, assistant(call("e", "Edit", file_path="/a")), edited([f"+line {n}" for n in range(20)]))
    rows = [row.strip() for row in shown.splitlines()[-9:]]
    assert rows == [*(f"{number:>2} + line {number - 7}".strip() for number in range(7, 15)),
                    "… 12 lines (hyperhive show 3.1)"]  # fmt: skip


def test_a_read_file_is_counted() -> None:
    asked = assistant(call("r", "Read", file_path="/a"))
    told = answer("r", "1\tone\n2\ttwo")
    some, all_ = ({"file": {"numLines": 2, "totalLines": total}} for total in (900, 2))
    assert plain(asked, {**told, "tool_use_result": some}).splitlines()[1:] == ["         2 of 900 lines"]
    assert plain(asked, {**told, "tool_use_result": all_}).splitlines()[1:] == ["         2 lines"]


def test_a_denial_says_what_to_type() -> None:
    denied = {"type": "system", "subtype": "permission_denied", "tool_use_id": "b", "tool_name": "Bash",
              "decision_reason_type": "mode", "message": "This command requires approval"}  # fmt: skip
    asked = assistant(call("b", "Bash", command="curl -s x"))
    shown = plain({"type": "system", "subtype": "init", "permissionMode": "acceptEdits"}, asked, denied)
    assert shown.splitlines()[-2:] == [
        "         ✗ denied: This command requires approval",
        "         to allow it: hyperhive run -- --allowedTools 'Bash(curl:*)'",
    ]
    assert "to allow it" not in plain(asked, denied | {"message": "Permission to use Bash has been denied."})


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


def test_what_a_turn_showed_may_be_shown_by_the_next() -> None:
    turn = TurnStart(sender="x", body="y", unread=0)
    result = {"type": "result", "is_error": False, "result": "Unknown command: /x"}
    assert plain(turn, result, result, turn, result).count("Unknown command") == 2


def test_a_long_wait_of_claudes_is_shown_once_with_its_end() -> None:
    def retry(attempt: int, delay_ms: float, error: str = "rate_limit") -> dict[str, Any]:
        return {"type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": 300,
                "retry_delay_ms": delay_ms, "error_status": 429, "error": error}  # fmt: skip

    end = time.strftime("%H:%M", time.localtime(TS / 1000 + 75))
    shown = plain(retry(1, 75_205), retry(1, 75_190), retry(2, 75_205), retry(3, 59_900), retry(4, 1e14))
    assert [line for line in shown.splitlines() if "retry" in line] == [
        f"↻ retry 1/300 at {end} (in 1m 15s): rate_limit (429)",
        f"↻ retry 2/300 at {end} (in 1m 15s): rate_limit (429)",
        "↻ retry 3/300 in 1m 00s: rate_limit (429)",
        "↻ retry 4/300 in 1157407d 09h: rate_limit (429)",
    ]


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
        ({"type": ["odd"], "subtype": {}}, "· ?/?"),
        ({"type": "hologram", "subtype": "blue", "message": "a\nb"}, "· hologram/blue: a\n  b"),
        ({"type": "system", "subtype": "brand_new", "content": [{"type": "text", "text": "hi"}], "stderr": "no"},
         "· system/brand_new: hi\n  no"),
        ({"type": "system", "subtype": "status", "status": "requesting"}, ""),
        ({"type": "system", "subtype": "thinking_tokens", "estimated_tokens": 9}, ""),
        ({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}, ""),
        ({"type": "tool_progress", "tool_name": "Bash", "parent_tool_use_id": "t", "heartbeat": True}, ""),
        ({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": TS / 1000 + 7500}},
         "↻ rate limit reached, resets 18:29 (in 2h 05m)"),
        ({"type": "user", "message": {"content": "<local-command-stdout>Compacted </local-command-stdout>"}},
         "> Compacted"),
        ({"type": "user", "message": {"content": [{"type": "text", "text": "a\nb\nc"}]}}, "> (3 lines) a"),
        (assistant({"type": "redacted_thinking"}), "~ thinking, not shown"),
        (assistant({"type": "poem"}), "· assistant/poem"),
        (StatusChanged(status="needs_login_idle"), "● status: needs login"),
        (StatusChanged(status="needs_login_in_progress"), "● status: login in progress"),
        (StatusChanged(status="rate_limited", until_unix=TS // 1000),
         f"● status: rate limited until {time.strftime('%d %b %H:%M', time.localtime(TS // 1000))}"),
        (StatusChanged(status="brand_new"), "● status: brand new"),
        (StatusChanged(status="failed", model="opus"), "● status: failed (opus alone)"),
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
    assert shown[0] == "── alice · #12 · try 2 " + "─" * 29 + " 1 waiting · 22 Nov 16:24 ──"
    assert shown[1:] == [*(f"  ▏ line {number}" for number in range(1, 7)), "  ▏ … 3 lines"]
    assert "try" not in plain(TurnStart(sender="a", body="b", unread=0))
    assert "waiting" not in plain(TurnStart(sender="a", body="b", unread=0))


@pytest.mark.parametrize(("attempt", "delivery", "shown"), [(1, 1, ""), (1, 2, " · try 2"), (3, 4, " · try 4")])
def test_a_try_that_did_not_count_is_in_the_next_heading(attempt: int, delivery: int, shown: str) -> None:
    start = TurnStart(sender="alice", body="go", unread=0, message_id=12, attempt=attempt, delivery=delivery)
    assert plain(start).startswith(f"── alice · #12{shown} ──")


def test_the_foot_of_a_turn() -> None:
    usage = TokenUsage(1200, 345, 67_000, 890)
    end = TurnEnd(ok=True, outcome="ok", duration_ms=184_000, cost_usd=1.239, tool_calls=4)
    foot = "✓ ok · 3m 04s · 4 tools · 69.1k in (97% cached, 890 written), 345 out · $1.24\n"
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

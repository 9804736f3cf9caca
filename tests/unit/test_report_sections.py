"""The report in words: what each fact says, what a quiet time leaves out, and where a long list is cut."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hyperhive_cli.core.statistics import EndedTurn
from hyperhive_cli.core.work_report import Life, Span, Work, WorkTurn, work_to_dict
from hyperhive_cli.render.work_report import report_to_html, report_to_markdown, report_to_spans
from hyperhive_cli.store.report import empty_status
from hyperhive_cli.transcript.findings import Findings
from hyperhive_cli.transcript.report_sections import report_sections, report_summary, report_title
from tests.unit.made_events import NOW, same_world  # noqa: F401 - a fixture, used by name

pytestmark = pytest.mark.usefixtures("same_world")
NOW_MS = int(NOW * 1000)
HOUR_MS = 3_600_000
SPAN = Span(NOW_MS - 12 * HOUR_MS, NOW_MS)


def made(work: Work = Work(), **facts: Any) -> dict[str, Any]:  # noqa: ANN401, B008 - fields of the report; an empty tuple
    now = empty_status("bee") | facts.pop("now", {})
    own = {
        "agent": "bee",
        **SPAN._asdict(),
        "made": NOW_MS,
        **work_to_dict(work, SPAN, ZoneInfo("UTC")),
        **Findings([]).to_dict(),
    }
    return {**own, "now": now, **facts}


def lines(found: dict[str, Any], title: str, *, most: int | None = None) -> list[str]:
    sections = {section.title: section for section in report_sections(found, most=most)}
    return [f"{line.sign} {line.words}".strip() for line in sections[title].lines]


def turn(number: int, **of: Any) -> WorkTurn:  # noqa: ANN401 - fields of a turn
    ended = {"duration_ms": 60_000, "cost_usd": 0.5, "outcome": "ok", **of}
    return WorkTurn(EndedTurn(number, SPAN.since + number * HOUR_MS, **ended), number, "operator", f"do {number}")


def test_a_quiet_time_says_so_in_a_few_lines() -> None:
    found = made()
    assert [section.title for section in report_sections(found)] == ["Now"]
    assert (report_title(found), report_summary(found)) == ("bee, Sun 22 Nov 04:24 to 16:24", "no turns")


def test_the_day_of_the_end_is_named_if_it_is_another_one() -> None:
    assert report_title(made(since=NOW_MS - 24 * HOUR_MS)) == "bee, Sat 21 Nov 16:24 to Sun 22 Nov 16:24"


def test_a_report_of_an_earlier_day_names_the_day_and_tells_of_now() -> None:
    found = made(
        Work([turn(1, outcome="crashed")]), made=NOW_MS + 24 * HOUR_MS, now={"next_due": NOW_MS + 25 * HOUR_MS}
    )
    assert lines(found | {"messages": []}, "Turns")[1] == "✗ turn 1, message 1, 22 Nov 05:25: crashed"


def test_turns_are_named_by_outcome_and_those_that_failed_only_once() -> None:
    crashed = turn(1, outcome="crashed", message_state="ready")._replace(note="exit status 137", message_id=2)
    compact = turn(3, outcome="failed")._replace(message_id=None, note="nothing to compact")
    given_up = turn(4, outcome="crashed", message_state="dead")
    found = made(Work([crashed, turn(2), compact, given_up]))
    assert lines(found, "Turns") == [
        "2 crashed, 1 ok, 1 failed",
        "✗ turn 1, message 2, 05:25: crashed: exit status 137",
        "✗ turn 3, 07:25: failed: nothing to compact",
    ]
    assert lines(found, "What the messages came to") == [
        "✓ #2 operator: do 2 (2 turns, 2m 00s, $1.00)",
        "✗ #4 operator: do 4 (1m 00s, $0.50)",
    ]
    assert report_summary(found) == "4 turns, 2 crashed, 1 failed · $2.00"


def test_money_is_compared_with_the_usual_and_marked_if_it_is_twice_that() -> None:
    days = [EndedTurn(0, SPAN.since + HOUR_MS - day * 24 * HOUR_MS, "ok", cost_usd=0.05) for day in range(1, 6)]
    found = made(Work([turn(1)], days))
    assert lines(found, "Money and tokens") == [
        "$0.50, usually $0.0500",
        "0 tokens in, 0 out",
        "usual is the median of the same hours of 5 earlier days with work",
        "! turn 1 cost $0.50, 10 times the usual $0.0500",
    ]
    (money,) = [section.lines[0] for section in report_sections(found) if section.title == "Money and tokens"]
    assert money.style == "warn"


def test_what_did_not_happen_is_told_of_messages_and_schedules() -> None:
    late = {"id": 7, "task": "audit", "due": NOW_MS - 3 * HOUR_MS, "started": None}
    schedule = {"name": "nightly", "paused": False, "next": None, "overdue": None, "skipped": None, "skipped_ever": 0}
    found = made(
        late=[late, late | {"started": NOW_MS - HOUR_MS}],
        schedules=[
            schedule | {"overdue": NOW_MS - HOUR_MS},
            schedule | {"skipped": NOW_MS - HOUR_MS, "skipped_ever": 12},
            schedule | {"paused": True},
            schedule | {"next": NOW_MS + HOUR_MS},
        ],
    )
    assert lines(found, "Did not happen in time") == [
        "! message 7 was due 13:24 and still waits",
        "! message 7 was due 13:24 and started 15:24, 2h 00m late",
        "! schedule nightly was due 15:24 and has sent nothing",
        "! schedule nightly left out a slot, the last 15:24 (12 so far)",
    ]
    assert lines(found, "Now")[1:] == ["schedule nightly is paused", "schedule nightly: next 17:24 (in 1h 00m)"]
    assert report_summary(found) == "no turns · 2 late"


def test_the_harness_and_its_sessions_are_told() -> None:
    lives = [Life(SPAN.since, SPAN.since + 1), Life(SPAN.since + HOUR_MS, None), Life(SPAN.since + 2 * HOUR_MS, None)]
    sessions = [turn(4)._replace(session_id="a"), turn(5)._replace(session_id="b", compacted_from=180_000)]
    found = made(Work(sessions, lives=lives), mcp=[{"trouble": "github: failed", "turns": 2, "last": 5}], unseen=[4])
    *told, gone = lines(found, "Harness and session")
    assert gone.startswith("1 turn is no longer whole in the history: ")
    assert told == [
        "the harness started 04:24",
        "the harness started 05:24, 1h 00m after it had stopped",
        "! the harness started 06:24; the one before had been killed",
        "turn 5 started a new session, 09:24",
        "turn 5 compacted the context from 180k tokens, 09:25",
        "! MCP server github: failed, in 2 turns, the last of them 5",
    ]


def test_an_agent_that_waits_for_a_person_comes_first() -> None:
    found = made(now={"status": "needs_login_idle", "running": True, "problems": ["the history is damaged"]})
    (first, *_) = report_sections(found)
    assert [(line.words, line.advice) for line in first.lines] == [
        ("the history is damaged", "`hyperhive doctor`"), ("claude is logged out", "`hyperhive login`"),
    ]  # fmt: skip


def test_denied_calls_are_told_once_for_each_reason() -> None:
    why = "1 tool call was denied (Bash) by a `deny` rule of claude's settings"
    denied = [{"turn_id": turn, "count": 1, "remarks": [why]} for turn in (3, 4, 7)]
    found = made(denied=[*denied, {"turn_id": 8, "count": 2, "remarks": []}])
    assert lines(found, "Needs you") == [
        f"! 3 turns, the last of them 7: {why}", "! turn 8: 2 tool calls were denied",
    ]  # fmt: skip


def test_a_long_section_is_cut_and_says_how_many_lines_are_left() -> None:
    files = [{"path": f"{number}.py", "edits": 1, "added": 0, "removed": 0} for number in range(50)]
    found = made(files=files)
    assert lines(found, "Files changed", most=40) == [f"{number}.py: 1 edit" for number in range(40)]
    more = "10 more: hyperhive report --json"
    spans = ["".join(words for words, _ in line) for line in report_to_spans(found, most=40)]
    for shown in ("\n".join(spans), report_to_markdown(found, most=40), report_to_html(found, most=40)):
        assert more in shown
        assert "40.py" not in shown
    assert "49.py" in report_to_markdown(found)


def test_the_words_of_others_control_neither_the_terminal_nor_a_document() -> None:
    evil = "\x1b[31m<img src=x> [a](b) `c`\n# d"
    one = turn(1)._replace(sender=evil, task=evil, result=evil)
    found = made(Work([one]), commits=[{"hash": "1a2b3c4", "branch": evil, "subject": evil, "turn_id": 1}])
    text = "\n".join(words for line in report_to_spans(found) for words, _ in line)
    markdown, document = report_to_markdown(found), report_to_html(found)
    assert "\x1b" not in text + markdown + document
    assert "<img" not in document
    assert "\\<img src=x\\> \\[a\\](b) \\`c\\`" in markdown
    assert "\n# d" not in markdown

"""The account of turns: days and their clock changes, percentiles, sums; and the ledger of all recordings."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.agent.session import Session
from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.statistics import (
    EndedTurn,
    cache_share,
    day_of,
    days_until,
    grouped_rows,
    midnight_ms,
    percentile,
    statistics_report,
    tally,
)
from hyperhive_cli.core.usage import TokenUsage
from tests.conftest import recording, recording_index

HOUR_MS = 3_600_000


def moment(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return round(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


def turn(started: int, **fields: Any) -> EndedTurn:  # noqa: ANN401 - fields of a turn
    return EndedTurn(1, started, **{"outcome": "ok", **fields})


# --- days ---


@pytest.fixture
def _central_europe(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the system's zone to one with clock changes, written out so that no zone database is needed."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_central_europe")
@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25), (6, 1, 24)])
def test_a_day_on_which_the_clock_is_changed_is_as_long_as_it_is(month: int, day: int, hours: int) -> None:
    this, following = date(2026, month, day), date(2026, month, day + 1)
    start, end = midnight_ms(this), midnight_ms(following)
    assert (end - start) == hours * HOUR_MS
    assert [day_of(at) for at in (start - 1, start, end - 1, end)] == [
        date(2026, month, day - 1) if day > 1 else date(2026, month - 1, 31),
        this,
        this,
        following,
    ]
    assert days_until(end - 1, 2)[-1] == this
    turns = [turn(start), turn(end - 1), turn(end)]
    assert [row["turns"] for row in grouped_rows(turns, "day", [this, following])] == [2, 1]


@pytest.mark.usefixtures("_central_europe")
def test_the_last_days_over_a_change_of_the_clock_are_all_there() -> None:
    now = moment(2026, 3, 30, 21, 59)  # 23:59 on the 30th
    assert [day.day for day in days_until(now, 3)] == [28, 29, 30]
    assert [day.day for day in days_until(now + 60_000, 3)] == [29, 30, 31]


def test_a_day_without_a_turn_has_a_row() -> None:
    days = [date(2026, 5, 1), date(2026, 5, 2)]
    rows = grouped_rows([turn(moment(2026, 5, 2, 12))], "day", days, UTC)
    assert [(row["day"], row["turns"]) for row in rows] == [("2026-05-01", 0), ("2026-05-02", 1)]
    assert rows[0]["duration_p50_ms"] is None
    assert rows[0]["cache_share"] is None


# --- sums ---


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [([], None, None), ([7], 7, 7), ([1, 2], 1, 2), ([3, 1, 2], 2, 3), (range(1, 101), 50, 95), (range(1, 21), 10, 19)],
)
def test_percentiles(values: list[int], p50: int | None, p95: int | None) -> None:
    assert (percentile(values, 0.5), percentile(values, 0.95)) == (p50, p95)


@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([0.01, 0.5, 0.95, 1.0]))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[int], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


def test_the_share_of_the_cache_is_of_all_that_went_in() -> None:
    assert cache_share(TokenUsage(10, 999, 60, 30)) == 0.6
    assert cache_share(TokenUsage(0, 5, 0, 0)) is None


def test_a_tally() -> None:
    turns = [
        turn(0, duration_ms=10, usage=TokenUsage(1, 2, 3, 4), cost_usd=0.1, tools={"Bash": 2}),
        turn(0, duration_ms=30, usage=TokenUsage(1, 2, 3, 4), cost_usd=0.2, outcome="crashed"),
        turn(0, outcome="crashed"),
    ]
    assert tally(turns) == {
        "turns": 3, "ok": 1, "duration_ms": 40, "duration_p50_ms": 10, "duration_p95_ms": 30,
        **TokenUsage(2, 4, 6, 8).to_dict(), "cache_share": 0.375, "cost_usd": 0.3, "unpriced": 1, "tool_calls": 2,
    }  # fmt: skip
    assert statistics_report("bee", turns, "day", days_until(0, 1))["outcomes"] == {"crashed": 2, "ok": 1}


def test_a_turn_counts_for_the_model_that_answered() -> None:
    turns = [
        turn(0, model="opus", answered_model="claude-haiku-4-5"),
        turn(0, model="haiku", answered_model="claude-haiku-4-5"),
        turn(0, model="opus"),
    ]
    assert [(row["model"], row["turns"]) for row in grouped_rows(turns, "model", [])] == [
        ("claude-haiku-4-5", 2), ("opus", 1),
    ]  # fmt: skip


def test_groups_come_with_the_largest_first() -> None:
    turns = [
        turn(0, model="opus", tools={"Read": 1}),
        turn(0, model="haiku", tools={"Read": 1, "Bash": 5}),
        turn(0, model="haiku"),
        turn(0, outcome="crashed"),
    ]
    assert [(row["model"], row["turns"]) for row in grouped_rows(turns, "model", [])] == [
        ("haiku", 2), ("opus", 1), ("unknown", 1),
    ]  # fmt: skip
    assert [(row["outcome"], row["turns"]) for row in grouped_rows(turns, "outcome", [])] == [("ok", 3), ("crashed", 1)]
    assert grouped_rows(turns, "tool", []) == [
        {"tool": "Bash", "calls": 5, "turns": 1},
        {"tool": "Read", "calls": 2, "turns": 2},
    ]


# --- the ledger of the recordings ---

# One request of the scripted API: 12 in, 42 out (fewer characters, fewer tokens), 5600 read, 340 written.
NOTHING = TokenUsage()
ONE = TokenUsage(12, 42, 5600, 340)
TWO = ONE + ONE
TOOLS = TokenUsage(60, 229, 34_500, 1_700)  # five requests; the cache grows from 5600 to 8100
CHILD = TokenUsage(12, 42, 900, 340)  # the subagent's one request
# By hand, from what the API was asked: (tokens of both releases), or (of 2.1.197, of 2.1.330).
LEDGER: dict[str, tuple[TokenUsage, TokenUsage]] = {
    **dict.fromkeys(
        ["auth_401", "credit_low", "empty_stdin", "model_missing", "not_logged_in", "prompt_too_long"],
        (NOTHING, NOTHING),
    ),
    **dict.fromkeys(["rate_limit_429", "unknown_session"], (NOTHING, NOTHING)),
    **dict.fromkeys(["overloaded_then_ok", "partial", "text"], (ONE, ONE)),
    **dict.fromkeys(["background", "big_output"], (TWO, TWO)),
    **dict.fromkeys(["tools", "tools_denied", "tools_partial"], (TOOLS, TOOLS)),
    # 2.1.197 gave the answer up after its first token, which it was charged for.
    "cut": (TokenUsage(12, 1, 5600, 340), ONE),
    "unknown_command": (NOTHING, ONE),  # 2.1.330 sends it to the model
    # In 2.1.330 the main thread is asked once more when the subagent has reported.
    "subagent": (TWO + CHILD, TWO + CHILD + ONE),
}
# These resume the session of another one, which ended with these totals.
RESUMED = {"continue": "text", "compact": "big_output"}
RESUMED_LEDGER = {"continue": (ONE, ONE), "compact": (ONE, TWO)}  # 2.1.330 asks twice for a summary


def seen_in(name: str) -> Evidence:
    seen = Evidence()
    for line in recording(name):
        seen.observe_stream(json.loads(line))
    return seen


@pytest.mark.parametrize("name", sorted(recording_index()))
def test_the_tokens_of_each_recording_are_those_that_its_requests_used(name: str) -> None:
    release, _, noun = name.removesuffix(".jsonl").partition("/")
    column = int(release != "v2.1.197")
    session = Session()
    if noun in RESUMED:
        before = seen_in(f"{release}/{RESUMED[noun]}.jsonl")
        facts = session.facts_after(before, Outcome(OutcomeKind.OK))
        session = Session.from_facts(facts.get)
    expected = (LEDGER | RESUMED_LEDGER)[noun][column]
    assert session.usage(seen_in(name)) == expected


# Dollars a million tokens of the model of each release: in, out, read, written. By hand, from its price list.
PRICES = {"v2.1.197": (1.0, 5.0, 0.1, 1.25), "v2.1.330": (0.1, 0.5, 0.01, 0.125)}
PRICES["v2.1.332"] = PRICES["v2.1.330"]


@pytest.mark.parametrize("name", sorted(recording_index()))
def test_the_cost_of_each_recording_is_the_price_of_its_tokens(name: str) -> None:
    release, _, noun = name.removesuffix(".jsonl").partition("/")
    session = Session()
    if noun in RESUMED:
        before = seen_in(f"{release}/{RESUMED[noun]}.jsonl")
        session = Session.from_facts(session.facts_after(before, Outcome(OutcomeKind.OK)).get)
    seen = seen_in(name)
    used = (LEDGER | RESUMED_LEDGER)[noun][int(release != "v2.1.197")]
    price = sum(count * dollars for count, dollars in zip(used.to_dict().values(), PRICES[release], strict=True)) / 1e6
    assert session.cost_usd(seen) == (pytest.approx(price) if seen.results else None)


def test_the_cost_of_each_turn_of_a_session_is_its_own_whatever_the_release() -> None:
    for release, cost in (("v2.1.197", 0.001207), ("v2.1.330", 0.0001207)):
        session = Session()
        for noun in ("text", "continue"):
            seen = seen_in(f"{release}/{noun}.jsonl")
            assert session.cost_usd(seen) == pytest.approx(cost)
            session = Session.from_facts(session.facts_after(seen, Outcome(OutcomeKind.OK)).get)


def test_after_an_update_a_session_of_the_older_release_is_counted_from_nought() -> None:
    """Measured: 2.1.330 resumes a session of 2.1.197 and counts its own runs alone."""
    old = Session().facts_after(seen_in("v2.1.197/text.jsonl"), Outcome(OutcomeKind.OK))
    new = seen_in("v2.1.330/tools.jsonl")
    session = Session.from_facts(old.get)
    assert (session.usage(new), session.cost_usd(new)) == (TOOLS, new.total_cost_usd)


def test_a_session_of_which_the_cost_alone_is_known_is_counted_by_its_results() -> None:
    seen = seen_in("v2.1.330/continue.jsonl")
    session = Session.from_facts({"session_id": seen.session_id, "session_cost_usd": "0.0001207"}.get)
    assert session.usage(seen) == ONE
    assert Session.from_facts(session.facts_after(seen, Outcome(OutcomeKind.OK)).get).used == TWO


def test_a_running_total_that_began_anew_counts_whole() -> None:
    assert TokenUsage(5, 5, 5, 5).since(TokenUsage(1, 2, 3, 4)) == TokenUsage(4, 3, 2, 1)
    assert TokenUsage(5, 5, 5, 5).since(TokenUsage(1, 2, 3, 6)) == TokenUsage(5, 5, 5, 5)


@pytest.mark.parametrize(("release", "expected"), [("2.1.197", TokenUsage(24, 2, 11_200, 680)), ("2.1.330", NOTHING)])
def test_a_run_cut_off_before_its_result_counts_each_message_once_or_with_the_next_turn(
    release: str, expected: TokenUsage
) -> None:
    seen = Evidence()
    for line in recording("v2.1.197/background.jsonl"):
        found = json.loads(line)
        if found["type"] == "system":
            found["claude_code_version"] = release
        if found["type"] != "result":
            seen.observe_stream(found)
            seen.observe_stream(found)  # a line for each block of the message
    session = Session("s", used=ONE, spent_usd=0.5)
    assert session.usage(seen) == expected
    kept = {"session_id": "s", "session_cost_usd": "0.5", "session_tokens": json.dumps(ONE.to_dict())}
    after = Session.from_facts((kept | session.facts_after(seen, Outcome(OutcomeKind.CRASHED))).get)
    assert (after.spent_usd, after.used) == (0.5, ONE)


@pytest.mark.parametrize("session", [Session("s", spent_usd=0.5, used=ONE), Session(dropped=True)])
@pytest.mark.parametrize("kind", ["bad_request", "declined"])
def test_after_a_refusal_the_next_turn_starts_another_session_whose_totals_begin_anew(
    kind: str, session: Session
) -> None:
    refused = Evidence(claude_version="2.1.330")
    refused.observe_stream({"type": "system", "subtype": "init", "session_id": "t"})
    refused.observe_stream({"type": "result", "is_error": True, "api_error_status": 400, "total_cost_usd": 0.7})
    after = Session.from_facts(session.facts_after(refused, Outcome(OutcomeKind(kind))).get)
    assert (after.id, after.dropped, after.spent_usd, after.used) == (None, True, 0.0, NOTHING)


@pytest.mark.parametrize("damaged", ["a\0b", "x" * 100, "a b"])
def test_a_damaged_session_id_among_the_facts_is_none(damaged: str) -> None:
    assert Session.from_facts({"session_id": damaged}.get).id is None

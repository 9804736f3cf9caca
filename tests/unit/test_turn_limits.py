"""What a run may use: verdicts over recorded and made-up streams, as the watchdog gives them."""

import math
from typing import Any

import orjson
import pytest

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outcome import Cause, Ending, classify
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.claude.watch import TimeLimits, Watchdog, WatchVerdict
from hyperhive_cli.core.outcomes import OutcomeKind
from hyperhive_cli.core.usage import TokenUsage
from tests.conftest import recording

Line = dict[str, Any]
RELEASES = ("v2.1.197", "v2.1.330")
# A request of the recordings goes in with 12 + 340 + 5,600 tokens; a subagent's one with 900 from the cache.
REQUEST, SUBAGENTS = 5_952, 1_252


def lines_of(name: str) -> list[Line]:
    return [orjson.loads(line) for line in recording(name)]


def seen_of(lines: list[Line], **fields: Any) -> Evidence:  # noqa: ANN401
    seen = Evidence(**fields)
    for line in lines:
        seen.observe_stream(line)
    return seen


def until_result(name: str) -> list[Line]:
    lines = lines_of(name)
    return lines[: next(n for n, line in enumerate(lines) if line["type"] == "result")]


@pytest.mark.parametrize("release", RELEASES)
def test_tokens_count_once_a_request_and_subagents_are_among_them(release: str) -> None:
    running = seen_of(until_result(f"{release}/subagent.jsonl"))
    requests = 3 if release == "v2.1.330" else 2
    # 2.1.197 shows no line of a subagent; of the output side there is a placeholder each.
    expected = requests * REQUEST + requests + (SUBAGENTS + 1 if release == "v2.1.330" else 0)
    assert running.tokens_so_far(TokenUsage()) == expected
    ended = seen_of(lines_of(f"{release}/subagent.jsonl"))
    assert ended.tokens_so_far(TokenUsage()) == requests * REQUEST + SUBAGENTS + 42 * (requests + 1)


@pytest.mark.parametrize("release", RELEASES)
def test_tokens_of_a_resumed_run_are_its_own(release: str) -> None:
    before = TokenUsage(12, 42, 5_600, 340)
    ended = seen_of(lines_of(f"{release}/continue.jsonl"))
    assert ended.tokens_so_far(before) == REQUEST + 42


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("most", "detail"), [(5, None), (4, "5 of 4 tool calls"), (1, "2 of 1 tool calls")])
def test_the_call_that_is_one_too_many_ends_the_run(release: str, most: int, detail: str | None) -> None:
    seen, turn_limits = Evidence(), TurnLimits(tool_calls=most)
    watchdog = Watchdog(TimeLimits(), seen, started=0.0, turn_limits=turn_limits)
    found: WatchVerdict | float = math.inf
    for line in until_result(f"{release}/tools.jsonl"):
        seen.observe_stream(line)
        watchdog.observe_line("assistant", 1.0)
        found = watchdog.verdict(1.0)
        if isinstance(found, WatchVerdict):
            break
    assert found == WatchVerdict(Cause.BUDGET, detail) if detail else not isinstance(found, WatchVerdict)


@pytest.mark.parametrize(("tokens", "is_over"), [(3 * 7_000, True), (6 * 9_000, False)])
def test_tokens_that_are_used_up_end_the_run(tokens: int, *, is_over: bool) -> None:
    turn_limits = TurnLimits(tokens=tokens)
    running = seen_of(until_result("v2.1.330/tools.jsonl"))
    assert (turn_limits.overspent(running) is not None) is is_over
    assert turn_limits.overspent(seen_of(lines_of("v2.1.330/tools.jsonl"))) is None  # the answer is there


def result(cost_usd: float) -> Line:
    return {"type": "result", "subtype": "success", "is_error": False, "result": "x", "total_cost_usd": cost_usd}


INIT: Line = {"type": "system", "subtype": "init", "session_id": "s", "claude_code_version": "2.1.330"}
TASK: Line = {"type": "system", "subtype": "task_started", "task_id": "t"}


def test_dollars_count_at_each_result_and_without_what_the_session_cost_before() -> None:
    turn_limits = TurnLimits(cost_usd=1.0, before_usd=5.0)
    assert turn_limits.overspent(seen_of([INIT, TASK, result(5.9)])) is None
    assert turn_limits.overspent(seen_of([INIT, TASK, result(6.5)])) == "$1.50 of $1.00"
    assert turn_limits.overspent(seen_of([INIT, result(6.5)])) is None


def test_a_warning_comes_once_of_each_limit_before_it_is_used_up() -> None:
    seen = seen_of([INIT])
    watchdog = Watchdog(TimeLimits(), seen, started=0.0, turn_limits=TurnLimits(tool_calls=5, tokens=1_000))
    watchdog.observe_line("system/init", 0.0)
    said: list[str | None] = []
    for number in range(1, 6):
        usage = {"input_tokens": 160}
        block = {"type": "tool_use", "id": f"t{number}", "name": "Bash"}
        seen.observe_stream({"type": "assistant", "message": {"id": f"m{number}", "usage": usage, "content": [block]}})
        said += [watchdog.warning(0.0), watchdog.warning(0.0)]
        assert not isinstance(watchdog.verdict(0.0), WatchVerdict)
    nearly = "this turn's budget is nearly used up: "
    assert [text for text in said if text] == [f"{nearly}4 of 5 tool calls", f"{nearly}800 of 1,000 tokens"]


def test_without_limits_nothing_is_said() -> None:
    seen = seen_of(until_result("v2.1.330/tools.jsonl"))
    assert (TurnLimits().overspent(seen), list(TurnLimits().nearly_used(seen))) == (None, [])


@pytest.mark.parametrize(
    ("turn_limits", "kind", "note"),
    [
        (TurnLimits(), OutcomeKind.CAPPED, "Reached"),
        (TurnLimits(1.0), OutcomeKind.BUDGET, "the turn's budget is used up: Reached"),
        (
            TurnLimits(1.0, is_rest_of_day=True),
            OutcomeKind.BUDGET,
            "what was left of today's budget is used up: Reached",
        ),
    ],
)
def test_claudes_own_cap_is_a_budget_where_the_harness_has_set_it(
    turn_limits: TurnLimits, kind: OutcomeKind, note: str
) -> None:
    ended: Line = {"type": "result", "subtype": "error_max_budget_usd", "is_error": True, "errors": ["Reached"]}
    found = classify(seen_of([INIT, ended], cost_cap=turn_limits.cap_words), Ending(1))
    assert (found.kind, found.note) == (kind, note)
    turns: Line = {**ended, "subtype": "error_max_turns"}
    assert classify(seen_of([INIT, turns], cost_cap=turn_limits.cap_words), Ending(1)).kind is OutcomeKind.CAPPED

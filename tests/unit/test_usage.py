"""Token counters, read from lines of claude's stdout."""

from typing import Any

import pytest

from hyperhive_cli.core.settings import MAX_FIGURE
from hyperhive_cli.core.usage import TokenUsage

FULL = {
    "input_tokens": 12,
    "output_tokens": 42,
    "cache_read_input_tokens": 5600,
    "cache_creation_input_tokens": 340,
}


def test_a_result_gives_its_four_counters_and_nothing_else_of_its_usage() -> None:
    line = {"type": "result", "usage": {**FULL, "service_tier": "standard", "iterations": []}}
    assert TokenUsage.from_stream_event(line) == TokenUsage(12, 42, 5600, 340)


@pytest.mark.parametrize("kind", ["assistant", "user", "system", "stream_event", "Result", "", None, 5, ["result"]])
def test_no_other_type_of_line_gives_usage(kind: object) -> None:
    assert TokenUsage.from_stream_event({"type": kind, "usage": FULL, "message": {"usage": FULL}}) is None


def test_a_line_without_a_type_gives_no_usage() -> None:
    assert TokenUsage.from_stream_event({"usage": FULL}) is None


@pytest.mark.parametrize("name", FULL)
def test_a_missing_counter_is_zero_and_the_others_stay(name: str) -> None:
    rest = {other: count for other, count in FULL.items() if other != name}
    assert TokenUsage.from_usage(rest).to_dict() == {**FULL, name: 0}


@pytest.mark.parametrize("odd", [None, "12", -1, True, False, 1.5, [12], {"a": 1}])
def test_an_odd_counter_is_zero_and_the_others_stay(odd: object) -> None:
    assert TokenUsage.from_usage({**FULL, "input_tokens": odd}).to_dict() == {**FULL, "input_tokens": 0}


@pytest.mark.parametrize("usage", [None, 5, "usage", [FULL], {}])
def test_an_odd_usage_counts_nothing(usage: object) -> None:
    line: dict[str, Any] = {"type": "result", "usage": usage}
    assert TokenUsage.from_stream_event(line) == TokenUsage()


def test_a_result_without_usage_counts_nothing() -> None:
    assert TokenUsage.from_stream_event({"type": "result"}) == TokenUsage()


@pytest.mark.parametrize(("found", "kept"), [(MAX_FIGURE, MAX_FIGURE), (MAX_FIGURE + 1, 0), (2**64 - 1, 0)])
def test_a_huge_counter_is_kept_as_far_as_a_database_holds_sums_of_it(found: int, kept: int) -> None:
    assert TokenUsage.from_usage({"output_tokens": found}).output_tokens == kept


def test_the_context_is_input_and_cache_but_no_output() -> None:
    assert TokenUsage(1, 20, 300, 4000).context_tokens() == 4301


def test_two_usages_add_up_counter_by_counter() -> None:
    assert TokenUsage(1, 20, 300, 4000) + TokenUsage(5, 60, 700, 8000) == TokenUsage(6, 80, 1000, 12000)


def test_the_wire_shape_reads_back() -> None:
    usage = TokenUsage(1, 20, 300, 4000)
    assert TokenUsage.from_usage(usage.to_dict()) == usage

"""Token counters, read from lines of claude's stdout."""

import pytest

from hyperhive_cli.core.settings import MAX_FIGURE
from hyperhive_cli.core.usage import TokenUsage

FULL = {
    "input_tokens": 12,
    "output_tokens": 42,
    "cache_read_input_tokens": 5600,
    "cache_creation_input_tokens": 340,
}


def test_a_usage_gives_its_four_counters_and_nothing_else() -> None:
    usage = {**FULL, "service_tier": "standard", "iterations": []}
    assert TokenUsage.from_usage(usage) == TokenUsage(12, 42, 5600, 340)


@pytest.mark.parametrize("name", FULL)
def test_a_missing_counter_is_zero_and_the_others_stay(name: str) -> None:
    rest = {other: count for other, count in FULL.items() if other != name}
    assert TokenUsage.from_usage(rest).to_dict() == {**FULL, name: 0}


@pytest.mark.parametrize("odd", [None, "12", -1, True, False, 1.5, [12], {"a": 1}])
def test_an_odd_counter_is_zero_and_the_others_stay(odd: object) -> None:
    assert TokenUsage.from_usage({**FULL, "input_tokens": odd}).to_dict() == {**FULL, "input_tokens": 0}


@pytest.mark.parametrize("usage", [None, 5, "usage", [FULL], {}])
def test_an_odd_usage_counts_nothing(usage: object) -> None:
    assert TokenUsage.from_usage(usage) == TokenUsage()


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

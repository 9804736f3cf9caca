"""When to compact, and when that is of no use."""

import pytest

from hyperhive_cli.agent.compaction_policy import (
    GIVE_UP_AFTER,
    NEW_SESSION_AFTER,
    CompactionPolicy,
    Remedy,
    after_futile,
)


@pytest.mark.parametrize(
    ("percent", "tokens", "window", "is_over"),
    [
        (None, 190_000, 200_000, False),
        (80.0, 160_001, 200_000, True),
        (80.0, 160_000, 200_000, False),
        (0.5, 5_952, 1_000_000, True),
        (80.0, None, 200_000, False),
        (80.0, 160_001, None, False),
        (80.0, 160_001, 0, False),
        (100.0, 200_000, 200_000, False),
    ],
)
def test_the_threshold(percent: float | None, tokens: int | None, window: int | None, *, is_over: bool) -> None:
    assert CompactionPolicy(percent).is_over(tokens, window) is is_over


def test_futile_compactions_count_for_their_own_threshold() -> None:
    text = CompactionPolicy(80.0).to_text(3)
    assert (CompactionPolicy(80.0).futile_from_text(text), CompactionPolicy(70.0).futile_from_text(text)) == (3, 0)
    assert [CompactionPolicy(80.0).futile_from_text(odd) for odd in (None, "", "80", "80:", "80:x", ":3")] == [0] * 6


def test_after_two_futile_ones_comes_a_new_session_and_after_two_more_none() -> None:
    assert [after_futile(count) for count in range(6)] == [
        Remedy.NOTHING,
        Remedy.NOTHING,
        Remedy.NEW_SESSION,
        Remedy.NOTHING,
        Remedy.GIVE_UP,
        Remedy.GIVE_UP,
    ]
    assert NEW_SESSION_AFTER < GIVE_UP_AFTER

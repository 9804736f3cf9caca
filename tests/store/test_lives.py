"""The lives of a harness: each start is recorded, and its end if it can be."""

from contextlib import suppress

import pytest

from hyperhive_cli.core.work_report import Life
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.lives import MAX_LIVES, read_lives, recorded_life
from tests.feed.made_bus import Clock


def test_a_life_is_recorded_from_its_start_and_ended_whatever_ends_it(inbox: Inbox) -> None:
    clock = Clock(1)
    with recorded_life(inbox, lambda: int(clock())):
        assert read_lives(inbox.fact("lives")) == [Life(1, None)]
        clock.now = 5
    clock.now = 7
    with suppress(KeyError), recorded_life(inbox, lambda: int(clock())):
        clock.now = 9
        raise KeyError
    assert read_lives(inbox.fact("lives")) == [Life(1, 5), Life(7, 9)]


def test_the_newest_lives_are_kept(inbox: Inbox) -> None:
    moments = iter(range(2 * MAX_LIVES + 4))
    for _ in range(MAX_LIVES + 2):
        with recorded_life(inbox, lambda: next(moments)):
            pass
    found = read_lives(inbox.fact("lives"))
    assert (len(found), found[0], found[-1]) == (MAX_LIVES, Life(4, 5), Life(2 * MAX_LIVES + 2, 2 * MAX_LIVES + 3))


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", "[[1]]", '[["x", 2]]', "no json", "[[null, null]]"])
def test_what_is_no_list_of_lives_is_none(text: str | None) -> None:
    assert read_lives(text) == []


def test_an_inbox_that_cannot_be_written_is_no_reason_to_stop(inbox: Inbox) -> None:
    with recorded_life(inbox, lambda: 1):
        inbox.connection.execute("DROP TABLE facts")

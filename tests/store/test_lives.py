"""The lives of a harness: each start is recorded, and its end if it can be."""

import json
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
    lives = [Life(number, number) for number in range(1, MAX_LIVES + 1)]
    inbox.put_facts(lives=json.dumps(lives))
    with recorded_life(inbox, lambda: 1_000):
        pass
    assert read_lives(inbox.fact("lives")) == [*lives[1:], Life(1_000, 1_000)]


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", "[[1]]", '[["x", 2]]', "no json", "[[null, null]]"])
def test_what_is_no_list_of_lives_is_none(text: str | None) -> None:
    assert read_lives(text) == []


def test_an_inbox_that_cannot_be_written_is_no_reason_to_stop(inbox: Inbox) -> None:
    with recorded_life(inbox, lambda: 1):
        inbox.connection.execute("DROP TABLE facts")

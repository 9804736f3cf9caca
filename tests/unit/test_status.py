"""The status, derived: a table of what every owner may know at the same time."""

from itertools import product
from typing import Any

import pytest

from hyperhive_cli.core.status import (
    STATUSES,
    Retrying,
    Status,
    StatusInputs,
    StatusMeaning,
    Wait,
    status_meaning,
    status_of,
    statuses_to_dict,
)

LIMITED = Wait(Status.RATE_LIMITED, 1_796_017_620.4, "rate limited", "opus")
RETRIES = Retrying(2, 10, "overloaded", 1_796_017_000.0)
WAITS_OUT = Retrying(1, 10, "rate_limit", 1_796_017_000.0, is_limit=True)


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ({}, "online"),
        ({"is_paused": True}, "paused"),
        ({"wait": LIMITED}, "rate_limited"),
        ({"retry": RETRIES}, "retrying"),
        ({"retry": WAITS_OUT}, "rate_limited"),
        ({"write_trouble": "the disk is full"}, "inbox_unavailable"),
        ({"is_logging_in": True}, "needs_login_in_progress"),
        ({"is_standby": True}, "standby"),
        # Two together: what hides what, and that nothing of the other is lost.
        ({"is_paused": True, "wait": LIMITED}, "paused"),
        ({"is_paused": True, "write_trouble": "x"}, "paused"),
        ({"write_trouble": "x", "wait": LIMITED}, "inbox_unavailable"),
        ({"write_trouble": "x", "is_logging_in": True}, "needs_login_in_progress"),
        ({"wait": LIMITED, "retry": RETRIES}, "rate_limited"),
        ({"is_standby": True, "write_trouble": "x", "is_paused": True, "wait": LIMITED}, "standby"),
    ],
)
def test_the_status_follows_from_what_is_known(known: dict[str, Any], status: str) -> None:
    assert status_of(StatusInputs(**known)).status == status


FIELDS: dict[str, list[Any]] = {
    "is_standby": [False, True],
    "is_paused": [False, True],
    "is_logging_in": [False, True],
    "write_trouble": [None, "the disk is full"],
    "wait": [None, LIMITED, Wait(Status.FAILED, None, "held")],
    "retry": [None, RETRIES, WAITS_OUT],
}


def test_online_means_that_nothing_is_in_the_way_and_nothing_else_does() -> None:
    for values in product(*FIELDS.values()):
        known = dict(zip(FIELDS, values, strict=True))
        assert (status_of(StatusInputs(**known)).status is Status.ONLINE) is not any(known.values())


@pytest.mark.parametrize("field", FIELDS)
def test_an_owner_that_takes_back_what_it_knew_leaves_what_the_others_know(field: str) -> None:
    others = {name: values[-1] for name, values in FIELDS.items() if name != field}
    before = status_of(StatusInputs(**others))
    for value in FIELDS[field]:
        status_of(StatusInputs(**others, **{field: value}))  # whatever came between
    assert status_of(StatusInputs(**others, **{field: FIELDS[field][0]})) == before


def test_a_wait_says_until_when_why_and_which_model_ends_it() -> None:
    assert status_of(StatusInputs(wait=LIMITED)) == (Status.RATE_LIMITED, 1_796_017_620, "rate limited", "opus")
    shown = status_of(StatusInputs(retry=RETRIES))
    assert (shown.until_unix, shown.why) == (1_796_017_000, "attempt 2 of 10: overloaded")


def test_each_status_has_words_and_what_needs_a_person_has_advice() -> None:
    assert set(STATUSES) == set(Status)
    plain = {status.value: status.value.replace("_", " ") for status in Status}
    others = {"needs_login_idle": "needs login", "needs_login_in_progress": "login in progress"}
    assert {status.value: meaning.words for status, meaning in STATUSES.items()} == plain | others
    assert all(meaning.advice for meaning in STATUSES.values() if meaning.needs_person)
    assert statuses_to_dict()["failed"] == {
        "words": "failed",
        "tone": "failure",
        "advice": "hyperhive resume",
    }


@pytest.mark.parametrize(("word", "words"), [("brand_new", "brand new"), (None, "unknown"), ("", "unknown")])
def test_a_status_of_another_release_is_shown_by_its_own_word(word: str | None, words: str) -> None:
    assert isinstance(status_meaning(word), StatusMeaning)
    assert status_meaning(word).words == words

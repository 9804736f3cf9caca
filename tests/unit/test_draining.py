"""The end of `run --drain`, as a table over what is known then."""

import math
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from hyperhive_cli.agent.draining import Drained, DrainFacts, judge_drain

BERLIN = ZoneInfo("Europe/Berlin")
NOW_MS = int(datetime(2026, 10, 24, 23, tzinfo=BERLIN).timestamp() * 1000)  # clocks are put back in the night
NOTHING = DrainFacts(NOW_MS, 60.0, 0, None)
ONE = DrainFacts(NOW_MS, 60.0, 1, 0)


def due_in(seconds: float, waiting: int = 1) -> DrainFacts:
    return DrainFacts(NOW_MS, 60.0, waiting, NOW_MS + round(seconds * 1000))


UNTIL_0424 = "1 message waits until 04:24 CET"
HELD = "1 message is held: decide with `hyperhive inbox`"
TABLE = {
    "nothing": (NOTHING, Drained(False)),
    "nothing, while the agent waits": (NOTHING._replace(wait_s=math.inf), Drained(False)),
    "nothing, paused": (NOTHING._replace(is_paused=True), Drained(False)),
    "a message": (ONE, None),
    "due soon": (due_in(60), None),
    "for later": (due_in(6 * 3600 + 24 * 60), Drained(False, (UNTIL_0424,))),
    "a little later than the limit": (due_in(60.001), Drained(False, ("1 message waits until 23:01 CEST",))),
    "for later, while the agent waits": (
        due_in(6 * 3600 + 24 * 60)._replace(wait_s=math.inf, is_paused=True, trouble_s=90),
        Drained(False, (UNTIL_0424,)),
    ),
    "several for later": (
        due_in(6 * 3600 + 24 * 60, waiting=3),
        Drained(False, ("3 messages wait, the first until 04:24 CET",)),
    ),
    "for another day": (due_in(24 * 3600), Drained(False, ("1 message waits until Sun 25 Oct 22:00 CET",))),
    "a short wait": (ONE._replace(wait_s=60), None),
    "a limit": (
        ONE._replace(wait_s=4 * 3600),
        Drained(True, ("1 message is left: the agent waits until 02:00 CET",)),
    ),
    "a person": (
        ONE._replace(waiting=2, wait_s=math.inf),
        Drained(True, ("2 messages are left: the agent waits for a person, see `hyperhive status`",)),
    ),
    "a login": (
        ONE._replace(wait_s=math.inf, advice="log in"),
        Drained(True, ("1 message is left: log in",)),
    ),
    "a login, and paused": (
        ONE._replace(wait_s=math.inf, advice="log in", is_paused=True),
        Drained(True, ("1 message is left: the agent is paused until `hyperhive resume`",)),
    ),
    "paused": (
        ONE._replace(is_paused=True, wait_s=math.inf),
        Drained(True, ("1 message is left: the agent is paused until `hyperhive resume`",)),
    ),
    "a write in trouble": (ONE._replace(trouble_s=60), None),
    "a write in trouble for long": (
        ONE._replace(trouble_s=61),
        Drained(True, ("1 message is left: the inbox cannot be written",)),
    ),
    "held": (NOTHING._replace(held=1), Drained(True, (HELD,))),
    "held, and one to run": (ONE._replace(held=1), None),
    "held, and one for later": (
        due_in(6 * 3600 + 24 * 60)._replace(held=2),
        Drained(True, (UNTIL_0424, "2 messages are held: decide with `hyperhive inbox`")),
    ),
    "not taken by the hive": (NOTHING._replace(refused=1), Drained(True, ("1 message was not taken by the hive",))),
}


@pytest.mark.parametrize(("facts", "drained"), TABLE.values(), ids=TABLE)
def test_a_drain_ends_when_nothing_is_left_to_run_and_says_what_stays(
    facts: DrainFacts, drained: Drained | None
) -> None:
    assert judge_drain(facts, BERLIN) == drained


@pytest.mark.parametrize("wait_s", [0.001, math.inf])
def test_without_patience_any_wait_ends_it(wait_s: float) -> None:
    found = judge_drain(ONE._replace(limit_s=0.0, wait_s=wait_s), BERLIN)
    assert found is not None
    assert found.left_over
    assert judge_drain(ONE._replace(limit_s=0.0), BERLIN) is None

"""The loop and its budget: turns that use too much, a day that is spent, and what an operator raises."""

import time
from typing import Any

import pytest
import trio

from hyperhive_cli.agent import scheduler
from hyperhive_cli.agent.budget_keeper import RaisedLimits
from hyperhive_cli.core.budget import Budget
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.statistics import day_of, midnight_ms
from hyperhive_cli.store.spending import ms_until_tomorrow
from tests.conftest import Step
from tests.process.world import FOREVER, INIT, NOW, TEXT, Life, World, replay, total

INTERRUPTED: Step = {"on_signal": "SIGINT", "steps": [{"exit": 0}]}


def call(number: int, tokens: int = 100) -> Step:
    block = {"type": "tool_use", "id": f"t{number}", "name": "Bash"}
    return {
        "line": {
            "type": "assistant",
            "message": {"id": f"m{number}", "usage": {"input_tokens": tokens}, "content": [block]},
        }
    }


RUNAWAY: list[Step] = [INIT, INTERRUPTED, *(call(number) for number in range(1, 12)), FOREVER]
CAPPED: list[Step] = [
    *total(0.5, "2.1.330")[:1],
    {
        "line": {
            "type": "result",
            "subtype": "error_max_budget_usd",
            "is_error": True,
            "errors": ["Reached maximum budget ($0.4)"],
            "total_cost_usd": 0.8,
        }
    },
    {"exit": 1},
]


@pytest.fixture(params=["cold", "warm"])
def world(world: World, request: pytest.FixtureRequest) -> World:
    world.warm = request.param == "warm"
    return world


@pytest.mark.parametrize(
    ("budget", "near", "over"),
    [
        (Budget(tool_calls=10), "8 of 10 tool calls", "11 of 10 tool calls"),
        (Budget(turn_tokens=1_000), "800 of 1,000 tokens", "1,100 of 1,000 tokens"),
    ],
)
def test_a_runaway_is_interrupted_and_its_message_is_kept_dead(
    budget: Budget, near: str, over: str, world: World
) -> None:
    message_id = world.put("do it")
    calls = [call(number) for number in range(1, 12)]
    world.fake.script([INIT, INTERRUPTED, *calls[:8], {"wait_for": "more"}, *calls[8:], FOREVER])

    async def steer(life: Life) -> None:
        await life.saw("note", text=f"this turn's budget is nearly used up: {near}")
        world.fake.touch("more")
        await life.saw("turn_end")
        await life.saw("turn_state_changed", state="idle")

    life = world.live(steer, budget=budget)
    message = world.get(message_id)
    assert (life.outcomes(), message.state, message.attempts) == (["budget"], "dead", 1)
    assert message.reason == f"the turn's budget is used up: {over}"
    assert life.loop.failed
    notes = life.notes()
    assert sum("nearly used up" in note for note in notes) == 1
    assert f"interrupting claude: {over}" in notes
    assert any(f"`hyperhive budget raise --message {message_id} …`" in note for note in notes)


def test_what_was_raised_for_a_message_holds_until_it_has_ended(world: World) -> None:
    message_id = world.put("do it")
    budget = Budget(tool_calls=3)
    world.drain(RUNAWAY, budget=budget)
    world.inbox.retry(message_id, now_ms=int(NOW * 1000))

    async def steer(life: Life) -> None:
        await life.control.pause()
        with pytest.raises(RefusedError, match="already"):
            await life.control.raise_budget(None, message_id, {"tool_calls": 2})
        with pytest.raises(RefusedError, match="there is no message 99"):
            await life.control.raise_budget(None, 99, {"tool_calls": 20})
        await life.control.raise_budget(None, message_id, {"tool_calls": 6})

    world.inbox.put_facts(paused="1")
    world.live(steer, budget=budget)
    world.inbox.put_facts(paused="")
    life = world.drain(RUNAWAY, budget=budget)  # after a restart
    assert life.outcomes() == ["budget"]
    assert "of 6 tool calls" in str(world.get(message_id).reason)
    world.inbox.retry(message_id, now_ms=int(NOW * 1000))
    world.drain(RUNAWAY, budget=budget)
    assert "of 3 tool calls" in str(world.get(message_id).reason)


def test_a_raise_reaches_the_turn_that_runs(world: World) -> None:
    message_id = world.put("do it")
    calls = [call(number) for number in range(1, 22)]
    gates: list[Step] = [{"wait_for": "more"}, {"wait_for": "much more"}]
    world.fake.script([INIT, INTERRUPTED, *calls[:8], gates[0], *calls[8:16], gates[1], *calls[16:], FOREVER])
    lifts: list[RaisedLimits | None] = []

    async def steer(life: Life) -> None:
        nearly = "this turn's budget is nearly used up: "
        await life.saw("note", text=f"{nearly}8 of 10 tool calls")
        lifts.append(await life.control.raise_budget(None, message_id, {"tool_calls": 20}))
        world.fake.touch("more")
        await life.saw("note", text=f"{nearly}16 of 20 tool calls")
        lifts.append(await life.control.raise_budget(3.0, message_id, {"turn_cost": 2.0}))
        world.fake.touch("much more")
        await life.saw("note", text="interrupting claude: 21 of 20 tool calls")
        lifts.append(await life.control.raise_budget(None, message_id, {"tool_calls": 40}))  # too late
        await life.saw("turn_end")
        await life.saw("turn_state_changed", state="idle")
        lifts.append(await life.control.raise_budget(4.0, None, {}))

    life = world.live(steer, budget=Budget(tool_calls=10, turn_cost=1.0, day_cost=1.5))
    assert lifts == [RaisedLimits(lifted=True, kept_usd=None), RaisedLimits(lifted=False, kept_usd=1.0), None, None]
    assert life.outcomes() == ["budget"]
    assert world.arguments("--max-budget-usd")[-1] == "1.000000"
    assert world.get(message_id).reason == "the turn's budget is used up: 21 of 20 tool calls"


def test_claude_is_given_what_is_left_as_its_own_cap(world: World) -> None:
    world.put("one")
    world.put("two")
    world.put("three")
    life = world.drain(
        total(0.125, "2.1.330"), total(0.5, "2.1.330"), CAPPED, budget=Budget(turn_cost=0.4, day_cost=0.75)
    )
    assert world.arguments("--max-budget-usd") == ["0.400000", "0.400000", "0.250000"]
    assert life.outcomes() == ["ok", "ok", "budget"]
    assert world.get(3).reason == "what was left of today's budget is used up: Reached maximum budget ($0.4)"
    assert any("`hyperhive budget raise --day-cost …` gives it more" in note for note in life.notes())


def test_no_turn_starts_on_a_day_whose_budget_is_spent(world: World) -> None:
    for word in ("one", "two", "three"):
        world.put(word)
    spent = Budget(day_cost=0.5)
    life = world.drain(total(0.45, "2.1.197"), total(0.05, "2.1.197"), [TEXT], budget=spent)
    assert (life.outcomes(), world.get(3).state, world.get(3).attempts) == (["ok", "ok"], "ready", 0)
    assert (life.bus.current.status, life.loop.failed) == ("over_budget", True)
    left_s = ms_until_tomorrow(int(NOW * 1000)) / 1000
    assert life.bus.current.waits_until == pytest.approx(NOW + left_s + 1, abs=1)
    assert sum("today's budget is nearly used up: $0.45 of $0.50" in note for note in life.notes()) == 1
    again = world.drain(budget=spent)  # a restart forgets nothing
    assert (again.outcomes(), again.bus.current.status, world.get(3).state) == ([], "over_budget", "ready")
    with pytest.raises(RefusedError, match="today's budget is used up"):
        trio.run(again.control.compact)
    world.now += left_s + 2
    tomorrow = world.drain(budget=spent)
    assert (tomorrow.outcomes(), world.get(3).state, tomorrow.bus.current.status) == (["ok"], "done", "online")


def test_a_change_of_the_time_zone_brings_the_next_day_forward(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "POLL_EVERY_S", 0.05)
    monkeypatch.setenv("TZ", "Pacific/Honolulu")
    time.tzset()
    world.put("one")
    world.put("two")
    world.fake.script(total(0.6, "2.1.197"), [TEXT])

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="over_budget")
        world.now += 3 * 3_600.0  # a quarter past three in the afternoon
        monkeypatch.setenv("TZ", "Etc/UTC")  # and past midnight
        await life.saw("turn_end", 2)

    world.patient = False
    try:
        assert world.live(steer, budget=Budget(day_cost=0.5)).outcomes() == ["ok", "ok"]
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("how", ["raise", "resume"])
def test_a_raise_and_resume_end_the_wait(how: str, world: World) -> None:
    world.put("one")
    world.put("two")
    world.fake.script(total(0.6, "2.1.197"), total(0.1, "2.1.197"))

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="over_budget")
        if how == "raise":
            await life.control.raise_budget(0.9, None, {})
        else:
            assert await life.control.resume()
        await life.saw("turn_end", 2)

    world.patient = False
    life = world.live(steer, budget=Budget(day_cost=0.5))
    found = life.control.snapshot()["budget"]
    assert found is not None
    assert found["today"]["limit_usd"] == (0.9 if how == "raise" else pytest.approx(1.1))
    assert (found["today"]["raised"], found["today"]["cost_usd"]) == (True, 0.7)
    assert (life.outcomes(), life.bus.current.status) == (["ok", "ok"], "online")


def test_a_running_turn_says_what_it_has_used(world: World) -> None:
    world.put("do it")
    world.fake.script([INIT, INTERRUPTED, call(1), call(2), {"touch": "two calls"}, FOREVER])
    found: list[Any] = []

    async def steer(life: Life) -> None:
        await life.saw("stream", 2, type="assistant")
        found.append(life.control.snapshot()["budget"])

    world.live(steer, budget=Budget(tool_calls=10))
    assert found[0]["turn"] == {"tokens": 200, "tool_calls": 2}


def test_yesterdays_turns_do_not_count(world: World) -> None:
    world.put("one")
    today = world.now
    world.now = midnight_ms(day_of(int(today * 1000))) / 1000 - 10
    world.drain(total(0.6, "2.1.197"))
    world.now = today
    world.put("two")
    life = world.drain(replay("text"), budget=Budget(day_cost=0.5))
    assert life.outcomes() == ["ok"]

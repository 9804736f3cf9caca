"""A claude that waits out a limit by itself, as the agent shows it."""

import pytest
import trio

from hyperhive_cli.claude.watch import TimeLimits
from tests.conftest import Step
from tests.process.world import FOREVER, INIT, NOW, Life, World, limited, result

ANSWER: Step = {
    "line": {"type": "assistant", "message": {"model": "haiku", "content": [{"type": "text", "text": "ok"}]}}
}


def retry(delay_ms: float, error: str = "rate_limit") -> Step:
    return {
        "line": {
            "type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 300, "retry_delay_ms": delay_ms,
            "error_status": 429, "error": error,
        }
    }  # fmt: skip


def statuses(life: Life) -> list[tuple[str, int | None]]:
    return [(event["status"], event["until_unix"]) for event in life.events("status_changed")]


def test_a_wait_for_a_limit_is_the_agents_status_until_an_answer_comes(world: World) -> None:
    waits = [retry(3_600_000), retry(3_570_000), retry(15_000)]  # one each 30 s, with what is left
    world.fake.script([INIT, *waits, ANSWER, retry(500), result()])
    world.put("one")
    life = world.drain()
    assert life.outcomes() == ["ok"]
    found = statuses(life)
    assert [status for status, _ in found] == [*["rate_limited"] * 3, "online", "retrying", "online"]
    assert [round(until - NOW) for _, until in found[:3] if until is not None] == [3600, 3570, 15]
    assert life.events("status_changed")[3]["seq"] < life.events("turn_end")[0]["seq"]


@pytest.mark.parametrize(
    "steps",
    [[retry(59_999)], [retry(500), retry(1_000)], [retry(300_000, "overloaded")], [retry(-1)]],
    ids=["short", "very short", "overloaded", "odd"],
)
def test_a_short_wait_or_one_for_something_else_is_claudes_own_retry(steps: list[Step], world: World) -> None:
    world.fake.script([INIT, *steps, ANSWER, result()])
    world.put("one")
    life = world.drain()
    assert life.outcomes() == ["ok"]
    assert {status for status, _ in statuses(life)} == {"retrying", "online"}
    assert life.events("status_changed")[0]["why"].startswith("attempt 1 of 300: ")


@pytest.mark.parametrize(
    ("ending", "outcome"), [([result()], "ok"), ([{"exit": 1}], "rate_limited")], ids=["a result", "its end"]
)
def test_the_end_of_a_turn_ends_its_wait(ending: list[Step], outcome: str, world: World) -> None:
    world.fake.script([INIT, retry(3_600_000), *ending])
    world.put("one")
    life = world.drain()
    assert life.outcomes() == [outcome]
    assert [status for status, _ in statuses(life)][:2] == ["rate_limited", "online"]


def test_a_wait_for_the_limit_of_one_model_is_named_after_it(world: World) -> None:
    report = limited(round(NOW) + 3600, rateLimitType="seven_day_opus")[1]
    world.fake.script([INIT, report, retry(3_600_000), ANSWER, result()])
    world.put("one")
    life = world.drain()
    assert [event["model"] for event in life.events("status_changed")] == [life.bus.current.model, None]


def test_another_status_is_left_as_it_is(world: World) -> None:
    world.fake.script([INIT, {"touch": "began"}, {"wait_for": "go on"}, retry(3_600_000), ANSWER, FOREVER])
    world.put("one")

    async def steer(life: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "began")
        await life.control.pause()
        world.fake.touch("go on")
        await life.saw("stream", type="assistant")

    assert [status for status, _ in statuses(world.live(steer))] == ["paused"]


def test_a_wait_that_lasts_longer_than_the_stall_time_is_no_stall(world: World) -> None:
    world.fake.script([INIT, retry(60_000), {"sleep": 1.0}, ANSWER, result()])
    world.put("one")
    assert world.drain(limits=TimeLimits(stall_s=0.2)).outcomes() == ["ok"]

"""A loop whose messages are brought from elsewhere, whose turn may be taken away, and that may wait with others."""

import pytest
import trio
import trio.testing

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.harness.slots import Slots
from tests.process.world import FOREVER, INIT, LIMIT_S, TEXT, Life, World


class Carrier:
    """Brings a message; fails first, so many times, or hangs."""

    def __init__(self, world: World, *, fails: int = 0, hangs: bool = False) -> None:
        self.world = world
        self.fails = fails
        self.hangs = hangs
        self.asked = trio.Event()
        self.brings = True
        self.turns_over = 0

    async def fetch(self) -> bool:
        self.asked.set()
        if self.hangs:
            await trio.sleep_forever()
        if self.fails:
            self.fails -= 1
            raise StoreError("it cannot be reached")
        brings, self.brings = self.brings, False
        if brings:
            self.world.put("brought")
        return brings

    def done(self) -> None:
        self.turns_over += 1


def supplied(world: World, carrier: Carrier | Slots) -> Life:
    life = world.begin()
    life.loop.take_from(carrier)
    return life


def work(life: Life, *steps: object) -> None:
    """Let the loop run while the steps are taken, and stop it then."""

    async def run() -> None:
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(life.run)
                for step in steps:
                    await step()  # type: ignore[operator]
                life.control.stop()

    trio.run(run)


def test_a_message_is_brought_before_it_is_leased(world: World) -> None:
    world.fake.script([TEXT])
    carrier = Carrier(world, fails=2)
    life = supplied(world, carrier)
    work(life, lambda: life.saw("turn_end"))
    assert (life.outcomes(), world.get(1).body, carrier.fails) == (["ok"], "brought", 0)
    assert carrier.turns_over >= 1


def test_what_is_in_the_inbox_is_not_leased_past_the_supply(world: World) -> None:
    """In a hive it may be a message that another machine has by now."""
    world.put("from another time")
    carrier = Carrier(world)
    carrier.brings = False
    life = supplied(world, carrier)
    work(life, carrier.asked.wait, trio.testing.wait_all_tasks_blocked)
    assert (life.outcomes(), world.get(1).state) == ([], "ready")


def test_a_stop_does_not_wait_for_a_supply_that_hangs(world: World) -> None:
    carrier = Carrier(world, hangs=True)
    work(supplied(world, carrier), carrier.asked.wait)
    assert carrier.turns_over == 1


@pytest.mark.parametrize("now", [False, True], ids=["in order", "at once"])
def test_a_turn_that_is_taken_away_is_interrupted_and_the_next_one_runs(world: World, *, now: bool) -> None:
    patient = [{"ignore": "SIGINT"}] if now else []
    world.fake.script([*patient, INIT, FOREVER], [TEXT])
    first = world.put("taken away")
    life = world.begin()

    async def take_away() -> None:
        await life.saw("stream")
        life.control.interrupt(now=now)
        await life.saw("turn_end")
        await life.saw("turn_end", 2)

    work(life, take_away)
    assert life.outcomes() == ["interrupted", "ok"]
    message = world.get(first)
    assert (message.state, message.attempts, message.deliveries, message.acted) == ("done", 1, 2, True)


def test_an_agent_waits_with_others_and_goes_on_with_them(world: World) -> None:
    world.fake.script([TEXT])
    life = world.begin()

    async def wait_with_others() -> None:
        life.control.wait_for_account("agent bee found a limit", None)
        await life.saw("status_changed", status="waits_for_account")
        world.put("waits")
        life.control.wake()
        await trio.testing.wait_all_tasks_blocked()
        assert life.outcomes() == []
        life.control.stop_waiting_for_account(0.0)
        await life.saw("turn_end", ok=True)

    work(life, wait_with_others)
    assert life.bus.current.status == "online"


def test_a_limit_that_is_over_is_not_waited_for(world: World) -> None:
    """It is said until the agent that met it takes it back: each check would start a wait and end it."""
    life = world.begin()

    async def hear() -> None:
        life.control.wait_for_account("agent bee found a limit", 1)
        await trio.testing.wait_all_tasks_blocked()

    work(life, hear)
    assert life.events("status_changed") == []


def test_a_wait_of_its_own_is_not_ended_by_others(world: World) -> None:
    life = world.begin()

    async def wait_with_others() -> None:
        life.control.end_login(ok=False, lost=True)
        await life.saw("status_changed", status="needs_login_idle")
        life.control.stop_waiting_for_account(0.0)
        await trio.testing.wait_all_tasks_blocked()

    work(life, wait_with_others)
    assert life.bus.current.status == "needs_login_idle"


def test_a_stop_does_not_wait_for_room(world: World) -> None:
    world.put("waits for room")

    async def run() -> None:
        with trio.fail_after(LIMIT_S):
            room = trio.Semaphore(0)
            life = supplied(world, Slots(room, world.inbox, lambda: int(world.now * 1000)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(life.run)
                await trio.testing.wait_all_tasks_blocked()
                assert room.statistics().tasks_waiting == 1
                life.control.stop()
            assert (room.value, world.get(1).state, world.get(1).attempts) == (0, "ready", 0)

    trio.run(run)


def test_agents_share_the_room_for_turns(world: World) -> None:
    world.fake.script([TEXT])
    world.put("waits for room")

    async def run() -> None:
        with trio.fail_after(LIMIT_S):
            room = trio.Semaphore(0)
            life = supplied(world, Slots(room, world.inbox, lambda: int(world.now * 1000)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(life.run)
                await trio.testing.wait_all_tasks_blocked()
                assert life.outcomes() == []
                room.release()
                await life.saw("turn_end", ok=True)
                await trio.testing.wait_all_tasks_blocked()
                assert room.value == 1
                life.control.stop()

    trio.run(run)

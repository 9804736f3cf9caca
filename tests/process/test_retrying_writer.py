"""An inbox that cannot be written for a while: nothing is lost, nothing runs twice, and the event loop goes on."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest
import trio

from hyperhive_cli.agent import retrying_writer
from hyperhive_cli.agent.session import request_new_session
from hyperhive_cli.control.server import Consoles
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.harness.login import LoginService
from hyperhive_cli.harness.operations import ControlHandler
from tests.conftest import Step
from tests.process.world import INIT, LIMIT_S, TEXT, Life, World

Trouble = Callable[[World], AbstractContextManager[None]]


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Hold the lock for writing, as a program does that is in the middle of something."""
    path = world.inbox.connection.execute("PRAGMA database_list").fetchone()[2]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def full(world: World) -> Iterator[None]:
    """Let the database find no room for another page, as on a full disk."""
    db = world.inbox.connection
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    yield
    db.execute("PRAGMA max_page_count = 1000000")


ANSWER = {"type": "result", "subtype": "success", "is_error": False, "result": "word " * 10_000}
LONG: list[Step] = [INIT, {"touch": "at work"}, {"wait_for": "go on"}, {"line": ANSWER}]


@pytest.fixture(autouse=True)
def _said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying_writer, "REPORT_AFTER_S", 0.0)


async def loop_goes_on() -> None:
    """Fail unless other tasks run while writes are tried again; a loop that waits inside SQLite would hold them up."""
    for _ in range(20):
        await trio.sleep(0.001)


@pytest.mark.parametrize("trouble", [locked, full])
def test_the_end_of_a_turn_is_kept_until_it_can_be_written(trouble: Trouble, world: World) -> None:
    first = world.put("one")
    second = world.put("two")
    world.fake.script(LONG, [TEXT])

    async def steer(life: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "at work")
        with trouble(world):
            world.fake.touch("go on")
            await life.saw("status_changed", status="inbox_unavailable")
            await loop_goes_on()
            assert (world.get(first).state, len(world.fake.calls())) == ("leased", 1)
        await life.saw("turn_end", 2)

    life = world.live(steer)
    assert life.outcomes() == ["ok", "ok"]
    assert [world.get(n).state for n in (first, second)] == ["done", "done"]
    assert [event["status"] for event in life.events("status_changed")] == ["inbox_unavailable", "online"]
    last_turn = world.inbox.last_turn(first)
    assert last_turn is not None
    assert last_turn["result_text"] == ANSWER["result"]
    assert [note for note in life.notes() if "inbox" in note][1:] == ["the inbox is written again"]


def test_no_turn_starts_while_another_process_has_the_lock(world: World) -> None:
    message_id = world.put("one")
    world.fake.script([TEXT])

    async def steer(life: Life) -> None:
        with locked(world):  # before the loop has taken its first step
            await life.saw("status_changed", status="inbox_unavailable")
            await loop_goes_on()
            assert world.fake.calls() == []
        await life.saw("turn_end")

    assert world.live(steer).outcomes() == ["ok"]
    assert world.get(message_id).state == "done"


@contextmanager
def unreadable(world: World, table: str) -> Iterator[None]:
    """Let reads of a table fail, as on a disk with a fault."""
    path = world.inbox.connection.execute("PRAGMA database_list").fetchone()[2]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"ALTER TABLE {table} RENAME TO hidden")
        yield
        other.execute(f"ALTER TABLE hidden RENAME TO {table}")


@pytest.mark.parametrize("table", ["facts", "messages"])
def test_an_inbox_that_cannot_be_read_is_read_again_before_a_turn_and_after_it(table: str, world: World) -> None:
    first, second = world.put("one"), world.put("two")
    world.fake.script(LONG, [TEXT])

    async def steer(life: Life) -> None:
        with unreadable(world, table):  # before the loop has taken its first step
            await life.saw("status_changed", status="inbox_unavailable")
            await loop_goes_on()
            assert world.fake.calls() == []
        await trio.to_thread.run_sync(world.fake.wait_for, "at work")
        with unreadable(world, table):
            world.fake.touch("go on")
            await life.saw("status_changed", 2, status="inbox_unavailable")
            await loop_goes_on()
        await life.saw("turn_end", 2)

    life = world.live(steer)
    assert life.outcomes() == ["ok", "ok"]
    assert [(world.get(n).state, world.get(n).attempts) for n in (first, second)] == [("done", 1)] * 2


def test_a_drain_that_cannot_read_whether_it_is_done_asks_again(world: World) -> None:
    world.fake.script([TEXT])
    life = world.begin(drain=True, drain_wait_s=60)

    async def work() -> None:
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                with unreadable(world, "messages"):
                    nursery.start_soon(life.loop.run)
                    await life.saw("status_changed", status="inbox_unavailable")
                    await loop_goes_on()

    trio.run(work)
    assert not life.loop.failed


def test_a_sender_that_holds_the_lock_for_a_moment_is_not_worth_a_word(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying_writer, "REPORT_AFTER_S", 60.0)
    world.put("one")
    world.fake.script([TEXT])

    async def steer(life: Life) -> None:
        with locked(world):
            await loop_goes_on()
        await life.saw("turn_end")

    life = world.live(steer)
    assert (life.outcomes(), life.notes(), life.events("status_changed")) == (["ok"], [], [])


def test_a_harness_that_ends_gives_up_and_the_message_is_delivered_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying_writer, "CLOSING_LIMIT_S", 0.1)
    message_id = world.put("one")
    world.fake.script(LONG, [TEXT])
    life = world.begin()

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(life.loop.run)
            await trio.to_thread.run_sync(world.fake.wait_for, "at work")
            with full(world):
                world.fake.touch("go on")
                await life.saw("status_changed", status="inbox_unavailable")
                life.control.stop()
                with trio.fail_after(LIMIT_S):
                    await trio.sleep_forever()

    with pytest.RaisesGroup(StoreError):
        trio.run(work)
    world.inbox.connection.execute("PRAGMA max_page_count = 1000000")
    assert world.get(message_id).state == "leased"
    assert world.drain().outcomes() == ["ok"]
    assert str(world.prompts()[1]).startswith("[Delivery 2 of this message")


def test_a_drain_does_not_wait_for_room_forever(world: World) -> None:
    message_id = world.put("one")
    world.fake.script([TEXT])
    life = world.begin(drain=True, drain_wait_s=0)
    with locked(world):
        trio.run(life.loop.run)
    assert (life.loop.failed, world.fake.calls(), world.get(message_id).state) == (True, [], "ready")


def test_a_new_session_that_was_asked_for_waits_for_the_inbox_too(world: World) -> None:
    world.put("one")
    world.drain([TEXT])
    world.put("two")
    world.fake.script([TEXT])

    async def steer(life: Life) -> None:
        request_new_session(world.inbox)
        with locked(world):
            await life.saw("status_changed", status="inbox_unavailable")
        await life.saw("turn_end")

    assert world.live(steer).outcomes() == ["ok"]
    assert world.arguments("--resume") == [None, None]


def test_a_peer_that_asks_for_a_new_session_waits_for_a_sender(world: World) -> None:
    with world.busy_once("skip_continue") as inbox:
        life = world.begin()
        handler = ControlHandler(life.bus, life.control, inbox, LoginService(life.config, life.control), Consoles())
        trio.run(handler.handle, "new_session", {})
    assert world.inbox.fact("skip_continue") == "1"

"""An agent of this process in the hive, call by call: what is lost on the way, and what comes between."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from hyperhive_cli.bus import Bus
from hyperhive_cli.events import TurnEnd
from hyperhive_cli.hive.foyer import Foyer, open_foyer
from hyperhive_cli.hive.line import Line, T
from hyperhive_cli.hive.mail import HiveInbox
from hyperhive_cli.hive.member import Member
from hyperhive_cli.hive.room import AwayError
from tests.hive.conftest import Database

if TYPE_CHECKING:
    from hyperhive_cli.hive.room import Connection

LIMIT_S = 20.0


class Idle:
    """A loop that runs no turn."""

    def ring(self) -> None:
        pass

    def yield_turn(self, *, now: bool) -> None:
        pass

    def hold_until(self, deadline_s: float) -> None:
        pass

    def rest_too(self, reason: str, until_unix: int | None) -> None:
        pass

    def rest_no_longer(self, stagger_s: float) -> None:
        pass


class LossyLine(Line):
    """Loses the answer to what is done next, once `loses` is set: it was done all the same. `gate` holds all up."""

    loses = False

    def __init__(self, url: str, name: str) -> None:
        super().__init__(url, name)
        self.gate = trio.Event()
        self.gate.set()

    async def call(self, work: Callable[["Connection"], T]) -> T:
        await self.gate.wait()
        done = await super().call(work)
        if self.loses:
            self.loses = False
            raise AwayError("the answer is lost")
        return done


@pytest.fixture
def foyer(state_dir: Path) -> Iterator[Foyer]:
    with open_foyer(state_dir / "inbox.sqlite") as opened:
        yield opened


def put(database: Database, body: str) -> int:
    with database.connect() as connection:
        return HiveInbox(connection, database.url, "bee").put("operator", body, now_ms=0)


def join(
    database: Database, line: Line, foyer: Foyer, slots: trio.Semaphore | None = None, bus: Bus | None = None
) -> Member:
    async def report() -> Mapping[str, Any]:
        return {}

    return Member(
        database.url, line, trio.current_time, agent="bee", owner="a", foyer=foyer, bus=bus or Bus(facts=foyer),
        steering=Idle(), report=report, account=None, drain=False, slots=slots,
    )  # fmt: skip


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes after answers of the database, which are no events here."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.01)


def work(database: Database, steps: Callable[[LossyLine], Awaitable[None]]) -> None:
    """Take the steps with a line to the hive."""

    async def run() -> None:
        line = LossyLine(database.url, "hyperhive a writes")
        with trio.fail_after(LIMIT_S):
            try:
                await steps(line)
            finally:
                line.close()

    trio.run(run)


def test_a_message_whose_lease_was_granted_and_never_heard_of_runs(database: Database, foyer: Foyer) -> None:
    """Else it would stay leased for as long as this harness lives."""

    async def steps(line: LossyLine) -> None:
        member = join(database, line, foyer)
        assert not await member.fetch()
        number = put(database, "work")
        member.heard("m")
        line.loses = True
        with pytest.raises(AwayError):
            await member.fetch()
        assert database.rows("SELECT state FROM hyperhive.inbox") == [("leased",)]
        assert await member.fetch()
        brought = foyer.brought()
        assert brought is not None
        assert (brought.id, brought.attempts, brought.deliveries) == (number, 0, 0)

    work(database, steps)


def test_what_is_sent_to_this_machine_while_a_message_is_brought_is_not_lost(database: Database, foyer: Foyer) -> None:
    """Both have counted to the same number."""

    async def steps(line: LossyLine) -> None:
        room = trio.Semaphore(0)
        member = join(database, line, foyer, room)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.fetch)
            await until(lambda: room.statistics().tasks_waiting > 0)
            number = foyer.put("operator", "past the hive", now_ms=0)
            room.release()
        brought = foyer.brought()
        assert brought is not None
        assert (brought.id, brought.body) == (number, "from the hive")
        assert [stray.body for stray in foyer.strays()] == ["past the hive"]

    put(database, "from the hive")
    work(database, steps)


def test_an_agent_that_waits_for_room_is_given_back_at_once(database: Database, foyer: Foyer) -> None:
    """The turn that it waits for is another agent's, and may last for hours."""

    async def steps(line: LossyLine) -> None:
        room = trio.Semaphore(0)
        member = join(database, line, foyer, room)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.run)
            nursery.start_soon(member.fetch)
            await until(lambda: room.statistics().tasks_waiting > 0)
            member.move_away()
            await until(lambda: member.seat is None)
            nursery.cancel_scope.cancel()
        assert room.statistics().tasks_waiting == 0
        assert database.rows("SELECT owner FROM hyperhive.agent") == [(None,)]

    put(database, "work")
    work(database, steps)


def test_a_message_that_the_hive_refuses_is_kept_and_holds_nothing_up(database: Database, foyer: Foyer) -> None:
    number = foyer.put("operator", "one text", now_ms=0, key="k")

    async def steps(line: LossyLine) -> None:
        member = join(database, line, foyer)
        assert await member.fetch()
        brought = foyer.brought()
        assert brought is not None
        assert brought.body == "another text"

    with database.connect() as connection:
        for text in ("first", "another text"):
            HiveInbox(connection, database.url, "bee").put(
                "operator", text, now_ms=0, key="k" if text != "first" else None
            )
        HiveInbox(connection, database.url, "bee").cancel(1, now_ms=0)
    work(database, steps)
    refused = foyer.get(number)
    assert refused.state == "dead"
    assert "used for another message" in (refused.reason or "")


def test_an_agent_is_given_back_when_its_last_events_are_there(database: Database, foyer: Foyer) -> None:
    """One of them says that a turn has ended, and brings its outcome on its way while others wait."""

    async def steps(line: LossyLine) -> None:
        bus = Bus(facts=foyer)
        member = join(database, line, foyer, bus=bus)
        assert not await member.fetch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.run)
            await until(lambda: database.rows("SELECT count(*) FROM hyperhive.report") == [(1,)])
            line.gate = trio.Event()
            bus.publish(TurnEnd(ok=True, note=None))
            await until(lambda: line.gate.statistics().tasks_waiting > 0)
            bus.note("the last word")
            newest = bus.current_seq
            member.move_away()
            await trio.testing.wait_all_tasks_blocked()
            line.gate.set()
            await until(lambda: member.seat is None)
            nursery.cancel_scope.cancel()
        assert database.rows("SELECT seq FROM hyperhive.agent") == [(newest,)]

    work(database, steps)

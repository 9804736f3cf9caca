"""An agent of this process in the hive, call by call: what is lost on the way, and what comes between."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from hyperhive_cli.agent.config import Account
from hyperhive_cli.core.events import TurnEnd
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.schedules import Schedule
from hyperhive_cli.core.status import Status, Wait
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.connection import T, TrioConnection
from hyperhive_cli.hive.database import AwayError
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.hive.local_inbox import LocalInbox, open_local_inbox
from hyperhive_cli.hive.member import Member
from hyperhive_cli.store.planned import PlannedMessage
from hyperhive_cli.store.stats import TurnRecord
from tests.hive.conftest import Database

if TYPE_CHECKING:
    from hyperhive_cli.hive.database import Connection

LIMIT_S = 120.0
LATER_MS = 2**45
WAKE_UP = PlannedMessage("wakeup", "look", not_before=LATER_MS, key="wake-up")
PLANNED = WAKE_UP._replace(sender="planner")  # which replaces nothing


class Idle:
    """A loop that runs no turn."""

    def wake(self) -> None:
        pass

    def interrupt(self, *, now: bool) -> None:
        pass

    def set_deadline(self, deadline_s: float) -> None:
        pass

    def wait_for_account(self, reason: str, until_unix: int | None) -> None:
        pass

    def stop_waiting_for_account(self, stagger_s: float) -> None:
        pass


class Rested(Idle):
    """A loop that keeps until when it was told to rest."""

    def __init__(self) -> None:
        self.until_unix: list[int | None] = []

    def wait_for_account(self, reason: str, until_unix: int | None) -> None:
        assert reason.startswith("agent bee found: rate_limited")
        self.until_unix.append(until_unix)


class LossyLine(TrioConnection):
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
def local_inbox(state_dir: Path) -> Iterator[LocalInbox]:
    with open_local_inbox(state_dir / "inbox.sqlite") as opened:
        yield opened


def put(database: Database, body: str) -> int:
    with database.connect() as connection:
        return HiveInbox(connection, database.url, "bee").send("operator", body, now_ms=0).id


def join(
    database: Database,
    line: TrioConnection,
    local_inbox: LocalInbox,
    slots: trio.Semaphore | None = None,
    bus: Bus | None = None,
    **different: Any,  # noqa: ANN401 - of Member
) -> Member:
    async def report() -> Mapping[str, Any]:
        return {}

    usual = {"agent": "bee", "steering": Idle(), "account": None}
    return Member(
        database.url, line, trio.current_time, owner="a", local_inbox=local_inbox,
        bus=bus or Bus(), report=report, drain=False, slots=slots, **{**usual, **different},
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


def test_a_message_whose_lease_was_granted_and_never_heard_of_runs(database: Database, local_inbox: LocalInbox) -> None:
    """Else it would stay leased for as long as this harness lives."""

    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox)
        assert not await member.fetch()
        number = put(database, "work")
        member.notified("m")
        line.loses = True
        with pytest.raises(AwayError):
            await member.fetch()
        assert database.rows("SELECT state FROM hyperhive.inbox") == [("leased",)]
        assert await member.fetch()
        staged = local_inbox.staged()
        assert staged is not None
        assert (staged.id, staged.attempts, staged.deliveries) == (number, 0, 0)

    work(database, steps)


def test_what_is_sent_to_this_machine_while_a_message_is_brought_is_not_lost(
    database: Database, local_inbox: LocalInbox
) -> None:
    """Both have counted to the same number."""

    async def steps(line: LossyLine) -> None:
        room = trio.Semaphore(0)
        member = join(database, line, local_inbox, room)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.fetch)
            await until(lambda: room.statistics().tasks_waiting > 0)
            number = local_inbox.send("operator", "past the hive", now_ms=0).id
            room.release()
        staged = local_inbox.staged()
        assert staged is not None
        assert (staged.id, staged.body) == (number, "from the hive")
        assert [message.body for message in local_inbox.unsynced()] == ["past the hive"]

    put(database, "from the hive")
    work(database, steps)


def test_an_agent_that_waits_for_room_is_given_back_at_once(database: Database, local_inbox: LocalInbox) -> None:
    """The turn that it waits for is another agent's, and may last for hours."""

    async def steps(line: LossyLine) -> None:
        room = trio.Semaphore(0)
        member = join(database, line, local_inbox, room)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.run)
            nursery.start_soon(member.fetch)
            await until(lambda: room.statistics().tasks_waiting > 0)
            member.move_away()
            await until(lambda: member.lease is None)
            nursery.cancel_scope.cancel()
        assert room.statistics().tasks_waiting == 0
        assert database.rows("SELECT owner FROM hyperhive.agent") == [(None,)]

    put(database, "work")
    work(database, steps)


def test_a_message_that_the_hive_refuses_is_kept_and_holds_nothing_up(
    database: Database, local_inbox: LocalInbox
) -> None:
    number = local_inbox.send("operator", "one text", now_ms=0, key="k").id

    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox)
        assert await member.fetch()
        staged = local_inbox.staged()
        assert staged is not None
        assert staged.body == "another text"

    with database.connect() as connection:
        for text in ("first", "another text"):
            HiveInbox(connection, database.url, "bee").send(
                "operator", text, now_ms=0, key="k" if text != "first" else None
            )
        HiveInbox(connection, database.url, "bee").cancel(1, now_ms=0)
    work(database, steps)
    refused = local_inbox.get(number)
    assert refused.state == "dead"
    assert "used for another message" in (refused.reason or "")
    assert local_inbox.refused == 1  # a drain is told of it


def run_turn(
    local_inbox: LocalInbox, *planned: PlannedMessage, state: str = "done", **more: Any,  # noqa: ANN401 - of `settle`
) -> int:  # fmt: skip
    """Run the message that was brought, and return its number."""
    lease = local_inbox.lease("boot", "haiku", now_ms=1)
    assert lease is not None
    record = TurnRecord(lease.turn_id, Outcome(OutcomeKind.OK), 5)
    local_inbox.settle(record, lease.message, state=state, planned=planned, **{"now_ms": 1, **more})
    return lease.message.id


def in_hive(database: Database) -> list[tuple[Any, ...]]:
    return database.rows("SELECT id, key, sender, body, not_before, state FROM hyperhive.inbox ORDER BY id")


@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
def test_what_a_turn_has_planned_goes_to_the_hive_with_its_outcome(
    database: Database, local_inbox: LocalInbox, *, restarts: bool
) -> None:
    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox)
        assert await member.fetch()
        run_turn(local_inbox, WAKE_UP)
        assert in_hive(database) == [(1, None, "operator", "work", 0, "leased")]
        if restarts:  # the next life has the same files; what was in flight is still known there
            member = join(database, line, local_inbox)
        assert not await member.fetch()
        done, planned = in_hive(database)
        assert (done[-1], planned[1:]) == ("done", ("wake-up", "wakeup", "look", LATER_MS, "ready"))
        assert (local_inbox.messages(), local_inbox.next_due(), local_inbox.unread()) == ([], LATER_MS, 1)
        with database.connect() as connection:
            HiveInbox(connection, database.url, "bee").cancel(planned[0], now_ms=0)
        database.change("UPDATE hyperhive.inbox SET not_before = 0")
        member.notified("m")
        assert not await member.fetch()

    put(database, "work")
    work(database, steps)


def test_an_outcome_and_what_its_turn_has_planned_come_together_though_the_answer_is_lost(
    database: Database, local_inbox: LocalInbox
) -> None:
    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox)
        assert await member.fetch()
        run_turn(local_inbox, WAKE_UP, PlannedMessage("wakeup", "without a key", not_before=LATER_MS))
        line.loses = True
        with pytest.raises(AwayError):
            await member.fetch()
        expected = [(1, "done"), (2, "ready"), (3, "ready")]
        assert [(row[0], row[-1]) for row in in_hive(database)] == expected
        assert not await member.fetch()
        assert [(row[0], row[-1]) for row in in_hive(database)] == expected

    put(database, "work")
    work(database, steps)


def test_the_hive_keeps_one_planned_message_of_a_key_and_takes_the_next_when_it_has_ended(
    database: Database, local_inbox: LocalInbox
) -> None:
    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox)

        async def turn(*planned: PlannedMessage, state: str = "done") -> int:
            member.notified("m")
            assert await member.fetch()
            return run_turn(local_inbox, *planned, state=state)

        await turn(PLANNED)
        await turn(PLANNED._replace(body="something else"))
        assert not await member.fetch()
        assert [row[3:] for row in in_hive(database)][2:] == [("look", LATER_MS, "ready")]
        database.change("UPDATE hyperhive.inbox SET not_before = 0")
        planned = await turn(PLANNED._replace(body="the next"))
        assert not await member.fetch()
        assert [(row[0], row[1], row[3], row[-1]) for row in in_hive(database)][2:] == [
            (planned, None, "look", "done"), (5, "wake-up", "the next", "ready"),
        ]  # fmt: skip
        database.change("UPDATE hyperhive.inbox SET not_before = 0")
        assert await turn(PLANNED, state="ready") == 5  # it runs again: it is its own successor
        assert await member.fetch()
        assert [(row[0], row[-1]) for row in in_hive(database)][3:] == [(5, "leased")]

    for text in ("one", "two"):
        put(database, text)
    work(database, steps)


def test_a_later_wakeup_replaces_the_one_that_waits_in_the_hive(database: Database, local_inbox: LocalInbox) -> None:
    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox)
        for planned in (WAKE_UP, WAKE_UP._replace(body="something else")):
            member.notified("m")
            assert await member.fetch()
            run_turn(local_inbox, planned)
        assert not await member.fetch()
        assert [(row[3], row[-1]) for row in in_hive(database)][2:] == [
            ("look", "cancelled"), ("something else", "ready"),
        ]  # fmt: skip

    for text in ("one", "two"):
        put(database, text)
    work(database, steps)


def test_a_job_of_claudes_is_a_schedule_of_the_hive_until_claude_ends_it(
    database: Database, local_inbox: LocalInbox
) -> None:
    job = Schedule(0, "job-7", "0 6 * * *", "UTC", "wake-up", "look", adopted="7")
    names = "SELECT name, adopted FROM hyperhive.schedule"

    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox)
        assert await member.fetch()
        run_turn(local_inbox, adopted=[job], now_ms=time.time_ns() // 1_000_000)
        assert [one.name for one in local_inbox.schedules()] == ["job-7"]
        member.notified("m")
        assert await member.fetch()
        assert (database.rows(names), local_inbox.schedules()) == ([("job-7", "7")], [])
        run_turn(local_inbox, dropped=["7"])
        line.loses = True
        with pytest.raises(AwayError):
            await member.fetch()
        for _ in range(2):
            assert not await member.fetch()
        assert (database.rows(names), local_inbox.fact("hive_dropped")) == ([], "")

    for text in ("one", "two"):
        put(database, text)
    work(database, steps)


def test_a_loop_that_claude_has_ended_is_ended_in_the_hive_though_the_answer_is_lost(
    database: Database, local_inbox: LocalInbox
) -> None:
    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox)
        assert await member.fetch()
        run_turn(local_inbox, WAKE_UP)
        member.notified("m")
        assert await member.fetch()
        assert [(row[3], row[-1]) for row in in_hive(database)][2:] == [("look", "ready")]
        run_turn(local_inbox, withdrawn=WAKE_UP.key)
        line.loses = True
        with pytest.raises(AwayError):
            await member.fetch()
        for _ in range(2):
            assert not await member.fetch()
            assert [(row[3], row[-1]) for row in in_hive(database)][2:] == [("look", "cancelled")]
        assert local_inbox.fact("hive_withdrawn") == ""

    for text in ("one", "two"):
        put(database, text)
    work(database, steps)


def test_what_is_planned_is_in_the_hive_before_the_agent_is_given_back(
    database: Database, local_inbox: LocalInbox
) -> None:
    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox)
        assert await member.fetch()
        run_turn(local_inbox, WAKE_UP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.run)
            await member.leave()
            nursery.cancel_scope.cancel()
        assert database.rows("SELECT owner FROM hyperhive.agent") == [(None,)]
        assert [(row[0], row[-1]) for row in in_hive(database)] == [(1, "done"), (2, "ready")]

    put(database, "work")
    work(database, steps)


def test_an_agent_is_given_back_when_its_last_events_are_there(database: Database, local_inbox: LocalInbox) -> None:
    """One of them says that a turn has ended, and brings its outcome on its way while others wait."""

    async def steps(line: LossyLine) -> None:
        bus = Bus()
        member = join(database, line, local_inbox, bus=bus)
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
            await until(lambda: member.lease is None)
            nursery.cancel_scope.cancel()
        assert database.rows("SELECT seq FROM hyperhive.agent") == [(newest,)]

    work(database, steps)


@pytest.mark.parametrize("wrong_s", [86_400, -86_400])
def test_a_wait_for_the_account_lasts_as_long_where_a_clock_is_wrong(
    wrong_s: int, database: Database, local_inbox: LocalInbox
) -> None:
    """The one that has met the limit reckons with its own clock, and those that wait with theirs."""
    account, found, rested = Account("account", "login"), time.time() + wrong_s, Rested()
    finder = Bus(now=lambda: found)

    async def steps(line: LossyLine) -> None:
        member = join(database, line, local_inbox, bus=finder, account=account)
        other = join(database, line, local_inbox, agent="ant", steering=rested, account=account)
        assert not await member.fetch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.run)
            finder.current.know(wait=Wait(Status.RATE_LIMITED, found + 3_600))
            await until(lambda: database.rows("SELECT count(*) FROM hyperhive.account") == [(1,)])
            nursery.cancel_scope.cancel()
        other.accounts_changed(await line.call(lambda connection: owner_sql.account_states(connection, ["account"])))

    work(database, steps)
    (until_unix,) = rested.until_unix
    assert until_unix is not None
    assert abs(until_unix - time.time() - 3_600) < LIMIT_S

"""Ownership with fencing: who runs an agent, and what somebody who no longer does can still change: nothing."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.hive import fleet, owner_sql, relay
from hyperhive_cli.hive.client import HiveClient
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.hive.lease import LEASE_S
from hyperhive_cli.hive.owner_sql import AgentLease, Backlog, FencedError, Row
from hyperhive_cli.store.messages import KEY_KEPT_MS
from tests.hive.conftest import Database

Connection = psycopg.Connection[tuple[Any, ...]]


def lease_of(connection: Connection, owner: str, agent: str = "bee", folder: str = "folder") -> AgentLease:
    claim = owner_sql.acquire_lease(connection, agent, owner, f"{folder} of {owner}")
    assert claim.lease is not None, claim
    return claim.lease


def expire(database: Database, agent: str = "bee") -> None:
    """Let the database's clock pass the lease's end."""
    database.change("UPDATE hyperhive.agent SET until = clock_timestamp() - interval '1 s' WHERE name = %s", agent)


def rows(first: int, last: int) -> list[Row]:
    return [(number, 1_000 + number, "note", f'{{"text":"{number}"}}'.encode()) for number in range(first, last + 1)]


def put(connection: Connection, url: str, body: str, agent: str = "bee") -> int:
    return HiveInbox(connection, url, agent).send("operator", body, now_ms=0).id


def test_a_second_machine_waits_until_the_lease_is_over(database: Database) -> None:
    with database.connect() as a, database.connect() as b:
        first = lease_of(a, "a")
        refused = owner_sql.acquire_lease(b, "bee", "b", "folder of b")
        assert (refused.lease, refused.refusal) == (None, "is run by a")
        assert owner_sql.renew(a, [first]) == {"bee"}
        expire(database)
        second = lease_of(b, "b")
        assert (first.epoch, second.epoch) == (1, 2)
        assert owner_sql.renew(a, [first]) == set()
        assert not owner_sql.release(a, first)
        assert owner_sql.release(b, second)
        assert lease_of(a, "a").epoch == 3


def test_a_lease_that_is_too_young_to_be_over_is_not_taken(database: Database) -> None:
    with database.connect() as a, database.connect() as b:
        lease_of(a, "a")
        expire(database)  # by a clock that was put on
        ((until,),) = database.rows("SELECT until FROM hyperhive.agent")
        assert owner_sql.acquire_lease(b, "bee", "b", "folder of b", too_young=until).refusal == "is run by a"
        assert (
            owner_sql.acquire_lease(b, "bee", "b", "folder of b", too_young=until + timedelta(seconds=1)).lease
            is not None
        )


def test_a_lease_that_outlasts_one_granted_now_is_shortened(database: Database) -> None:
    left = "SELECT extract(epoch FROM until - clock_timestamp())::float8 FROM hyperhive.agent"
    with database.connect() as a:
        lease_of(a, "a")
        for hours, expected in ((0, LEASE_S), (1, LEASE_S), (-1, LEASE_S - 3_600)):
            database.change("UPDATE hyperhive.agent SET until = until + make_interval(hours => %s)", hours)
            owner_sql.shorten_leases(a, ["another"])
            owner_sql.shorten_leases(a, ["bee"])
            assert database.rows(left)[0][0] == pytest.approx(expected, abs=LEASE_S / 3)


def test_the_same_state_folder_takes_its_agent_back_at_once(database: Database) -> None:
    """Who holds the folder's lock knows that the life before is dead."""
    with database.connect() as a:
        before, after = lease_of(a, "a"), lease_of(a, "a")
        assert after.epoch == before.epoch + 1
        assert owner_sql.renew(a, [before]) == set()


@pytest.mark.parametrize("other", ["b", "a"], ids=["another machine", "a machine of the same name"])
def test_who_was_taken_over_changes_nothing(database: Database, other: str) -> None:
    with database.connect() as a, database.connect() as b:
        old = lease_of(a, "a")
        number = put(a, database.url, "work")
        taken, _ = owner_sql.lease_message(a, old)
        assert taken is not None
        owner_sql.append(a, old, rows(1, 3), 0)
        expire(database)
        new = lease_of(b, other, folder="another folder")
        (returned,) = owner_sql.recover(b, new)
        assert (returned.id, returned.state, returned.attempts, returned.acted) == (number, "ready", 1, True)
        again, _ = owner_sql.lease_message(b, new)
        assert again is not None
        assert (again.attempts, again.deliveries) == (2, 2)

        done = taken._replace(state="done")
        for late in (
            lambda: owner_sql.acknowledge(a, old, done, taken.deliveries, []),
            lambda: owner_sql.append(a, old, rows(4, 5), 3),
            lambda: owner_sql.lease_message(a, old),
            lambda: owner_sql.keep_turns(a, old, []),
            lambda: owner_sql.shipped_upto(a, old),
        ):
            with pytest.raises(FencedError):
                late()
        assert owner_sql.recover(a, old) == []
        owner_sql.put_report(a, old, "{}", None)
        assert database.rows("SELECT count(*) FROM hyperhive.event") == [(3,)]
        assert database.rows("SELECT count(*) FROM hyperhive.report") == [(0,)]
        assert database.rows("SELECT state, attempts, epoch FROM hyperhive.inbox") == [("leased", 2, 2)]
        assert owner_sql.acknowledge(b, new, again._replace(state="done"), 2, [])
        assert database.rows("SELECT state FROM hyperhive.inbox") == [("done",)]


def test_an_acknowledgement_of_an_earlier_delivery_changes_nothing(database: Database) -> None:
    """The agent went away and came back meanwhile: the lease is ours again, the delivery is not."""
    with database.connect() as a, database.connect() as b:
        old = lease_of(a, "a")
        put(a, database.url, "work")
        taken, _ = owner_sql.lease_message(a, old)
        assert taken is not None
        expire(database)
        other = lease_of(b, "b")
        owner_sql.recover(b, other)
        owner_sql.lease_message(b, other)
        owner_sql.release(b, other)
        again = lease_of(a, "a")
        assert not owner_sql.acknowledge(a, again, taken._replace(state="done"), taken.deliveries, [])
        assert database.rows("SELECT state, deliveries FROM hyperhive.inbox") == [("leased", 2)]


def test_what_we_have_leased_ourselves_is_returned_when_asked_for(database: Database) -> None:
    with database.connect() as a:
        lease = lease_of(a, "a")
        put(a, database.url, "work")
        owner_sql.lease_message(a, lease)
        assert owner_sql.recover(a, lease) == []
        assert [message.state for message in owner_sql.recover(a, lease, own=True)] == ["ready"]


def test_a_message_whose_attempts_are_used_up_is_dead(database: Database) -> None:
    with database.connect() as a:
        number = put(a, database.url, "it kills every machine")
        for attempt in (1, 2, 3):
            lease = lease_of(a, "a")
            owner_sql.recover(a, lease)
            taken, _ = owner_sql.lease_message(a, lease)
            assert taken is not None
            assert taken.attempts == attempt
        (dead,) = owner_sql.recover(a, lease_of(a, "a"))
        assert (dead.id, dead.state) == (number, "dead")


def test_an_idle_message_is_passed_while_the_plan_is_short(database: Database) -> None:
    with database.connect() as a:
        inbox = HiveInbox(a, database.url, "bee")
        idle = inbox.send("operator", "tidy", now_ms=0, idle=True).id
        lease = lease_of(a, "a")
        none, backlog = owner_sql.lease_message(a, lease, with_idle=False)
        assert (none, backlog) == (None, Backlog(1, None, 0, 0))
        assert (backlog.next_due(0), backlog.next_due(50)) == (0, 50)
        work = inbox.send("operator", "work", now_ms=0).id
        ((_, _, is_due, *_),), _ = relay.poll(a, ["bee"], "a")
        assert is_due
        taken = [owner_sql.lease_message(a, lease, with_idle=with_idle)[0] for with_idle in (False, False, True)]
        assert [message and message.id for message in taken] == [work, None, idle]
        assert [message.idle for message in inbox.messages()] == [True, False]


def test_a_held_message_waits_for_a_person(database: Database) -> None:
    with database.connect() as a:
        inbox = HiveInbox(a, database.url, "bee")
        number = inbox.send("operator", "work", now_ms=0, key="k").id
        lease = lease_of(a, "a")
        taken, _ = owner_sql.lease_message(a, lease)
        assert taken is not None
        assert owner_sql.acknowledge(
            a, lease, taken._replace(state="held", reason="asks for a tool", acted=True), 1, []
        )
        assert owner_sql.lease_message(a, lease) == (None, Backlog(0, None, 1))
        ((name, _, *asked),), moved = relay.poll(a, ["bee"], "a")
        assert (name, asked, moved) == ("bee", [False, False, False, 0, None, 1, None], set())
        assert owner_sql.recover(a, lease, own=True) == []
        (found,) = fleet.look(a)
        assert (found["unread"], found["held"], found["dead"]) == (0, 1, 0)
        assert [(one.state, one.reason) for one in inbox.messages()] == [("held", "asks for a tool")]
        database.change("UPDATE hyperhive.inbox SET changed = changed - %s", KEY_KEPT_MS + 1_000)
        assert inbox.send("operator", "work", now_ms=0, key="k").id == number
        with pytest.raises(RefusedError, match="it is held"):
            inbox.move(number, before=None, now_ms=0)
        assert inbox.retry(number, now_ms=0).state == "ready"
        again, _ = owner_sql.lease_message(a, lease)
        assert again is not None
        assert again.acted
        owner_sql.acknowledge(a, lease, again._replace(state="held"), 2, [])
        assert inbox.cancel(number, now_ms=0).state == "cancelled"


def test_events_are_numbered_without_a_gap_and_shipped_once(database: Database) -> None:
    with database.connect() as a:
        lease = lease_of(a, "a")
        assert owner_sql.append(a, lease, rows(11, 13), 0) == 3  # its own history has lost the first ten
        assert owner_sql.append(a, lease, rows(11, 13), 0) is None  # the answer was lost: once more
        assert owner_sql.shipped_upto(a, lease) == 13
        assert owner_sql.append(a, lease, rows(14, 14), 13) == 4
    found = database.rows("SELECT seq, ts, body FROM hyperhive.event ORDER BY seq")
    assert [row[0] for row in found] == [1, 2, 3, 4]
    assert found[3] == (4, 1_014, '{"text":"14"}')


def test_a_history_goes_on_where_it_was_when_the_agent_comes_back(database: Database) -> None:
    with database.connect() as connection:
        for owner, first, last, upto in (("a", 1, 5, 5), ("b", 1, 2, 7), ("a", 6, 6, 8)):
            claim = owner_sql.acquire_lease(connection, "bee", owner, f"folder of {owner}")
            assert claim.lease is not None
            assert claim.shipped == first - 1
            assert owner_sql.append(connection, claim.lease, rows(first, last), claim.shipped) == upto
            owner_sql.release(connection, claim.lease)
        assert owner_sql.acquire_lease(connection, "bee", "a", "folder of a").is_new_home is False
        assert owner_sql.acquire_lease(connection, "bee", "a", "folder of a").is_new_home is False


def test_a_history_that_was_begun_anew_is_shipped_once(database: Database) -> None:
    """Its numbers are smaller than those that the hive had of the folder before."""
    with database.connect() as a:
        first = owner_sql.acquire_lease(a, "bee", "a", "here")
        assert first.lease is not None
        owner_sql.append(a, first.lease, rows(1, 5), 0)
        second = owner_sql.acquire_lease(a, "bee", "a", "here")
        assert second.lease is not None
        assert second.shipped == 5
        owner_sql.append(a, second.lease, rows(1, 2), 5)
        assert owner_sql.acquire_lease(a, "bee", "b", "elsewhere").lease is None
        assert owner_sql.acquire_lease(a, "bee", "a", "here").shipped == 2


def test_the_hive_knows_the_event_up_to_which_it_has_a_history_by_its_time(database: Database) -> None:
    with database.connect() as connection:
        claim = owner_sql.acquire_lease(connection, "bee", "a", "folder of a")
        assert claim.lease is not None
        assert (claim.shipped, claim.shipped_ts) == (0, None)
        assert owner_sql.append(connection, claim.lease, rows(1, 5), 0) == 5
        # A life without a history ships under the number that is there: its own count from 1.
        assert owner_sql.append(connection, claim.lease, [(5, 9_999, "note", b"{}")], 5) == 6
        owner_sql.release(connection, claim.lease)
        other = owner_sql.acquire_lease(connection, "bee", "b", "folder of b")
        assert other.lease is not None
        assert (other.shipped, other.shipped_ts) == (0, None)
        owner_sql.release(connection, other.lease)
        again = owner_sql.acquire_lease(connection, "bee", "a", "folder of a")
        assert (again.shipped, again.shipped_ts) == (5, 1_005)


def test_no_turn_is_kept_for_a_machine_that_is_taken_over_meanwhile(database: Database) -> None:
    with database.connect() as a, database.connect() as b:
        lease = lease_of(a, "a")
        expire(database)
        b.execute("SET lock_timeout = '100ms'")

        class Turns(list[dict[str, Any]]):
            """Are looked at when it is known that the agent is ours."""

            def __iter__(self) -> Iterator[dict[str, Any]]:
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    owner_sql.acquire_lease(b, "bee", "b", "elsewhere")
                return super().__iter__()

        turn: dict[str, Any] = dict.fromkeys(owner_sql.TURN_COLUMNS, 1)
        owner_sql.keep_turns(a, lease, Turns([turn | {"outcome": "ok", "tool_call_breakdown_json": "{}"}]))
        assert owner_sql.acquire_lease(b, "bee", "b", "elsewhere").last_turn == 1


def test_what_postgresql_refuses_is_replaced(database: Database) -> None:
    with database.connect() as a:
        number = put(a, database.url, "a\x00b\ud83dc")
        lease = lease_of(a, "a")
        payload = b'{"text":"\\u0000 \\ud83d \xff\x00"}'
        owner_sql.append(a, lease, [(1, 1, "note", payload)], 0)
        taken, _ = owner_sql.lease_message(a, lease)
        assert taken is not None
        turn: dict[str, Any] = dict.fromkeys(owner_sql.TURN_COLUMNS, 0)
        texts = ("model", "session_id", "claude_version", "note", "tool_call_breakdown_json", "result_text")
        turn |= dict.fromkeys(texts, "\x00\udc80") | {"outcome": "ok", "message_id": number}
        assert owner_sql.acknowledge(a, lease, taken._replace(state="dead", reason="\x00"), 1, [turn])
        assert HiveInbox(a, database.url, "bee").turns(number)[0]["result_text"] == "\ufffd\ufffd"
    assert database.rows("SELECT body, reason FROM hyperhive.inbox") == [("a\ufffdb\ufffdc", "\ufffd")]
    assert database.rows("SELECT body FROM hyperhive.event") == [('{"text":"\\u0000 \\ud83d \ufffd\ufffd"}',)]


@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.exhaustive)])
def test_rivals_lease_many_messages_and_share_none(count: int, database: Database) -> None:
    rivals = 8
    with database.connect() as a:
        lease = lease_of(a, "a")
        a.execute(
            """INSERT INTO hyperhive.inbox(agent, id, sender, body, created, changed)
               SELECT 'bee', n, 'operator', 'work', 0, 0 FROM generate_series(1, %s) AS n""",
            (count,),
        )
        a.execute("ANALYZE hyperhive.inbox")
    taken: list[list[int]] = [[] for _ in range(rivals)]

    def work(mine: list[int]) -> None:
        with database.connect() as connection:
            while (found := owner_sql.lease_message(connection, lease)[0]) is not None:
                mine.append(found.id)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [number for mine in taken for number in mine]
    assert len(every) == len(set(every)) == count
    assert sum(bool(mine) for mine in taken) > 1


def test_a_claim_waits_for_a_lease_that_is_under_way(database: Database) -> None:
    """Else a message would be leased under an epoch that is over, and nobody would ever return it."""
    with database.connect() as a, database.connect() as b:
        old = lease_of(a, "a")
        put(a, database.url, "work")
        expire(database)
        with a.transaction():
            taken, _ = owner_sql.lease_message(a, old)
            assert taken is not None
            b.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                owner_sql.acquire_lease(b, "bee", "b", "folder of b")
        new = lease_of(b, "b")
        assert [message.id for message in owner_sql.recover(b, new)] == [taken.id]


def test_what_never_reached_its_machine_is_put_back_unspent(database: Database) -> None:
    with database.connect() as a:
        lease = lease_of(a, "a")
        put(a, database.url, "work")
        owner_sql.lease_message(a, lease)
        owner_sql.unlease_messages(a, lease._replace(epoch=9))
        assert database.rows("SELECT state FROM hyperhive.inbox") == [("leased",)]
        owner_sql.unlease_messages(a, lease)
    assert database.rows("SELECT state, attempts, deliveries, acted FROM hyperhive.inbox") == [("ready", 0, 0, False)]


def test_a_turn_is_kept_once(database: Database) -> None:
    with database.connect() as a:
        lease = lease_of(a, "a")
        turn: dict[str, Any] = dict.fromkeys(owner_sql.TURN_COLUMNS, 1)
        turn |= {"outcome": "ok", "tool_call_breakdown_json": "{}", "answered_model": "claude-haiku-4-5", "denied": 2}
        turn |= {"message_state": "held"}
        for _ in range(2):
            owner_sql.keep_turns(a, lease, [turn])
        (found,) = HiveClient("", "bee", a).newest_turns(9)
        row = HiveClient("", "bee", a).turn("last")
    assert database.rows("SELECT count(*), sum(output_tokens) FROM hyperhive.turn") == [(1, 1)]
    assert (found.answered_model, found.denied, found.message_state) == ("claude-haiku-4-5", 2, "held")
    assert row is not None
    assert (row["answered_model"], row["denied"], row["message_state"]) == ("claude-haiku-4-5", 2, "held")


def test_a_drained_machine_takes_nothing_and_an_agent_runs_where_it_is_wanted(database: Database) -> None:
    with database.connect() as a:
        lease = lease_of(a, "a")
        fleet.drain(a, "a", draining=True)
        assert owner_sql.wanted_elsewhere(a, "a") == {"bee"}
        owner_sql.release(a, lease)
        refused = owner_sql.acquire_lease(a, "bee", "a", "folder of a")
        assert refused.refusal == "may not run on a, which is being drained"
        fleet.drain(a, "a", draining=False)
        fleet.move(a, "bee", "b")
        refused = owner_sql.acquire_lease(a, "bee", "a", "folder of a")
        assert (refused.lease, refused.refusal) == (None, "should run on b only")
        assert lease_of(a, "b").epoch == 2
        fleet.move(a, "bee", None)
        assert owner_sql.wanted_elsewhere(a, "b") == set()

"""A hive that grows: texts of what ended long ago go, places never run out, pages have a bound in bytes."""

import json
from contextlib import closing

import pytest

from hyperhive_cli.core.errors import RefusedError, UsageError
from hyperhive_cli.core.retention import Retention
from hyperhive_cli.hive import fleet, owner_sql
from hyperhive_cli.hive.feed import HiveFeed
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.store.events import PAGE_BYTES
from tests.conftest import wait_until
from tests.harness import TEXT
from tests.hive.conftest import Database
from tests.hive.test_owner_sql import Connection, lease_of, put

DAY_MS = 24 * 3600 * 1000


def ended(database: Database, connection: Connection, days_ago: list[int]) -> list[int]:
    """Put messages that ended so many days ago, with a turn each."""
    numbers = [put(connection, database.url, f"text {days}") for days in days_ago]
    for number, days in zip(numbers, days_ago, strict=True):
        database.change(
            f"UPDATE hyperhive.inbox SET state = 'done', changed = {owner_sql.NOW_MS} - %s WHERE id = %s",  # noqa: S608
            days * DAY_MS, number,
        )  # fmt: skip
        database.change(
            """INSERT INTO hyperhive.turn(agent, origin, turn_id, message_id, attempt, started, outcome, input_tokens,
                   output_tokens, cache_read_input_tokens, cache_creation_input_tokens, tool_call_count,
                   tool_call_breakdown_json, result_text, cost_usd)
               VALUES ('bee', 'here', %s, %s, 1, 1, 'ok', 1, 1, 1, 1, 0, '{}', 'answer', 0.5)""",
            number, number,
        )  # fmt: skip
    return numbers


@pytest.mark.parametrize(
    ("text", "kept"), [("30d", [4, 5]), ("2", [4, 5]), ("45d,1", [3, 4, 5]), ("0", []), ("all", [1, 2, 3, 4, 5])]
)
def test_the_texts_of_what_ended_long_ago_go_and_the_figures_stay(
    text: str, kept: list[int], database: Database
) -> None:
    with database.connect() as connection:
        lease = lease_of(connection, "a")
        ended(database, connection, [60, 50, 40, 20, 10])
        while owner_sql.forget_ended(connection, lease, Retention.from_text(text)):
            pass
    assert database.rows("SELECT id FROM hyperhive.inbox WHERE body <> '' ORDER BY id") == [(one,) for one in kept]
    assert database.rows("SELECT count(*), sum(cost_usd) FROM hyperhive.turn") == [(5, 2.5)]
    answers = database.rows("SELECT turn_id FROM hyperhive.turn WHERE result_text IS NOT NULL ORDER BY turn_id")
    assert answers == [(one,) for one in kept]


def test_a_message_whose_text_is_gone_is_known_and_does_not_run_again(database: Database) -> None:
    with database.connect() as connection:
        lease = lease_of(connection, "a")
        (number,) = ended(database, connection, [60])
        inbox = HiveInbox(connection, database.url, "bee")
        before = inbox.get(number)
        assert owner_sql.forget_ended(connection, lease, Retention.from_text("30d")) == 1
        assert (inbox.take_in(before).id, inbox.get(number).state) == (number, "done")
        database.change("UPDATE hyperhive.inbox SET state = 'dead'")
        with pytest.raises(RefusedError, match=f"the text of message {number} is no longer kept"):
            inbox.retry(number, now_ms=0)


def test_who_lost_the_agent_lets_go_of_nothing(database: Database) -> None:
    with database.connect() as connection:
        lease = lease_of(connection, "a")
        ended(database, connection, [60])
        database.change("UPDATE hyperhive.agent SET epoch = epoch + 1")
        assert owner_sql.forget_ended(connection, lease, Retention.from_text("0")) == 0
    assert database.rows("SELECT body FROM hyperhive.inbox") == [("text 60",)]


def test_a_machine_lets_go_of_what_ended_by_itself(database: Database) -> None:
    with database.machines("a", runs=TEXT) as (machine,):
        machine.call("bee", "send", "one")
        machine.call("bee", "send", "two")
        assert machine.call("bee", "run", "--drain", "--claude", str(machine.fake.path)).status == 0
        with machine.run("bee", "--keep-messages", "1"):
            wait_until(lambda: database.rows("SELECT body FROM hyperhive.inbox ORDER BY id") == [("",), ("two",)])
    assert database.rows("SELECT state FROM hyperhive.inbox") == [("done",), ("done",)]


def test_places_between_two_messages_never_run_out(database: Database) -> None:
    with database.connect() as connection:
        inbox = HiveInbox(connection, database.url, "bee")
        first = put(connection, database.url, "first")
        for _ in range(120):
            inbox.move(put(connection, database.url, "before it"), before=first, now_ms=0)
        assert [message.id for message in inbox.messages()] == [*range(2, 122), first]
        with pytest.raises(UsageError, match="cannot be moved before itself"):
            inbox.move(first, before=first, now_ms=0)


def test_a_page_of_long_events_has_fewer_of_them(database: Database) -> None:
    long = json.dumps({"text": "x" * (PAGE_BYTES // 3)}).encode()
    with database.connect() as connection:
        lease = lease_of(connection, "a")
        owner_sql.append(connection, lease, [(number, number, "note", long) for number in range(1, 8)], after=0)
        assert [event.seq for event in fleet.events_page(connection, "bee", 0, 200)[0]] == [1, 2, 3]
        assert [event.seq for event in fleet.events_page(connection, "bee", 3, 200)[0]] == [4, 5, 6]
        assert [event.seq for event in fleet.events_page(connection, "bee", None, 200)[0]] == [5, 6, 7]
    with closing(HiveFeed(database.url, "bee")) as feed:
        assert [told.record.seq for told in feed.stored()] == list(range(1, 8))

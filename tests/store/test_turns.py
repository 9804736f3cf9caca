"""Turns and what outlives the harness: recovery after a kill, the statistics, one transaction, the file."""

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import hyperhive_cli
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.settings import MAX_ATTEMPTS
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.store.ended import turns_since
from hyperhive_cli.store.inbox import Inbox, open_inbox, open_inbox_reader
from hyperhive_cli.store.stats import TurnRecord
from tests.store.made_messages import lease, put, put_in_state, rows, settle

ROOT = Path(hyperhive_cli.__file__).resolve().parents[1]


def test_another_life_returns_what_was_leased_to_ready_and_says_that_it_may_have_acted(inbox: Inbox) -> None:
    put_in_state(inbox, "leased")
    put_in_state(inbox, "ready")
    (message,) = inbox.recover("another", now_ms=77)
    assert message == inbox.get(1)
    assert (message.state, message.attempts, message.acted) == ("ready", 1, True)
    assert (message.reason, message.changed) == ("the harness died during its turn", 77)
    assert inbox.recover("another", now_ms=78) == []
    again = lease(inbox, boot="another").message
    assert (again.id, again.attempts, again.deliveries, again.acted, again.reason) == (1, 2, 2, True, None)


def test_a_cancelled_message_does_not_come_back_when_the_harness_dies_with_its_turn(inbox: Inbox) -> None:
    message_id = put(inbox)
    lease(inbox)
    inbox.mark_cancelled(message_id)
    (message,) = inbox.recover("another", now_ms=77)
    assert (message.state, message.reason) == ("cancelled", "cancelled by the operator")


def test_a_message_that_kills_the_harness_each_time_is_dead_after_the_last_attempt(inbox: Inbox) -> None:
    put(inbox)
    states = []
    for life in range(MAX_ATTEMPTS):
        lease(inbox, boot=f"life {life}")
        states += [message.state for message in inbox.recover(f"life {life + 1}", now_ms=100)]
    assert states == ["ready"] * (MAX_ATTEMPTS - 1) + ["dead"]
    assert inbox.lease("boot", "haiku", now_ms=200) is None


def test_the_own_leases_of_a_life_are_left_alone(inbox: Inbox) -> None:
    put(inbox)
    taken = lease(inbox, boot="this")
    assert inbox.recover("this", now_ms=50) == []
    assert inbox.get(taken.message.id).state == "leased"


def test_turns_that_a_dead_harness_left_open_are_closed_as_crashed(path: Path, inbox: Inbox) -> None:
    put(inbox)
    lease(inbox, now_ms=10)
    inbox.open_turn("haiku", now_ms=12)
    assert inbox.last_turn() is None
    inbox.recover("another", now_ms=40)
    assert rows(path, "SELECT outcome, note, duration_ms, message_state FROM turn_stats") == [
        ("crashed", "the harness died during this turn", 30, "ready"),
        ("crashed", "the harness died during this turn", 28, None),
    ]
    assert inbox.totals()["turns"] == 2


LEASER = """
import sys
from pathlib import Path
from hyperhive_cli.store.inbox import open_inbox
with open_inbox(Path(sys.argv[1])) as inbox:
    lease = inbox.lease("dead", "haiku", now_ms=10)
    print(lease.message.id, flush=True)
    sys.stdin.read()
"""


def test_a_harness_killed_between_lease_and_settle_loses_nothing(path: Path) -> None:
    with open_inbox(path) as inbox:
        numbers = [put(inbox, body) for body in ("one", "two")]
    command = [sys.executable, "-c", LEASER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert int(child.stdout.readline()) == numbers[0]
        child.kill()
    assert child.returncode == -signal.SIGKILL
    with open_inbox(path) as inbox:
        assert [message.id for message in inbox.recover("alive", now_ms=50)] == numbers[:1]
        for number in numbers:
            taken = lease(inbox, now_ms=60, boot="alive")
            assert taken.message.id == number
            settle(inbox, taken)
        assert [(m.state, m.attempts) for m in inbox.messages(ended=True)] == [("done", 2), ("done", 1)]


# --- turns ---


@pytest.mark.parametrize("state", ["ready", "held", "done", "dead", "cancelled"])
def test_a_turn_keeps_what_became_of_its_message_whatever_is_done_with_that_later(inbox: Inbox, state: str) -> None:
    put(inbox)
    settle(inbox, lease(inbox), state)
    if state != "done":
        inbox.retry(1, now_ms=30)
    (turn,) = inbox.turns(1)
    assert turn["message_state"] == state


def full_record(turn_id: int) -> TurnRecord:
    return TurnRecord(
        turn_id=turn_id,
        outcome=Outcome(OutcomeKind.CRASHED, "it broke"),
        duration_ms=1_234,
        exit_status=3,
        session_id="s-1",
        claude_version="2.1.330",
        usage=TokenUsage(1, 2, 3, 4),
        cost_usd=0.25,
        context_tokens=100,
        context_window=200_000,
        compacted_from=900,
        tool_calls={"Read": 1, "Bash": 3},
        result_text="done",
        answered_model="claude-haiku-4-5",
        denied=2,
    )


def test_a_turn_leaves_a_row_with_everything_that_is_known_of_it(path: Path, inbox: Inbox) -> None:
    number = put(inbox)
    taken = lease(inbox)
    inbox.settle(full_record(taken.turn_id), taken.message, state="ready", now_ms=20)
    assert inbox.last_turn() == {
        "turn_id": taken.turn_id,
        "message_id": number,
        "attempt": 1,
        "model": "haiku",
        "session_id": "s-1",
        "claude_version": "2.1.330",
        "started": 10,
        "duration_ms": 1_234,
        "outcome": "crashed",
        "note": "it broke",
        "exit_status": 3,
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 4,
        "cost_usd": 0.25,
        "context_tokens": 100,
        "context_window": 200_000,
        "compacted_from": 900,
        "tool_call_count": 4,
        "tool_call_breakdown_json": '{"Bash": 3, "Read": 1}',
        "result_text": "done",
        "answered_model": "claude-haiku-4-5",
        "denied": 2,
        "message_state": "ready",
    }
    (turn,) = turns_since(inbox.connection, 0)
    assert turn.to_dict().items() >= {
        "model": "haiku", "answered_model": "claude-haiku-4-5", "tool_call_count": 4, "denied": 2,
        "message_state": "ready", "context_tokens": 100, "cost_usd": 0.25,
    }.items()  # fmt: skip
    (found,) = rows(path, "SELECT tool_call_count, tool_call_breakdown_json FROM turn_stats")
    assert (found[0], json.loads(str(found[1]))) == (4, {"Bash": 3, "Read": 1})


def test_a_turn_without_tools_has_an_empty_breakdown(inbox: Inbox) -> None:
    put_in_state(inbox, "done")
    turn = inbox.last_turn()
    assert turn is not None
    assert (turn["tool_call_count"], turn["tool_call_breakdown_json"]) == (0, "{}")


def test_the_last_turn_is_the_newest_ended_one_and_can_be_asked_for_by_message(inbox: Inbox) -> None:
    for _ in range(2):
        put_in_state(inbox, "done")
    inbox.settle(full_record(inbox.open_turn("opus", now_ms=30)), None, state="done", now_ms=40)
    put_in_state(inbox, "leased")
    newest, of_one, of_running = inbox.last_turn(), inbox.last_turn(1), inbox.last_turn(3)
    assert newest is not None
    assert (newest["turn_id"], newest["message_id"], newest["model"]) == (3, None, "opus")
    assert newest["message_state"] is None
    assert of_one is not None
    assert of_one["turn_id"] == 1
    assert of_running is None


def test_the_totals_add_up_all_ended_turns(inbox: Inbox) -> None:
    assert inbox.totals().items() >= {"turns": 0, "tool_calls": 0, "cost_usd": 0.0}.items()
    for _ in range(2):
        inbox.settle(full_record(inbox.open_turn("haiku", now_ms=1)), None, state="done", now_ms=2)
    inbox.open_turn("haiku", now_ms=3)
    assert inbox.totals().items() >= {"turns": 2, "tool_calls": 8, "cost_usd": 0.5}.items()


def test_the_end_of_a_turn_stores_the_facts_with_it(inbox: Inbox) -> None:
    put(inbox)
    taken = lease(inbox)
    facts = {"session_id": "s-2", "context_tokens": "55"}
    inbox.settle(full_record(taken.turn_id), taken.message, state="done", now_ms=20, facts=facts)
    assert {name: inbox.fact(name) for name in facts} == facts
    assert inbox.fact("workspace") is None


@pytest.mark.parametrize("failing", ["UPDATE ON messages", "INSERT ON facts"])
def test_when_a_later_statement_of_settle_fails_nothing_of_it_stays(inbox: Inbox, failing: str) -> None:
    put(inbox)
    taken = lease(inbox)
    before = inbox.get(1)
    inbox.connection.execute(f"CREATE TRIGGER broken BEFORE {failing} BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(StoreError, match="cannot be written: disk full"):
        inbox.settle(full_record(taken.turn_id), taken.message, state="done", now_ms=20, facts={"session_id": "s"})
    assert (inbox.get(1), inbox.last_turn(), inbox.fact("session_id")) == (before, None, None)
    inbox.connection.execute("DROP TRIGGER broken")
    assert settle(inbox, taken).state == "done"  # and it can be tried again


def test_a_lease_whose_turn_cannot_be_opened_is_no_lease(inbox: Inbox) -> None:
    put(inbox)
    inbox.connection.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON turn_stats BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    with pytest.raises(StoreError, match="disk full"):
        inbox.lease("boot", "haiku", now_ms=10)
    assert (inbox.get(1).state, inbox.get(1).attempts) == ("ready", 0)


def test_a_state_that_does_not_exist_cannot_be_stored(inbox: Inbox) -> None:
    put(inbox)
    taken = lease(inbox)
    with pytest.raises(StoreError, match="CHECK constraint failed"):
        settle(inbox, taken, "lost")
    assert inbox.get(1).state == "leased"


# --- the file ---


def test_an_inbox_is_durable_against_a_loss_of_power(inbox: Inbox) -> None:
    found = [inbox.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
    assert found == [2, "wal"]


def test_messages_numbers_and_facts_survive_a_restart(path: Path) -> None:
    with open_inbox(path) as inbox:
        put_in_state(inbox, "done")
        inbox.put_facts(workspace="/w", session_id="")
    with open_inbox(path) as inbox:
        assert inbox.get(1).state == "done"
        assert (inbox.fact("workspace"), inbox.fact("session_id"), inbox.fact("other")) == ("/w", "", None)
        inbox.put_facts(workspace="/other")
        assert inbox.fact("workspace") == "/other"
        assert put(inbox) == 2


def test_an_inbox_that_is_damaged_refuses_and_is_left_where_it_is(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"no database" * 500)
    with pytest.raises(StoreError, match="cannot be used") as caught, open_inbox(path):
        pass
    assert "restore a backup" in (caught.value.hint or "")
    assert path.read_bytes() == b"no database" * 500
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_damage_in_the_middle_of_an_inbox_is_found_when_it_is_checked(path: Path) -> None:
    with open_inbox(path) as inbox:
        for _ in range(50):
            put(inbox, "x" * 2_000)
        inbox.check()
    content = bytearray(path.read_bytes())
    content[4096 * 10 : 4096 * 14] = b"\xab" * 4096 * 4
    path.write_bytes(content)
    with open_inbox(path) as inbox, pytest.raises(StoreError, match="the inbox is damaged"):
        inbox.check()


def test_an_inbox_of_a_newer_release_refuses(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer hyperhive"), open_inbox(path):
        pass


@pytest.mark.parametrize("content", [None, b"", b"no database" * 500], ids=["missing", "empty", "garbage"])
def test_reading_an_inbox_that_is_none_is_a_clear_error_and_creates_nothing(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read"), open_inbox_reader(path) as reader:
        reader.messages()
    assert path.exists() == (content is not None)


def test_a_reader_does_not_write(path: Path, inbox: Inbox) -> None:
    put(inbox)
    with open_inbox_reader(path) as reader:
        assert reader.unread() == 1
        with pytest.raises(StoreError, match="cannot be written"):
            put(reader)

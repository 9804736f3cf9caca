"""The hive's rooms on a real server: migrations, roles, the inbox for operators, what errors say."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hyperhive_cli.core.errors import RefusedError, StoreError, UsageError
from hyperhive_cli.hive import fleet, owner_sql
from hyperhive_cli.hive.database import AwayError, connect, migrate, open_hive, translated_errors
from hyperhive_cli.hive.inbox import HiveInbox
from hyperhive_cli.hive.owner_sql import Backlog
from hyperhive_cli.hive.retention import keep_history
from hyperhive_cli.hive.schema import HIVE
from hyperhive_cli.store.messages import KEY_KEPT_MS, Message, Sent
from tests.harness import LIMIT_S, SOURCE
from tests.hive.conftest import Database
from tests.hive.machines import open_machines
from tests.hive.postgres import Server

# --- migrations ---


def test_init_may_be_done_again_and_a_migration_goes_forward(server: Server, database: Database) -> None:
    assert migrate(database.url) == (len(HIVE), len(HIVE))
    with_more = (*HIVE, "CREATE TABLE hyperhive.novelty(x integer); INSERT INTO hyperhive.novelty VALUES (7)")
    database.change("INSERT INTO hyperhive.agent(name) VALUES ('kept')")
    assert migrate(database.url, with_more) == (len(HIVE), len(HIVE) + 1)
    assert database.rows("SELECT x, name FROM hyperhive.novelty, hyperhive.agent") == [(7, "kept")]
    with pytest.raises(StoreError, match="by a newer hyperhive"):
        connect(database.url)
    with pytest.raises(StoreError, match="by a newer hyperhive"):
        migrate(database.url)
    with pytest.raises(StoreError, match=r"by an older hyperhive .*version"):
        connect(database.url, version=len(HIVE) + 2)
    assert server.process is not None


def test_a_hive_of_an_earlier_release_keeps_its_messages(server: Server) -> None:
    server.execute("postgres", "CREATE DATABASE earlier")
    url = server.url("earlier")
    assert migrate(url, HIVE[:2]) == (0, 2)
    origin = "0123456789abcdef" * 2
    keys = ["one", None, f"{origin}:7"]
    with connect(url, version=2) as connection:
        connection.execute("INSERT INTO hyperhive.agent(name, last_message) VALUES ('bee', 3)")
        for number, key in enumerate(keys, start=1):
            connection.execute(
                """INSERT INTO hyperhive.inbox(agent, id, key, sender, body, created, changed)
                   VALUES ('bee', %s, %s, 'operator', 'work', 5, 6)""",
                (number, key),
            )
    assert migrate(url) == (2, len(HIVE))
    with connect(url) as connection:
        inbox = HiveInbox(connection, url, "bee")
        one, two, handed_over = found = inbox.messages()
        assert [(each.id, each.key, each.created, each.changed) for each in found] == [
            (1, "one", 5, 6), (2, None, 5, 6), (3, None, 5, 6),
        ]  # fmt: skip
        assert (len(one.uid), len(two.uid), one.uid == two.uid) == (32, 32, False)
        assert handed_over.uid == f"{origin}:7", "so that machine knows it"
        assert connection.execute("UPDATE hyperhive.inbox SET state = 'held' WHERE id = 1").rowcount == 1
        assert [(each.id, each.state) for each in inbox.messages()] == [(1, "held"), (2, "ready"), (3, "ready")]
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE hyperhive.inbox SET state = 'lost'")


def test_a_migration_that_fails_changes_nothing(database: Database) -> None:
    broken = (*HIVE, "CREATE TABLE hyperhive.novelty(x integer); SELECT 1 / 0")
    with pytest.raises(StoreError, match="division by zero"):
        migrate(database.url, broken)
    assert database.rows("SELECT version FROM hyperhive.version") == [(len(HIVE),)]
    assert database.rows("SELECT to_regclass('hyperhive.novelty')") == [(None,)]


def test_two_inits_at_once_make_one_hive(server: Server) -> None:
    server.execute("postgres", "CREATE DATABASE twins")
    words = [sys.executable, "-m", "hyperhive_cli", "hive", "init", "--hive", server.url("twins")]
    both = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=SOURCE)
        for _ in range(2)
    ]
    said = sorted(one.communicate(timeout=LIMIT_S)[0] for one in both)
    assert said == [f"the hive is at version {len(HIVE)}\n", f"the hive is up to date (version {len(HIVE)})\n"]


# --- what an error says ---


def test_errors_say_what_is_wrong_and_no_password(server: Server, database: Database) -> None:
    with pytest.raises(StoreError, match="there is no hive in") as caught, open_hive(server.url("template1")):
        pass
    assert caught.value.hint is not None
    assert "hive init" in caught.value.hint
    away = "postgresql://me:secret@127.0.0.1:1/x"
    with pytest.raises(AwayError, match="cannot be reached") as gone, open_hive(away):
        pass
    assert "secret" not in gone.value.message
    assert "me:***@127.0.0.1" in gone.value.message
    with database.connect() as connection, pytest.raises(StoreError, match="refuses"), translated_errors(database.url):
        connection.execute("SELECT nonsense")


# --- roles ---

TABLES = (
    "agent", "shipped", "report", "inbox", "event", "event_0", "event_1", "turn", "account", "machine", "placement",
    "version", "segment", "retention", "schedule",
)  # fmt: skip


@pytest.fixture
def roles(database: Database) -> tuple[str, str]:
    """Return a machine's role, for `team-*` and `solo_1`, and an operator's."""
    machine, operator = f"machine_{database.name}", f"operator_{database.name}"
    with database.connect() as keeper:
        fleet.grant(keeper, machine, ["team-*", "solo_1"])
        fleet.grant(keeper, operator, None)
    return machine, operator


def test_a_machine_runs_its_own_agents_and_sees_no_others(database: Database, roles: tuple[str, str]) -> None:
    machine, _ = roles
    with database.connect() as keeper:
        for agent in ("team-1", "other", "solox1"):
            HiveInbox(keeper, database.url, agent).send("operator", "work", now_ms=0)
        keeper.execute("INSERT INTO hyperhive.event VALUES ('other', 1, 1, 'note', '{}', 1)")
    with database.connect(machine) as connection:
        lease = owner_sql.acquire_lease(connection, "team-1", "m", "here").lease
        assert lease is not None
        taken, _ = owner_sql.lease_message(connection, lease)
        assert taken is not None
        assert owner_sql.append(connection, lease, [(1, 1, "note", b"{}")], 0) == 1
        assert owner_sql.acknowledge(connection, lease, taken._replace(state="done"), 1, [])
        inbox = HiveInbox(connection, database.url, "team-1")
        assert inbox.edit(inbox.send("operator", "more", now_ms=0).id, "less", now_ms=7).edited == 7
        with pytest.raises(RefusedError, match="there is no message 1"):
            HiveInbox(connection, database.url, "other").edit(1, "less", now_ms=7)
        owner_sql.put_report(connection, lease, "{}", "account")
        owner_sql.put_account_state(connection, lease, "account", "rate_limited", 5)
        assert owner_sql.acquire_lease(connection, "solo_1", "m", "here").lease is not None
        assert [one["agent"] for one in fleet.look(connection)] == ["solo_1", "team-1"]
        for foreign in ("other", "solox1"):  # `_` is no wildcard here
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                owner_sql.acquire_lease(connection, foreign, "m", "here")
            forged = owner_sql.AgentLease(foreign, "m", "here", 0)
            with pytest.raises(owner_sql.FencedError):
                owner_sql.append(connection, forged, [(1, 1, "note", b"{}")], 0)
        for statement in (
            "INSERT INTO hyperhive.event VALUES ('other', 1, 1, 'note', '{}', 1)",
            "INSERT INTO hyperhive.placement VALUES (session_user, '%')",
            "UPDATE hyperhive.version SET version = 9",
            "DELETE FROM hyperhive.event WHERE agent = 'other'",
            "SELECT count(*) FROM hyperhive.event_1",
            "SELECT hyperhive.save_newest('team-1', 1)",
            "UPDATE hyperhive.retention SET days = 0",
            "UPDATE hyperhive.agent SET wanted = 'm'",
            "INSERT INTO hyperhive.agent(name, wanted) VALUES ('team-9', 'm')",
            "UPDATE hyperhive.inbox SET sender = 'x'",
            "UPDATE hyperhive.account SET agent = 'team-1', until_unix = 1099511627776",
            "INSERT INTO hyperhive.account VALUES ('x', 'rate_limited', 1099511627776, 'team-1')",
            *(f"DO $$ BEGIN LOCK TABLE hyperhive.{table} IN SHARE MODE; END $$" for table in TABLES),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        assert connection.execute("UPDATE hyperhive.inbox SET state = 'dead' WHERE agent = 'other'").rowcount == 0
        with pytest.raises(RefusedError, match="does not allow"), translated_errors(database.url):
            fleet.move(connection, "team-1", "m")
        assert not keep_history(connection)
    assert database.rows("SELECT state FROM hyperhive.inbox WHERE agent = 'other'") == [("ready",)]
    assert database.rows("SELECT agent FROM hyperhive.event ORDER BY agent") == [("other",), ("team-1",)]


def found(connection: psycopg.Connection[tuple[Any, ...]]) -> tuple[object, ...]:
    """Return what is known of the account, its time in hundreds of seconds."""
    (state,) = owner_sql.account_states(connection, ["account"])
    return state._replace(left_s=None if state.left_s is None else round(state.left_s, -2))


def test_an_account_is_shared_with_machines_that_may_not_see_who_found_what(
    database: Database, roles: tuple[str, str]
) -> None:
    machine, other = roles[0], f"other_{database.name}"
    with database.connect() as keeper:
        fleet.grant(keeper, other, ["nightly"])
    with database.connect(machine) as a, database.connect(other) as b:
        leases = {name: owner_sql.acquire_lease(a, name, "m", "here").lease for name in ("team-1", "team-2")}
        nightly = owner_sql.acquire_lease(b, "nightly", "n", "there").lease
        team, second = leases["team-1"], leases["team-2"]
        assert team is not None
        assert second is not None
        assert nightly is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner_sql.put_account_state(a, team, "account", "rate_limited", 500)  # which no agent of that machine uses
        for line, lease in ((a, team), (a, second), (b, nightly)):
            owner_sql.put_report(line, lease, "{}", "account", "login")
        owner_sql.put_account_state(a, team, "login", "needs_login_idle", None)
        owner_sql.put_account_state(a, team, "account", "rate_limited", 500)
        owner_sql.put_account_state(b, nightly, "account", "rate_limited", 700)
        assert found(b) == ("account", "rate_limited", 500, "team-1", True)
        owner_sql.release(a, team)
        assert found(b) == ("account", "rate_limited", 500, "team-1", False)
        owner_sql.put_account_state(b, nightly, "account", "rate_limited", 700)  # the one that found it first is gone
        assert found(a) == ("account", "rate_limited", 700, "nightly", True)
        owner_sql.put_account_state(a, second, "account", "online", None)
        assert found(b) == ("account", "online", None, "team-2", True)
        for statement in (
            "UPDATE hyperhive.account SET status = 'rate_limited', agent = 'team-1'",
            "INSERT INTO hyperhive.account(account, status, agent) VALUES ('another', 'rate_limited', 'team-1')",
            "UPDATE hyperhive.machine SET draining = true",
            "INSERT INTO hyperhive.machine(name, draining) VALUES ('x', true)",
            "SELECT * FROM hyperhive.placement",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                b.execute(statement.encode())


def test_a_login_that_an_earlier_life_missed_is_not_waited_for(database: Database) -> None:
    """It would never be taken back: the new life does not know that it was said."""
    with database.connect() as a:
        for found, until in (("needs_login_idle", None), ("rate_limited", 2**40)):
            lease = owner_sql.acquire_lease(a, "bee", "a", "here").lease
            assert lease is not None
            owner_sql.put_account_state(a, lease, found, found, until)
        owner_sql.acquire_lease(a, "bee", "a", "here")
        states = {
            state.account: state.status for state in owner_sql.account_states(a, ["needs_login_idle", "rate_limited"])
        }
    assert states == {"needs_login_idle": "online", "rate_limited": "rate_limited"}


def test_an_operator_sends_and_looks_and_runs_nothing(database: Database, roles: tuple[str, str]) -> None:
    _, operator = roles
    with database.connect(operator) as connection:
        inbox = HiveInbox(connection, database.url, "team-1")
        assert inbox.send("operator", "work", now_ms=0).id == 1
        assert inbox.send("operator", "more", now_ms=0).id == 2
        assert inbox.cancel(1, now_ms=0).state == "cancelled"
        assert inbox.retry(1, now_ms=0).state == "ready"
        fleet.move(connection, "team-1", "elsewhere")
        fleet.drain(connection, "m", draining=True)
        assert [one["unread"] for one in fleet.look(connection)] == [2]
        fleet.move(connection, "team-1", None)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner_sql.acquire_lease(connection, "team-1", "another", "here")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE hyperhive.agent SET owner = 'm'")
        with pytest.raises(RefusedError, match="does not allow"), translated_errors(database.url):
            connection.execute("DELETE FROM hyperhive.event")


def test_a_grant_replaces_what_was_granted(database: Database, roles: tuple[str, str]) -> None:
    machine, operator = roles
    with database.connect() as keeper:
        fleet.grant(keeper, machine, ["nightly"])
        fleet.grant(keeper, operator, ["nightly"])
        fleet.grant(keeper, f"another_{database.name}", ["team-*"])  # which is nothing to the others
        with pytest.raises(UsageError):
            fleet.grant(keeper, "hyperhive_machine", ["x"])
    with database.connect(machine) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner_sql.acquire_lease(connection, "team-1", "m", "here")
    with database.connect(operator) as connection:
        assert owner_sql.acquire_lease(connection, "nightly", "m", "here").lease is not None


# --- the inbox for operators ---


@pytest.fixture
def inbox(database: Database) -> Iterator[HiveInbox]:
    with database.connect() as connection:
        yield HiveInbox(connection, database.url, "bee")


def test_a_key_makes_sending_again_harmless(inbox: HiveInbox, database: Database) -> None:
    first = inbox.send("operator", "report", now_ms=0, key="k").id
    assert inbox.send("operator", "report", now_ms=0, key="k").id == first
    with pytest.raises(RefusedError, match="used for another message"):
        inbox.send("operator", "other", now_ms=0, key="k")
    database.change("UPDATE hyperhive.inbox SET state = 'done', changed = changed - %s", KEY_KEPT_MS + 1_000)
    assert inbox.send("operator", "other", now_ms=0, key="k").id > first
    with pytest.raises(UsageError):
        inbox.send("operator", " ", now_ms=0)
    with pytest.raises(UsageError):
        inbox.send("operator", "x", now_ms=0, key="\n")


@pytest.mark.parametrize("state", ["ready", "leased", "held", "done"])
@pytest.mark.few(2)
def test_a_key_gives_its_message_and_the_state_of_that(inbox: HiveInbox, database: Database, state: str) -> None:
    number = inbox.send("operator", "report\x00", now_ms=0, key="k", not_before=5, raw=True).id
    database.change("UPDATE hyperhive.inbox SET state = %s", state)
    again = inbox.send("operator", "report\x00", now_ms=0, key="k", not_before=5, raw=True)
    assert again == Sent(number, state, not_before=5, sent_before=True)


@pytest.mark.parametrize("state", ["dead", "cancelled"])
def test_the_key_of_a_message_that_will_not_run_is_refused(inbox: HiveInbox, database: Database, state: str) -> None:
    number = inbox.send("operator", "report", now_ms=0, key="k").id
    database.change("UPDATE hyperhive.inbox SET state = %s", state)
    with pytest.raises(RefusedError, match=f"message {number} has the key 'k' and is {state}") as caught:
        inbox.send("operator", "report", now_ms=0, key="k")
    assert caught.value.hint == f"hyperhive inbox retry {number}"


@pytest.mark.parametrize(
    ("other", "option"), [({"sender": "bob"}, "--from"), ({"raw": True}, "--raw"), ({"not_before": 6}, "--at")]
)
def test_a_key_with_another_option_is_refused(inbox: HiveInbox, other: dict[str, Any], option: str) -> None:
    inbox.send("operator", "report", now_ms=0, key="k", not_before=5)
    with pytest.raises(RefusedError, match=f"with a different {option}"):
        inbox.send(**{"sender": "operator", "body": "report", "not_before": 5, **other}, now_ms=0, key="k")


def of_machine(**fields: Any) -> Message:  # noqa: ANN401 - as of a message
    message = Message(
        id=1, key=None, sender="operator", body="report", raw=False, state="ready", attempts=0, deliveries=0,
        acted=False, not_before=0, reason=None, created=0, changed=0, uid="its uid",
    )  # fmt: skip
    return message._replace(**fields)


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("state", ["ready", "leased", "held", "done", "dead", "cancelled"])
@pytest.mark.few(3)
def test_a_message_handed_over_again_is_the_same_whatever_became_of_it(
    inbox: HiveInbox, database: Database, state: str, key: str | None
) -> None:
    message = of_machine(body="a lone surrogate \ud800", key=key)
    number = inbox.take_in(message).id
    database.change("UPDATE hyperhive.inbox SET state = %s, key = NULL WHERE id = %s", state, number)
    assert inbox.take_in(message._replace(id=2, not_before=7)) == Sent(number, state, 0, sent_before=True)
    assert [one.state for one in inbox.messages(ended=True)] == [state]


@pytest.mark.parametrize("planned", [False, True], ids=["sent", "planned"])
@pytest.mark.parametrize("other", [{"body": "other"}, {"sender": "bob"}, {"raw": True}])
@pytest.mark.few(2)
def test_another_message_with_its_uid_is_refused(inbox: HiveInbox, other: dict[str, Any], *, planned: bool) -> None:
    number = inbox.take_in(of_machine()).id
    with pytest.raises(RefusedError, match=rf"taken by another message \({number}\)") as caught:
        inbox.take_in(of_machine(key="k", **other), planned=planned)
    assert caught.value.hint is not None
    assert len(inbox.messages()) == 1


def test_messages_with_one_number_are_two_to_the_hive(inbox: HiveInbox) -> None:
    """After a restore a machine gives its numbers again."""
    numbers = [inbox.take_in(of_machine(uid=uid)).id for uid in ("one", "two")]
    assert [one.id for one in inbox.messages()] == numbers
    assert len(set(numbers)) == 2


def test_what_a_machine_has_tried_is_known_in_the_hive(inbox: HiveInbox) -> None:
    number = inbox.take_in(of_machine(attempts=1, deliveries=2, acted=True)).id
    found = inbox.get(number)
    assert (found.attempts, found.deliveries, found.acted) == (1, 2, True)


def test_every_message_of_the_hive_has_an_id_and_no_two_have_the_same(inbox: HiveInbox, database: Database) -> None:
    for text in ("one", "two"):
        inbox.send("operator", text, now_ms=0)
    one, two = inbox.messages()
    assert (len(one.uid), len(two.uid), one.uid == two.uid) == (32, 32, False)
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.change("UPDATE hyperhive.inbox SET uid = 'the same'")
    with database.connect() as connection:  # of another agent it is another message
        assert HiveInbox(connection, database.url, "wasp").take_in(of_machine(uid=one.uid, body="x")).id == 1


def test_messages_are_put_in_order(inbox: HiveInbox, database: Database) -> None:
    one, two, three = (inbox.send("operator", text, now_ms=0).id for text in ("one", "two", "three"))
    inbox.move(three, before=one, now_ms=0)
    inbox.move(one, before=None, now_ms=0)
    later = inbox.send("operator", "later", now_ms=0, not_before=2**45).id
    assert [message.id for message in inbox.messages()] == [three, two, one, later]
    with database.connect() as connection:
        lease = owner_sql.acquire_lease(connection, "bee", "a", "here").lease
        assert lease is not None
        taken = [owner_sql.lease_message(connection, lease) for _ in range(4)]
    assert [message and message.id for message, _ in taken] == [three, two, one, None]
    assert taken[-1][1] == Backlog(1, 2**45)
    with pytest.raises(RefusedError, match="is running"):
        inbox.cancel(three, now_ms=0)
    with pytest.raises(RefusedError, match="is running"):
        inbox.retry(three, now_ms=0)
    with pytest.raises(RefusedError, match="is not waiting"):
        inbox.move(three, before=None, now_ms=0)
    with pytest.raises(RefusedError, match="there is no message 99"):
        inbox.cancel(99, now_ms=0)


# --- the program ---


@pytest.mark.exhaustive
def test_what_is_wrong_with_an_address_is_said(database: Database) -> None:
    with database.machines("a") as (a,):
        a.variables["HYPERHIVE_HIVE"] = "mysql://me:secret@x/y"
        refused = a.call("x", "status")
        assert "not a valid hive address" in refused.refusal(2)
        assert "secret" not in refused.stderr
        a.variables["HYPERHIVE_HIVE"] = "postgresql://me:secret@127.0.0.1:1/y"
        for words in (["status"], ["send", "x"], ["inbox"], ["agents"], ["stats"], ["tail", "--no-follow"]):
            refused = a.call("x", *words)
            assert "cannot be reached" in refused.refusal()
            assert "secret" not in refused.stderr
        a.variables["HYPERHIVE_HIVE"] = ""
        assert "no hive is named" in a.call("x", "hive", "status").refusal(2)
        assert a.call("x", "status").status == 0


def test_the_users_file_names_the_hive_and_a_workspaces_may_not(database: Database) -> None:
    with open_machines("", ["a"]) as (a,):
        own = a.folder / ".config/hyperhive/config.toml"
        own.parent.mkdir(parents=True)
        own.write_text(f'hive = "{database.url}"\n', encoding="utf-8")
        assert a.call("x", "-a", "bee", "send", "hello", "--new").stdout == "1\n"
        assert database.rows("SELECT count(*) FROM hyperhive.inbox") == [(0,)], "the empty variable is stronger"
        environment = {name: value for name, value in a.environment().items() if name != "HYPERHIVE_HIVE"}
        words = [*a.command("-a", "bee", "send", "hello", "--new")]
        done = subprocess.run(words, env=environment, cwd=a.workspace("x"), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
        assert database.rows("SELECT agent, body FROM hyperhive.inbox") == [("bee", "hello")]
        (a.workspace("y") / "hyperhive.toml").write_text(f'[run]\nhive = "{database.url}"\n', encoding="utf-8")
        assert "'hive' is not allowed in a workspace file" in a.call("y", "run", "--drain").refusal(2)
        (a.workspace("y") / "hyperhive.toml").write_text(f'hive = "{database.url}"\n', encoding="utf-8")
        assert "unknown setting outside of a table: 'hive'" in a.call("y", "run", "--drain").refusal(2)


BLIND = """
import sys
class Blind:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'")
sys.meta_path.insert(0, Blind())
from hyperhive_cli.cli.main import main
main()
"""


def test_without_the_extra_all_works_but_a_hive_which_says_what_is_missing(tmp_path: Path) -> None:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCE)}
        command = [sys.executable, "-c", BLIND, *words]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert call("send", "hello").returncode == 0
    for words in (["send", "x"], ["run", "--drain", "--claude", "/bin/true"], ["hive", "init"]):
        done = call(*words, "--hive", "postgresql:///x")
        assert (done.returncode, "hyperhive[hive]" in done.stderr) == (1, True), done.stderr
        assert "Traceback" not in done.stderr


def test_the_settings_show_no_password(database: Database) -> None:
    with database.machines("a") as (a,):
        a.variables["HYPERHIVE_RUN_HIVE"] = "postgresql://me:secret-word@host/db"
        for words in (["config", "show"], ["config", "show", "--json"]):
            shown = a.call("x", *words).stdout
            assert "me:***@host/db" in shown
            assert "secret-word" not in shown

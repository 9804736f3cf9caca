"""Steering the queue: later, another place, a pause. Nothing that waits is ever discarded."""

import shutil
import sqlite3
from contextlib import closing
from datetime import datetime

import pytest

from hyperhive_cli.store.db import open_database
from hyperhive_cli.store.schema import INBOX
from tests.conftest import FakeClaude, wait_until
from tests.harness import INIT, SOON_AGAIN, TEXT, Hive, for_a_person, gated, of_kind, piped_rows
from tests.store.made_messages import hold

ASKS = "claude asks to run Bash: rm -rf build"
WEEK_MS = 7 * 24 * 3600 * 1000


def queue(hive: Hive) -> list[int]:
    return [message["id"] for message in hive.messages()]


@pytest.fixture
def waiting(hive: Hive) -> Hive:
    """An agent with three messages that wait."""
    for body in ("one", "two", "three"):
        hive.call("send", body)
    return hive


# --- later ---


def test_a_message_for_later_is_passed_by_the_others(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "later", "--at", "+7d")
    hive.call("send", "now")
    done = hive.drain()
    assert done.status == 0  # what is for later is not part of it
    (said,) = [note["text"] for note in of_kind(done.json_lines(), "note")]
    assert said.startswith("1 message waits until ")
    assert [start["body"] for start in of_kind(done.json_lines(), "turn_start")] == ["now"]
    (left,) = hive.messages()
    assert abs(left["not_before"] - left["created"] - WEEK_MS) < 60_000
    (row,) = piped_rows(hive.call("inbox").stdout)
    assert (row["state"], datetime.fromisoformat(row["when"]).timestamp()) == ("later", left["not_before"] // 1000)
    assert " (in 7d 00h) " in (shown := for_a_person(hive, "inbox")[1]) or " (in 6d 23h) " in shown


def test_a_message_for_later_runs_when_its_time_has_come(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.constants = {"agent.scheduler.POLL_EVERY_S": 0.1}
    hive.call("send", "soon", "--at", "+1s")
    assert hive.drain().status == 0


@pytest.mark.parametrize("moment", ["yesterday", "2020-01-01"])
def test_what_is_no_moment_to_come_is_refused_and_nothing_is_sent(moment: str, hive: Hive) -> None:
    assert moment[:4] in hive.call("send", "x", "--at", moment).refusal(2)
    assert hive.messages() == []


def test_what_is_kept_for_an_agent_that_never_ran_says_that_it_is_new(hive: Hive) -> None:
    hint = "agent 'workspace' is new; to list existing agents: hyperhive agents\n"
    assert hive.call("inbox").stderr == f"no messages are waiting\n{hint}"
    assert hive.call("tail", "--no-follow").stderr == f"no such events\n{hint}"
    assert (hive.call("pause").stderr, hive.call("new-session").stderr) == (hint, "")


def test_a_message_to_a_paused_agent_says_what_it_waits_for(hive: Hive) -> None:
    hive.call("pause")
    said = hive.call("send", "one").stderr.splitlines()
    assert said[1:] == ["the agent is paused; the message waits for `hyperhive resume`"]


# --- another place ---


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (["3", "--first"], [3, 1, 2]),
        (["1", "--last"], [2, 3, 1]),
        (["3", "--before", "2"], [1, 3, 2]),
        (["1", "--first"], [1, 2, 3]),
        (["3", "--last"], [1, 2, 3]),
    ],
)
@pytest.mark.few(2)
def test_a_message_is_moved_and_runs_in_its_new_place(
    words: list[str], order: list[int], waiting: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    assert waiting.call("inbox", "move", *words).stdout == f"the queue is now {' '.join(map(str, order))}\n"
    waiting.call("send", "four")
    assert queue(waiting) == [*order, 4]
    starts = of_kind(waiting.drain().json_lines(), "turn_start")
    assert [start["message_id"] for start in starts] == [*order, 4]


def test_moves_one_after_the_other_keep_their_order(waiting: Hive) -> None:
    for number in (1, 2, 3, 1):
        waiting.call("inbox", "move", str(number), "--last")
    waiting.call("send", "four")
    assert queue(waiting) == [2, 3, 1, 4]
    for number in (4, 1, 3):
        waiting.call("inbox", "move", str(number), "--before", "2")
    assert queue(waiting) == [4, 1, 3, 2]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["9", "--first"], 1, "there is no message 9"),
        (["1", "--before", "9"], 1, "there is no message 9"),
        (["1"], 2, "give one of --first"),
        (["1", "--before", "1"], 2, "a message cannot be moved before itself"),
        (["1", "--first", "--last"], 2, "give one of --first"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused(words: list[str], status: int, said: str, waiting: Hive) -> None:
    assert waiting.call("inbox", "move", *words).refusal(status).startswith(said)
    assert queue(waiting) == [1, 2, 3]


def test_a_message_that_has_ended_is_not_moved(waiting: Hive) -> None:
    waiting.call("inbox", "cancel", "1")
    for words in (["1", "--first"], ["2", "--before", "1"]):
        assert waiting.call("inbox", "move", *words).refusal() == "message 1 is not waiting: it is cancelled"


# --- looked at ---


def test_a_message_is_shown_with_its_turns(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([INIT, {"exit": 3}], TEXT)
    hive.constants = SOON_AGAIN
    hive.drain("--message", "two\nlines \x1b[31m")
    text = hive.call("inbox", "show", "1").stdout
    for words in ("message 1 from operator, sent ", "two\nlines \\x1b[31m", "attempt 1: crashed", "exited with 3",
                  "attempt 2: ok", "Hello! I am ready."):  # fmt: skip
        assert words in text
    (found,) = hive.call("inbox", "show", "1", "--json").json_lines()
    assert (found["state"], [turn["outcome"] for turn in found["turns"]]) == ("done", ["crashed", "ok"])
    assert hive.call("inbox", "show", "2").refusal() == "there is no message 2"


# --- held ---


@pytest.fixture
def holding(waiting: Hive) -> Hive:
    """An agent with three messages that wait, and message 4, which is held."""
    assert hold(waiting.state_dir / "hyperhive-inbox.sqlite", ASKS) == 4
    return waiting


def test_a_held_message_is_listed_with_its_reason_and_counted(holding: Hive) -> None:
    first, *rest = piped_rows(holding.call("inbox").stdout)
    assert (first["id"], first["state"], first["reason"]) == ("4", "held", ASKS)
    assert [row["when"] for row in rest] == ["next", "2nd", "3rd"]
    assert f"held, {ASKS}" in holding.call("inbox", "show", "4").stdout
    found = holding.status()
    assert (found["unread"], found["held"], found["dead"]) == (3, 1, 0)
    assert "3 waiting, 1 held (hyperhive inbox)" in holding.call("status").stdout
    home = str(holding.state_dir.parent)
    assert "HELD" in for_a_person(holding, "agents", "--home", home)[0]


def test_a_held_message_runs_when_a_person_says_so(holding: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with holding.run() as program:
        assert holding.status()["held"] == 1  # the harness's own word
        program.wait_for_kind("turn_end", message_id=3)
        assert holding.call("inbox", "move", "4", "--first").refusal() == "message 4 is not waiting: it is held"
        assert holding.call("inbox", "retry", "4").stdout == "message 4 is ready\n"
        program.wait_for_kind("turn_end", message_id=4)
    prompt = fake_claude.calls()[-1]["prompt"]
    assert prompt is not None
    assert "delivery 2" in prompt.lower()  # it had called a tool


def test_several_messages_are_retried_at_once_and_what_is_refused_is_said(holding: Hive) -> None:
    hold(holding.state_dir / "hyperhive-inbox.sqlite", ASKS)
    holding.call("inbox", "cancel", "1")
    done = holding.call("inbox", "retry", "1", "4", "1", "9", "8")
    assert (done.status, done.stdout) == (1, "message 1 is ready\nmessage 4 is ready\n")
    assert done.stderr.splitlines() == [
        "Error: there is no message 9; there is no message 8", "Try: hyperhive inbox --all"
    ]  # fmt: skip
    assert {message["id"]: message["state"] for message in holding.messages()}[5] == "held"


def test_all_held_messages_are_retried_at_once(holding: Hive, fake_claude: FakeClaude) -> None:
    assert hold(holding.state_dir / "hyperhive-inbox.sqlite", ASKS) == 5
    fake_claude.script(TEXT)
    with holding.run() as program:
        program.wait_for_kind("turn_end", message_id=3)
        done = holding.call("inbox", "retry", "--held")
        assert sorted(done.stdout.splitlines()) == ["message 4 is ready", "message 5 is ready"]
        for number in (4, 5):
            program.wait_for_kind("turn_end", message_id=number)
        wait_until(lambda: not holding.messages())
        again = holding.call("inbox", "retry", "--held")
    assert (again.status, again.stdout, again.stderr) == (0, "", "there is no held message\n")


def test_a_retry_needs_to_know_which_messages(hive: Hive) -> None:
    for verb in ("retry", "cancel"):
        assert hive.call("inbox", verb).refusal(2) == "no message is named"
        assert hive.call("inbox", verb, "--held").stderr == "there is no held message\n"
    assert hive.call("inbox", "retry", "--dead", "--from", "ci").stderr == "there is no dead message from ci\n"
    assert list(hive.state_dir.iterdir()) == []


def test_a_message_that_is_retried_by_hand_tells_claude_that_it_may_have_acted(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    crash = [INIT, {"exit": 3}]
    fake_claude.script(crash, crash, crash, TEXT)
    hive.constants = SOON_AGAIN
    assert hive.drain("--message", "dangerous work").status == 1
    assert hive.messages()[0]["state"] == "dead"
    hive.call("inbox", "retry", "1")
    assert hive.drain().status == 0
    prompts = [str(call["prompt"]).partition("\n")[0].partition(":")[0] for call in fake_claude.calls()]
    assert prompts == [
        "Message from operator", *(f"[Delivery {number} of this message" for number in (2, 3, 4))
    ]  # fmt: skip


def test_a_class_of_messages_is_cancelled_or_retried_at_once(holding: Hive) -> None:
    for body in ("five", "six"):
        holding.call("send", body, "--from", "ci")
    assert holding.call("inbox", "cancel", "1", "3", "--from", "ci").stdout == "".join(
        f"message {number} is cancelled\n" for number in (1, 3, 5, 6)
    )
    with closing(sqlite3.connect(holding.state_dir / "hyperhive-inbox.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE messages SET state = 'dead' WHERE id IN (2, 6)")
    assert holding.call("inbox", "retry", "--dead", "--from", "ci").stdout == "message 6 is ready\n"
    assert holding.call("inbox", "retry", "--dead", "--held").stdout == "message 4 is ready\nmessage 2 is ready\n"
    done = holding.call("inbox", "cancel", "2", "2", "99")
    assert (done.status, done.stdout) == (1, "message 2 is cancelled\n")
    assert done.stderr.startswith("Error: there is no message 99\n")
    assert sorted(queue(holding)) == [4, 6]


def test_a_held_message_can_be_cancelled(holding: Hive) -> None:
    assert holding.call("inbox", "cancel", "4").stdout == "message 4 is cancelled\n"
    assert (holding.status()["held"], queue(holding)) == (0, [1, 2, 3])


# --- a pause ---


def test_a_paused_agent_finishes_its_turn_and_begins_no_other(waiting: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with waiting.run() as program:
        fake_claude.wait_for("before go on")
        assert waiting.call("pause").stdout == "paused\n"
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end")
        program.wait_for_kind("turn_state_changed", state="idle")
        assert "2 waiting, paused (hyperhive resume)" in waiting.call("status").stdout
        program.interrupt()
    done = waiting.drain()  # a pause outlasts the harness
    assert (done.status, of_kind(done.json_lines(), "turn_start")) == (1, [])
    assert [note["text"] for note in of_kind(done.json_lines(), "note")] == [
        "paused: no turn starts until `hyperhive resume`",
        "2 messages are left: the agent is paused until `hyperhive resume`",
    ]
    assert [message["state"] for message in waiting.messages()] == ["ready", "ready"]
    with waiting.run() as program:
        waiting.call("inbox", "retry", "2")  # ends no pause
        assert waiting.status()["paused"] is True
        assert waiting.call("resume").stdout == "continuing\n"
        wait_until(lambda: not waiting.messages())
        assert waiting.status()["paused"] is False


def test_a_pause_needs_no_harness(waiting: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    waiting.call("pause")
    waiting.call("pause")
    assert waiting.status()["paused"] is True
    assert waiting.call("resume").stdout == "no longer paused; no harness is running\n"
    assert waiting.call("resume").stdout == "no harness is running, and the agent is not paused\n"
    assert waiting.drain().status == 0


# --- an inbox of the release before ---


def test_an_inbox_of_an_older_release_is_read_and_goes_on(hive: Hive, fake_claude: FakeClaude) -> None:
    path = hive.state_dir / "hyperhive-inbox.sqlite"
    with closing(open_database(path, INBOX[:1], synchronous="FULL", busy_s=1.0)) as db:
        for body in ("one", "two", "three"):
            db.execute("INSERT INTO messages(sender, body, created, changed) VALUES ('operator', ?, 1, 1)", (body,))
    assert queue(hive) == [1, 2, 3]
    assert path.with_name(f"{path.name}.before-schema-{len(INBOX)}").exists()
    fake_claude.script(TEXT)
    assert hive.drain().status == 0


@pytest.mark.parametrize(
    "words",
    [["show", "1"], ["cancel", "1"], ["retry", "1"], ["move", "1", "--first"], ["edit", "1", "x"], ["restore", "1"]],
)
def test_an_agent_without_an_inbox_has_no_such_message(words: list[str], hive: Hive) -> None:
    assert hive.call("inbox", *words).refusal() == "there is no message 1"
    assert list(hive.state_dir.iterdir()) == []


# --- ended long ago ---


def test_messages_that_ended_long_ago_go_and_the_figures_of_their_turns_stay(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "one", "--message", "two")
    before = hive.call("stats", "--json").stdout
    hive.constants = {"agent.maintenance.CHECK_EVERY_S": 0.05}
    with hive.run("--keep-messages", "1") as program:
        wait_until(lambda: [message["id"] for message in hive.messages("--all")] == [2])
        assert program.interrupt() == 130
    assert hive.call("stats", "--json").stdout == before
    (hive.state_dir / "hyperhive-events.sqlite").unlink()
    shutil.rmtree(hive.state_dir / "history")
    assert "message  1, no longer kept" in hive.call("show", "1").stdout.splitlines()
    (row,) = hive.call("show", "1", "--json").json_lines()
    assert (row["outcome"], row["body"], row["result_text"]) == ("ok", None, None)
    assert hive.call("inbox", "show", "1").refusal() == "there is no message 1"


def test_what_does_not_say_which_messages_to_keep_is_refused(hive: Hive) -> None:
    assert "not a valid retention: '1h': 30d," in hive.call("run", "--keep-messages", "1h").refusal(2)

"""The harness in one process, its clients in others: at work, and over a kill -9."""

import json
import signal

import pytest

from hyperhive_cli.store.folder import lock_holder
from tests.conftest import FakeClaude, wait_until
from tests.harness import ANSWER, TEXT, Event, Hive, Program, gated, of_kind, outcomes


def numbered(program: Program) -> list[str]:
    """Return the lines of events that have a number."""
    return [line for line in list(program.stdout) if json.loads(line)["seq"] is not None]


def seqs(lines: list[str]) -> list[int]:
    return [json.loads(line)["seq"] for line in lines]


def history(hive: Hive) -> list[str]:
    return hive.call("tail", "--json", "--no-follow", "--since", "0").stdout.splitlines()


def test_clients_work_beside_a_harness(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated("one"), TEXT)
    with hive.start("tail", "--json") as early, hive.run("--message", "one") as harness:
        fake_claude.wait_for("before one")
        with hive.start("send", "two", "--from", "reviewer", "--wait") as waits, hive.start("tail", "--json") as late:
            wait_until(lambda: hive.status()["unread"] == 1)
            assert hive.call("model", "set", "opus").stdout == "opus\n"
            during = hive.status()
            fake_claude.touch("one")
            assert (waits.wait(), waits.stdout[0], waits.stderr) == (0, ANSWER, [])
            harness.wait_for_kind("turn_end", message_id=2)
            last = harness.wait_for(lambda event: event["kind"] == "turn_state_changed" and event["seq"] > 15)
            for tail in (early, late):
                tail.wait_for(lambda event: event["seq"] == last["seq"])
                assert numbered(tail) == numbered(harness)
        after = hive.status()
        assert harness.interrupt() == 130
    assert history(hive) == numbered(harness)
    starts = of_kind(harness.events(), "turn_start")
    assert [(start["from"], start["body"], start["model"]) for start in starts] == [
        ("operator", "one", "haiku"), ("reviewer", "two", "opus"),
    ]  # fmt: skip
    assert (during["running"], during["pid"], during["state"], during["model"]) == (
        True, harness.pid, "thinking", "opus",
    )  # fmt: skip
    assert (after["state"], after["unread"], after["last_turn"]["message_id"]) == ("idle", 0, 2)
    assert of_kind(harness.events(), "model_changed")[0]["model"] == "opus"


def test_many_senders_at_once_lose_nothing(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run() as harness:
        senders = [hive.start("send", f"message {number}") for number in range(6)]
        ids = set()
        for sender in senders:
            with sender as program:
                assert program.wait() == 0
                ids.add(int(program.stdout[0]))
        harness.wait_for_kind("turn_end", message_id=6)
        starts = of_kind(harness.events(), "turn_start")
    assert ids == set(range(1, 7))
    assert [start["message_id"] for start in starts] == sorted(ids)
    assert len({start["body"] for start in starts}) == 6


@pytest.fixture
def killed(hive: Hive, fake_claude: FakeClaude) -> Event:
    """Kill a harness in the middle of its second turn; return the status just before. Two messages are left."""
    fake_claude.script(TEXT, gated("never"), TEXT)
    with hive.run("--message", "one", "--message", "two") as harness:
        fake_claude.wait_for("before never")
        harness.wait_for(lambda event: event.get("subtype") == "init" and event["seq"] > 8)
        hive.call("model", "set", "opus")
        hive.call("send", "three")
        status = hive.status()
        harness.send(signal.SIGKILL)
        assert harness.wait() == -signal.SIGKILL
    wait_until(
        lambda: lock_holder(hive.state_dir / "harness.lock") is None
    )  # until then its guard sweeps, and holds it
    return status


def test_after_a_kill_everything_is_still_there(killed: Event, hive: Hive) -> None:
    found = hive.status()
    assert (found["running"], found["seq"], found["model"], found["unread"]) == (False, killed["seq"], "opus", 1)
    assert found["session_id"] == killed["session_id"]
    assert seqs(history(hive)) == list(range(1, killed["seq"] + 1))
    states = [message["state"] for message in hive.call("inbox", "--all", "--json").json_lines()]
    assert states == ["done", "leased", "ready"]


def test_a_new_harness_goes_on_after_a_kill(killed: Event, hive: Hive, fake_claude: FakeClaude) -> None:
    done = hive.drain()
    events = done.json_lines()
    assert (done.status, outcomes(events)) == (0, ["ok", "ok"])
    assert [event["seq"] for event in events] == list(range(killed["seq"] + 1, killed["seq"] + 1 + len(events)))
    assert (events[0]["kind"], events[0]["level"]) == ("note", "warning")
    assert events[0]["text"] == "message 2 is ready again: the harness died during its turn"
    starts = [(start["body"], start["attempt"], start["model"]) for start in of_kind(events, "turn_start")]
    assert starts == [("two", 2, "opus"), ("three", 1, "opus")]
    # The killed turn's claude may still wait at its gate: nothing ends it but itself.
    prompts = [str(call["prompt"]) for call in fake_claude.calls()]
    assert [prompt.startswith("[Delivery 2 of this message") for prompt in prompts] == [False, False, True, False]
    assert [f"--resume={killed['session_id']}" in call["argv"] for call in fake_claude.calls()] == [
        False, True, True, True,
    ]  # fmt: skip
    assert hive.status()["last_turn"]["outcome"] == "ok"


def test_a_tail_goes_on_over_a_kill_without_gap_or_double(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated("never"), TEXT, TEXT)
    with hive.start("tail", "--json") as tail:
        with hive.run("--message", "one") as harness:
            fake_claude.wait_for("before never")
            tail.wait_for_kind("stream", subtype="init")
            harness.send(signal.SIGKILL)
            assert harness.wait() == -signal.SIGKILL
        first = hive.drain()
        hive.call("send", "two")
        with hive.run() as harness:
            end = harness.wait_for_kind("turn_end", message_id=2)
            tail.wait_for(lambda event: event["seq"] == end["seq"])
            assert harness.interrupt() == 130
        last = seqs(history(hive))[-1]
        tail.wait_for(lambda event: event["seq"] == last)
    assert first.status == 0
    assert seqs(numbered(tail)) == list(range(1, last + 1))
    assert numbered(tail) == history(hive)
    attempts = [(start["body"], start["attempt"]) for start in of_kind(tail.events(), "turn_start")]
    assert attempts == [("one", 1), ("one", 2), ("two", 1)]

"""`run --prewarm` on the command line: who waits is shown, fits what the next turn needs, and never outlives it."""

import os
import signal

import pytest

from tests.conftest import FakeClaude, parent_of, process_state, wait_until
from tests.harness import LIMIT_S, TEXT, Event, Hive, outcomes

STUBBORN: list[Event] = [
    {"ignore": "SIGINT"},
    {"ignore": "SIGTERM"},
    {"spawn": ["sh", "-c", "trap '' TERM INT HUP; sleep 600"], "setsid": True},
    {"touch": "waiting"},
]


def all_gone(fake: FakeClaude) -> bool:
    return all(process_state(pid) in {None, "Z"} for pid in (*fake.started(), *fake.spawned()))


def waiting(hive: Hive, other_than: int = 0) -> Event:
    """Wait until a claude waits, another one than that, and return what `status --json` says of it."""

    def found() -> Event | None:
        facts: Event | None = hive.status()["prewarmed"]
        return None if facts is None or facts["pid"] == other_than else facts

    facts = wait_until(found)
    assert facts is not None
    return facts


def test_who_waits_is_shown(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run("--prewarm") as program:
        facts = waiting(hive)
        assert [facts["pid"]] == wait_until(fake_claude.started)
        assert facts["since"] > 1_700_000_000
        assert f"prewarmed   pid {facts['pid']}, for " in hive.call("status").stdout
        assert hive.call("send", "one", "--wait").status == 0
        assert fake_claude.calls()[0]["pid"] == facts["pid"]
        assert program.interrupt() == 130
    assert hive.status()["prewarmed"] is None
    assert "prewarmed" not in hive.call("status").stdout
    assert all_gone(fake_claude)


def test_without_the_option_none_waits(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run() as program:
        assert hive.call("send", "one", "--wait").status == 0
        assert hive.status()["prewarmed"] is None
        assert program.interrupt() == 130
    assert len(fake_claude.started()) == 1


@pytest.mark.parametrize("command", [("model", "set", "opus"), ("new-session",)])
@pytest.mark.few(1)
def test_a_command_that_changes_the_next_turn_has_it_replaced_at_once(
    command: tuple[str, ...], hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    with hive.run("--prewarm") as program:
        assert hive.call("send", "one", "--wait").status == 0
        before = waiting(hive)["pid"]
        assert hive.call(*command).status == 0
        after = waiting(hive, other_than=before)["pid"]
        assert hive.call("send", "two", "--wait").status == 0
        assert program.interrupt() == 130
    last = fake_claude.calls()[-1]
    assert (last["pid"], process_state(before)) == (after, None)
    assert ("--model=opus" in last["argv"]) is (command[0] == "model")
    assert any(word.startswith("--resume=") for word in last["argv"]) is (command[0] == "model")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_of_the_harness_does_not_wait_for_it(number: int, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, waiting=[STUBBORN])
    hive.constants = {f"claude.process.{grace}": 10 * LIMIT_S for grace in ("INTERRUPT_GRACE_S", "TERMINATE_GRACE_S")}
    with hive.run("--prewarm") as program:
        fake_claude.wait_for("waiting")
        program.send(number)
        assert program.wait() == 128 + number  # each step of the ladder would take longer
        assert all_gone(fake_claude)


def test_a_killed_harness_leaves_nothing_of_it(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, waiting=[STUBBORN])
    with hive.run("--prewarm") as program:
        fake_claude.wait_for("waiting")
        program.send(signal.SIGKILL)
        assert program.wait() == -signal.SIGKILL
        again = hive.drain("--prewarm", "--message", "one")
        assert all_gone(fake_claude)
    assert (again.status, outcomes(again.json_lines())) == (0, ["ok"])


def test_a_killed_guard_leaves_nothing_of_it_and_the_next_message_does_not_notice(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT, waiting=[STUBBORN])
    with hive.run("--prewarm") as program:
        fake_claude.wait_for("waiting")
        os.kill(parent_of(fake_claude.started()[0]), signal.SIGKILL)
        wait_until(lambda: all_gone(fake_claude))
        assert hive.call("send", "one", "--wait").status == 0
        assert program.interrupt() == 130
    assert outcomes(program.events()) == ["ok"]
    assert program.wait_for_kind("turn_start")["attempt"] == 1


def test_it_is_stopped_with_the_harness(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run("--prewarm") as program:
        pid = waiting(hive)["pid"]
        program.send(signal.SIGTSTP)
        wait_until(lambda: (process_state(program.pid), process_state(pid)) == ("T", "T"))
        program.send(signal.SIGCONT)
        assert hive.call("send", "one", "--wait").status == 0
        assert program.interrupt() == 130
    assert [call["pid"] for call in fake_claude.calls()] == [pid]

"""The harness, the guard, or both are killed in the middle of a turn: nothing is left, nothing is lost."""

import json
import os
import signal
import sys
import time

import pytest

from hyperhive_cli.claude.guard import children
from hyperhive_cli.store import folder
from hyperhive_cli.store.folder import lock_holder
from tests.conftest import FakeClaude, parent_of, process_state, wait_until
from tests.harness import SOON_AGAIN, TEXT, Hive, gated, of_kind, outcomes


def guards_of(fake: FakeClaude) -> int:
    return parent_of(fake.started()[-1])


@pytest.fixture
def escaping(hive: Hive, fake_claude: FakeClaude) -> Hive:
    """An agent whose first turn starts processes that get away, and goes on until a gate opens."""
    fake_claude.script(
        [
            {"spawn": ["sleep", "600"], "setsid": True},
            {"spawn": ["sh", "-c", "trap '' TERM INT HUP; sleep 600"], "setsid": True, "inherit_stdout": True},
            *gated(),
        ],
        TEXT,
    )
    return hive


def everything(fake: FakeClaude) -> list[int]:
    return [*fake.started(), *fake.spawned()]


def all_gone(pids: list[int]) -> bool:
    return all(process_state(pid) in {None, "Z"} for pid in pids)


def test_a_killed_harness_leaves_nothing_and_the_next_one_runs_the_message_again(
    escaping: Hive, fake_claude: FakeClaude
) -> None:
    with escaping.run("--message", "do it") as program:
        fake_claude.wait_for("before go on")
        pids = everything(fake_claude)
        assert not all_gone(pids)
        program.send(signal.SIGKILL)
        assert program.wait() == -signal.SIGKILL
        again = escaping.drain()  # takes the lock only once the guard has swept
        assert all_gone(pids)
    assert outcomes(again.json_lines()) == ["ok"]
    assert "Delivery 2 of this message" in str(fake_claude.calls()[-1]["prompt"])


def test_the_lock_is_free_only_when_the_guard_has_swept(escaping: Hive, fake_claude: FakeClaude) -> None:
    lock = escaping.state_dir / "harness.lock"
    with escaping.run("--message", "do it") as program:
        fake_claude.wait_for("before go on")
        its_guard = guards_of(fake_claude)
        os.kill(its_guard, signal.SIGSTOP)
        program.send(signal.SIGKILL)
        program.wait()
        assert lock_holder(lock) is not None
        os.kill(its_guard, signal.SIGCONT)
        wait_until(lambda: lock_holder(lock) is None)
        assert all_gone(everything(fake_claude))


# A tool that looks for the harness's and the guard's ends of what joins the two, and keeps what it can get of them.
GRAB = """
import ctypes, os, sys, time
gates, way = sys.argv[1:]
parent = lambda pid: int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
guard = parent(os.getppid())
harness = parent(guard)
got, syscall = 0, ctypes.CDLL(None, use_errno=True).syscall
for pid in (guard, harness):
    handle = os.pidfd_open(pid)
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            kind = os.readlink(f"/proc/{pid}/fd/{name}").partition(":")[0]
            if way == "opened" and kind in ("pipe", "socket"):
                os.open(f"/proc/{pid}/fd/{name}", os.O_RDWR | os.O_NONBLOCK)
            elif way == "taken" and kind in ("pipe", "socket") and pid == harness:
                got += syscall(438, handle, int(name), 0) >= 0
        except OSError:
            pass
open(f"{gates}/grabbed {got}", "w").close()
time.sleep(600)
"""


@pytest.mark.parametrize("way", ["opened", "taken"])
def test_a_tool_that_holds_on_to_the_guards_channel_does_not_keep_the_turn_alive(
    hive: Hive, fake_claude: FakeClaude, way: str
) -> None:
    """Opened again through /proc, where it is anyone's of the user; or taken by who may trace the harness."""
    grabber = [sys.executable, "-IS", "-c", GRAB, str(fake_claude.folder), way]
    fake_claude.script([{"spawn": grabber, "setsid": True}, *gated()])
    with hive.run("--message", "do it") as program:
        fake_claude.wait_for("before go on")
        grabbed = wait_until(lambda: [path.name for path in fake_claude.folder.glob("grabbed *")])
        if way == "taken" and grabbed == ["grabbed 0"]:
            pytest.skip("A GUARD WHOSE CHANNEL STAYS OPEN IS NOT TESTED: no descriptor of another process may be taken")
        pids = everything(fake_claude)
        program.send(signal.SIGKILL)
        program.wait()
        wait_until(lambda: lock_holder(hive.state_dir / "harness.lock") is None)
        assert all_gone(pids)


def test_a_guard_that_is_stopped_under_a_dead_harness_is_named_and_how_to_let_it_go_on(
    escaping: Hive, fake_claude: FakeClaude
) -> None:
    with escaping.run("--message", "do it") as program:
        fake_claude.wait_for("before go on")
        its_guard = guards_of(fake_claude)
        os.kill(its_guard, signal.SIGSTOP)
        program.send(signal.SIGKILL)
        program.wait()
    advice = f"kill -CONT {its_guard}"
    said = f"the harness is gone; its guard (pid {its_guard}, stopped) holds the lock"
    began = time.monotonic()
    refused = escaping.drain()
    assert time.monotonic() - began < folder.SWEEP_WAIT_S  # it would never be free
    assert refused.stderr.splitlines() == [
        f"Error: agent 'workspace' cannot start: {said}",
        f"Try: {advice}",
    ]
    status = escaping.status()
    assert (status["status"], status["pid"], status["why"]) == ("unreachable", its_guard, f"{said}; try: {advice}")
    shown = escaping.call("status").stdout
    assert f"unreachable: {said}; try: {advice}" in shown
    assert "running" not in shown
    finding = json.loads(escaping.call("doctor", "--json").stdout)["findings"]
    assert [(one["finding"], one["advice"]) for one in finding if one["what"] == "harness"] == [(said, advice)]
    os.kill(its_guard, signal.SIGCONT)
    assert outcomes(escaping.drain().json_lines()) == ["ok"]
    assert all_gone(everything(fake_claude))


def test_a_message_is_delivered_again_in_the_session_of_its_first_delivery(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"recording": "v2.1.330/text.jsonl", "lines": [0, 1]}, *gated()], TEXT)
    with hive.run("--message", "do it") as program:
        session = program.wait_for_kind("stream", subtype="init")["session_id"]
        program.send(signal.SIGKILL)
        program.wait()
    assert outcomes(hive.drain().json_lines()) == ["ok"]
    assert f"--resume={session}" in fake_claude.calls()[-1]["argv"]


def test_a_killed_guard_leaves_nothing_and_the_message_is_delivered_again(
    escaping: Hive, fake_claude: FakeClaude
) -> None:
    escaping.constants = SOON_AGAIN
    with escaping.run("--drain", "--message", "do it") as program:
        fake_claude.wait_for("before go on")
        pids = everything(fake_claude)
        os.kill(guards_of(fake_claude), signal.SIGKILL)
        assert program.wait() == 1
        assert all_gone(pids)
    assert outcomes(program.events()) == ["crashed", "ok"]
    assert "Delivery 2 of this message" in str(fake_claude.calls()[-1]["prompt"])


DYING_GUARD = """
import hyperhive_cli.claude.process as process
process.GUARD = '''
import os
if not os.path.exists({mark!r}):
    open({mark!r}, "w").close()
    os.kill(os.getpid(), 9)
''' + process.GUARD
"""


def test_a_guard_that_is_killed_before_claude_starts_does_not_end_the_harness(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    hive.constants = {"agent.backoff.BACKOFF_FIRST_S": 0.01}
    hive.prelude = DYING_GUARD.format(mark=str(fake_claude.folder / "mark"))
    done = hive.drain("--message", "do it")
    assert (done.status, outcomes(done.json_lines())) == (1, ["not_started", "ok"])
    assert [message["attempts"] for message in hive.messages("--all")] == [1]


STOPPED_BEFORE_EXEC = """
import hyperhive_cli.claude.process as process
stop = "guard.become = lambda *_: guard.os.kill(guard.os.getpid(), 19)"
process.GUARD = process.GUARD.replace("guard.main(", stop + "; guard.main(")
"""


def test_a_claude_that_was_stopped_before_it_began_does_not_keep_the_lock_of_a_killed_harness(hive: Hive) -> None:
    hive.prelude = STOPPED_BEFORE_EXEC
    with hive.run("--message", "do it") as program:
        wait_until(lambda: "T" in map(process_state, claudes_of(program.pid)))
        program.send(signal.SIGKILL)
        program.wait()
        wait_until(lambda: lock_holder(hive.state_dir / "harness.lock") is None)


def claudes_of(harness: int) -> list[int]:
    return [pid for guard in children(harness) for pid in children(guard)]


def test_what_is_left_when_harness_and_guard_are_killed_is_swept_at_the_next_start(
    escaping: Hive, fake_claude: FakeClaude
) -> None:
    with escaping.run("--message", "do it") as program:
        fake_claude.wait_for("before go on")
        pids = everything(fake_claude)
        its_guard = guards_of(fake_claude)
        os.kill(its_guard, signal.SIGSTOP)  # so that it cannot sweep when the harness goes
        program.send(signal.SIGKILL)
        program.wait()
        os.kill(its_guard, signal.SIGKILL)
        wait_until(lambda: process_state(pids[0]) in {None, "Z"})  # claude itself: the guard asked for it
        assert not all_gone(pids)
        again = escaping.drain()
        wait_until(lambda: all_gone(pids))
    notes = [note["text"] for note in of_kind(again.json_lines(), "note")]
    assert any("an earlier harness left processes behind: " in note for note in notes)


def test_a_harness_that_carries_the_mark_itself_does_not_sweep_itself(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    mark = {"HYPERHIVE_TURN": str(hive.state_dir)}
    done = hive.call(*("run", "--claude", str(hive.claude)), "--drain", "--message", "do it", variables=mark)
    assert done.status == 0

"""The guard: whatever a turn starts, nothing of it is left. Who is killed: tests/cli/test_killed.py."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trio

from hyperhive_cli.claude import guard
from hyperhive_cli.claude import process as claude_process
from hyperhive_cli.claude.process import become_subreaper, open_claude, sweep_marked
from tests.conftest import LIMIT_S, kill, parent_of, process_state, wait_until

# How a process gets away from its parent: a job, a session of its own, an orphan, an empty environment.
ESCAPES = {
    "a job": "sleep {n} &",
    "a session of its own": "setsid sleep {n} &",
    "an orphan": "(setsid sleep {n} &) &",
    "a wiped environment": "env -i setsid sleep {n} &",
    "deaf to signals": "(trap '' TERM INT HUP; while :; do sleep {n}; done) &",
}

# Each link forks the next one and leaves; the chain ends by itself where nobody ends it.
CHAIN = """
import os, time
end, links = time.monotonic() + 20, 0
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
    links += 1
    if links == 50:
        open("going", "w").close()
"""


@pytest.fixture
def number() -> Iterator[str]:
    """Return a number of seconds to sleep that marks this test's processes among all others."""
    marker = f"{10_000 + uuid4().int % 80_000}.{uuid4().int % 100_000:05}"
    yield marker
    for pid in sleepers(marker):
        kill(pid)


def sleepers(marker: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if process_state(pid) not in {None, "Z"}]


def has_become_sleep(pid: int) -> bool:
    """Whether a process is the `sleep` that it was forked for; until then it is another shell with the same words."""
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    except OSError:
        return False


def run(script: str, workspace: Path) -> int | None:
    """Run a shell script in claude's place to its end; return how many processes the guard had to kill."""

    async def main() -> int | None:
        async with open_claude(["/bin/sh", "-c", script], workspace=workspace, environment=os.environ) as process:
            await process.wait()
        return process.left_behind

    return trio.run(main)


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_whatever_a_turn_leaves_behind_is_killed(escape: str, number: str, workspace: Path) -> None:
    left = run(escape.format(n=number) + " echo; exit 0", workspace)
    assert left
    assert sleepers(number) == []


def test_a_turn_that_leaves_nothing_behind_has_nothing_killed(workspace: Path) -> None:
    assert run("exit 0", workspace) == 0


def test_a_chain_that_forks_on_and_on_ends(workspace: Path, number: str) -> None:
    (workspace / "chain.py").write_text(CHAIN)
    chain = f"'{sys.executable}' -IS chain.py {number}"
    assert run(f"{chain} & {chain} & while [ ! -e going ]; do sleep 0.01; done", workspace)
    assert sleepers(number) == []


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program"])
def test_a_program_that_does_not_exist_is_an_error_whether_it_is_searched_for_or_not(
    program: str, workspace: Path
) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match=f"{program} does not exist"):
            async with open_claude([program], workspace=workspace, environment=os.environ):
                pass

    trio.run(main)


def test_the_guard_reports_how_claude_ended(workspace: Path) -> None:
    async def main(script: str) -> int:
        async with open_claude(["/bin/sh", "-c", script], workspace=workspace, environment=os.environ) as process:
            return await process.wait()

    assert [trio.run(main, script) for script in ("exit 7", "kill -9 $$")] == [7, -9]


def test_what_is_left_at_the_deadline_is_killed_before_it_and_a_later_one_takes_its_place(
    workspace: Path, number: str
) -> None:
    """The harness says no more than when it is: claude is interrupted, and then what heeds no signal is killed."""
    deaf = f"(trap '' INT; setsid sh -c 'touch ready; exec sleep {number}')"
    script = f"trap 'touch heard' INT; {deaf} & while :; do sleep 0.05; done"

    async def main() -> tuple[int, float, bool]:
        async with open_claude(["/bin/sh", "-c", script], workspace=workspace, environment=os.environ) as process:
            process.set_deadline(time.clock_gettime(guard.CLOCK) + 1_000)
            await trio.to_thread.run_sync(lambda: wait_until((workspace / "ready").exists))
            deadline = time.clock_gettime(guard.CLOCK) + guard.KILL_AHEAD_S + 1.0
            process.set_deadline(deadline)
            status = await process.wait()
        return status, deadline - time.clock_gettime(guard.CLOCK), process.is_overdue

    status, left, is_overdue = trio.run(main)
    assert (status, left > 0, is_overdue) == (-signal.SIGKILL, True, True)
    assert sleepers(number) == []
    assert (workspace / "heard").exists()


def test_a_stopped_guard_delays_no_one_who_sends_it_orders(
    workspace: Path, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude_process, "SWEEP_LIMIT_S", 0.1)

    async def main() -> None:
        async with open_claude(["sleep", number], workspace=workspace, environment=os.environ) as process:
            os.kill(process.guard_pid, signal.SIGSTOP)
            for _ in range(10_000):  # twice what its pipe holds
                process.set_deadline(1e9)

    trio.run(main)
    wait_until(lambda: sleepers(number) == [])  # the guard is killed, and its child a moment later


def test_a_guard_that_dies_with_orders_unread_is_dead_like_any_other(workspace: Path, number: str) -> None:
    """The kernel resets its connection then, instead of ending it."""

    async def main() -> int:
        async with open_claude(["sleep", number], workspace=workspace, environment=os.environ) as process:
            os.kill(process.guard_pid, signal.SIGSTOP)
            process.set_deadline(1e9)
            os.kill(process.guard_pid, signal.SIGKILL)
            await trio.to_thread.run_sync(wait_until, lambda: process_state(process.guard_pid) == "Z")
            process.set_deadline(1e9)
            return await process.wait()

    become_subreaper()
    try:
        assert trio.run(main) == -signal.SIGKILL
    finally:
        guard.prctl(guard.PR_SET_CHILD_SUBREAPER, 0)
    assert sleepers(number) == []


def test_a_deadline_that_comes_in_pieces_is_one() -> None:
    found = guard.Guard(-1)
    found.status = 0  # there is nobody to be interrupted
    assert found.patience_s() is None
    found.take("id")
    found.take("1")
    assert (found.patience_s(), found.is_over()) == (None, False)
    found.take("2.5\nt")
    assert (found.patience_s(), found.is_over()) == (0.0, True)


def test_claude_gets_neither_the_lifeline_nor_the_lock(workspace: Path) -> None:
    async def main() -> bytes:
        with (workspace / "lock").open("w") as lock:
            kept = [lock.fileno()]
            script = ["ls", "/proc/self/fd"]  # the last one is this folder
            async with open_claude(script, workspace=workspace, environment=os.environ, kept=kept) as process:
                counted = await process.stdout.receive_some(100)
                await process.wait()
                return bytes(counted)

    assert trio.run(main).split() == [b"0", b"1", b"2", b"3"]


@pytest.fixture
def marked(number: str, state_dir: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start two processes: one with the mark of this folder's turns, one with another's."""
    folders = [state_dir, state_dir.with_name(f"{state_dir.name}-other")]
    started = [
        subprocess.Popen(["sleep", number], env={**os.environ, "HYPERHIVE_TURN": str(folder)}) for folder in folders
    ]
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_only_what_carries_the_mark_of_this_folder_is_swept(
    marked: list[subprocess.Popen[bytes]], state_dir: Path
) -> None:
    ours, others = marked
    wait_until(lambda: process_state(others.pid) == process_state(ours.pid) == "S")
    assert sweep_marked(state_dir) == 1
    assert ours.wait(LIMIT_S) == -signal.SIGKILL
    assert others.poll() is None


# --- Ctrl-Z ---


def stop_and_go_on(escapes: Sequence[str], number: str, workspace: Path, *, seen: bool = True) -> None:
    script = " ".join(ESCAPES[escape].format(n=number) for escape in escapes) + " read line; exit 7"

    def have_escaped() -> bool:  # beside the shell and the guard nothing is left of what has only forked on
        found = sleepers(number)
        return len(found) == len(escapes) + 2 and sum(map(has_become_sleep, found)) == len(escapes)

    async def main() -> int:
        async with open_claude(["/bin/sh", "-c", script], workspace=workspace, environment=os.environ) as process:
            await trio.to_thread.run_sync(wait_until, have_escaped)
            its_guard = parent_of(process.pid or 0)
            everything = [pid for pid in sleepers(number) if pid != its_guard]
            process.freeze()
            while not seen and states(everything) != {"T"}:  # the guard may have to look around first
                await trio.sleep(0.1)
                process.freeze()
            await trio.to_thread.run_sync(wait_until, lambda: states(everything) == {"T"})
            process.thaw()
            await trio.to_thread.run_sync(wait_until, lambda: states(everything) == {"S"})
            await process.feed(b"go on\n")
            return await process.wait()

    assert trio.run(main) == 7
    assert sleepers(number) == []


def test_all_of_a_turn_stops_and_goes_on(number: str, workspace: Path) -> None:
    stop_and_go_on(["a job", "a session of its own", "an orphan"], number, workspace)


def states(pids: list[int]) -> set[str | None]:
    return {process_state(pid) for pid in pids}


# --- where no process can be a subreaper, and none has /proc ---


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the guard take itself to be on another system, look around more often than it would, and count its looks."""
    if shutil.which("ps") is None:
        pytest.skip("THE GUARD OF OTHER SYSTEMS IS NOT TESTED: there is no ps")
    text = Path(guard.__file__).read_text()
    ps = tmp_path / "ps"
    ps.write_text(f'#!/bin/sh\nps "$@"\necho >> {tmp_path}/looks\n')
    ps.chmod(0o700)
    changes = {
        'sys.platform == "linux"': "False",
        "LOOK_EVERY_S = 1.0": "LOOK_EVERY_S = 0.01",
        'PS = ("ps",': f'PS = ("{ps}",',
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    other = tmp_path / "guard.py"
    other.write_text(text)
    monkeypatch.setattr(claude_process, "GUARD_FOLDER", str(tmp_path))


@pytest.mark.usefixtures("_elsewhere")
def test_elsewhere_what_was_seen_in_time_is_killed(number: str, workspace: Path, tmp_path: Path) -> None:
    # An orphan has a parent until the guard has looked around: two looks further, one of them was begun in time.
    looks = f"$(wc -l < {tmp_path}/looks)"
    looked = f"looked() {{ n={looks}; while [ {looks} -lt $((n + 2)) ]; do sleep 0.01; done; }}"
    late = " ".join(ESCAPES.values()).replace("(setsid sleep {n} &) &", "(setsid sleep {n} & looked; touch orphaned) &")
    rest = "while [ ! -e orphaned ]; do sleep 0.01; done; looked; exit 0"
    run(f"touch {tmp_path}/looks; {looked}; {late.format(n=number)} {rest}", workspace)
    wait_until(lambda: sleepers(number) == [])


@pytest.mark.usefixtures("_elsewhere")
def test_elsewhere_the_group_is_killed_even_unseen(number: str, workspace: Path) -> None:
    run(f"(sleep {number} &) & exit 0", workspace)
    wait_until(lambda: sleepers(number) == [])


@pytest.mark.usefixtures("_elsewhere")
def test_elsewhere_a_turn_stops_and_goes_on(number: str, workspace: Path) -> None:
    stop_and_go_on(["a job", "a session of its own"], number, workspace, seen=False)


def test_a_process_that_has_got_the_number_of_another_is_not_taken_for_it(number: str) -> None:
    watched = guard.Guard(-1)
    watched.status = 0
    with subprocess.Popen(["sleep", number]) as process:
        began = guard.processes()[process.pid][1]
        watched._seen = {process.pid: began}  # noqa: SLF001 - as if it had been there at an earlier look
        assert watched.find() == {process.pid}
        watched._seen = {process.pid: "Thu Jan  1 00:00:00 1970"}  # noqa: SLF001
        assert watched.find() == set()
        process.kill()


def test_a_guard_that_dies_takes_no_other_ones_claude_with_it(workspace: Path, number: str) -> None:
    first, second = f"sleep {number} & exec sleep {number}", f"exec sleep {number}0"

    async def main() -> tuple[int | None, list[int]]:
        async with AsyncExitStack() as stack:
            script = ["/bin/sh", "-c", first]
            early = await stack.enter_async_context(open_claude(script, workspace=workspace, environment=os.environ))
            script = ["/bin/sh", "-c", second]
            async with open_claude(script, workspace=workspace, environment=os.environ) as late:
                os.kill(early.guard_pid, signal.SIGKILL)
                await early.wait()
                await stack.aclose()
                return late.exit_status, sleepers(number)
        raise AssertionError

    become_subreaper()
    try:
        status, left = trio.run(main)
    finally:
        guard.prctl(guard.PR_SET_CHILD_SUBREAPER, 0)
    assert (status, len(left)) == (None, 2)  # the other claude, and its guard, which names it among its words
    assert sleepers(number) == []


def test_a_guard_that_dies_takes_none_with_it_that_is_just_started(
    workspace: Path, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked, start = trio.Event(), trio.lowlevel.open_process

    async def start_slowly(command: Sequence[str], **options: Any) -> trio.Process:  # noqa: ANN401 - as trio's
        process = await start(command, **options)
        forked.set()
        for _ in range(20):  # looks of whoever sweeps meanwhile
            await trio.sleep(guard.SWEEP_POLL_S)
        return process

    async def begin_another() -> None:
        async with open_claude(["sleep", "600"], workspace=workspace, environment=os.environ):
            pass

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            script = ["/bin/sh", "-c", f"sleep {number} & exec sleep {number}"]
            async with open_claude(script, workspace=workspace, environment=os.environ) as early:
                monkeypatch.setattr(trio.lowlevel, "open_process", start_slowly)
                nursery.start_soon(begin_another)
                await forked.wait()
                os.kill(early.guard_pid, signal.SIGKILL)
                await early.wait()

    become_subreaper()
    try:
        trio.run(main)
    finally:
        guard.prctl(guard.PR_SET_CHILD_SUBREAPER, 0)
    assert sleepers(number) == []

"""The guard: whatever a turn starts, nothing of it is left. Who is killed: tests/cli/test_killed.py."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import trio

from hyperhive_cli.claude.process import open_claude, sweep_marked
from tests.conftest import process_state, wait_until

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
    """Give a number of seconds to sleep that marks this test's processes among all others."""
    marker = f"{10_000 + uuid4().int % 80_000}.{uuid4().int % 100_000:05}"
    yield marker
    for pid in sleepers(marker):
        os.kill(pid, signal.SIGKILL)


def sleepers(marker: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if process_state(pid) not in {None, "Z"}]


def run(script: str, workspace: Path) -> int | None:
    """Run a shell script in claude's place to its end; gives how many processes the guard had to kill."""

    async def main() -> int | None:
        async with open_claude(["/bin/sh", "-c", script], workspace=workspace, environment=os.environ) as process:
            await process.wait()
        return process.left_behind

    return trio.run(main)


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_t01_whatever_a_turn_leaves_behind_is_killed(escape: str, number: str, workspace: Path) -> None:
    left = run(escape.format(n=number) + " echo; exit 0", workspace)
    assert left
    assert sleepers(number) == []


def test_t01_a_turn_that_leaves_nothing_behind_has_nothing_killed(workspace: Path) -> None:
    assert run("exit 0", workspace) == 0


def test_t10_a_chain_that_forks_on_and_on_ends(workspace: Path, number: str) -> None:
    (workspace / "chain.py").write_text(CHAIN)
    chain = f"'{sys.executable}' -IS chain.py {number}"
    assert run(f"{chain} & {chain} & while [ ! -e going ]; do sleep 0.01; done", workspace)
    assert sleepers(number) == []


def test_the_guard_reports_how_claude_ended(workspace: Path) -> None:
    async def main(script: str) -> int:
        async with open_claude(["/bin/sh", "-c", script], workspace=workspace, environment=os.environ) as process:
            return await process.wait()

    assert [trio.run(main, script) for script in ("exit 7", "kill -9 $$")] == [7, -9]


def test_claude_gets_neither_the_lifeline_nor_the_lock(workspace: Path) -> None:
    async def main() -> bytes:
        with (workspace / "lock").open("w") as lock:
            kept = [lock.fileno()]
            script = ["/bin/sh", "-c", "ls -l /proc/$$/fd | wc -l"]  # a line of its own before the three pipes
            async with open_claude(script, workspace=workspace, environment=os.environ, kept=kept) as process:
                counted = await process.stdout.receive_some(100)
                await process.wait()
                return bytes(counted)

    assert trio.run(main).split() == [b"4"]


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
    assert ours.wait(10) == -signal.SIGKILL
    assert others.poll() is None

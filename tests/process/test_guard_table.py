"""A kernel without CONFIG_PROC_CHILDREN, a /proc that tells nothing: what is left of a turn all the same.

Such a kernel is one whose lists have another name than the guard asks for. The harness's own part, for a guard that
died, is told so.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from hyperhive_cli.claude import guard
from hyperhive_cli.claude import process as claude_process
from hyperhive_cli.claude.process import become_subreaper, open_claude, tree_cpu_s, tree_memory_bytes
from tests.conftest import LIMIT_S, wait_until
from tests.forkserver import SOURCE
from tests.process.test_guard import (  # `number` is a fixture
    CHAIN,
    ESCAPES,
    number,  # noqa: F401
    run,
    sleepers,
    stop_and_go_on,
)


@pytest.fixture(autouse=True)
def _without_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, asked = Path(guard.__file__).read_text(), 'CHILDREN = "children"'
    assert asked in text
    (tmp_path / "guard.py").write_text(text.replace(asked, 'CHILDREN = "children-of-no-kernel"'))
    monkeypatch.setattr(claude_process, "GUARD_FOLDER", str(tmp_path))
    monkeypatch.setattr(guard, "WAY", guard.BY_TABLE)


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_whatever_a_turn_leaves_behind_is_killed(escape: str, number: str, workspace: Path) -> None:  # noqa: F811
    assert run(escape.format(n=number) + " echo; exit 0", workspace)
    assert sleepers(number) == []


def test_a_chain_that_forks_on_and_on_ends(workspace: Path, number: str) -> None:  # noqa: F811
    (workspace / "chain.py").write_text(CHAIN)
    chain = f"'{sys.executable}' -IS chain.py {number}"
    assert run(f"{chain} & while [ ! -e going ]; do sleep 0.01; done", workspace)
    assert sleepers(number) == []


def test_all_of_a_turn_stops_and_goes_on(number: str, workspace: Path) -> None:  # noqa: F811
    stop_and_go_on(["a job", "a session of its own", "an orphan"], number, workspace)


def test_what_a_guard_that_died_has_left_is_killed(number: str, workspace: Path) -> None:  # noqa: F811
    async def main() -> list[int]:
        script = f"(setsid sleep {number} &) & sleep {number}0 & exec sleep {number}00"
        async with open_claude(["/bin/sh", "-c", script], workspace=workspace, environment=os.environ) as process:
            await trio.to_thread.run_sync(wait_until, lambda: len(sleepers(number)) >= 3)
            os.kill(process.guard_pid, signal.SIGKILL)
            await process.wait()
        return process.stuck

    become_subreaper()
    try:
        assert trio.run(main) == []
    finally:
        guard.prctl(guard.PR_SET_CHILD_SUBREAPER, 0)
    assert sleepers(number) == []


def test_a_turn_is_measured_with_all_below_it(number: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    found: list[list[int]] = []

    async def main() -> None:
        script = f"sh -c 'sleep {number} & : > ready; wait' & wait"
        async with open_claude(["/bin/sh", "-c", script], workspace=workspace, environment=os.environ) as process:
            await trio.to_thread.run_sync(wait_until, (workspace / "ready").exists)
            for way in (guard.BY_TABLE, guard.BY_LISTS):
                monkeypatch.setattr(guard, "WAY", way)
                found.append(sorted(guard.below(process.guard_pid)))
                assert None not in {tree_cpu_s(process.guard_pid), tree_memory_bytes(process.guard_pid)}

    trio.run(main)
    in_tables, in_lists = found
    assert in_tables == in_lists
    assert len(in_tables) == 3


def test_which_way_is_used_is_seen_by_the_list_of_this_very_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = [guard.way_to_look()]
    monkeypatch.setattr(guard, "CHILDREN", "children-of-no-kernel")
    ways.append(guard.way_to_look())
    assert ways == [guard.BY_LISTS, guard.BY_TABLE]


# --- where /proc tells nothing at all ---

# A turn in a namespace of its own, seen from outside by what it has touched and by what is left.
BLIND = """
import os, sys, time
from pathlib import Path
import trio
from hyperhive_cli.claude import guard
from hyperhive_cli.claude.process import open_claude

async def main():
    async with open_claude(["/bin/sh", "-c", sys.argv[1]], workspace=Path.cwd(), environment=os.environ) as process:
        await process.wait()
        began = time.monotonic()
    return guard.WAY, process.stuck, process.left_behind, time.monotonic() - began < 5.0

print(*trio.run(main), tree := list(guard.below(os.getpid())))
"""
NAMESPACES = {
    "none": ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"],
    "of another namespace": ["unshare", "--pid", "--fork", "--kill-child"],
}


@pytest.mark.parametrize("namespace", NAMESPACES.values(), ids=NAMESPACES)
def test_without_a_proc_of_our_own_claudes_group_is_killed_soon_and_nothing_else(
    namespace: list[str],
    number: str,  # noqa: F811
    workspace: Path,
) -> None:
    can_be_made = os.geteuid() == 0 and shutil.which("unshare") is not None
    if not can_be_made or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("A GUARD WITHOUT /proc IS NOT TESTED: no namespace can be made here")
    script = f"sleep {number} & exit 0"
    done = subprocess.run(
        [*namespace, sys.executable, "-c", BLIND, script],
        cwd=workspace,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("blind [] 0 True []\n", "")
    assert sleepers(number) == []

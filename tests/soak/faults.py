"""What goes wrong around an agent, at random. A fault is over when its function returns, its consequences are not."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from hyperhive_cli.claude.guard import children
from tests.soak.agent import Agent

FILLER_BYTES = 1 << 16


def kill_harness(agent: Agent) -> bool:
    return _kill([agent.pid])


def kill_guard(agent: Agent) -> bool:
    return _kill(agent.guards())


def kill_claude(agent: Agent) -> bool:
    return _kill([pid for guard in agent.guards() for pid in children(guard)])


def kill_all_three(agent: Agent) -> bool:
    """Kill claude and its guard and the harness, as the kernel does when memory runs out."""
    guards = agent.guards()
    claudes = [pid for guard in guards for pid in children(guard)]
    return bool(guards) and _kill([*guards, *claudes, agent.pid])


def stop_claude(agent: Agent) -> bool:
    """Let claude fall silent for good: the watchdog must end it."""
    return _kill([pid for guard in agent.guards() for pid in children(guard)], signal.SIGSTOP)


def end_harness(agent: Agent) -> bool:
    return _kill([agent.pid], signal.SIGTERM)


def hold_the_inbox(agent: Agent) -> bool:
    """Hold the inbox's lock for writing for a while."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(agent.inbox_db, isolation_level=None, timeout=1)) as db:
        db.execute("BEGIN IMMEDIATE")
        time.sleep(1.0)
        return True
    return False


def fill_the_disk(agent: Agent) -> bool:
    """Leave no room in the state folder for a while. Only where it is a file system of its own."""
    if not agent.state_dir.is_mount():
        return False
    filler = agent.state_dir / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"\0" * FILLER_BYTES):
            pass
    time.sleep(1.5)
    filler.unlink()
    return True


def _kill(pids: list[int], number: signal.Signals = signal.SIGKILL) -> bool:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number) if pid > 0 else None
    return any(pid > 0 for pid in pids)


Fault = Callable[[Agent], bool]
FAULTS: dict[str, tuple[int, Fault]] = {
    "harness killed": (5, kill_harness),
    "guard killed": (5, kill_guard),
    "claude killed": (5, kill_claude),
    "all three killed": (3, kill_all_three),
    "claude stopped": (3, stop_claude),
    "harness ended": (3, end_harness),
    "inbox locked": (3, hold_the_inbox),
    "disk full": (3, fill_the_disk),
}


def something(agent: Agent, chance: random.Random) -> str | None:
    """Let something go wrong; gives what it was, None when it met nobody."""
    name = chance.choices(list(FAULTS), [weight for weight, _ in FAULTS.values()])[0]
    return name if FAULTS[name][1](agent) else None


def mount(folder: Path, size: str) -> bool:
    """Mount a file system of this size, which can be filled; False where that is not allowed."""
    folder.mkdir(parents=True)
    return os.geteuid() == 0 and os.system(f"mount -t tmpfs -o size={size},mode=700 tmpfs '{folder}' 2>&1") == 0  # noqa: S605


def unmount(folder: Path) -> None:
    if folder.is_mount():
        os.system(f"umount '{folder}'")  # noqa: S605

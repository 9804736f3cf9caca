"""What goes wrong around a harness, at random. A fault is over when its function returns, its consequences are not."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from hyperhive_cli.harness.signals import SAME_WISH_S
from tests.soak.harness import Harness
from tests.soak.outputs import rotate

FOUND_WITHIN_S, IDLE_WITHIN_S = 2.0, 10.0
FILLER_BYTES = 1 << 16
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
JUMPS_S = (-90_000, -7_200, -90, 0, 45, 5_400, 30_000, 200_000)  # a clock that is wrong, set right, or summer time
Chance = random.Random
Fault = Callable[[Harness, Chance], bool]


def kill_harness(harness: Harness, _: Chance) -> bool:
    return send([harness.pid])


def kill_guard(harness: Harness, _: Chance) -> bool:
    return send(found_soon(harness.guards))


def kill_claude(harness: Harness, _: Chance) -> bool:
    return send(found_soon(harness.claudes))


def kill_all_three(harness: Harness, _: Chance) -> bool:
    """Kill claude and its guard and the harness, as the kernel does when memory runs out."""
    claudes = found_soon(harness.claudes)
    return bool(claudes) and send([*harness.guards(), *claudes, harness.pid])


def kill_prewarmed(harness: Harness, _: Chance) -> bool:
    """Kill the claude that waits for the next message."""
    return "--prewarm" in harness.words and send(found_soon(partial(_prewarmed, harness), IDLE_WITHIN_S))


def _prewarmed(harness: Harness) -> list[int]:
    waiting = (harness.ask("status") or {}).get("prewarmed")
    return [int(waiting["pid"])] if isinstance(waiting, dict) else []


def stop_claude(harness: Harness, _: Chance) -> bool:
    """Let claude fall silent for good: the watchdog must end it."""
    return send(found_soon(harness.claudes), signal.SIGSTOP)


def freeze_harness(harness: Harness, chance: Chance) -> bool:
    """Stop the harness for a while, at times for longer than a lease lasts."""
    pid = harness.pid
    if not send([pid], signal.SIGSTOP):
        return False
    time.sleep(chance.choice((0.5, 2.5, 10.0)))
    return send([pid], signal.SIGCONT)


def end_harness(harness: Harness, chance: Chance) -> bool:
    return send([harness.pid], chance.choice(ENDINGS))


def end_doubly(harness: Harness, chance: Chance) -> bool:
    """Send an ending signal twice, as GNU `timeout` does, or as a terminal that closes and the shell in it do."""
    pid, first = harness.pid, chance.choice(ENDINGS)
    if not send([pid], first):
        return False
    for _ in range(chance.choice((1, 1, 3))):
        time.sleep(chance.uniform(0, SAME_WISH_S / 4))
        send([pid] if harness.pid == pid else [], chance.choice((first, signal.SIGTERM)))
    return True


def end_hard(harness: Harness, chance: Chance) -> bool:
    """Insist with a second signal after a while: it has to end at once."""
    pid, number = harness.pid, chance.choice(ENDINGS)
    if not send([pid], number):
        return False
    time.sleep(SAME_WISH_S * 1.1)
    send([pid] if harness.pid == pid else [], number)
    return True


def jump(harness: Harness, chance: Chance) -> bool:
    """Set the harness's clock, forward or back."""
    if not harness.clock.can_jump:
        return False
    harness.clock.set(chance.choice(JUMPS_S))
    return True


def free_the_log(harness: Harness, _: Chance) -> bool:
    """Make room on the disk that the output goes to."""
    return rotate(harness.logs)


def hold_the_inbox(harness: Harness, _: Chance) -> bool:
    """Hold the inbox's lock for writing for a while."""
    path = harness.state_dir / "hyperhive-inbox.sqlite"
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None, timeout=1)) as db:
        db.execute("BEGIN IMMEDIATE")
        time.sleep(1.0)
        return True
    return False


def fill_the_disk(harness: Harness, _: Chance) -> bool:
    """Leave no room in the state folder for a while. Only where it is a file system of its own."""
    if not harness.state_dir.is_mount():
        return False
    filler = harness.state_dir / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"\0" * FILLER_BYTES):
            pass
    time.sleep(1.5)
    filler.unlink()
    return True


def found_soon(find: Callable[[], list[int]], limit_s: float = FOUND_WITHIN_S) -> list[int]:
    """Return the processes that there are now, or else within a little while."""
    deadline = time.monotonic() + limit_s
    while not (found := find()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def send(pids: Sequence[int], number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal to those of these processes that there are; False when there is none."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number) if pid > 0 else None
    return any(pid > 0 for pid in pids)


FAULTS: dict[str, tuple[int, Fault]] = {
    "harness killed": (5, kill_harness),
    "guard killed": (5, kill_guard),
    "claude killed": (5, kill_claude),
    "prewarmed killed": (4, kill_prewarmed),
    "all three killed": (3, kill_all_three),
    "claude stopped": (3, stop_claude),
    "harness frozen": (2, freeze_harness),
    "harness ended": (2, end_harness),
    "ended by signals twice": (4, end_doubly),
    "ended hard": (2, end_hard),
    "clock jumped": (5, jump),
    "log freed": (3, free_the_log),
    "inbox locked": (3, hold_the_inbox),
    "disk full": (3, fill_the_disk),
}


def something(harness: Harness, chance: Chance) -> str | None:
    """Let something go wrong; return what it was, None if it affected nothing."""
    [name] = chance.choices(list(FAULTS), [weight for weight, _ in FAULTS.values()])
    return name if FAULTS[name][1](harness, chance) else None


def mount(folder: Path, size: str) -> bool:
    """Mount a file system of this size, which can be filled; False where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    return os.geteuid() == 0 and os.system(f"mount -t tmpfs -o size={size},mode=700 tmpfs '{folder}' 2>&1") == 0  # noqa: S605


def unmount(folder: Path) -> None:
    if folder.is_mount():
        os.system(f"umount '{folder}'")  # noqa: S605

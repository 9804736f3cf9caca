"""What must hold after a soak, agent by agent: nothing lost, nothing done twice unannounced, nothing left behind."""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from pathlib import Path

from hyperhive_cli.store.db import open_reader
from tests.conftest import process_state, wait_until
from tests.soak.agent import Agent, LocalAgent
from tests.soak.clock import SHARED
from tests.soak.harness import Harness

MOST_DESCRIPTORS = 60
# SQLite closes no descriptor of a file of which another connection of the process holds a lock, but uses it again for
# the next connection: one to read and one to write.
KEPT_BY_SQLITE = 2
FRESH_LOOKS = 10
OPEN = ("ready", "leased", "held")
CUT_OFF = {"crashed", "stalled", "timed_out", "interrupted"}  # after these claude may have acted


@dataclass(slots=True)
class Figures:
    """What was counted, over all agents; `wrong` says what is not as it must be, one sentence each."""

    states: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    refused: int = 0
    announced: int = 0  # prompts that say that they are not the first of their message
    lost: int = 0
    unannounced: int = 0
    processes_left: int = 0
    descriptors_left: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, agent: Agent) -> None:
        """Count an agent, whose harnesses have ended."""
        self.states += agent.states()
        self.outcomes += agent.outcomes()
        self.accepted += len(agent.accepted)
        self.refused += len(agent.refused)
        self.announced += sum(one.is_announced for one in agent.deliveries())
        lost, unannounced = list(_lost(agent)), list(_unannounced(agent))
        left = processes_left(agent.folder)
        self.lost += len(lost)
        self.unannounced += len(unannounced)
        self.processes_left += len(left)
        found = [*lost, *unannounced, *_messages(agent), *_files(agent)]
        found += [f"processes are left: {left}"] if left else []
        if isinstance(agent, LocalAgent):
            found += _turns(agent)
        self.wrong += [f"{agent.name}: {text}" for text in found]


def _lost(agent: Agent) -> Iterator[str]:
    there = {row.body for row in agent.rows()}
    yield from (f"{body!r} is lost" for body in sorted(agent.accepted - there))


def _unannounced(agent: Agent) -> Iterator[str]:
    """Say which messages were run again though claude may have acted, and were not told so."""
    may_have_acted: set[str] = set()
    for told in agent.deliveries():
        if told.body in may_have_acted and not told.is_announced:
            yield f"{told.body!r} was run twice, unannounced"
        if told.acts:
            may_have_acted.add(told.body)


def _messages(agent: Agent) -> Iterator[str]:
    rows, delivered = agent.rows(), {told.body for told in agent.deliveries()}
    yield from (
        f"{body!r} is there {count} times" for body, count in Counter(row.body for row in rows).items() if count > 1
    )
    for row in rows:
        if row.body in agent.refused:
            yield f"{row.body!r} was refused and is {row.state}"
        if row.state in OPEN or row.state == "cancelled":
            yield f"{row.body!r} is {row.state}"
        if row.state == "dead" and not row.reason:
            yield f"{row.body!r} is dead without a reason"
        if row.state == "done" and row.body not in delivered:
            yield f"{row.body!r} is done and was never run"


def _turns(agent: LocalAgent) -> Iterator[str]:
    """Say what of a message does not fit its turns."""
    turns = agent.turns()
    last = {told.body: told.is_announced for told in agent.deliveries()}
    for row in agent.rows():
        outcomes = turns.get(row.body, [])
        if outcomes.count("ok") != (row.state == "done") or (row.state == "done") != (outcomes[-1:] == ["ok"]):
            yield f"{row.body!r} is {row.state} after {outcomes}"
        if row.acted != any(outcome in CUT_OFF for outcome in outcomes):
            yield f"{row.body!r}: acted is {row.acted} after {outcomes}"
        if row.state == "done" and last.get(row.body) != row.acted:
            yield f"{row.body!r}, {outcomes}, was asked for {'with' if last.get(row.body) else 'without'} a notice"


def _files(agent: Agent) -> Iterator[str]:
    for harness in agent.harnesses:
        yield from harness.troubles
        for name in ("hyperhive-inbox.sqlite", "hyperhive-events.sqlite"):
            with closing(open_reader(harness.state_dir / name)) as db:
                result = db.execute("PRAGMA integrity_check").fetchone()[0]
            if result != "ok":
                yield f"{name}: {result}"
        yield from (f"{aside.name} was put aside" for aside in harness.state_dir.glob("*.corrupt-*"))
        if harness.most_descriptors > MOST_DESCRIPTORS:
            yield f"the harness had {harness.most_descriptors} descriptors open"
        if b"Traceback" in harness.stderr.read_bytes():
            yield f"a traceback, in {harness.stderr}"


def processes_left(folder: Path) -> list[int]:
    """Return the processes that know this folder: by their words, their environment or where they are."""
    wanted = os.fsencode(folder)
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        with suppress(OSError):
            known = [
                (path / "cmdline").read_bytes(),
                (path / "environ").read_bytes(),
                os.fsencode((path / "cwd").readlink()),
            ]
            if pid != os.getpid() and any(wanted in one for one in known) and process_state(pid) not in {None, "Z"}:
                found.append(pid)
    return found


def descriptors_left(harnesses: Sequence[Harness]) -> list[str]:
    """Return the descriptors that harnesses have open after the soak beyond those of new ones that are as idle."""
    after, lives = _idle_descriptors(harnesses), [harness.lives for harness in harnesses]
    for harness in harnesses:
        os.kill(harness.pid, signal.SIGTERM)
    wait_until(lambda: all(one.lives > life for one, life in zip(harnesses, lives, strict=True)))
    for _ in range(FRESH_LOOKS):  # a new one may be idle before it has started the claude that it keeps waiting
        if not (left := _beyond(after, _idle_descriptors(harnesses))):
            break
    return left


def _beyond(after: Sequence[Counter[str]], fresh: Sequence[Counter[str]]) -> list[str]:
    left = [kind for old, new in zip(after, fresh, strict=True) for kind in (old - new).elements()]
    databases = Counter({kind: KEPT_BY_SQLITE * len(after) for kind in left if kind.endswith(".sqlite")})
    return list((Counter(left) - databases).elements())


def _idle_descriptors(harnesses: Sequence[Harness]) -> list[Counter[str]]:
    """Return the kinds of descriptors that stay open while harnesses are idle: a look at one is a connection, too."""
    wait_until(lambda: all((harness.ask("status") or {}).get("state") == "idle" for harness in harnesses))
    seen = []
    for _ in range(20):
        time.sleep(0.1)
        seen.append([Counter(_kinds_of_descriptors(harness.pid)) for harness in harnesses])
    return [reduce(and_, of_one) for of_one in zip(*seen, strict=True)]


def _kinds_of_descriptors(pid: int) -> Iterator[str]:
    for path in Path(f"/proc/{pid}/fd").glob("[0-9]*"):
        with suppress(OSError):
            kind = re.sub(r"\d+", "N", str(path.readlink()))
            if int(path.name) > 2 and not kind.startswith(str(SHARED)):  # its output is another one in each life
                yield kind

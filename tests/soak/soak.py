"""`Soak`: agents in trouble for a while, and what was counted then. `run_soak` does it all in a folder of its own."""

import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyperhive_cli.hive.database import migrate
from tests.hive.postgres import Server, open_server, programs
from tests.soak import faults, hive
from tests.soak.agent import Agent, LocalAgent
from tests.soak.checks import Figures, descriptors_left
from tests.soak.clock import LIBRARIES, MISSING
from tests.soak.harness import LOG_SIZE, STATE_SIZE, Harness

STUCK_S = 60.0
SENDERS = 2  # for each agent
BROKEN_EVERY_S, BASE_BROKEN_EVERY_S = 4.0, 8.0  # on average: a harness, the database


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, and with how many agents: of a machine alone, and of a hive."""

    minutes: float
    agents: int
    hive_agents: int
    seed: int


class Soak:
    """Agents in trouble, for a while."""

    def __init__(self, agents: list[Agent], server: Server | None, chance: random.Random) -> None:
        self.agents = agents
        self.server = server
        self.faults: Counter[str] = Counter()
        self.figures = Figures()
        self._chance = chance
        self._over = threading.Event()

    @property
    def harnesses(self) -> list[Harness]:
        return [harness for agent in self.agents for harness in agent.harnesses]

    def run(self, minutes: float) -> None:
        """Send and break things for so long; let the agents work off what is left, and count."""
        with ExitStack() as stack:
            for harness in self.harnesses:
                stack.enter_context(harness.running())
            threads = [threading.Thread(target=self._do, args=(work, *arguments)) for work, arguments in self._work()]
            for thread in threads:
                thread.start()
            self._over.wait(minutes * 60)
            self._over.set()
            for thread in threads:
                thread.join()
            for agent in self.agents:
                agent.settle()
            self._settle()
            self._count_descriptors()
        for agent in self.agents:
            self.figures.add(agent)

    def _work(self) -> Iterator[tuple[Callable[..., None], tuple[object, ...]]]:
        for agent in self.agents:
            yield from [(self._send, (agent, self._own_chance()))] * SENDERS
            yield self._look_after, (agent, self._own_chance())
        for harness in self.harnesses:
            yield self._break, (harness, self._own_chance())
        if self.server is not None:
            yield self._break_database, (self.server, self._own_chance())

    def _do(self, work: Callable[..., None], *arguments: object) -> None:
        """Work on; what fails in the soak itself is wrong, too."""
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001 - of whatever kind
            self.figures.wrong.append(f"the soak's own {work.__name__} failed: {error!r}")

    def _own_chance(self) -> random.Random:
        return random.Random(self._chance.random())  # noqa: S311

    def _send(self, agent: Agent, chance: random.Random) -> None:
        while not self._over.wait(chance.expovariate(1 / agent.sent_every_s)):
            agent.send()

    def _break(self, harness: Harness, chance: random.Random) -> None:
        while not self._over.wait(chance.expovariate(1 / BROKEN_EVERY_S)):
            if (what := faults.something(harness, chance)) is not None:
                self.faults[what] += 1

    def _break_database(self, server: Server, chance: random.Random) -> None:
        while not self._over.wait(chance.expovariate(1 / BASE_BROKEN_EVERY_S)):
            if (what := hive.something(server, chance)) is not None:
                self.faults[what] += 1

    def _look_after(self, agent: Agent, chance: random.Random) -> None:
        while not self._over.wait(chance.expovariate(1.0)):
            agent.look_after()

    def _settle(self) -> None:
        """Wait until nothing is left to be done, or for too long nothing has happened."""
        before, changed = Counter[str](), time.monotonic()
        while time.monotonic() < changed + STUCK_S:
            states = sum((agent.states() for agent in self.agents), Counter[str]())
            if not states["ready"] and not states["leased"] and all(self._is_sure(agent) for agent in self.agents):
                return
            if states != before:
                before, changed = states, time.monotonic()
            for agent in self.agents:
                agent.look_after()
            time.sleep(0.5)

    def _count_descriptors(self) -> None:
        found = self.figures
        try:
            found.descriptors_left = descriptors_left(self.harnesses)
        except TimeoutError as error:
            found.wrong.append(f"a harness is never idle: {error}")
        if found.descriptors_left:
            found.wrong.append(f"descriptors are left: {found.descriptors_left}")

    @staticmethod
    def _is_sure(agent: Agent) -> bool:
        return not isinstance(agent, hive.HiveAgent) or agent.send_again()


@contextmanager
def open_database(plan: Plan) -> Iterator[Server | None]:
    """Start a PostgreSQL server with a hive in it, if there are to be agents of one and it can be had."""
    found = programs() if plan.hive_agents else None
    if found is None:
        if plan.hive_agents:
            print("PostgreSQL 15 or newer is not here: NO HIVE")
        yield None
        return
    with open_server(found) as server:
        migrate(server.url(hive.DATABASE))
        yield server


def make_agents(plan: Plan, folder: Path, server: Server | None, chance: random.Random) -> list[Agent]:
    agents: list[Agent] = [
        LocalAgent(folder / f"a{number}", f"a{number}", chance, prewarms=number % 2 == 0)
        for number in range(plan.agents)
    ]
    if server is not None:
        agents += [
            hive.HiveAgent(folder / f"h{number}", f"h{number}", chance, server) for number in range(plan.hive_agents)
        ]
    return agents


def run_soak(plan: Plan) -> Soak:
    """Run the soak and print what was counted. Its folder stays, with copies of the state, if anything was wrong."""
    if not LIBRARIES:
        print(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="hh-soak-"))
    chance = random.Random(plan.seed)  # noqa: S311
    with open_database(plan) as server:
        agents = make_agents(plan, folder, server, chance)
        harnesses = [harness for agent in agents for harness in agent.harnesses]
        disks = [
            (path, size) for one in harnesses for path, size in ((one.state_dir, STATE_SIZE), (one.logs, LOG_SIZE))
        ]
        soak = Soak(agents, server, chance)
        try:
            if not all([faults.mount(*disk) for disk in disks]):  # noqa: C419 - all of them
                print("no file systems can be mounted here: NO DISK IS FILLED")
            for agent in agents:
                agent.prepare()
            soak.run(plan.minutes)
            report(soak, plan)
            if soak.figures.wrong:
                for harness in harnesses:
                    shutil.copytree(harness.state_dir, harness.folder / "left", ignore=shutil.ignore_patterns("*.sock"))
                print(f"{'look at':<12} {folder}")
        finally:
            for agent in agents:
                agent.fake.end_all()
            for path, _ in disks:
                faults.unmount(path)
    if not soak.figures.wrong:
        shutil.rmtree(folder)
    return soak


def report(soak: Soak, plan: Plan) -> None:
    """Print the counts, and what was wrong."""
    found, harnesses = soak.figures, soak.harnesses
    ends = sum((harness.ends for harness in harnesses), Counter[int]())
    outputs = sum((harness.outputs for harness in harnesses), Counter[str]())
    most = max(one.most_descriptors for one in harnesses)
    taken = sum(agent.epoch() for agent in soak.agents if isinstance(agent, hive.HiveAgent))
    rows = {
        "seed": str(plan.seed),
        "messages": f"{found.accepted} accepted, {found.refused} refused, {_list(found.states)}",
        "again": f"{found.announced} redelivered with a notice, {found.unannounced} run twice unannounced",
        "lost": str(found.lost),
        "turns": _list(found.outcomes),
        "faults": _list(soak.faults),
        "outputs": _list(outputs),
        "harnesses": ", ".join(f"{count} ended with {status}" for status, count in ends.most_common()),
        "complaints": _list(sum((harness.complaints() for harness in harnesses), Counter[str]())),
        "leases": f"{taken} taken",
        "descriptors": f"{len(found.descriptors_left)} left, at most {most} open",
        "processes": f"{found.processes_left} left",
        "wrong": f"{len(found.wrong)}" if found.wrong else "nothing",
    }
    for name, value in rows.items():
        print(f"{name:<12} {value}")
    for text in found.wrong[:20]:
        print(f"  {text}")


def _list(counted: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.most_common())

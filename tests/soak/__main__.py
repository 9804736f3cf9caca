"""The soak: `python -m tests.soak [--minutes N] [--agents N] [--seed N]`. Exits with 1 when anything was wrong.

Several agents get messages while harnesses, guards and claudes are killed, claudes stall, flood and crash, the
API refuses them, disks fill up and locks are held. Afterwards the faults end, the inboxes are worked off, and
everything is counted: each accepted message done once, or dead with a reason, and nothing left behind.
"""

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.soak import checks
from tests.soak.agent import TEXT, Agent
from tests.soak.faults import mount, something, unmount

SETTLE_LIMIT_S = 120.0
STATE_SIZE = "12m"


class Soak:
    """Agents in trouble, for a while."""

    def __init__(self, agents: list[Agent], chance: random.Random) -> None:
        self.agents = agents
        self.faults: Counter[str] = Counter()
        self._chance = chance
        self._over = threading.Event()

    def run(self, minutes: float) -> None:
        """Send and break things for so long; then let the agents work off what is left."""
        with ExitStack() as stack:
            for agent in self.agents:
                stack.enter_context(agent.running())
            threads = [
                threading.Thread(target=work, args=(agent, random.Random(self._chance.random())))  # noqa: S311
                for agent in self.agents
                for work in (self._send, self._break, self._operate)
            ]
            for thread in threads:
                thread.start()
            self._over.wait(minutes * 60)
            self._over.set()
            for thread in threads:
                thread.join()
            for agent in self.agents:
                agent.fake.script([{"wait_for_prompt": True}, TEXT])
            self._settle()

    def _send(self, agent: Agent, chance: random.Random) -> None:
        while not self._over.wait(chance.expovariate(1.5)):
            agent.send(f"{agent.name} message {len(agent.accepted) + agent.refusals}")

    def _break(self, agent: Agent, chance: random.Random) -> None:
        while not self._over.wait(chance.expovariate(0.4)):
            if (what := something(agent, chance)) is not None:
                self.faults[what] += 1

    def _operate(self, agent: Agent, chance: random.Random) -> None:
        """Do what a person would: log in again, and let an agent go on that gave up or waits for long."""
        while not self._over.wait(chance.expovariate(1.0)):
            self._look_after(agent)

    def _look_after(self, agent: Agent) -> None:
        status = agent.ask("status") or {}
        if status.get("status") == "needs_login_idle":
            agent.log_in()
        elif status.get("status") == "failed" or status.get("waits_until"):
            agent.ask("resume")

    def _settle(self) -> None:
        deadline = time.monotonic() + SETTLE_LIMIT_S
        while time.monotonic() < deadline:
            open_ones = checks.states(self.agents)
            if not open_ones["ready"] and not open_ones["leased"]:
                return
            for agent in self.agents:
                self._look_after(agent)
            time.sleep(0.5)


def main() -> int:
    """Run the soak and print what was counted."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hh-soak-"))
    agents = [Agent(folder / f"a{number}", f"a{number}") for number in range(options.agents)]
    chance = random.Random(options.seed)  # noqa: S311
    try:
        if not all([mount(agent.state_dir, STATE_SIZE) for agent in agents]):  # noqa: C419 - all of them
            print("no file systems can be mounted here: NO DISK IS FILLED")
        for agent in agents:
            agent.prepare(chance)
        soak = Soak(agents, chance)
        soak.run(options.minutes)
        wrong = [f"{agent.name}: {text}" for agent in agents for text in checks.faults_found(agent)]
        report(soak, options.seed, wrong)
        if wrong:
            for agent in agents:
                shutil.copytree(agent.state_dir, agent.folder / "left", ignore=shutil.ignore_patterns("*.sock"))
            print(f"{'look at':<12} {folder}")
    finally:
        for agent in agents:
            agent.fake.end_all()
            unmount(agent.state_dir)
    if not wrong:
        shutil.rmtree(folder)
    return 1 if wrong else 0


def report(soak: Soak, seed: int, wrong: list[str]) -> None:
    """Print the counts, and what was wrong."""
    agents = soak.agents
    states, ends = checks.states(agents), sum((agent.ends for agent in agents), Counter[int]())
    rows = {
        "seed": str(seed),
        "messages": f"{sum(len(agent.accepted) for agent in agents)} accepted, "
        f"{sum(agent.refusals for agent in agents)} refused",
        "of them": ", ".join(f"{count} {state}" for state, count in states.most_common()),
        "turns": ", ".join(f"{count} {outcome}" for outcome, count in checks.outcomes(agents).most_common()),
        "faults": ", ".join(f"{count} {fault}" for fault, count in soak.faults.most_common()),
        "harnesses": ", ".join(f"{count} ended with {status}" for status, count in ends.most_common()),
        "descriptors": f"at most {max(agent.most_descriptors for agent in agents)} in a harness",
        "wrong": f"{len(wrong)}" if wrong else "nothing",
    }
    for name, value in rows.items():
        print(f"{name:<12} {value}")
    for text in wrong[:20]:
        print(f"  {text}")


if __name__ == "__main__":
    sys.exit(main())

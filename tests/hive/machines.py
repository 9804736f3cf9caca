"""Machines of a hive for the tests: each a `hyperhive` with a home, workspaces and a claude of its own."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.conftest import FakeClaude, Step, wait_until, write_program
from tests.forkserver import Forked, Forkserver, can_fork
from tests.harness import LIMIT_S, SOURCE, Done, Program, program_command

# What is only looked at now and then is looked at more often; who would start one after the other starts at once.
QUICK: Mapping[str, float] = MappingProxyType(
    {
        "hive.relay.POLL_S": 0.5,
        "hive.feed.POLL_S": 0.5,
        "agent.scheduler.POLL_EVERY_S": 0.5,
        "hive.shared_account.STAGGER_S": 0.1,
    }
)


@dataclass(slots=True)
class Machine:
    """One machine: `name` is what the hive calls it."""

    name: str
    folder: Path
    url: str
    fake: FakeClaude
    wrap: Sequence[str] = ()
    forkserver: Forkserver | None = None
    constants: Mapping[str, float] = field(default_factory=lambda: QUICK)
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.folder), "LANG": "C.UTF-8", "PYTHONPATH": str(SOURCE), "HYPERHIVE_HIVE": self.url}
        return {"PATH": os.environ["PATH"], **own, **self.variables}

    def command(self, *arguments: str) -> list[str]:
        return [*self.wrap, *program_command(), *arguments]

    def workspace(self, agent: str) -> Path:
        folder = self.folder / "work" / agent
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def state_dir(self, agent: str) -> Path:
        return self.folder / ".local/state/hyperhive" / agent

    def call(self, agent: str, *arguments: str, **variables: str) -> Done:
        """Run a command to its end in an agent's workspace."""
        process = self._open(agent, arguments, {**self.environment(), **variables})
        stdout, stderr = process.communicate(b"", LIMIT_S)
        assert process.returncode is not None
        assert b"Traceback" not in stderr, stderr.decode()
        return Done(process.returncode, stdout.decode(), stderr.decode())

    def _open(
        self, agent: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes] | Forked:
        if self.forkserver is not None and not self.wrap and can_fork(environment):
            return self.forkserver.fork(arguments, self.workspace(agent), environment, self.constants)
        return subprocess.Popen(
            self.command(*arguments),
            env=environment,
            cwd=self.workspace(agent),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @contextmanager
    def start(self, agent: str, *arguments: str) -> Iterator[Program]:
        """Start a command that goes on in an agent's workspace; what is left of it in the end is killed."""
        program = Program(process := self._open(agent, arguments, self.environment()))
        try:
            yield program
        finally:
            process.kill()
            program.wait()

    @contextmanager
    def run(self, agent: str, *arguments: str) -> Iterator[Program]:
        """Start an agent's harness, its events as JSON; in the block it has the agent, or stands by."""
        words = ["run", "--claude", str(self.fake.path), "--machine", self.name, "--json", *arguments]
        with self.start(agent, *words) as program:
            yield program

    def status(self, agent: str) -> dict[str, Any]:
        done = self.call(agent, "-a", agent, "status", "--json")
        assert done.status == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def send(self, agent: str, text: str, *arguments: str) -> Done:
        return self.call("elsewhere", "-a", agent, "send", text, "--new", *arguments)

    def await_owner(self, agent: str, owner: str | None = None, timeout_s: float = LIMIT_S) -> dict[str, Any]:
        """Wait until the agent's lease is this machine's, or `owner`'s, and return its status."""

        def is_there() -> dict[str, Any] | None:
            found = self.status(agent)
            hive = found["hive"]
            return found if found["running"] and hive and hive["machine"] == (owner or self.name) else None

        found = wait_until(is_there, timeout_s)
        assert found is not None
        return found


@contextmanager
def open_machines(
    url: str, names: Sequence[str], runs: list[Step] | None = None, forkserver: Forkserver | None = None
) -> Iterator[list[Machine]]:
    """Yield machines, each in a folder that is short enough for sockets."""
    with ExitStack() as stack:
        machines = []
        for name in names:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hh-", ignore_cleanup_errors=True)))
            fake = FakeClaude(folder / "fake" / "claude")
            fake.folder.mkdir()
            write_program(fake.path, fake.folder / "script.json")
            fake.script(runs or [])
            stack.callback(fake.end_all)
            machines.append(Machine(name, folder, url, fake, forkserver=forkserver))
        yield machines

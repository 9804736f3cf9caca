"""Agents under soak: their claude, their harnesses, and what they were sent. `LocalAgent`: one of a machine alone."""

import itertools
import json
import random
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hyperhive_cli.control.client import GoneError, call
from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.store.db import open_reader
from hyperhive_cli.store.inbox import open_inbox
from tests.conftest import FakeClaude, Step, write_program
from tests.soak.harness import Harness

TEXT: Step = {"recording": "v2.1.330/text.jsonl", "session_id": "from_argv"}
INIT: Step = {"recording": "v2.1.330/text.jsonl", "lines": [0, 1], "session_id": "from_argv"}
READ: Step = {"wait_for_prompt": True}
FLOOD: Step = {"type": "user", "message": {"content": [{"type": "tool_result", "content": "x" * 300}]}}
RETRY_401: Step = {"type": "system", "subtype": "api_retry", "error": "authentication_failed", "error_status": 401}
RUNS = 2_000
BY_COMMAND = 0.04  # of the messages: sent by `hyperhive send`, whose answer goes to a full device


@dataclass(frozen=True, slots=True)
class Kind:
    """What a run of claude may be like, and how often; `acts`: it may have done something before it ended."""

    weight: int
    steps: list[Step]
    acts: bool = True


def refused(status: int, **more: object) -> list[Step]:
    result = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": status, "result": "no"}
    return [READ, INIT, {"line": {**result, **more}}, {"exit": 1}]


def kinds_of_runs() -> list[Kind]:
    limit = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": int(time.time())}}
    first, init, *rest = refused(429)
    leftover: Step = {"spawn": ["sh", "-c", "trap '' TERM INT HUP; sleep 600"], "setsid": True, "inherit_stdout": True}
    return [
        Kind(40, [READ, TEXT]),
        Kind(10, [READ, {"sleep": 0.3}, TEXT]),
        Kind(8, [READ, leftover, TEXT]),
        Kind(6, [READ, INIT, {"repeat": 3_000, "steps": [{"line": FLOOD}]}, TEXT]),
        Kind(6, [READ, INIT, {"exit": 1}]),
        Kind(4, [READ, INIT, leftover, {"kill_self": "SIGKILL"}]),
        Kind(4, [READ, INIT, {"wait_for": "never"}]),
        Kind(3, [READ, TEXT, {"ignore": "SIGINT"}, {"wait_for": "never"}]),
        Kind(4, [first, init, {"line": limit}, *rest], acts=False),
        Kind(4, refused(529), acts=False),
        Kind(4, [READ, INIT, {"line": RETRY_401}, {"wait_for": "never"}], acts=False),
        Kind(2, refused(400), acts=False),
        Kind(2, [{"never_read_stdin": True}, INIT, {"exit": 3}], acts=False),
    ]


@dataclass(frozen=True, slots=True)
class Row:
    """A message as the inbox has it."""

    body: str
    state: str
    acted: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One run of claude that read a message: the prompt that it was given, and whether it may have acted."""

    body: str
    is_announced: bool  # the prompt says that it is not the first one
    acts: bool


@dataclass(slots=True)
class Agent(ABC):
    """An agent, its harnesses and its fake claude. `accepted`: the bodies that the inbox took."""

    folder: Path
    name: str
    chance: random.Random
    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    sent_every_s: float = 3.0  # on average, by each sender
    harnesses: list[Harness] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _kinds: list[Kind] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def fake(self) -> FakeClaude:
        return FakeClaude(self.folder / "fake" / "claude")

    def prepare(self) -> None:
        """Make the folders, and a script of many runs."""
        self.fake.folder.mkdir(parents=True)
        for harness in self.harnesses:
            (harness.folder / "home/.claude").mkdir(parents=True)
            (harness.folder / "workspace").mkdir()
            harness.state_dir.mkdir(mode=0o700, exist_ok=True)
            harness.logs.mkdir(exist_ok=True)
        write_program(self.fake.path, self.fake.folder / "script.json")
        kinds = kinds_of_runs()
        self._kinds = self.chance.choices(kinds, [kind.weight for kind in kinds], k=RUNS)
        self.fake.script(*(kind.steps for kind in self._kinds), logged_in="file")
        self.fake.touch("logged_in")

    def settle(self) -> None:
        """Let every run from now on be a good one, and every clock right."""
        self.fake.script([READ, TEXT], logged_in="file")
        self.log_in()
        for harness in self.harnesses:
            harness.clock.set(0)

    def send(self) -> None:
        """Send another message."""
        with self._lock:
            body = f"{self.name} message {next(self._numbers)}"
        (self.accepted if self.put(body) else self.refused).add(body)

    @abstractmethod
    def put(self, body: str) -> bool:
        """Put a message into the inbox as `hyperhive send` does; False when it was refused."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """Return all messages of the inbox."""

    @abstractmethod
    def outcomes(self) -> Counter[str]:
        """Count how the turns ended."""

    def states(self) -> Counter[str]:
        """Count how the messages stand."""
        return Counter(row.state for row in self.rows())

    def deliveries(self) -> list[Delivery]:
        """Return the runs of claude that were given a message, in the order of their starts."""
        first_good = json.loads((self.fake.folder / "script.json").read_text())["first_start"]
        found = []
        for told in self.fake.calls():
            if told["prompt"]:
                acts = told["start"] >= first_good or self._kinds[told["start"]].acts
                is_announced = str(told["prompt"]).startswith("[Delivery ")
                found.append(Delivery(str(told["prompt"]).splitlines()[-1], is_announced, acts))
        return found

    def log_in(self) -> None:
        """Log in as a person would from elsewhere: claude says so from now on, and its credentials change."""
        self.fake.touch("logged_in")
        for harness in self.harnesses:
            (harness.folder / "home/.claude/.credentials.json").write_text(f'{{"at": {time.time()}}}')

    def look_after(self) -> None:
        """Do what a person would: log in again, and let an agent go on that gave up or waits for long."""
        for harness in self.harnesses:
            status = harness.ask("status") or {}
            if status.get("status") == "needs_login_idle":
                self.log_in()
            elif status.get("status") == "failed" or status.get("waits_until"):
                harness.ask("resume")


def run_words(fake: FakeClaude, folder: Path) -> list[str]:
    options = ["--stall-timeout", "2", "--claude", str(fake.path)]
    return ["run", *options, "--workspace", str(folder / "workspace")]


class LocalAgent(Agent):
    """An agent whose inbox is a file of its machine."""

    def __init__(self, folder: Path, name: str, chance: random.Random, *, prewarms: bool) -> None:
        super().__init__(folder, name, chance)
        self._command = ["-m", "hyperhive_cli", "-a", name, "--state-dir", str(folder / "state")]
        start = ["-m", "tests.soak.quick", "{}", *self._command[2:]]
        words = [*start, *run_words(self.fake, folder), *(["--prewarm"] if prewarms else [])]
        self.harnesses.append(Harness(folder, words, {}, random.Random(chance.random())))  # noqa: S311
        if prewarms:
            self.sent_every_s = 8.0  # a claude that waits is one for which there is nothing to do at times

    @property
    def harness(self) -> Harness:
        return self.harnesses[0]

    @property
    def inbox_db(self) -> Path:
        return self.harness.state_dir / "hyperhive-inbox.sqlite"

    def put(self, body: str) -> bool:
        if self.chance.random() < BY_COMMAND:
            return self._put_by_command(body)
        try:
            with open_inbox(self.inbox_db) as inbox:
                inbox.send("soak", body, now_ms=int(time.time() * 1000), key=body)
        except StoreError:
            return False
        with suppress(GoneError, HyperhiveError):
            call(self.harness.state_dir / "control.sock", "wake", limit_s=5.0)
        return True

    def _put_by_command(self, body: str) -> bool:
        """Send with both outputs on a full device: what is stored is accepted, whatever cannot be said of it."""
        command: Sequence[str] = [sys.executable, *self._command, "send", body, "--key", body]
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                command, env=self.harness.environment, stdin=subprocess.DEVNULL, stdout=full, stderr=full, check=False,
                cwd=self.harness.folder / "workspace", timeout=60,
            )  # fmt: skip
        return done.returncode == 0

    def rows(self) -> list[Row]:
        with closing(open_reader(self.inbox_db)) as db:
            found = db.execute("SELECT body, state, acted, reason FROM messages").fetchall()
        return [Row(body, state, bool(acted), reason) for body, state, acted, reason in found]

    def outcomes(self) -> Counter[str]:
        with closing(open_reader(self.inbox_db)) as db:
            return Counter(dict(db.execute("SELECT outcome, count(*) FROM turn_stats GROUP BY outcome")))

    def turns(self) -> dict[str, list[str]]:
        """Return the outcomes of each message's turns, by its body."""
        turns: dict[str, list[str]] = {}
        with closing(open_reader(self.inbox_db)) as db:
            for body, outcome in db.execute(
                "SELECT body, outcome FROM turn_stats JOIN messages ON id = message_id ORDER BY turn_id"
            ):
                turns.setdefault(body, []).append(outcome)
        return turns

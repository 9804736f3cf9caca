"""One agent under soak: its folders, its harness that is started again whenever it dies, and what it was sent."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import hyperhive_cli
from hyperhive_cli.claude.guard import children
from hyperhive_cli.control.client import GoneError, call
from hyperhive_cli.errors import HyperhiveError, StoreError
from hyperhive_cli.store.inbox import open_inbox
from tests.conftest import FakeClaude, Step, write_program

SOURCE = Path(hyperhive_cli.__file__).resolve().parents[1]
TEXT: Step = {"recording": "v2.1.330/text.jsonl", "session_id": "from_argv"}
INIT: Step = {"recording": "v2.1.330/text.jsonl", "lines": [0, 1], "session_id": "from_argv"}
READ: Step = {"wait_for_prompt": True}
FLOOD: Step = {"type": "user", "message": {"content": [{"type": "tool_result", "content": "x" * 300}]}}
RETRY_401: Step = {"type": "system", "subtype": "api_retry", "error": "authentication_failed", "error_status": 401}


def refused(status: int, **more: object) -> list[Step]:
    result = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": status, "result": "no"}
    return [READ, INIT, {"line": {**result, **more}}, {"exit": 1}]


def runs_of_claude() -> list[tuple[int, list[Step]]]:
    """Give what a run of claude may be like, each with its weight."""
    limit = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": int(time.time())}}
    first, init, *rest = refused(429)
    leftover: Step = {"spawn": ["sh", "-c", "trap '' TERM INT HUP; sleep 600"], "setsid": True, "inherit_stdout": True}
    return [
        (40, [READ, TEXT]),
        (10, [READ, {"sleep": 0.3}, TEXT]),
        (8, [READ, leftover, TEXT]),
        (6, [READ, INIT, {"repeat": 3_000, "steps": [{"line": FLOOD}]}, TEXT]),
        (6, [READ, INIT, {"exit": 1}]),
        (4, [READ, INIT, leftover, {"kill_self": "SIGKILL"}]),
        (4, [READ, INIT, {"wait_for": "never"}]),
        (3, [READ, TEXT, {"ignore": "SIGINT"}, {"wait_for": "never"}]),
        (4, [first, init, {"line": limit}, *rest]),
        (4, refused(529)),
        (4, [READ, INIT, {"line": RETRY_401}, {"wait_for": "never"}]),
        (2, refused(400)),
        (2, [{"never_read_stdin": True}, INIT, {"exit": 3}]),
    ]


@dataclass(slots=True)
class Agent:
    """An agent, its harness and its fake claude. `accepted`: the bodies that the inbox took, by id."""

    folder: Path
    name: str
    accepted: dict[int, str] = field(default_factory=dict)
    refusals: int = 0
    lives: int = 0
    ends: Counter[int] = field(default_factory=Counter)  # how the harness ended, by exit status
    most_descriptors: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def fake(self) -> FakeClaude:
        return FakeClaude(self.folder / "fake" / "claude")

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def inbox_db(self) -> Path:
        return self.state_dir / "hyperhive-inbox.sqlite"

    def prepare(self, chance: random.Random) -> None:
        """Make the folders, and a script of a thousand runs."""
        for name in ("fake", "workspace", "home/.claude"):
            (self.folder / name).mkdir(parents=True)
        self.state_dir.mkdir(mode=0o700, exist_ok=True)
        write_program(self.fake.path, self.fake.folder / "script.json")
        kinds = runs_of_claude()
        chosen = chance.choices([run for _, run in kinds], [weight for weight, _ in kinds], k=1_000)
        self.fake.script(*chosen, logged_in="file")
        self.fake.touch("logged_in")

    @property
    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.folder / "home"), "LANG": "C.UTF-8", "PYTHONPATH": str(SOURCE)}
        return {"PATH": os.environ["PATH"], **own}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep a harness running during the block, whatever becomes of it; the last one ends in an orderly way."""
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(over,))
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def _keep(self, over: threading.Event) -> None:
        options = ["--quiet", "--stall-timeout", "2", "--claude", str(self.fake.path)]
        where = ["--workspace", str(self.folder / "workspace")]
        command = [sys.executable, "-m", "hyperhive_cli", "-a", self.name, "--state-dir", str(self.state_dir), "run"]
        with (self.folder / "stderr.txt").open("ab") as stderr:
            while not over.is_set():
                self.lives += 1
                with subprocess.Popen([*command, *options, *where], env=self.environment, stderr=stderr) as process:
                    self.process = process
                    while process.poll() is None and not over.wait(0.2):
                        self.most_descriptors = max(self.most_descriptors, self.descriptors())
                    with suppress(ProcessLookupError):
                        process.send_signal(signal.SIGTERM if over.is_set() else 0)
                    process.wait(60)
                    self.ends[process.returncode] += 1
                over.wait(0.1)

    def descriptors(self) -> int:
        """Count the harness's open descriptors, 0 when it is gone."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - names are enough
        except OSError:
            return 0

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None and self.process.poll() is None else 0

    def guards(self) -> list[int]:
        return children(self.pid) if self.pid else []

    def send(self, body: str) -> bool:
        """Put a message into the inbox as `hyperhive send` does; False when it was refused."""
        try:
            with open_inbox(self.inbox_db) as inbox:
                number = inbox.put("soak", body, now_ms=int(time.time() * 1000), key=body)
        except StoreError:
            self.refusals += 1
            return False
        self.accepted[number] = body
        with suppress(GoneError, HyperhiveError):
            call(self.state_dir / "control.sock", "ring")
        return True

    def ask(self, op: str) -> dict[str, object] | None:
        """Ask the harness; None when none answers."""
        try:
            return dict(call(self.state_dir / "control.sock", op))
        except (GoneError, HyperhiveError):
            return None

    def log_in(self) -> None:
        """Log in as a person would from elsewhere: claude says so from now on, and its credentials change."""
        self.fake.touch("logged_in")
        (self.folder / "home/.claude/.credentials.json").write_text(f'{{"at": {time.time()}}}')

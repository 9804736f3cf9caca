"""One harness under soak: it is started again whenever it dies, each time with another output."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import hyperhive_cli
from hyperhive_cli.claude.guard import children
from hyperhive_cli.control.client import GoneError, call
from hyperhive_cli.core.errors import HyperhiveError
from tests.soak.clock import Clock
from tests.soak.outputs import Output, some_output

SOURCE = Path(hyperhive_cli.__file__).resolve().parents[1]
END_LIMIT_S = 45.0  # from a SIGTERM: a claude that is deaf, and a terminal that is stuck, take some 20 s together
LOG_SIZE, STATE_SIZE = "256k", "12m"
NO_STDOUT = ["/bin/sh", "-c", 'exec "$@" >&-', "sh"]


@dataclass(slots=True)
class Harness:
    """A harness and the folder of its machine. `words` start it, `run` and its options included."""

    folder: Path
    words: Sequence[str]
    variables: Mapping[str, str]
    chance: random.Random
    rests_s: tuple[float, ...] = (0.1,)  # from a death to the next start: one of these
    lives: int = 0
    ends: Counter[int] = field(default_factory=Counter)  # how it ended, by exit status
    outputs: Counter[str] = field(default_factory=Counter)
    most_descriptors: int = 0
    troubles: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = Clock(self.folder / "clock")

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def stderr(self) -> Path:
        return self.folder / "stderr.txt"

    @property
    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.folder / "home"), "LANG": "C.UTF-8", "PYTHONPATH": str(SOURCE), "TERM": "xterm"}
        return {"PATH": os.environ["PATH"], **own, **self.variables}

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
        while not over.is_set():
            self.lives += 1
            with some_output(self.logs, self.chance) as output, self.stderr.open("ab") as stderr:
                self.outputs[output.name] += 1
                self._live(output, stderr.fileno(), over)
            over.wait(self.chance.choice(self.rests_s))

    def _live(self, output: Output, stderr: int, over: threading.Event) -> None:
        command = [*(NO_STDOUT if output.is_closed else []), sys.executable, *self.words, *output.words]
        environment = {**self.environment, **self.clock.environment}
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output.stdout, stderr=stderr
        ) as process:
            self.process = process
            while process.poll() is None and not over.wait(0.2):
                self.most_descriptors = max(self.most_descriptors, self.descriptors())
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.troubles.append(f"it did not end within {END_LIMIT_S:g} s, its stdout was {output.name}")
                process.kill()
                process.wait()
            self.ends[process.returncode] += 1
            self.clock.forget(process.pid)

    @property
    def pid(self) -> int:
        """The id of the harness that runs, 0 when none does."""
        return self.process.pid if self.process is not None and self.process.poll() is None else 0

    def descriptors(self) -> int:
        """Count the harness's open descriptors, 0 when it is gone."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - names are enough
        except OSError:
            return 0

    def guards(self) -> list[int]:
        return children(self.pid) if self.pid else []

    def claudes(self) -> list[int]:
        return [pid for guard in self.guards() for pid in children(guard)]

    def complaints(self) -> Counter[str]:
        """Count the errors with which it has ended, numbers and folders left out."""
        lines = self.stderr.read_text(errors="replace").splitlines() if self.stderr.exists() else []
        return Counter(re.sub(r"/\S+|\d+", "…", line) for line in lines if line.startswith("Error: "))

    def ask(self, op: str) -> dict[str, object] | None:
        """Ask the harness; None when none answers."""
        with suppress(GoneError, HyperhiveError):
            return dict(call(self.state_dir / "control.sock", op, limit_s=5.0))
        return None

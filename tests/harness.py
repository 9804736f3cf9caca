"""Programs under test as processes: `hyperhive run` that goes on, and commands that end by themselves."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hyperhive_cli.control.client import GoneError, call
from tests import forkserver
from tests.conftest import Step, wait_until
from tests.forkserver import Forked, Forkserver, can_fork

Event = dict[str, Any]
SOURCE = forkserver.SOURCE
LIMIT_S = 120.0

TEXT: list[Step] = [{"replay": "v2.1.330/text.jsonl", "session_id": "from_argv"}]
INIT: Step = {"recording": "v2.1.330/text.jsonl", "lines": [0, 1], "session_id": "from_argv"}
SOON_AGAIN = {"agent.backoff.CRASH_FIRST_S": 0.01}  # constants for a harness whose claude crashes
ANSWER = "Hello! I am ready."  # how the result of TEXT begins
BAD_REQUEST: list[Step] = [
    {"recording": "v2.1.330/text.jsonl", "lines": [0, 1], "session_id": "from_argv"},
    {
        "line": {
            "type": "result",
            "subtype": "success",
            "is_error": True,
            "api_error_status": 422,
            "result": "messages: text content blocks must be non-empty",
        }
    },
    {"exit": 1},
]
BAD_MODEL: list[Step] = [{"replay": "v2.1.330/model_missing.jsonl", "session_id": "from_argv"}]


def program_command() -> list[str]:
    """Return the words that start the program, whatever is installed."""
    return [sys.executable, "-m", "hyperhive_cli"]


def gated(gate: str = "go on") -> list[Step]:
    """Play TEXT, but be busy after its first line until the test opens a gate."""
    return [{"wait_for_prompt": True}, INIT, {"touch": f"before {gate}"}, {"wait_for": gate}, *TEXT]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    def refusal(self, status: int = 1) -> str:
        """Check that a command failed as it should, and return its message."""
        first, *rest = self.stderr.splitlines()
        assert (self.status, self.stdout, first[:7]) == (status, "", "Error: ")
        assert len(rest) <= 1
        assert all(line.startswith("Try: ") for line in rest)
        return first.removeprefix("Error: ")

    def json_lines(self) -> list[Event]:
        """Return stdout as JSON, a value a line."""
        return [json.loads(line) for line in self.stdout.split("\n")[:-1]]


class Program:
    """A program that runs: both outputs are read all the time, a line each, the newline left out."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked) -> None:
        self.process = process
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        if process.stdin is not None:
            process.stdin.close()
        pipes = ((process.stdout, self.stdout), (process.stderr, self.stderr))
        self._readers = [threading.Thread(target=_read_lines, args=pipe) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self) -> list[Event]:
        """Return what `--json` has printed so far."""
        return [json.loads(line) for line in list(self.stdout)]

    def wait_for(self, matches: Callable[[Event], object], timeout_s: float = LIMIT_S) -> Event:
        """Wait for an event and return it; AssertionError when the program ends without it."""

        def found() -> Event | None:
            is_over = not any(reader.is_alive() for reader in self._readers)
            event = next((event for event in self.events() if matches(event)), None)
            assert event is not None or not is_over, (self.stdout[-3:], self.stderr)
            return event

        event = wait_until(found, timeout_s)
        assert event is not None
        return event

    def wait_for_kind(self, kind: str, **fields: object) -> Event:
        return self.wait_for(lambda event: event["kind"] == kind and fields.items() <= event.items())

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait(self, timeout_s: float = LIMIT_S) -> int:
        """Wait for the end of the program and of its outputs; return the exit status, negative for a signal."""
        status = self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join(timeout_s)
        said = "\n".join(self.stderr)
        assert "Traceback" not in said, said
        return status

    def interrupt(self) -> int:
        self.send(signal.SIGINT)
        return self.wait()


def _read_lines(pipe: IO[bytes], lines: list[str]) -> None:
    rest = b""
    with pipe:
        while chunk := os.read(pipe.fileno(), 1 << 16):
            *whole, rest = (rest + chunk).split(b"\n")
            lines += [line.decode() for line in whole]
    if rest:
        lines.append(rest.decode())


@dataclass(slots=True)
class Hive:
    """One agent on the command line: its workspace, its state folder and the claude it runs."""

    workspace: Path
    state_dir: Path
    claude: Path
    environment: Mapping[str, str]
    forkserver: Forkserver | None = None  # without it each command is a Python that starts
    # Of the program, for its commands: times that would only be waited for. `harness.hook.HOOK_LIMIT_S`: seconds.
    constants: Mapping[str, float] = field(default_factory=dict)
    prelude: str = ""  # Python that runs before its commands, for what a constant cannot change

    def words(self, *arguments: str) -> list[str]:
        """Return what is called behind `hyperhive`."""
        return ["--state-dir", str(self.state_dir), *arguments]

    def command(self, *arguments: str) -> list[str]:
        return [*program_command(), *self.words(*arguments)]

    def variables(self, **more: str) -> dict[str, str]:
        return {**self.environment, "PYTHONPATH": str(SOURCE), **more}

    def call(self, *arguments: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> Done:
        """Run a command to its end. Whatever happens, no command shows a traceback."""
        process = self._open(arguments, self.variables(**(variables or {})))
        stdout, stderr = process.communicate(stdin, LIMIT_S)
        assert process.returncode is not None
        assert b"Traceback" not in stderr
        return Done(process.returncode, stdout.decode(), stderr.decode())

    def _open(self, arguments: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[bytes] | Forked:
        if self.forkserver is not None and can_fork(variables):
            return self.forkserver.fork(self.words(*arguments), self.workspace, variables, self.constants, self.prelude)
        assert not self.constants, "only a fork can be given constants"
        assert not self.prelude, "or a prelude"
        return subprocess.Popen(
            self.command(*arguments),
            env=variables,
            cwd=self.workspace,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def program(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run any program as the operator would: in the workspace, with this agent's state folder named."""
        return subprocess.run(
            command,
            cwd=self.workspace,
            env=self.variables(HYPERHIVE_STATE_DIR=str(self.state_dir), **variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def drain(self, *arguments: str, claude_arguments: Sequence[str] = ()) -> Done:
        """Run the harness until nothing is left to run, its events as JSON."""
        rest = ["--", *claude_arguments] if claude_arguments else []
        return self.call("run", "--claude", str(self.claude), "--drain", "--json", *arguments, *rest)

    @contextmanager
    def start(self, *arguments: str) -> Iterator[Program]:
        """Start a command that goes on; what is left of it at the end of the block is killed."""
        process = self._open(arguments, self.variables())
        program = Program(process)
        try:
            yield program
        finally:
            process.kill()
            program.wait()

    @contextmanager
    def run(self, *arguments: str) -> Iterator[Program]:
        """Start the harness, its events as JSON; in the block it answers."""
        with self.start("run", "--claude", str(self.claude), "--json", *arguments) as program:
            wait_until(lambda: self.answers() or program.process.poll() is not None)
            yield program

    def answers(self) -> bool:
        """Whether a harness answers on the control socket."""
        try:
            return bool(call(self.state_dir / "control.sock", "status"))
        except GoneError:
            return False

    def messages(self, *arguments: str) -> list[Event]:
        """Return the messages that `inbox` lists."""
        return self.call("inbox", *arguments, "--json").json_lines()

    def status(self) -> Event:
        status: Event = self.call("status", "--json").json_lines()[0]
        return status


@contextmanager
def piped(hive: Hive, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command with three pipes, its stdin open; what is left of it at the end of the block is killed."""
    with subprocess.Popen(
        hive.command(*arguments),
        env=hive.variables(),
        cwd=hive.workspace,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a backup as the manual says; Python's own way to do it safely is not in every 3.11."""
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(folder)], check=True)


def of_kind(events: Sequence[Event], kind: str) -> list[Event]:
    return [event for event in events if event["kind"] == kind]


def outcomes(events: Sequence[Event]) -> list[str]:
    return [event["outcome"] for event in of_kind(events, "turn_end")]


def without_envelope(line: str) -> str:
    """Return an event's JSON text without seq, ts and kind, which come first: for a stream, claude's own line."""
    event = json.loads(line)
    head = f'{{"seq":{json.dumps(event["seq"])},"ts":{event["ts"]},"kind":"{event["kind"]}",'
    assert line.startswith(head)
    return "{" + line.removeprefix(head)


@contextmanager
def read_once(hive: Hive, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command, read a little of what it prints, and go away, as `| head -1` does."""
    with subprocess.Popen(
        hive.command(*arguments),
        env=hive.variables(),
        cwd=hive.workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        process.stdout.close()
        yield process


def on_a_terminal(hive: Hive, *words: str, **variables: str) -> str:
    """Run a command with a terminal of 100 columns for all three streams; return what that was sent."""
    ours, theirs = pty.openpty()
    assert hive.forkserver is not None
    request = {
        "argv": hive.words(*words),
        "cwd": str(hive.workspace),
        "env": {"PAGER": "cat", **hive.variables(), "TERM": "xterm-256color", "COLUMNS": "100", **variables},
        "umask": 0o077,
        "constants": {},
        "prelude": "",
    }
    pid = hive.forkserver.ask(request, (theirs, theirs, theirs))
    os.close(theirs)
    shown = bytearray()
    try:
        while select.select([ours], [], [], LIMIT_S)[0]:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
            shown += chunk
    finally:
        os.close(ours)
        hive.forkserver.ask({"ended": pid})
    return shown.decode()


def for_a_person(hive: Hive, *words: str, columns: int = 100) -> list[str]:
    """Return the lines that a command shows on a terminal of so many columns, without colours."""
    return on_a_terminal(hive, *words, NO_COLOR="1", COLUMNS=str(columns)).replace("\r\n", "\n").splitlines()


def piped_rows(text: str) -> list[dict[str, str]]:
    """Return the rows of a table that was printed into a pipe, by its headings."""
    heads, *rows = (line.split("\t") for line in text.splitlines())
    return [dict(zip(heads, row, strict=True)) for row in rows]

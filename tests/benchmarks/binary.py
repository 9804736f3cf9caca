"""The real claude, with the scripted Messages API of the tests: alone, and behind the harness."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperhive_cli.claude.prompt import prompt_to_line
from hyperhive_cli.core.settings import paths_by_name
from hyperhive_cli.harness.client import LocalClient
from tests.benchmarks.measure import UnavailableError, clean_environment
from tests.claude.conftest import NO_BINARY, VARIABLE, MessagesApi

PROGRAM = str(Path(sys.executable).with_name("hyperhive"))
PROMPT = "Message from operator:\n\n{}"  # as the harness frames it
LIMIT_S = 120.0
SETTLE_S = 1.5  # in which a claude that was started gets ready for its message


def find_binary() -> str:
    """Return the path of the binary; raises UnavailableError, which says how to get one."""
    found = os.environ.get(VARIABLE) or shutil.which("claude")
    if found is None:
        raise UnavailableError(NO_BINARY)
    return found


@dataclass(slots=True)
class Bare:
    """The binary alone, one conversation after the other."""

    claude: str
    environment: dict[str, str]
    workspace: Path
    session: str | None = None

    def ask(self, text: str) -> float:
        """Run it once on the conversation; return after how many seconds its first `assistant` line came."""
        began = time.perf_counter()
        with self._running() as process:
            return self._converse(process, PROMPT.format(text).encode(), began)

    def ask_waiting(self, text: str) -> float:
        """Start it first, then write a message to it; return after how many seconds the first `assistant` line came."""
        with self._running("--input-format", "stream-json") as process:
            time.sleep(SETTLE_S)
            return self._converse(process, prompt_to_line(PROMPT.format(text).encode()), time.perf_counter())

    def _running(self, *options: str) -> subprocess.Popen[bytes]:
        command = [self.claude, "--print", "--verbose", "--output-format", "stream-json", "--model=haiku", *options]
        command += [] if self.session is None else [f"--resume={self.session}"]
        return subprocess.Popen(
            command, env=self.environment, cwd=self.workspace, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def _converse(self, process: subprocess.Popen[bytes], prompt: bytes, began: float) -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        first_s = 0.0
        process.stdin.write(prompt)
        process.stdin.close()
        for line in process.stdout:
            found = json.loads(line)
            if found["type"] == "assistant" and not first_s:
                first_s = time.perf_counter() - began
            self.session = found.get("session_id", self.session)
        assert process.wait() == 0
        return first_s


@dataclass(slots=True)
class Setting:
    """A workspace with the API's environment, and the binary."""

    api: MessagesApi
    claude: str
    environment: dict[str, str] = field(default_factory=dict)

    def bare(self) -> Bare:
        """Return the binary alone, without a conversation yet."""
        return Bare(self.claude, self.environment, self.api.workspace)

    def command(self, state_dir: Path, *words: str) -> list[str]:
        """Return a command of ours on the agent with this state folder."""
        return [PROGRAM, "--agent", "bench", "--state-dir", str(state_dir), *words]

    @contextmanager
    def harness(self, state_dir: Path, *options: str) -> Iterator["Harness"]:
        """Run a harness, with a reader of its feed, until the end of the block."""
        run = self.command(state_dir, "run", "--quiet", "--claude", self.claude, *options)
        with subprocess.Popen(run, env=self.environment, cwd=self.api.workspace) as running:
            try:
                self.call(state_dir, "send", "--wait", "hello")  # waits until the harness is up
                tail = self.command(state_dir, "tail", "-n", "0", "--json")
                with subprocess.Popen(tail, env=self.environment, stdout=subprocess.PIPE) as reader:
                    try:
                        yield Harness(self, state_dir, reader)
                    finally:
                        reader.terminate()
            finally:
                running.terminate()

    def call(self, state_dir: Path, *words: str) -> None:
        """Run one of our short commands."""
        subprocess.run(
            self.command(state_dir, *words),
            env=self.environment,
            cwd=self.api.workspace,
            check=True,
            capture_output=True,
            timeout=LIMIT_S,
        )


@dataclass(slots=True)
class Harness:
    """A running harness whose feed is read by `tail --json`."""

    setting: Setting
    state_dir: Path
    reader: subprocess.Popen[bytes]

    def ask(self, text: str) -> float:
        """Put a message into the inbox; return after how many seconds the first `assistant` event was read.

        Waits for the end of the turn.
        """
        began, first_s = time.perf_counter(), 0.0
        client = LocalClient(paths_by_name("bench", self.state_dir, {}))
        _, waking = client.send("operator", text, now_ms=int(time.time() * 1000), key=None, raw=False, not_before=0)
        list(waking)
        for event in self.events():
            if event.get("type") == "assistant" and not first_s:
                first_s = time.perf_counter() - began
            if event["kind"] == "turn_state_changed" and event["state"] == "idle" and first_s:
                return first_s
        raise EOFError("the feed ended")

    def ask_waiting(self, text: str) -> float:
        """Do the same once the claude that was started earlier is ready."""
        time.sleep(SETTLE_S)
        return self.ask(text)

    def events(self) -> Iterator[dict[str, Any]]:
        """Read what the feed gives."""
        assert self.reader.stdout is not None
        yield from map(json.loads, self.reader.stdout)


@contextmanager
def open_setting(folder: Path) -> Iterator[Setting]:
    """Start the API; at the end of the block it is gone."""
    workspace = folder / "workspace"
    workspace.mkdir()
    api = MessagesApi(folder, workspace, clean_environment(folder))
    with api.servers:
        setting = Setting(api, find_binary())
        setting.environment = api.start("text")
        setting.bare().ask("the first run of a binary takes seconds")
        yield setting

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

from tests.claude.conftest import NO_BINARY, VARIABLE, MessagesApi

PROGRAM = str(Path(sys.executable).with_name("hyperhive"))
PROMPT = "Message from operator:\n\n{}"  # as the harness frames it
LIMIT_S = 120.0


def find_binary() -> str:
    """Return the path of the binary; raises FileNotFoundError, which says how to get one."""
    found = os.environ.get(VARIABLE) or shutil.which("claude")
    if found is None:
        raise FileNotFoundError(NO_BINARY)
    return found


@dataclass(slots=True)
class Bare:
    """The binary alone, one conversation after the other."""

    claude: str
    environment: dict[str, str]
    workspace: Path
    session: str | None = None

    def ask(self, text: str) -> float:
        """Run it once on the conversation; gives after how many seconds its first `assistant` line came."""
        command = [self.claude, "--print", "--verbose", "--output-format", "stream-json", "--model=haiku"]
        command += [] if self.session is None else [f"--resume={self.session}"]
        began, first_s = time.perf_counter(), 0.0
        with subprocess.Popen(
            command, env=self.environment, cwd=self.workspace, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(PROMPT.format(text).encode())
            process.stdin.close()
            for line in process.stdout:
                found = json.loads(line)
                if found["type"] == "assistant" and not first_s:
                    first_s = time.perf_counter() - began
                self.session = found.get("session_id", self.session)
        assert process.returncode == 0
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
        """Send a message; gives after how many seconds the first `assistant` event was read. Waits for the end."""
        began, first_s = time.perf_counter(), 0.0
        self.setting.call(self.state_dir, "send", text)
        for event in self.events():
            if event.get("type") == "assistant" and not first_s:
                first_s = time.perf_counter() - began
            if event["kind"] == "turn_state_changed" and event["state"] == "idle" and first_s:
                return first_s
        raise EOFError("the feed ended")

    def events(self) -> Iterator[dict[str, Any]]:
        """Read what the feed gives."""
        assert self.reader.stdout is not None
        yield from map(json.loads, self.reader.stdout)


@contextmanager
def open_setting(folder: Path) -> Iterator[Setting]:
    """Start the API; at the end of the block it is gone."""
    workspace = folder / "workspace"
    workspace.mkdir()
    plain = {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    api = MessagesApi(folder, workspace, plain)
    with api.servers:
        setting = Setting(api, find_binary())
        setting.environment = api.start("text")
        setting.bare().ask("the first run of a binary takes seconds")
        yield setting

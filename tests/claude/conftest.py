"""What the tests with the real `claude` share: the binary, and the scripted Messages API that answers it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
VARIABLE, OLD_VARIABLE = "HYPERHIVE_TEST_CLAUDE", "HYPERHIVE_TEST_CLAUDE_OLD"
NO_BINARY = (
    "THE REAL claude IS NOT TESTED: `npm install --prefix DIR @anthropic-ai/claude-code@2.1.330`, then set "
    f"{VARIABLE}=DIR/node_modules/@anthropic-ai/claude-code-linux-x64/claude (needs no login; a second, older "
    f"release goes into {OLD_VARIABLE})"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("real_claude")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with the second release too, where there is one."""
    if "claude_binary" in metafunc.fixturenames:
        names = [VARIABLE, *([OLD_VARIABLE] if os.environ.get(OLD_VARIABLE) else [])]
        ids = {VARIABLE: "claude", OLD_VARIABLE: "old"}
        metafunc.parametrize("claude_binary", names, ids=ids.__getitem__, indirect=True)


@pytest.fixture
def claude_binary(request: pytest.FixtureRequest) -> Path:
    """Give the path of the real binary; each test runs once a release."""
    given = os.environ.get(request.param)
    found = given or shutil.which("claude")
    if found is None:
        pytest.skip(NO_BINARY)
    if not os.access(found, os.X_OK):
        pytest.fail(f"{request.param}={found} is no program")
    return Path(found)


@dataclass(slots=True)
class MessagesApi:
    """The scripted Messages API on loopback; its servers end with the test."""

    folder: Path
    workspace: Path
    environment: Mapping[str, str]
    servers: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self, scenario: str) -> dict[str, str]:
        """Start a server that plays `scenarios/SCENARIO.json`; gives the environment for a claude that asks it."""
        program = [sys.executable, str(HERE / "messages_api.py"), "0", str(HERE / "scenarios" / f"{scenario}.json")]
        own = {**self.environment, "REQUEST_BODIES": str(self._bodies), "AGENT_CWD": str(self.workspace)}
        server = self.servers.enter_context(subprocess.Popen(program, env=own, stdout=subprocess.PIPE, text=True))
        self.servers.callback(server.terminate)
        assert server.stdout is not None
        address = server.stdout.readline().removeprefix("listening on ").strip()
        return {
            **self.environment,
            "ANTHROPIC_BASE_URL": f"http://{address}",
            "ANTHROPIC_API_KEY": "sk-ant-dummy",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",  # root may not skip permissions without it
        }

    def requests(self) -> list[dict[str, Any]]:
        """Give the bodies of all requests for a message so far, oldest first."""
        lines = self._bodies.read_bytes().split(b"\n")[:-1] if self._bodies.exists() else []
        asked = [json.loads(line) for line in lines]
        return [one["body"] for one in asked if one["path"].partition("?")[0] == "/v1/messages"]

    @property
    def _bodies(self) -> Path:
        return self.folder / "requests.jsonl"


@pytest.fixture
def messages_api(tmp_path: Path, workspace: Path, environment: dict[str, str]) -> Iterator[MessagesApi]:
    api = MessagesApi(tmp_path, workspace, environment)
    with api.servers:
        yield api

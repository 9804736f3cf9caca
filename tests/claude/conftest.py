"""What the tests with the real `claude` share: the binary, and the scripted Messages API that answers it."""

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.claude.messages_api import Server
from tests.claude.token_endpoint import TokenEndpoint, open_token_endpoint
from tests.forkserver import Forkserver
from tests.harness import Hive

HERE = Path(__file__).resolve().parent
VARIABLE, OLD_VARIABLE = "HYPERHIVE_TEST_CLAUDE", "HYPERHIVE_TEST_CLAUDE_OLD"
NO_BINARY = (
    "THE REAL claude IS NOT TESTED: `npm install --prefix DIR @anthropic-ai/claude-code@2.1.332`, then set "
    f"{VARIABLE}=DIR/node_modules/@anthropic-ai/claude-code-linux-x64/claude (needs no login; a second, older "
    f"release goes into {OLD_VARIABLE})"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("real_claude")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with the second release too, where there is one: most of them only when all is to be run."""
    if "claude_binary" in metafunc.fixturenames:
        releases = [pytest.param(VARIABLE, id="claude")]
        mark = metafunc.definition.get_closest_marker
        if os.environ.get(OLD_VARIABLE) and mark("newest_release") is None:
            is_always = mark("both_releases") is not None
            marks = () if is_always else pytest.mark.exhaustive
            releases.append(pytest.param(OLD_VARIABLE, id="old", marks=marks))
        metafunc.parametrize("claude_binary", releases, indirect=True)


@pytest.fixture
def claude_binary(request: pytest.FixtureRequest) -> Path:
    """Return the path of the real binary; each test runs once a release."""
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
        """Start a server that plays `scenarios/SCENARIO.json`; return the environment for a claude that asks it."""
        return self._serve(HERE / "scenarios" / f"{scenario}.json")

    def play(self, *rules: Mapping[str, Any]) -> dict[str, str]:
        """Start a server that plays these rules; return the environment for a claude that asks it."""
        script = self.folder / "scenario.json"
        script.write_text(json.dumps({"rules": rules}), encoding="utf-8")
        return self._serve(script)

    def _serve(self, script: Path) -> dict[str, str]:
        server = self.servers.enter_context(Server(0, script, self.workspace, bodies=self._bodies))
        serving = threading.Thread(target=server.serve_forever, args=[0.02])
        self.servers.callback(serving.join)
        self.servers.callback(server.shutdown)
        serving.start()
        address = f"127.0.0.1:{server.server_port}"
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
        """Return the bodies of all requests for a message so far, oldest first."""
        return [one["body"] for one in self._asked()]

    def authorizations(self) -> list[str | None]:
        """Return the `Authorization` of each of them."""
        return [one["authorization"] for one in self._asked()]

    def everything(self) -> list[dict[str, Any]]:
        """Return all requests so far, those of a cloud's own addresses too: `path`, `authorization` and `body`."""
        lines = self._bodies.read_bytes().split(b"\n")[:-1] if self._bodies.exists() else []
        return [json.loads(line) for line in lines]

    def _asked(self) -> list[dict[str, Any]]:
        return [one for one in self.everything() if one["path"].partition("?")[0] == "/v1/messages"]

    @property
    def _bodies(self) -> Path:
        return self.folder / "requests.jsonl"


@pytest.fixture
def messages_api(tmp_path: Path, workspace: Path, environment: dict[str, str]) -> Iterator[MessagesApi]:
    api = MessagesApi(tmp_path, workspace, environment)
    with api.servers:
        yield api


@pytest.fixture
def start(
    claude_binary: Path, messages_api: MessagesApi, state_dir: Path, forkserver: Forkserver
) -> Callable[[str], Hive]:
    """Set up an agent whose claude asks a server that plays a scenario."""

    def set_up(scenario: str) -> Hive:
        return Hive(messages_api.workspace, state_dir, claude_binary, messages_api.start(scenario), forkserver)

    return set_up


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[TokenEndpoint]:
    """Serve the endpoint at which claude gets its logins and renews them."""
    if shutil.which("openssl") is None:
        pytest.skip("LOGINS THAT SUCCEED, AND THEIR REFRESH, ARE NOT TESTED: there is no openssl")
    with open_token_endpoint(tmp_path) as opened:
        yield opened

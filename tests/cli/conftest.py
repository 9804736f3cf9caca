"""What the tests of the command line share."""

import os
from pathlib import Path

import pytest

from tests.conftest import FakeClaude
from tests.forkserver import Forkserver
from tests.harness import BAD_REQUEST, TEXT, Hive


@pytest.fixture
def hive(
    fake_claude: FakeClaude, workspace: Path, state_dir: Path, environment: dict[str, str], forkserver: Forkserver
) -> Hive:
    return Hive(workspace, state_dir, fake_claude.path, environment, forkserver)


@pytest.fixture
def newcomer(hive: Hive, fake_claude: FakeClaude) -> Hive:
    """Return an agent whose claude is found on PATH, as a newcomer's is."""
    hive.environment = {**hive.environment, "PATH": f"{fake_claude.folder}{os.pathsep}{hive.environment['PATH']}"}
    fake_claude.script(TEXT)
    return hive


@pytest.fixture
def home(state_dir: Path) -> Path:
    """Return the folder of the agents: short enough for the sockets of two."""
    return state_dir / "home"


@pytest.fixture
def two(home: Path, hive: Hive, fake_claude: FakeClaude) -> dict[str, Hive]:
    """Return two agents that had a turn; of the second, which sorts behind the first, it failed."""
    found = {}
    for name, steps in (("first", TEXT), ("second", BAD_REQUEST)):
        one = Hive(hive.workspace, home / name, hive.claude, hive.environment, hive.forkserver)
        fake_claude.script(steps)
        one.drain("--message", "one")
        found[name] = one
    return found

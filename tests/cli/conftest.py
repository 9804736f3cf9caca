"""What the tests of the command line share."""

import os
from pathlib import Path

import pytest

from tests.conftest import FakeClaude
from tests.forkserver import Forkserver
from tests.harness import TEXT, Hive


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

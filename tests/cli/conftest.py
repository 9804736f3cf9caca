"""What the tests of the command line share."""

from pathlib import Path

import pytest

from tests.conftest import FakeClaude
from tests.forkserver import Forkserver
from tests.harness import Hive


@pytest.fixture
def hive(
    fake_claude: FakeClaude, workspace: Path, state_dir: Path, environment: dict[str, str], forkserver: Forkserver
) -> Hive:
    return Hive(workspace, state_dir, fake_claude.path, environment, forkserver)

"""What the tests of the page share: a browser for each module, and an agent with a panel for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.conftest import FakeClaude
from tests.harness import Hive
from tests.web.page.browser import open_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as found:
        yield found


@pytest.fixture
def hive(fake_claude: FakeClaude, workspace: Path, state_dir: Path, environment: dict[str, str]) -> Hive:
    return Hive(workspace, state_dir, fake_claude.path, environment)

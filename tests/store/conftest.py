"""An inbox for the tests of the store; those of another database say so by a `path` of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive_cli.store.inbox import Inbox, open_inbox


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.sqlite"


@pytest.fixture
def inbox(path: Path) -> Iterator[Inbox]:
    with open_inbox(path) as opened:
        yield opened

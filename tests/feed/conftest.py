"""A store and an inbox for a bus."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive_cli.store.events import EventStore, open_event_store
from hyperhive_cli.store.inbox import Inbox, open_inbox


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[EventStore]:
    with open_event_store(path) as opened:
        opened.connection.execute("PRAGMA busy_timeout = 0")  # who finds it locked need not wait in a test
        yield opened


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with open_inbox(tmp_path / "inbox.sqlite") as opened:
        yield opened

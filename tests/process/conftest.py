"""What the tests of turns and of the loop share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive_cli.agent import backoff
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.inbox import open_inbox
from tests.conftest import FakeClaude
from tests.process.world import World


@pytest.fixture
def world(
    fake_claude: FakeClaude,
    workspace: Path,
    state_dir: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    monkeypatch.setattr(backoff, "CRASH_FIRST_S", 0.0)  # how long it is: tests/unit/test_backoff.py
    with (
        open_inbox(state_dir / "inbox.sqlite") as inbox,
        open_event_store(state_dir / "events.sqlite") as store,
    ):
        yield World(fake_claude, inbox, store, state_dir / "model", workspace, environment)

"""A socket's path, short enough for one, and an agent whose feed is looked for often."""

from pathlib import Path

import pytest

from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.feed import agent_feed as feed_module


@pytest.fixture
def path(state_dir: Path) -> Path:
    return state_dir / "control.sock"


@pytest.fixture
def paths(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AgentPaths:
    monkeypatch.setattr(feed_module, "POLL_S", 0.002)
    return AgentPaths(
        agent="tester",
        state_dir=state_dir,
        events_db=state_dir / "hyperhive-events.sqlite",
        model_file=state_dir / "hyperhive-model",
        socket=state_dir / "control.sock",
    )

"""A socket's path, short enough for one."""

from pathlib import Path

import pytest


@pytest.fixture
def path(state_dir: Path) -> Path:
    return state_dir / "control.sock"

"""Runs the page's modules in node, for tests that compare the page with the terminal."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LIMIT_S

HERE = Path(__file__).resolve().parent
NODE = shutil.which("node")
NO_NODE = "THE PAGE'S MODULES ARE NOT TESTED: no node here (`apt-get install nodejs`; 20 or newer)"
needs_node = pytest.mark.skipif(NODE is None, reason=NO_NODE)


def ask_node(program: str, given: object) -> Any:  # noqa: ANN401 - JSON
    """Run a program beside this file with a value as input, and return its output. Its time zone is UTC."""
    command = [str(NODE), str(HERE / program)]
    environment = {**os.environ, "TZ": "UTC"}
    done = subprocess.run(
        command, input=json.dumps(given), env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    return json.loads(done.stdout)


def said_by_page(situations: list[dict[str, Any]], now: float) -> list[list[dict[str, Any]]]:
    """Return what the page says of an agent, and its group in the overview: opened now, and after following records."""
    found: list[list[dict[str, Any]]] = ask_node("same_status.mjs", {"situations": situations, "now": now})
    return found

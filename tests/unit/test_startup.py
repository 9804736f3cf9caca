"""Start-up is a feature: the short commands load neither trio nor rich."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hyperhive_cli

SLOW = {"trio", "rich", "orjson", "asyncio", "markdown_it"}
# Prints the modules that were loaded as the last line of stderr, whatever the command did.
PROGRAM = """
import atexit, json, sys
atexit.register(lambda: print("\\n" + json.dumps(sorted(sys.modules)), file=sys.stderr))
from hyperhive_cli.cli.main import main
main()
"""


def loaded_by(*arguments: str, environment: dict[str, str], folder: Path, status: int = 0) -> set[str]:
    """Run a command and give the top names of all modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**environment, "PYTHONPATH": str(Path(hyperhive_cli.__file__).parents[1])},
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
    )
    assert done.returncode == status, done.stderr
    modules: list[str] = json.loads(done.stderr.splitlines()[-1])
    return {name.split(".")[0] for name in modules}


@pytest.mark.parametrize(
    "command",
    [
        "model set opus",
        "model show",
        "send hi",
        "--help",
        "send -h",
        "inbox",
        "new-session",
        "--version",
        "stats",
        "stats --json",
    ],
)
def test_a_short_command_loads_no_slow_library(command: str, environment: dict[str, str], workspace: Path) -> None:
    loaded = loaded_by(*command.split(), environment=environment, folder=workspace)
    assert loaded & SLOW == set()
    assert "click" in loaded


def test_a_command_that_needs_a_harness_says_so_without_a_slow_library(
    environment: dict[str, str], workspace: Path
) -> None:
    for command in ("cancel", "login", "logout"):
        assert loaded_by(command, environment=environment, folder=workspace, status=1) & SLOW == set()


@pytest.mark.parametrize("command", ["status", "status --json", "export", "export --format html", "agents"])
def test_status_reads_the_history_and_needs_its_parser_alone(
    command: str, environment: dict[str, str], workspace: Path
) -> None:
    assert loaded_by(*command.split(), environment=environment, folder=workspace) & SLOW <= {"orjson"}


def test_a_reader_of_the_feed_loads_no_event_loop(environment: dict[str, str], workspace: Path) -> None:
    loaded = loaded_by("tail", "--no-follow", environment=environment, folder=workspace)
    assert loaded & {"trio", "asyncio"} == set()
    assert "rich" in loaded, "nor would the tests above see it"


def test_a_harness_loads_the_event_loop(environment: dict[str, str], workspace: Path) -> None:
    assert "trio" in loaded_by("run", "-h", environment=environment, folder=workspace)

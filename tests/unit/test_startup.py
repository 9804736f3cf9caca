"""Start-up is a feature: each command loads what it uses, and the guard of a turn next to nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

import hyperhive_cli
from hyperhive_cli.claude import guard

SLOW = {"trio", "rich", "orjson", "asyncio", "markdown_it"}
# Prints the modules that were loaded as the last line of stderr, whatever the command did.
PROGRAM = """
import atexit, sys
atexit.register(lambda: print("\\n" + " ".join(sys.modules), file=sys.stderr))
from hyperhive_cli.cli.main import main
main()
"""


def loaded_by(*arguments: str, environment: dict[str, str], folder: Path, status: int = 0) -> set[str]:
    """Run a command and return the top names of all modules that it loaded; its agent's folder is named."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={
            **environment,
            "HYPERHIVE_STATE_DIR": str(folder / "state"),
            "PYTHONPATH": str(Path(hyperhive_cli.__file__).parents[1]),
        },
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=120,
        text=True,
    )
    assert done.returncode == status, done.stderr
    return {name.split(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "command",
    [
        "agents",
        "compact -h --plain",
        "--version",
        "stats",
        "stats --json",
        "completion bash",
        "help",
        "help events",
    ],
)
def test_a_short_command_loads_no_slow_library(command: str, environment: dict[str, str], workspace: Path) -> None:
    loaded = loaded_by(*command.split(), environment=environment, folder=workspace)
    assert loaded & SLOW == set()
    assert "click" in loaded, "nor would the test below see it"


@pytest.mark.parametrize("command", ["model set opus", "model show -a bee", "send hi", "status", "inbox", "pause"])
def test_what_is_called_often_loads_neither_click_nor_what_makes_classes(
    command: str, environment: dict[str, str], workspace: Path
) -> None:
    loaded = loaded_by(*command.split(), environment=environment, folder=workspace)
    assert loaded & (SLOW | {"click", "dataclasses", "inspect", "importlib.metadata"}) == set()


@pytest.mark.parametrize("command", ["--help", "-h", "send -h", "run --help", "hive init -h"])
def test_help_loads_next_to_nothing(command: str, environment: dict[str, str], workspace: Path) -> None:
    loaded = loaded_by(*command.split(), environment=environment, folder=workspace)
    assert loaded & {"re", "enum", "typing", "contextlib", "collections", "pathlib", "click", "signal"} == set()


def test_a_command_that_needs_a_harness_says_so_without_a_slow_library(
    environment: dict[str, str], workspace: Path
) -> None:
    for command in ("cancel", "login --cancel"):
        assert loaded_by(*command.split(), environment=environment, folder=workspace, status=1) & SLOW == set()


# What a command has no use for while no harness runs: sockets, JSON, databases, classes made at start-up.
IDLE = {"socket", "json", "tempfile", "subprocess", "shutil"}


@pytest.mark.parametrize(
    ("command", "unused"),
    [
        ("--help", {*IDLE, "sqlite3", "dataclasses"} - {"shutil"}),
        ("model set opus", {*IDLE, "sqlite3", "dataclasses"}),
        ("send hi", IDLE),
        ("status", IDLE - {"json"}),
    ],
)
def test_a_command_loads_only_what_it_uses(
    command: str, unused: set[str], environment: dict[str, str], workspace: Path
) -> None:
    assert loaded_by(*command.split(), environment=environment, folder=workspace) & unused == set()


def test_a_guard_loads_next_to_nothing() -> None:
    """A turn waits for it."""
    program = f"import sys; sys.path.append({str(Path(guard.__file__).parent)!r}); import guard; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True, text=True)
    loaded = set(done.stdout.split())
    assert "guard" in loaded
    slow = {"collections", "ctypes", "enum", "functools", "os", "re", "signal", "subprocess", "typing"}
    assert loaded & slow == set()


@pytest.mark.parametrize("command", ["status", "status --json", "agents"])
def test_status_reads_the_history_without_its_parser(
    command: str, environment: dict[str, str], workspace: Path
) -> None:
    assert loaded_by(*command.split(), environment=environment, folder=workspace) & SLOW == set()


@pytest.mark.parametrize("command", ["tail --no-follow -n 20", "tail --no-follow --json", "report"])
def test_the_history_is_printed_without_what_draws_or_waits(
    command: str, environment: dict[str, str], workspace: Path
) -> None:
    loaded = loaded_by(*command.split(), environment=environment, folder=workspace)
    assert loaded & {"trio", "asyncio", "markdown_it", "rich", "click", "socket"} == set()
    assert "orjson" in loaded, "nor would the tests above see it"


def test_a_search_loads_neither_what_draws_nor_what_waits(environment: dict[str, str], workspace: Path) -> None:
    loaded = loaded_by("search", "words", environment=environment, folder=workspace)
    assert loaded & {"trio", "asyncio", "markdown_it", "rich", "socket", "backports", "compression"} == set()


def test_a_harness_in_a_pipe_loads_the_event_loop_and_not_what_draws(
    environment: dict[str, str], workspace: Path
) -> None:
    words = ("run", "--claude", "/bin/true", "--drain")
    assert loaded_by(*words, environment=environment, folder=workspace) & {"trio", "rich"} == {"trio"}


@pytest.mark.parametrize("command", ["run -h", "config show"])
def test_the_options_of_run_are_known_without_the_event_loop(
    command: str, environment: dict[str, str], workspace: Path
) -> None:
    """For its help, for what they are set to, and for a shell that completes them."""
    assert loaded_by(*command.split(), environment=environment, folder=workspace) & (SLOW - {"orjson"}) == set()


@pytest.mark.parametrize("words", ["", "run --", "-a ", "model set ", "inbox show ", "show ", "tail --kind "])
def test_a_shell_is_answered_without_a_slow_library(words: str, environment: dict[str, str], workspace: Path) -> None:
    asked = {"_HYPERHIVE_COMPLETE": "bash_complete", "COMP_WORDS": f"hyperhive {words}"}
    asked["COMP_CWORD"] = str(len(asked["COMP_WORDS"].split(" ")) - 1)
    loaded = loaded_by(environment={**environment, **asked}, folder=workspace)
    assert loaded & (SLOW - {"orjson"}) == set()

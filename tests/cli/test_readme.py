"""The README is run: each of its commands, in the order in which a newcomer meets them."""

import re
import shlex

import click
import pytest

from hyperhive_cli.cli.commands import COMMANDS
from hyperhive_cli.cli.program import hyperhive
from tests.conftest import wait_until
from tests.harness import SOURCE, Hive
from tests.pages import README, blocks

TEXT_OF_README = README.read_text(encoding="utf-8")
LINES = [line for block in blocks(TEXT_OF_README) for line in block.splitlines()]


def test_it_is_short() -> None:
    assert len(TEXT_OF_README.splitlines()) <= 180


def test_every_command_line_of_the_readme_works(newcomer: Hive) -> None:
    """The harness of the first line stays, as in a terminal of its own; the others are called beside it."""
    first, *commands = [line for line in LINES if ".venv" not in line]
    assert len(commands) > 3
    program, *words = shlex.split(first)
    assert (program, words[0]) == ("hyperhive", "run")
    with newcomer.start(*words) as harness:
        wait_until(newcomer.answers)
        for line in commands:
            done = newcomer.program("/bin/sh", "-c", line)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            assert "Traceback" not in done.stderr
        assert harness.interrupt() == 130
    assert [one["state"] for one in newcomer.messages("--all")] == ["done", "done"]


def test_the_install_commands_are_those_that_the_checks_run() -> None:
    installs = [line for line in LINES if ".venv" in line]
    assert installs == [
        "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/hyperhive demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest",
    ]
    checks = (SOURCE / ".ci" / "run").read_text(encoding="utf-8")
    assert "install --quiet -e '.[dev]'" in checks
    assert "hyperhive demo$" in checks


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_listed_and_has_help(name: str) -> None:
    assert re.search(rf"`{name}[ `]", TEXT_OF_README)
    command = hyperhive.get_command(click.Context(hyperhive), name)
    assert command is not None
    assert command.get_short_help_str()


def test_the_picture_is_there_and_loads_nothing_from_the_network() -> None:
    picture = SOURCE / re.findall(r"!\[[^\]]*\]\(([^)]*)\)", TEXT_OF_README)[0]
    text = picture.read_text(encoding="utf-8")
    assert "Bash" in text
    assert "url(http" not in text
    assert "@import" not in text

"""A plain command line, read without click: it is read as click reads it, or left to click."""

import shlex
from collections.abc import Mapping
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyperhive_cli.cli.commands import GLOBALS
from hyperhive_cli.cli.invocation import Invocation
from hyperhive_cli.cli.plain_call import read_plain_call
from hyperhive_cli.cli.program import hyperhive
from hyperhive_cli.core.errors import UsageError

COMMANDS = (
    "model set", "model show", "model", "send", "status", "pause", "resume", "inbox", "inbox list", "inbox retry",
    "budget", "tail", "cancel",
)  # fmt: skip
WORDS = (
    "-a", "--agent", "--state-dir", "--plain", "--debug", "--hive", "--json", "--from", "--key", "--at", "--raw",
    "--wait", "--timeout", "--watch", "--all", "--held", "-h", "--", "-", "", "-x", "--age", "--agent=bee", "-abee",
    "bee", "5", "-5", "a text", "\udce4", "-n", "--kind", "note", "stream", "--no-follow",
)  # fmt: skip


def click_s(words: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return global options and values as click has them; raises its errors."""
    invocation = Invocation()
    root = hyperhive.make_context("hyperhive", list(words), obj=invocation)
    invocation.apply(**{option.name: root.params[option.name] for option in GLOBALS})
    ctx, rest = root, [*root._protected_args, *root.args]  # noqa: SLF001 - click has no other way to tell
    while isinstance(ctx.command, click.Group) and rest:
        name, command, rest = ctx.command.resolve_command(ctx, rest)
        assert command is not None
        ctx = command.make_context(name, rest, parent=ctx)
        rest = [*ctx._protected_args, *ctx.args]  # noqa: SLF001 - as above
    return options_of(invocation), ctx.params


def options_of(invocation: Invocation) -> dict[str, Any]:
    return {option.name: getattr(invocation, option.name) for option in GLOBALS}


def plainly(words: list[str], environ: Mapping[str, str] | None = None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return global options and values as they are read without click; None if they are left to it."""
    call = read_plain_call(words, environ or {})
    if call is None:
        return None
    invocation = Invocation()
    invocation.apply(**call.options)
    return options_of(invocation), call.values


@given(
    st.lists(st.sampled_from(WORDS), max_size=3),
    st.sampled_from(COMMANDS),
    st.lists(st.sampled_from(WORDS), max_size=5),
)
@example(["-a", "bee"], "model set", ["opus", "--plain"])
@example([], "send", ["a text", "--from", "bee", "--json", "--raw"])
@example(["--agent", ""], "status", [])
def test_a_plain_command_line_is_read_as_click_reads_it(before: list[str], command: str, behind: list[str]) -> None:
    words = [*before, *command.split(), *behind]
    try:
        found = plainly(words)
    except UsageError as error:  # an empty name
        with pytest.raises(UsageError, match=str(error)):
            click_s(words)
        return
    if found is not None:
        assert found == click_s(words)


@pytest.mark.parametrize(
    "line",
    [
        "model set opus", "-a bee model set opus", "model set opus -a bee", "model show --json", "status",
        "status --json --agent bee", "--plain status", "--state-dir /x send 'a text'", "send - --from bee --raw",
        "send x --key k --at 14:30 --wait --json", "pause", "resume -a bee", "model", "inbox --all", "budget --json",
        "tail -n 20 --no-follow --kind note --kind stream --json",
    ],
)  # fmt: skip
def test_what_is_called_often_is_read_without_click(line: str) -> None:
    assert plainly(shlex.split(line)) is not None


@pytest.mark.parametrize(
    "line",
    [
        "", "nosuch", "hive", "model nosuch", "model set", "model set a b", "send x --timeout 5",
        "tail -n -5", "tail -n +5", "tail --kind nosuch", "send --nosuch x",
        "send --fro bee x", "send --from=bee x", "send x -- -y", "send x --key", "send x --key --raw", "send x -h",
        "send --raw --raw x", "-abee status", "-a bee -a ant status", "--version", "--json status", "status -",
    ],
)  # fmt: skip
def test_what_is_odd_is_left_to_click(line: str) -> None:
    assert plainly(shlex.split(line)) is None


def test_variables_set_what_is_not_given() -> None:
    environ = {
        "HYPERHIVE_AGENT": "bee",
        "HYPERHIVE_STATE_DIR": "/x",
        "HYPERHIVE_HIVE": "",
        "HYPERHIVE_MODEL_FILE": "/m",
    }
    options, _ = plainly(["model", "set", "opus"], environ) or ({}, {})
    assert {name: str(value) for name, value in options.items() if value} == {"agent": "bee", "state_dir": "/x"}
    options, _ = plainly(["-a", "ant", "status"], environ) or ({}, {})
    assert options["agent"] == "ant"


@pytest.mark.parametrize("name", ["HYPERHIVE_SEND_FROM", "HYPERHIVE_PLAIN", "HYPERHIVE_DEBUG", "_HYPERHIVE_COMPLETE"])
def test_a_variable_that_needs_click_leaves_the_line_to_it(name: str) -> None:
    assert plainly(["send", "x"], {name: "1"}) is None
    assert plainly(["send", "x"], {"HYPERHIVE_RUN_MODEL": "opus"}) is not None


def test_what_stands_behind_two_dashes_is_claude_s() -> None:
    command = hyperhive.get_command(click.Context(hyperhive), "run")
    assert command is not None
    root = click.Context(hyperhive, obj=Invocation())
    ctx = command.make_context("run", ["-a", "bee", "--", "-a", "ant", "--plain"], parent=root)
    assert ctx.params["claude_args"] == ("-a", "ant", "--plain")
    assert (root.obj.agent, root.obj.plain) == ("bee", False)

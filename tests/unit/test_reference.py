"""The help of each command: short lines, examples that are right, and the page that repeats it."""

import re
import shlex

import click
import pytest

from hyperhive_cli.cli.main import hyperhive
from tests.reference import PAGE, WIDTH, commands, page

ALL = {ctx.command_path: ctx for ctx in commands()}


def examples_of(ctx: click.Context) -> list[str]:
    _, _, after = re.sub(r"\n\n\n+", "\n\n", ctx.get_help()).partition("  Example")
    first, *others = after.partition("\n\n")[0].splitlines() or [""]
    return [first.partition(": ")[2].strip(), *(line.strip() for line in others)]


def test_the_page_of_all_commands_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.reference"


@pytest.mark.parametrize("path", ALL)
def test_the_help_is_narrow_and_its_examples_are_right(path: str) -> None:
    ctx = ALL[path]
    assert max(map(len, ctx.get_help().splitlines())) <= WIDTH
    examples = examples_of(ctx)
    assert any(path in example for example in examples), "each has an example of its own"
    for example in examples:
        words = shlex.split(example, comments=True)
        calls = [words[at:] for at, word in enumerate(words) if word == "hyperhive"]
        calls += [shlex.split(inner) for inner in re.findall(r"\$\((.*?)\)", example)]
        for call in calls:
            end = next((at for at, word in enumerate(call) if word in {"|", "&&", ">"}), len(call))
            _parse(hyperhive, [word.rstrip(";") for word in call[1:end]])


def _parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Let click read the words as it would, and call nothing; raises UsageError."""
    ctx = command.make_context(command.name, list(words), parent=parent)
    rest = [*ctx._protected_args, *ctx.args]  # noqa: SLF001 - click has no other way to tell
    if isinstance(command, click.Group) and rest:
        _, found, others = command.resolve_command(ctx, rest)
        assert found is not None
        _parse(found, others, ctx)

"""The help of each command: short lines, examples that are right, and the pages that repeat it."""

import inspect
import re
import shlex

import click
import pytest

from hyperhive_cli.cli.click_commands import page_of
from hyperhive_cli.cli.help_pages import find_page, lay_out
from hyperhive_cli.cli.program import hyperhive
from tests.reference import PAGE, PAGES, WIDTH, commands, help_pages, page

ALL = {ctx.command_path: ctx for ctx in commands()}


def examples_of(ctx: click.Context) -> list[str]:
    _, _, after = inspect.cleandoc(ctx.command.help or "").partition("\nExample")
    return [line.strip() for line in after.partition(":")[2].split("\n")]


def test_the_page_of_all_commands_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.reference"


def test_the_pages_that_help_prints_without_click_are_up_to_date() -> None:
    assert PAGES.read_text(encoding="utf-8") == help_pages(), "python -m tests.reference"


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("width", [20, 56, 80, 93, 100])
def test_a_help_page_reads_as_click_has_it_at_any_width(path: str, width: int) -> None:
    ctx = ALL[path]
    found = find_page(path.split()[1:])
    assert found is not None
    assert lay_out(found, width) == lay_out(page_of(ctx), width)


@pytest.mark.parametrize("words", ["", "nosuch", "inbox nosuch", "send hi", "inbox\n", "-a bee"])
def test_there_is_no_page_of_what_is_not_a_command(words: str) -> None:
    assert find_page(["no", *words.split(" ")]) is None
    assert words == "" or find_page(words.split(" ")) is None


def test_a_page_is_folded_below_its_own_first_column() -> None:
    lines = [
        "Usage: hyperhive x [ONE] [TWO]",
        "",
        "  Some words.",
        "\tkept as it is",
        "",
        "Options:",
        "-x\ta b c d e f",
    ]
    assert lay_out("\n".join(lines), 26) == (
        "Usage: hyperhive x [ONE]\n       [TWO]\n\n  Some words.\n  kept as it is\n\nOptions:\n  -x  a b c d e f\n"
    )
    assert lay_out(f"--{'long' * 9}\tone two\n-x\tthree", 80) == f"  --{'long' * 9}\n      one two\n  -x  three\n"
    assert lay_out("-x\tone two", 1) == "  -x  one two\n", "no narrower than can be read"


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

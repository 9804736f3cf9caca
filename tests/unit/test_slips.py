"""Wrong command lines: what is wrong with them, and what to type instead."""

import shlex

import pytest

from hyperhive_cli.cli.invocation import Invocation
from hyperhive_cli.cli.program import run_words
from hyperhive_cli.core.errors import UsageError

SLIPS = {
    "send fix the test": ("the text is more than one argument", "hyperhive send 'fix the test'"),
    "send hi --at": ("--at needs a value", "hyperhive send -h"),
    "send hi --timeout 5": ("--timeout needs --wait", "hyperhive send TEXT --wait --timeout 10m"),
    "stat": ("unknown command: 'stat'", "hyperhive stats"),
    "sned hi": ("unknown command: 'sned'", "hyperhive send hi"),
    "inbox 5": ("unknown command: '5'", "hyperhive inbox show 5"),
    "inbox cancel x": ("ID: 'x' is not a whole number", "hyperhive inbox cancel -h"),
    "inbox move 1": ("give one of --first, --last and --before ID", "hyperhive inbox move 1 --first"),
    "cancel 5": ("`cancel` interrupts the running turn and names no message", "hyperhive inbox cancel 5"),
    "tail --turn x": ("--turn: 'x' is not a whole number", "hyperhive tail -h"),
    "tail -n -1": ("-n: -1 is not at least 0", "hyperhive tail -h"),
    "stats --by foo": ("--by: 'foo' is not one of day, model, outcome, tool", "hyperhive stats -h"),
    "export --format pdf": ("--format: 'pdf' is not one of jsonl, md, html", "hyperhive export -h"),
    "run --max-day-cost=-1": ("--max-day-cost: -1.0 is not more than 0", "hyperhive run -h"),
    "run --max-day-cost x": ("--max-day-cost: 'x' is not a number", "hyperhive run -h"),
    "run --stall-timeout 5x": (
        "--stall-timeout: not a valid duration: '5x': 90 (seconds), 10m, 2h30m, or 1d", "hyperhive run -h",
    ),
    "run --max-turns 5": (
        "unknown option: --max-turns", "claude's options stand behind --: hyperhive run -- --max-turns …",
    ),
    "run --permision-mode plan": ("unknown option: --permision-mode", "hyperhive run --permission-mode"),
    "run --bogus": ("unknown option: --bogus", "hyperhive run -h"),
    "run --workspace /none": ("--workspace: Directory '/none' does not exist", "hyperhive run -h"),
    "model set": ("NAME is missing", "hyperhive model set NAME"),
    "model opus": ("unknown command: 'opus'", "hyperhive model set opus"),
    "model shwo": ("unknown command: 'shwo'", "hyperhive model show"),
    "config set x y": ("unknown command: 'set'", "set it in a file: hyperhive help configuration"),
    "budget 5": ("unknown command: '5'", "hyperhive budget raise --day-cost 5"),
    "agents bee": ("unknown command: 'bee'", "hyperhive -a bee status"),
    "pause now": ("unexpected argument: 'now'", "hyperhive pause"),
    "restore": ("FILE is missing", "hyperhive restore FILE"),
    "completion tcsh": ("bash|zsh|fish: 'tcsh' is not one of bash, zsh, fish", "hyperhive completion -h"),
}  # fmt: skip


@pytest.mark.parametrize("line", SLIPS)
def test_a_wrong_command_line_names_the_thing_the_cause_and_the_next_command(line: str) -> None:
    with pytest.raises(UsageError) as raised:
        run_words(shlex.split(line), Invocation())
    assert (raised.value.message, raised.value.hint) == SLIPS[line]

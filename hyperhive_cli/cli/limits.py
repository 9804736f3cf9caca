"""The options that bound what a turn or a day may use, and when a conversation is compacted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from hyperhive_cli.agent.compaction_policy import CompactionPolicy
from hyperhive_cli.claude.argv import COST_CAP_FLAG
from hyperhive_cli.claude.options import has_option
from hyperhive_cli.cli.amount import Amount, Count
from hyperhive_cli.cli.invocation import is_text
from hyperhive_cli.core.budget import Budget
from hyperhive_cli.core.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

DOLLARS = Amount(min=0, min_open=True, most=1e9)
NUMBER = Count()
_OPTIONS = (
    click.option("--max-turn-cost", type=DOLLARS, metavar="USD", help="Interrupt a turn that costs more."),
    click.option("--max-day-cost", type=DOLLARS, metavar="USD", help="Begin no turn today once its turns cost this."),
    click.option("--max-turn-tokens", type=NUMBER, metavar="N", help="Interrupt a turn that uses more tokens."),
    click.option("--max-tool-calls", type=NUMBER, metavar="N", help="Interrupt a turn that calls more tools."),
    click.option(
        "--compact-at",
        type=Amount(min=0, min_open=True, max=100),
        metavar="PERCENT",
        help="Run /compact between two turns when the context is fuller than this.",
    ),
    click.option("--compact-instructions", metavar="TEXT", help="What /compact is told to keep."),
)


def limit_options(command: Command) -> Command:
    """Add the options to a command, which gets them by their names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def to_limits(given: Mapping[str, Any], claude_args: Sequence[str]) -> dict[str, Any]:
    """Give `budget` and `compaction` of an agent's configuration.

    Raises UsageError where claude is given a cap of the operator's own beside that of ours, and for what is no text.
    """
    budget = Budget(given["max_turn_cost"], given["max_day_cost"], given["max_turn_tokens"], given["max_tool_calls"])
    has_own = has_option(claude_args, COST_CAP_FLAG)
    if has_own and (budget.turn_cost is not None or budget.day_cost is not None):
        raise UsageError(f"{COST_CAP_FLAG} and a limit of the harness exclude each other", "--max-turn-cost USD alone")
    instructions = " ".join((given["compact_instructions"] or "").split())
    if not is_text(instructions):
        raise UsageError("what --compact-instructions says is no UTF-8 text", "--compact-instructions TEXT")
    return {"budget": budget, "compaction": CompactionPolicy(given["compact_at"], instructions or None)}

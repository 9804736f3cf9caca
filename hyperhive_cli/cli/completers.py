"""What a shell is offered for a word. Each command names its completers, so they load `offers` only if a shell asks."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

Completer: TypeAlias = "Callable[[click.Context, click.Parameter, str], list[CompletionItem[Any]]]"

ALIASES = ("haiku", "sonnet", "opus", "opusplan")  # claude's own names for its newest models
MODES = ("acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "manual", "plan")  # of 2.1.197 and 2.1.332
SOURCES = ("ANTHROPIC_API_KEY", "apiKeyHelper", "none")


def _completer(find: str, *arguments: str) -> Completer:
    """Return a completer for what this function of `offers` finds."""

    def complete(ctx: "click.Context", _param: "click.Parameter", incomplete: str) -> "list[CompletionItem[Any]]":
        from hyperhive_cli.cli import offers  # noqa: PLC0415 - SQLite and more, 15 ms

        return offers.offer(find, arguments, ctx, incomplete)

    return complete


words = partial(_completer, "words")  # offers the words it is called with
messages = partial(_completer, "messages")  # in one of the states it is called with; without states the newest of all
program = _completer("files")
folders = _completer("folders")
agents = _completer("agents")
models = _completer("models", *ALIASES)
schedules = _completer("schedules")
zones = _completer("zones")
turns = _completer("turns", "last")
turn_ids = _completer("turns")

"""What a shell is offered for a word: names and numbers from the agent's own files.

Every command names its completers, so this file imports nothing that is not there already; what a completer
needs, it loads when a shell asks.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from hyperhive_cli.cli.invocation import Invocation
from hyperhive_cli.core.settings import AgentPaths

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Offer = tuple[str, str]  # a word, and what it stands for, which zsh and fish show beside it
Completer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem[Any]]"]

ALIASES = ("haiku", "sonnet", "opus", "opusplan")  # claude's own names for its newest models
MODES = ("acceptEdits", "bypassPermissions", "default", "dontAsk", "plan")
SOURCES = ("ANTHROPIC_API_KEY", "apiKeyHelper", "none")
NEWEST = 50
ABOUT_CHARS = 50


def _offering(find: Callable[[click.Context], Iterable[Offer]]) -> Completer:
    """Make a completer of what is found. Whatever goes wrong, nothing is offered: a prompt is no place for errors."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem[Any]]":
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - as above

        try:
            found = list(find(ctx))
        except Exception:  # noqa: BLE001 - as above
            return []
        return [CompletionItem(word, help=about or None) for word, about in found if word.startswith(incomplete)]

    return complete


def words(*known: str) -> Completer:
    """Offer these words."""
    return _offering(lambda _: [(word, "") for word in known])


def program(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem[Any]]":
    """Offer files, as the shell itself finds them."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - as above

    return [CompletionItem(incomplete, type="file")]


def _paths(ctx: click.Context) -> AgentPaths:
    """Find the agent that the words so far name: the program itself has not been called with them."""
    invocation = Invocation()
    given = ctx.find_root().params
    invocation.agent, invocation.state_dir = given.get("agent") or None, given.get("state_dir")
    return invocation.paths()


@_offering
def agents(_ctx: click.Context) -> Iterable[Offer]:
    """Offer the agents below the usual folder."""
    import os  # noqa: PLC0415 - as above

    from hyperhive_cli.core.settings import default_agents_home  # noqa: PLC0415
    from hyperhive_cli.store.folder import find_agents  # noqa: PLC0415

    return [(paths.agent, "") for paths in find_agents(default_agents_home(os.environ))]


@_offering
def models(ctx: click.Context) -> Iterable[Offer]:
    """Offer claude's aliases, and the models that this agent has used."""
    from hyperhive_cli.store.ended import models_used  # noqa: PLC0415 - as above

    used = [name for name in models_used(_paths(ctx)) if name not in ALIASES]
    return [*((name, "") for name in ALIASES), *((name, "used before") for name in used)]


@_offering
def turns(ctx: click.Context) -> Iterable[Offer]:
    """Offer the newest turns."""
    from hyperhive_cli.store.ended import newest_turns  # noqa: PLC0415 - as above

    return [("last", "the newest turn"), *newest_turns(_paths(ctx), NEWEST)]


@_offering
def turn_ids(ctx: click.Context) -> Iterable[Offer]:
    """Offer the newest turns where `last` is no answer."""
    from hyperhive_cli.store.ended import newest_turns  # noqa: PLC0415 - as above

    return newest_turns(_paths(ctx), NEWEST)


def messages(*states: str) -> Completer:
    """Offer the messages in one of these states; of all of them, the newest."""

    def find(ctx: click.Context) -> Iterable[Offer]:
        from hyperhive_cli.core.text import one_line  # noqa: PLC0415 - as above
        from hyperhive_cli.store.inbox import open_inbox_reader  # noqa: PLC0415
        from hyperhive_cli.store.messages import View  # noqa: PLC0415

        with open_inbox_reader(_paths(ctx).inbox_db) as inbox:
            is_of_all = not states or not {"done", "cancelled"}.isdisjoint(states)
            found = inbox.messages(ended=is_of_all, view=View(ABOUT_CHARS))
        fitting = [message for message in found if not states or message.state in states][-NEWEST:]
        return [(str(one.id), one_line(f"{one.state}: {one.body}", ABOUT_CHARS)) for one in fitting]

    return _offering(find)

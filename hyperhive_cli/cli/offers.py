"""Finds what `completers` offer to a shell: names and numbers from the agent's own files."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import available_timezones

import click
from click.shell_completion import CompletionItem

from hyperhive_cli.cli.invocation import Invocation
from hyperhive_cli.core.settings import AgentPaths, default_agents_home
from hyperhive_cli.core.text import one_line
from hyperhive_cli.store.ended import models_used, newest_turns
from hyperhive_cli.store.folder import find_agents
from hyperhive_cli.store.inbox import open_inbox_reader
from hyperhive_cli.store.messages import View

Offer = tuple[str, str]  # a word, and its meaning, which zsh and fish show beside it
NEWEST = 50
ABOUT_CHARS = 50


def offer(find: str, arguments: Sequence[str], ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
    """Return what a function of FINDERS finds for this word; nothing if it fails, because a prompt shows no errors."""
    if find in {"files", "folders"}:  # the shell itself finds them
        return [CompletionItem(incomplete, type="file" if find == "files" else "dir")]
    try:
        found = list(FINDERS[find](ctx, *arguments))
    except Exception:  # noqa: BLE001 - as above
        return []
    return [CompletionItem(word, help=about or None) for word, about in found if word.startswith(incomplete)]


def _paths(ctx: click.Context) -> AgentPaths:
    """Return the agent that the command line so far names; the program has not run with it."""
    invocation = Invocation()
    given = ctx.find_root().params
    invocation.apply(agent=given.get("agent") or None, state_dir=given.get("state_dir"))
    return invocation.paths()


def _models(ctx: click.Context, *aliases: str) -> Iterable[Offer]:
    used = [name for name in models_used(_paths(ctx)) if name not in aliases]
    return [*((name, "") for name in aliases), *((name, "used before") for name in used)]


def _turns(ctx: click.Context, *words: str) -> Iterable[Offer]:
    return [*((word, "the newest turn") for word in words), *newest_turns(_paths(ctx), NEWEST)]


def _messages(ctx: click.Context, *states: str) -> Iterable[Offer]:
    with open_inbox_reader(_paths(ctx).inbox_db) as inbox:
        is_of_all = not states or not {"done", "cancelled"}.isdisjoint(states)
        found = inbox.messages(ended=is_of_all, view=View(ABOUT_CHARS))
    fitting = [message for message in found if not states or message.state in states][-NEWEST:]
    return [(str(one.id), one_line(f"{one.state}: {one.body}", ABOUT_CHARS)) for one in fitting]


def _schedules(ctx: click.Context) -> Iterable[Offer]:
    with open_inbox_reader(_paths(ctx).inbox_db) as inbox:
        return [(one.name, one_line(f"{one.expression}: {one.body}", ABOUT_CHARS)) for one in inbox.schedules()]


FINDERS: Mapping[str, Callable[..., Iterable[Offer]]] = {
    "words": lambda _ctx, *known: [(word, "") for word in known],
    "agents": lambda _ctx: [(paths.agent, "") for paths in find_agents(default_agents_home(os.environ))],
    "models": _models,
    "turns": _turns,
    "messages": _messages,
    "schedules": _schedules,
    "zones": lambda _ctx: [(name, "") for name in sorted(available_timezones())],
}

"""The options that say what may act on the agent beside its inbox: claude's own wake-ups, and other sessions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from hyperhive_cli.agent.settings_copy import read_settings
from hyperhive_cli.claude.argv import Launch
from hyperhive_cli.claude.settings_flag import is_inline, merged_settings, split_settings
from hyperhive_cli.core.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--no-wakeups", is_flag=True, help="Refuse claude's tool for waking itself up later."),
    click.option(
        "--allow-cross-session",
        is_flag=True,
        help="Let other claude sessions of this user put messages into a turn; no --prewarm then.",
    ),
)
_HINT = "hyperhive run -- --settings FILE"


def rights_options(command: Command) -> Command:
    """Add the options to a command, which gets them by their names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def to_rights(launch: Launch, workspace: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `launch`, with what these options add to it, and other fields of an agent's configuration.

    The operator's settings for claude are merged with ours; a file of them is read again before each turn. Raises
    UsageError for settings that are of no use.
    """
    launch = replace(launch, no_wakeups=given["no_wakeups"])
    if given["allow_cross_session"]:
        return {"launch": launch, "allow_cross_session": True}
    value, words = _split(launch.extra)
    if value is None or is_inline(value):
        return {"launch": replace(launch, extra=words, settings=_merged(value or ""))}
    read_settings(workspace / value)
    return {"launch": replace(launch, extra=words), "settings_file": workspace / value}


def _split(words: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    try:
        return split_settings(words)
    except ValueError as error:
        raise UsageError(str(error), _HINT) from error


def _merged(text: str) -> str:
    try:
        return merged_settings(text)
    except ValueError as error:
        raise UsageError(f"the settings for claude are not JSON: {error}", _HINT) from error

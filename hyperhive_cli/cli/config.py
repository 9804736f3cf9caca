"""`hyperhive config`."""

import os
from pathlib import Path
from typing import Any

import click

from hyperhive_cli.claude.redact import Redactor, redacted_command
from hyperhive_cli.cli.configured import (
    Origin,
    as_json_option,
    of_workspace,
    option_word,
    options_of,
    origin_of,
    run_context,
    workspace_agent,
)
from hyperhive_cli.cli.declared import group, pass_context, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, print_json
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, print_piped
from hyperhive_cli.core import text
from hyperhive_cli.core.retention import Retention
from hyperhive_cli.core.settings import WORKSPACE_FILE, user_file
from hyperhive_cli.harness.hook_command import command_words
from hyperhive_cli.hive.address import shown_url


@group(alone="show")
def config() -> None:
    """Show the settings of `run`: hyperhive.toml in the workspace, and your own file for all agents.

    \b
    Example: hyperhive config
    """  # noqa: D301 - click's own mark


@config.command(short_help="Show each setting of `run` and its source.")
@of_workspace
@as_json_option
@pass_invocation
@pass_context
def show(ctx: click.Context, invocation: Invocation, workspace: Path | None, *, as_json: bool) -> None:
    """Show each setting of `run` as it would be now, and its source. Secrets are left out.

    \b
    Example: hyperhive config show --json
    """  # noqa: D301 - click's own mark
    with run_context(ctx, workspace) as found:
        folder = found.params["workspace"].resolve()
        origins = {"agent": _agent(ctx, invocation, folder), **_settings(found)}
    own = user_file(os.environ)
    files = [str(folder / WORKSPACE_FILE), *([] if own is None else [str(own)])]
    if as_json:
        settings = {
            name: {"value": value, "source": origin.source, "place": origin.place}
            for name, (value, origin) in origins.items()
        }
        print_json({"files": files, "settings": settings})
        return
    if is_piped():
        piped = ((name, _uncut(value), origin.source, origin.place) for name, (value, origin) in origins.items())
        print_piped(("setting", "value", "source", "place"), piped)
        return
    rows = [(name, _words(value), origin) for name, (value, origin) in origins.items()]
    widths = [max(len(name) for name, _, _ in rows), max(len(value) for _, value, _ in rows)]
    for name, value, origin in rows:
        where = origin.source if origin.place is None else f"{origin.source}: {text.clean(origin.place)}"
        echo(f"{name:<{widths[0]}}  {value:<{min(widths[1], 30)}}  {where}")
    echo()
    for file in files:
        echo(f"{text.clean(file)}{'' if Path(file).exists() else ' (does not exist)'}")


def _agent(ctx: click.Context, invocation: Invocation, folder: Path) -> tuple[str, Origin]:
    name = invocation.paths_for(folder).agent
    if invocation.agent is not None:
        root = ctx.find_root()
        option = next(param for param in root.command.params if param.name == "agent")
        is_named = root.get_parameter_source("agent") is click.core.ParameterSource.COMMANDLINE
        return name, Origin("flag", option.opts[-1]) if is_named else Origin("environment", "HYPERHIVE_AGENT")
    is_set = workspace_agent(folder) is not None
    return name, Origin("workspace", str(folder / WORKSPACE_FILE)) if is_set else Origin("default")


def _settings(found: click.Context) -> dict[str, tuple[Any, Origin]]:
    redact = Redactor(os.environ).text
    settings = {}
    for option in options_of(found.command):
        if option.name in found.params:
            value = _shown(option_word(option), found.params[option.name])
            settings[option_word(option)] = (_redacted(value, redact), origin_of(found, option))
    return settings


def _shown(word: str, value: object) -> object:
    if word == "hive" and isinstance(value, str):
        return shown_url(value)
    if word == "on-event" and isinstance(value, str):
        return redacted_command(command_words(value))
    if isinstance(value, Retention):
        return value.to_text()
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def _redacted(value: object, redact: Any) -> object:  # noqa: ANN401
    if isinstance(value, list):
        return [_redacted(one, redact) for one in value]
    return redact(value) if isinstance(value, str) else value


def _uncut(value: object) -> object:
    """Return a value for programs: a list as its items, a figure as it is."""
    return ", ".join(map(str, value)) or None if isinstance(value, list) else value


def _words(value: object) -> str:
    match value:
        case None | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return text.one_line(", ".join(map(str, value)), 60)
        case _:
            return text.one_line(f"{value:g}" if isinstance(value, float) else str(value), 60)

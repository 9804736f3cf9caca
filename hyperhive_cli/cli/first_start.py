"""What `run` says on a terminal when an agent starts for the first time: two lines."""

from collections.abc import Iterator

import click

from hyperhive_cli.cli.configured import origin_of
from hyperhive_cli.cli.run_config import RunOptions
from hyperhive_cli.core import text
from hyperhive_cli.core.settings import DEFAULT_MODEL, AgentPaths
from hyperhive_cli.store.model import read_model


def first_start_lines(ctx: click.Context, options: RunOptions, paths: AgentPaths, *, can_type: bool) -> Iterator[str]:
    """Yield the model and what has set it, the permission mode, and how to send work; nothing at a later start."""
    if paths.inbox_db.exists():
        return
    mode = "all permissions" if options.skip_permissions else f"permission mode {options.permission_mode}"
    if not options.skip_permissions and options.permission_mode is None:
        mode = "the permission mode of claude's settings"
    yield text.clean(f"{paths.agent}: model {_model(ctx, options, paths)}, {mode}")
    named = f"-a {paths.agent} " if paths.explicit else ""
    here, there = ("type it here, or ", " in another terminal") if can_type else ("", "")
    yield f"send it work: {here}hyperhive {named}send 'what to do'{there}"


def _model(ctx: click.Context, options: RunOptions, paths: AgentPaths) -> str:
    if options.model is not None:
        option = next(one for one in ctx.command.params if isinstance(one, click.Option) and one.name == "model")
        return f"{options.model} ({origin_of(ctx, option).place})"
    model = read_model(paths.model_file)
    if model == DEFAULT_MODEL and not paths.model_file.exists():
        return f"{model} (default; hyperhive model set opus)"
    return f"{model} (hyperhive model set)"

"""What the configuration files give to click: defaults for `run`, weaker than a flag and the environment.

The files are read once the workspace is known, by the callback of its option, which click calls first.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hyperhive_cli.cli.config_file import (
    FILE_LIMIT_BYTES,
    Kind,
    Setting,
    Source,
    merge,
    read_agent,
    read_hive,
    read_settings,
    user_file,
)
from hyperhive_cli.core.errors import HyperhiveError, UsageError
from hyperhive_cli.core.files import NotAFileError, open_file
from hyperhive_cli.core.settings import WORKSPACE_FILE

_META = "hyperhive.settings"

# For the commands that look at a workspace and its settings without running it.
of_workspace = click.option(
    "--workspace",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="The workspace; default: the current folder.",
)
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print it as JSON; the README documents the fields."
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an option's value comes from: flag, environment, workspace, user or default, and which place there."""

    source: str
    place: str | None = None


def option_word(option: click.Option) -> str:
    """Give an option's name as in the files: without its dashes."""
    return max(option.opts, key=len).lstrip("-")


def workspace_agent(workspace: Path) -> str | None:
    """Give the agent's name that a workspace's file sets; raises UsageError. Costs an `open` where there is none."""
    source = _read_source(workspace / WORKSPACE_FILE, is_workspace=True)
    return None if source is None else read_agent(source)


def user_hive() -> str | None:
    """Give the hive's address that the user's own file sets; raises UsageError."""
    path = user_file(os.environ)
    source = None if path is None else _read_source(path, is_workspace=False)
    return None if source is None else read_hive(source)


def read_own_file(path: Path) -> str:
    """Read a file of the user's that nobody else may write; raises UsageError, and HyperhiveError for an unsafe one."""
    source = _read_source(path, is_workspace=False)
    if source is None:
        raise UsageError(f"there is no file {path}", "hyperhive host NAME=DIR …, or a FILE; the README shows one")
    return source.text


def load_settings(ctx: click.Context, _option: click.Parameter, workspace: Path) -> Path:
    """Read both files into the context's defaults; a callback. Raises UsageError for what may not stand there."""
    options = {option_word(option): option for option in ctx.command.params if isinstance(option, click.Option)}
    kinds = {word: _kind_of(option) for word, option in options.items()}
    user = user_file(os.environ)
    sources = [_read_source(workspace.absolute() / WORKSPACE_FILE, is_workspace=True)]
    sources += [] if user is None else [_read_source(user, is_workspace=False)]
    settings = merge(*(read_settings(source, kinds) for source in sources if source is not None))
    ctx.default_map = {options[word].name or word: _convert(options[word], ctx, one) for word, one in settings.items()}
    ctx.meta[_META] = settings
    return workspace


def run_context(ctx: click.Context, workspace: Path | None) -> click.Context:
    """Give the context that `run` would have here without a flag but its workspace; raises as `run` does."""
    root = ctx.find_root()
    group = root.command
    assert isinstance(group, click.Group)  # noqa: S101 - the program
    command = group.get_command(root, "run")
    assert command is not None  # noqa: S101 - it is in the table
    return command.make_context("run", [] if workspace is None else ["--workspace", str(workspace)], parent=root)


def origin_of(ctx: click.Context, option: click.Option) -> Origin:
    """Say where the value of an option of this context comes from."""
    settings: Mapping[str, Setting] = ctx.meta.get(_META, {})
    match ctx.get_parameter_source(option.name or ""):
        case click.core.ParameterSource.COMMANDLINE:
            return Origin("flag", option.opts[0])
        case click.core.ParameterSource.ENVIRONMENT:
            return Origin("environment", str(option.envvar))
        case click.core.ParameterSource.DEFAULT_MAP:
            setting = settings[option_word(option)]
            return Origin("workspace" if setting.source.is_workspace else "user", setting.place)
        case _:
            return Origin("default")


STRENGTH = ("flag", "environment", "workspace", "user", "default")


def stronger(ctx: click.Context, first: str, second: str) -> str | None:
    """Tell which of two switches was set by a stronger source, by their names in Python; None: it is the same."""
    options = {option.name: option for option in ctx.command.params if isinstance(option, click.Option)}
    ranks = [STRENGTH.index(origin_of(ctx, options[name]).source) for name in (first, second)]
    return None if ranks[0] == ranks[1] else first if ranks[0] < ranks[1] else second


def _kind_of(option: click.Option) -> Kind:
    if option.multiple:
        return "texts"
    if option.is_flag:
        return "switch"
    return "number" if isinstance(option.type, click.types.FloatParamType | click.types.IntParamType) else "text"


def _convert(option: click.Option, ctx: click.Context, setting: Setting) -> Any:  # noqa: ANN401 - as the option
    """Let click check a value, and name the place where it does not fit."""
    try:
        if option.multiple:
            return tuple(option.type(value, option, ctx) for value in setting.value)
        return option.type(setting.value, option, ctx)
    except click.BadParameter as error:
        raise UsageError(f"{setting.place}: {error.message}") from error


def _read_source(path: Path, *, is_workspace: bool) -> Source | None:
    """Read a file, None where there is none; raises UsageError for one that cannot be read, or be trusted."""
    try:
        # A link in the workspace may be the agent's own; the user's files are linked by many who keep them in git.
        descriptor = open_file(path, links=not is_workspace)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotAFileError as error:
        raise UsageError(
            f"the configuration {path} cannot be used: {error}", "a file with your settings, or none"
        ) from error
    except OSError as error:
        raise HyperhiveError(f"the configuration {path} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not is_workspace and (found.st_uid not in {os.getuid(), 0} or found.st_mode & stat.S_IWOTH):
            raise HyperhiveError(f"others may write the configuration {path}", f"chmod 600 {path}")
        content = file.read(FILE_LIMIT_BYTES + 1)
    if len(content) > FILE_LIMIT_BYTES:
        raise UsageError(f"the configuration {path} is larger than {FILE_LIMIT_BYTES} bytes")
    try:
        return Source(path, content.decode(), is_workspace)
    except UnicodeDecodeError as error:
        raise UsageError(f"the configuration {path} is no UTF-8 text: byte {error.start}, counted from 0") from error

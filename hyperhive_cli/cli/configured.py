"""The configuration files as defaults of `run`: a flag or a variable takes precedence.

The files are read as soon as the workspace is known, by the callback of its option, which click calls first.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hyperhive_cli.cli.amount import Duration
from hyperhive_cli.cli.config_file import FILE_LIMIT_BYTES, Kind, Setting, Source, merge, read_name, read_settings
from hyperhive_cli.cli.declared import option
from hyperhive_cli.core.errors import HyperhiveError, UsageError
from hyperhive_cli.core.files import NotAFileError, open_file
from hyperhive_cli.core.settings import WORKSPACE_FILE, user_file

_META = "hyperhive.settings"

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
# For commands that read a workspace's settings without running its agent.
of_workspace = option("--workspace", type=FOLDER, metavar="DIR", help="The workspace (default: the current folder).")
as_json_option = option("--json", "as_json", is_flag=True, help="Print JSON; its fields: hyperhive help events.")


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of an option's value: flag, environment, workspace, user or default; `place` says where in it."""

    source: str
    place: str | None = None


def options_of(command: click.Command) -> Iterator[click.Option]:
    """Yield a command's own options, without those of the program that it takes too."""
    return (param for param in command.params if isinstance(param, click.Option) and param.expose_value)


def option_word(option: click.Option) -> str:
    """Return an option's name as in the files: without its dashes."""
    return max(option.opts, key=len).lstrip("-")


def workspace_agent(workspace: Path) -> str | None:
    """Return the agent's name that a workspace's file sets; raises UsageError. Without a file it costs one `open`."""
    source = _read_source(workspace / WORKSPACE_FILE, is_workspace=True)
    return None if source is None else read_name(source, "agent")


def user_hive() -> str | None:
    """Return the hive's address that the user's own file sets; raises UsageError."""
    path = user_file(os.environ)
    source = None if path is None else _read_source(path, is_workspace=False)
    return None if source is None else read_name(source, "hive")


def read_own_file(path: Path) -> str:
    """Read a file that no one but the user may write; raises UsageError, and HyperhiveError for an unsafe file."""
    source = _read_source(path, is_workspace=False)
    if source is None:
        raise UsageError(
            f"file not found: {path}", "hyperhive host NAME=DIR …, or a FILE: see `hyperhive help running`"
        )
    return source.text


def load_settings(ctx: click.Context, _option: click.Parameter, workspace: Path) -> Path:
    """Read both files into the context's defaults; a callback. Raises UsageError for a setting that is not allowed."""
    options = {option_word(option): option for option in options_of(ctx.command)}
    kinds = {word: _kind_of(option) for word, option in options.items()}
    user = user_file(os.environ)
    sources = [_read_source(workspace.absolute() / WORKSPACE_FILE, is_workspace=True)]
    sources += [] if user is None else [_read_source(user, is_workspace=False)]
    settings = merge(*(read_settings(source, kinds) for source in sources if source is not None))
    ctx.default_map = {options[word].name or word: _convert(options[word], ctx, one) for word, one in settings.items()}
    ctx.meta[_META] = settings
    return workspace


def run_context(ctx: click.Context, workspace: Path | None, *words: str, invocation: object = None) -> click.Context:
    """Return the context that `run` would have here, given its workspace and these words; raises as `run` does."""
    root = ctx.find_root()
    group = root.command
    assert isinstance(group, click.Group)  # noqa: S101 - the program
    command = group.get_command(root, "run")
    assert command is not None  # noqa: S101 - it is in the table
    named = [] if workspace is None else ["--workspace", str(workspace)]
    return command.make_context("run", [*named, *words], parent=root, obj=invocation or root.obj)


def origin_of(ctx: click.Context, option: click.Option) -> Origin:
    """Return the source of an option's value in this context."""
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
    """Return which of two switches a stronger source has set, by their names in Python; None if it is the same."""
    options = {option.name: option for option in options_of(ctx.command)}
    ranks = [STRENGTH.index(origin_of(ctx, options[name]).source) for name in (first, second)]
    return None if ranks[0] == ranks[1] else first if ranks[0] < ranks[1] else second


def _kind_of(option: click.Option) -> Kind:
    if option.multiple:
        return "texts"
    if option.is_flag:
        return "switch"
    if isinstance(option.type, Duration):
        return "duration"
    return "number" if isinstance(option.type, click.types.FloatParamType | click.types.IntParamType) else "text"


def _convert(option: click.Option, ctx: click.Context, setting: Setting) -> Any:  # noqa: ANN401 - as the option
    """Convert a value by its click type; an error names its place in the file."""
    try:
        if option.multiple:
            return tuple(option.type(value, option, ctx) for value in setting.value)
        return option.type(setting.value, option, ctx)
    except click.BadParameter as error:
        raise UsageError(f"{setting.place}: {error.message}") from error


def _read_source(path: Path, *, is_workspace: bool) -> Source | None:
    """Read a file, None if there is none; raises UsageError if it cannot be used, HyperhiveError if it is unsafe."""
    try:
        # A link in the workspace may be the agent's doing; many people keep their own files in git and link to them.
        descriptor = open_file(path, links=not is_workspace)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotAFileError as error:
        raise UsageError(
            f"the configuration {path} cannot be used: {error}", "make it a regular file, or remove it"
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
        raise UsageError(f"the configuration {path} is not UTF-8: byte {error.start}, counted from 0") from error

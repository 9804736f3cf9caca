"""What click says of a wrong command line, in our words, and with what to type instead."""

import re
import shlex
from collections.abc import Mapping, Sequence

import click

from hyperhive_cli.cli.commands import COMMANDS
from hyperhive_cli.core.errors import UsageError

_EXTRA = re.compile(r"Got unexpected extra arguments? \((?P<words>.*)\)", re.DOTALL)
# A word behind one of these groups that is none of its commands is often what one of them takes.
_MEANT: Mapping[str, str] = {
    "model": "hyperhive model set {}", "inbox": "hyperhive inbox show {}", "agents": "hyperhive -a {} status",
    "config": "set it in a file: hyperhive help configuration", "budget": "hyperhive budget raise --day-cost {}",
    "schedule": "hyperhive schedule show {}",
}  # fmt: skip
_MORE_MEANT: Mapping[str, str] = {"hyperhive budget raise": "hyperhive budget raise --day-cost {}"}


def in_our_words(error: click.UsageError, words: Sequence[str]) -> UsageError:
    """Return click's error about these words as our own: the thing, the cause, and the next command."""
    ctx = error.ctx
    path = (
        " ".join(["hyperhive", *[word for word in words if word in COMMANDS][:1]]) if ctx is None else ctx.command_path
    )
    page = f"{path} -h"
    match error:
        case click.NoSuchOption():
            return UsageError(f"unknown option: {error.option_name}", _option_meant(error, page))
        case click.exceptions.NoSuchCommand():
            return UsageError(f"unknown command: {error.command_name!r}", _command_meant(error, page))
        case click.MissingParameter() if isinstance(error.param, click.Argument):
            return UsageError(f"{_name(error.param)} is missing", _usage(ctx))
        case click.BadOptionUsage():
            return UsageError(f"{error.option_name} needs a value", page)
        case click.BadParameter() if error.param is not None:
            return UsageError(f"{_name(error.param)}: {_why_bad(error)}", page)
    extra = _EXTRA.fullmatch(error.format_message())
    if extra is None or ctx is None:
        return UsageError(error.format_message(), page)
    if "text" in ctx.params:  # of `send`
        return UsageError("the text is more than one argument", _quoted(ctx, extra["words"]))
    meant = _MORE_MEANT.get(ctx.command_path)
    return UsageError(
        f"unexpected argument: {extra['words']!r}", _usage(ctx) if meant is None else meant.format(extra["words"])
    )


def _option_meant(error: click.NoSuchOption, page: str) -> str:
    from hyperhive_cli.claude.options import is_known  # noqa: PLC0415 - for this slip

    if error.ctx is not None and error.ctx.info_name == "run" and is_known(error.option_name):
        return f"claude's options stand behind --: hyperhive run -- {error.option_name} …"
    close = error.possibilities
    return page if not close or error.ctx is None else f"{error.ctx.command_path} {close[0]}"


def _command_meant(error: click.exceptions.NoSuchCommand, page: str) -> str:
    group, word = error.ctx.info_name if error.ctx is not None else None, error.command_name
    if error.possibilities and error.ctx is not None:
        return f"{error.ctx.command_path} {error.possibilities[0]}"
    return _MEANT[group].format(shlex.quote(word)) if group is not None and group in _MEANT else page


def _why_bad(error: click.BadParameter) -> str:
    """Return why a value is refused; click calls a whole number of at least 0 an `integer range`."""
    kind, said = None if error.param is None else error.param.type, error.message.removesuffix(".")
    given = said.partition(" is not ")[0]
    if isinstance(kind, click.Choice):
        return f"{given} is not one of {', '.join(map(str, kind.choices))}"
    if " is not in the range " in said and isinstance(kind, click.IntRange | click.FloatRange):
        return f"{given} is not {'more than' if kind.min_open else 'at least'} {kind.min:g}"
    if said.endswith((" integer", " integer range")):
        return f"{given} is not a whole number"
    if said.endswith((" float", " float range", " number")):
        return f"{given} is not a number"
    return said


def _name(param: click.Parameter) -> str:
    if isinstance(param, click.Argument):
        return (param.metavar or str(param.name).upper()).strip("[].")
    return max(param.opts, key=len)


def _usage(ctx: click.Context | None) -> str | None:
    """Return how a command is called, without its options."""
    if ctx is None:
        return None
    pieces = [piece for piece in ctx.command.collect_usage_pieces(ctx) if piece != "[OPTIONS]"]
    return " ".join([ctx.command_path, *pieces])


def _quoted(ctx: click.Context, rest: str) -> str:
    return shlex.join([*ctx.command_path.split(), f"{ctx.params['text']} {rest}"])

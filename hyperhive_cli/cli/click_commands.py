"""Makes click's commands of declared ones. Their help is a page: in sections, with defaults in words."""

import inspect
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import click
from click.core import ParameterSource

from hyperhive_cli.cli.commands import GLOBALS
from hyperhive_cli.cli.declared import Command, Group, Parameter
from hyperhive_cli.cli.help_pages import WIDEST, lay_out
from hyperhive_cli.cli.invocation import Invocation
from hyperhive_cli.cli.width import columns


class ClickOption(click.Option):
    """An option in a section of the help; None is the section `Options`."""

    def __init__(self, words: Sequence[str], *, section: str | None, **settings: Any) -> None:  # noqa: ANN401 - as click has it
        super().__init__(words, **settings)
        self.section = section


class ClickCommand(click.Command):
    """A command whose help is a page, and which takes the program's own options too."""

    def __init__(self, name: str, params: list[click.Parameter], **settings: Any) -> None:  # noqa: ANN401 - as click has it
        super().__init__(name, params=[*params, *_globals_beside(params)], **settings)

    def get_help(self, ctx: click.Context) -> str:
        """Return the page, folded to the width of the context or the terminal."""
        return lay_out(page_of(ctx), ctx.terminal_width or min(columns(), WIDEST)).rstrip("\n")


class ClickGroup(ClickCommand, click.Group):
    """A group of such commands."""

    def command_sections(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Yield the sections of the group's commands: their title, and each command with what it does."""
        yield "Commands", [(name, _about(command.get_short_help_str(200))) for name, command in self.commands.items()]


def to_click(declared: Command, path: str) -> ClickCommand:
    """Make click's command; `path` are the words that call it, after the program's."""
    attributes = {**_attributes(declared, path), "help": declared.function.__doc__, **declared.settings}
    if not isinstance(declared, Group):
        return ClickCommand(declared.name, **attributes)
    if declared.alone is not None:
        attributes |= _attributes_alone(declared.commands[declared.alone], path)
    commands = {name: to_click(one, f"{path} {name}") for name, one in declared.commands.items()}
    metavar = "[COMMAND …]" if attributes.get("invoke_without_command") else "COMMAND …"
    return ClickGroup(declared.name, commands=commands, subcommand_metavar=metavar, **attributes)


def _attributes(declared: Command, path: str) -> dict[str, Any]:
    params = [parameter_to_click(parameter, f"hyperhive {path}") for parameter in declared.parameters]
    return {"params": params, "callback": partial(_call, declared)}


def _attributes_alone(declared: Command, path: str) -> dict[str, Any]:
    """Return what makes a group do the same as this command of it, unless another one is named."""

    def call(**values: object) -> object:
        is_alone = click.get_current_context().invoked_subcommand is None
        return _call(declared, **values) if is_alone else None

    return {**_attributes(declared, path), "callback": call, "invoke_without_command": True}


def _call(declared: Command, **values: object) -> object:
    ctx = click.get_current_context()
    result: object = declared.function(*(ctx if what == "context" else ctx.obj for what in declared.passed), **values)
    return result


def parameter_to_click(declared: Parameter, path: str) -> click.Parameter:
    """Make click's parameter, its variable named after the option; click would use the function's parameter."""
    settings = dict(declared.settings)
    if "make_type" in settings:
        settings["type"] = settings.pop("make_type")()
    elif "choices" in settings:
        settings["type"] = click.Choice(settings.pop("choices"))
    elif "least" in settings:
        settings["type"] = click.IntRange(min=settings.pop("least"))
    if not declared.is_option:
        return click.Argument([*declared.words], **settings)
    return ClickOption([*declared.words], envvar=declared.variable(path), section=declared.section, **settings)


def _globals_beside(params: list[click.Parameter]) -> Iterator[click.Option]:
    """Yield the program's options, hidden, as far as a command has none of the same name."""
    taken = {word for param in params for word in param.opts}
    for declared in GLOBALS:
        if taken.isdisjoint(declared.words):
            yield click.Option(
                [f"global_{declared.name}", *declared.words],
                **{**declared.settings, "hidden": True, "expose_value": False},
                allow_from_autoenv=False,
                callback=partial(_apply, declared.name),
            )


def _apply(name: str, ctx: click.Context, _option: click.Parameter, value: object) -> None:
    root = ctx.find_root()
    if value:
        root.params[name] = value  # for those who offer completions, and `config show`
        root.set_parameter_source(name, ParameterSource.COMMANDLINE)
        if isinstance(root.obj, Invocation):
            root.obj.apply(**{name: value})


def page_of(ctx: click.Context) -> str:
    """Return the page of a command, not yet folded."""
    command = ctx.command
    lines = [f"Usage: {ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}"]
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        lines += ["", *_paragraph(paragraph)]
    if isinstance(command, ClickGroup):
        sections = list(command.command_sections())
        width = max(len(name) for _, names in sections for name, _ in names)
        for title, names in sections:
            lines += ["", f"{title}:", *(f"{name:<{width}}\t{about}" for name, about in names)]
    for title, options in _option_sections(ctx).items():
        lines += ["", f"{title}:", *options]
    if command.epilog:
        lines += ["", *inspect.cleandoc(command.epilog).split("\n")]
    return "\n".join(lines) + "\n"


def _paragraph(text: str) -> Iterator[str]:
    if not text.startswith("\b\n"):
        yield f"  {' '.join(text.split())}"
        return
    for line in text.split("\n")[1:]:  # the examples
        yield f"\t{line.removeprefix('Examples:').removeprefix('Example:').strip()}"


def _option_sections(ctx: click.Context) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    title = "Options"
    for option in ctx.command.get_params(ctx):
        if isinstance(option, click.Option) and not option.hidden:
            if isinstance(option, ClickOption):  # click's own, the last, goes with those before it
                title = option.section or "Options"
            found.setdefault(title, []).append(_definition(option, ctx))
    return found


def _definition(option: click.Option, ctx: click.Context) -> str:
    record = option.get_help_record(ctx)
    found = option.get_help_extra(ctx).get("default")
    default = f" (default: {found.removesuffix('.0')})" if found else ""
    about = "Show this" if "--help" in option.opts else _about(option.help or "")
    if "--help" in option.opts and ctx.parent is None:
        about += f"; {ctx.command_path} COMMAND -h for one command"
    return f"{record[0] if record else ''}\t{about}{default}"


def _about(text: str) -> str:
    return text.removesuffix(".")

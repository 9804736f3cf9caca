"""Reads a plain command line without click: known words, spelt out, with values as they are. All else is click's.

What is read here is what click would read: `tests/unit/test_plain_call.py` compares the two.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hyperhive_cli.cli.commands import COMMANDS, GLOBALS, NOT_FOR_PLAIN_CALLS
from hyperhive_cli.cli.declared import Command, Group, Parameter


class PlainCall(NamedTuple):
    """A command with the global options and its own values, both by the names of Python's parameters."""

    command: Command
    options: dict[str, Any]
    values: dict[str, Any]


def read_plain_call(words: Sequence[str], environ: Mapping[str, str]) -> PlainCall | None:
    """Read a command line; None for one that is not plain."""
    if any(environ.get(variable) for variable in NOT_FOR_PLAIN_CALLS):
        return None
    try:
        return _read(list(words), environ)
    except ValueError:
        return None


def _read(words: list[str], environ: Mapping[str, str]) -> PlainCall:
    options: dict[str, Any] = {}
    while words and words[0].startswith("-"):
        _take_option(words, GLOBALS, options)
    command = _find_command(words, environ)
    own = {word for parameter in command.parameters for word in parameter.words}
    shared = [option for option in GLOBALS if own.isdisjoint(option.words)]
    values: dict[str, Any] = {}
    texts = []
    while words:
        if not words[0].startswith("-") or words[0] == "-":
            texts.append(words.pop(0))
        elif words[0] in own:
            _take_option(words, command.parameters, values)
        else:
            _take_option(words, shared, options)
    _take_arguments(texts, [one for one in command.parameters if not one.is_option], values)
    for option in GLOBALS:
        options.setdefault(option.name, environ.get(option.variable("hyperhive")) or option.default)
    for parameter in command.parameters:
        values.setdefault(parameter.name, parameter.default)
    return PlainCall(command, options, values)


def _find_command(words: list[str], environ: Mapping[str, str]) -> Command:
    """Import the command that the words begin with, and take those words."""
    path = _next_of(COMMANDS, words)
    module = importlib.import_module(f"hyperhive_cli.cli.{COMMANDS[path][0]}")
    command: Command = getattr(module, path.replace("-", "_"))
    _check_plain(command, path, environ)
    while isinstance(command, Group):
        is_alone = not words or words[0].startswith("-")
        name = command.alone if is_alone and command.alone else _next_of(command.commands, words)
        command = command.commands[name]
        path = path if is_alone else f"{path} {name}"
        _check_plain(command, path, environ)
    return command


def _next_of(known: Mapping[str, object], words: list[str]) -> str:
    if not words or words[0] not in known:
        raise ValueError("it needs click")
    return words.pop(0)


def _check_plain(command: Command, path: str, environ: Mapping[str, str]) -> None:
    """Leave to click a command that needs it, of which a variable sets an option, or a group that does something."""
    is_plain = not command.passed if isinstance(command, Group) else command.passed == ["invocation"]
    if not is_plain or not all(parameter.has_plain_default for parameter in command.parameters):
        raise ValueError("it needs click")
    if any(one.is_option and one.variable(f"hyperhive {path}") in environ for one in command.parameters):
        raise ValueError("it needs click")


def _take_option(words: list[str], known: Sequence[Parameter], values: dict[str, Any]) -> None:
    word = words.pop(0)
    option = next((one for one in known if one.is_option and word in one.words), None)
    is_multiple = option is not None and option.settings.get("multiple")
    if option is None or (option.name in values and not is_multiple):
        raise ValueError(word)
    if option.is_flag:
        values[option.name] = True
    elif not words or words[0].startswith("-"):
        raise ValueError(word)
    else:
        value = option.read(words.pop(0))
        values[option.name] = (*values.get(option.name, ()), value) if is_multiple else value


def _take_arguments(texts: Sequence[str], known: Sequence[Parameter], values: dict[str, Any]) -> None:
    needed = sum(bool(one.settings.get("required", "default" not in one.settings)) for one in known)
    if not needed <= len(texts) <= len(known):
        raise ValueError("it needs click")
    values.update({one.name: one.read(text) for one, text in zip(known, texts, strict=False)})

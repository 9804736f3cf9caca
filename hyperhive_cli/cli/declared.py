"""Commands as data: what click needs to know of them, without click.

Importing click costs two and a half times what starting Python costs. So a command declares its options with the
decorators of this module, which take the same arguments as click's. `cli.click_commands` makes click's own command of
it, for completion, errors and odd command lines; a plain command line is read by `cli.plain_call` alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
TEXT_SETTINGS = {"default", "required", "metavar", "help", "show_default", "shell_complete"}
CHECKED_SETTINGS = {"is_flag", "least", "choices", "type", "make_type", "multiple"}  # if a value is given


class Parameter(NamedTuple):
    """An option or an argument: its words, and its settings as click takes them.

    In place of a `type`: `least` for a whole number of at least that, `choices` for one of these words, `make_type` for
    what makes a type of click's.
    """

    words: tuple[str, ...]
    settings: dict[str, Any]
    is_option: bool
    section: str | None = None  # of the help

    @property
    def name(self) -> str:
        """The parameter of the command's function."""
        named = next((word for word in self.words if not word.startswith("-")), max(self.words, key=len))
        return named.lstrip("-").replace("-", "_").lower()

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return bool(self.settings.get("is_flag"))

    @property
    def has_plain_default(self) -> bool:
        """Whether click passes its default on as it is."""
        is_text = self.settings.keys() <= TEXT_SETTINGS
        return is_text or (self.settings.keys() <= TEXT_SETTINGS | CHECKED_SETTINGS and not self.default)

    def read(self, text: str) -> Any:  # noqa: ANN401 - a text or a number
        """Return the value that click makes of a text; raises ValueError for what should be left to it."""
        least, choices = self.settings.get("least"), self.settings.get("choices")
        if self.settings.keys() <= TEXT_SETTINGS | {"multiple"} or (choices is not None and text in choices):
            return text
        if least is not None and text.isascii() and text.isdigit() and int(text) >= least:
            return int(text)
        raise ValueError(text)

    @property
    def default(self) -> object:
        """Its value if it is not given."""
        return self.settings.get("default", False if self.is_flag else () if self.settings.get("multiple") else None)

    def variable(self, path: str) -> str:
        """Return the environment variable of this option of the command with this path: `HYPERHIVE_MODEL_SHOW_JSON`."""
        word = max((word for word in self.words if word.startswith("-")), key=len)
        return f"{path} {word.lstrip('-')}".replace("-", "_").replace(" ", "_").upper()


class Command:
    """A declared command: its function, whose docstring is its help, and its parameters."""

    def __init__(self, function: Callable[..., Any], name: str | None = None, **settings: Any) -> None:  # noqa: ANN401 - as click has it
        declared = function.__dict__
        self.function = function
        self.name = name or function.__name__.replace("_", "-")
        self.parameters: list[Parameter] = declared.pop("parameters", [])
        self.passed: list[str] = declared.pop("passed", [])  # what comes before the values, the first of them first
        self.settings = settings


class Group(Command):
    """A declared group of commands. `alone`: the one of them that it is without a command's name."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        *,
        alone: str | None = None,
        **settings: Any,  # noqa: ANN401 - as click has it
    ) -> None:
        super().__init__(function, name, **settings)
        self.commands: dict[str, Command] = {}
        self.alone = alone

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Command]:  # noqa: ANN401 - as click has it
        """Declare a command of the group; a decorator."""

        def declare(function: Callable[..., Any]) -> Command:
            declared = Command(function, name, **settings)
            self.commands[declared.name] = declared
            return declared

        return declare


def command(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Command]:  # noqa: ANN401 - as click has it
    """Declare a command; a decorator."""
    return lambda function: Command(function, name, **settings)


def group(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Group]:  # noqa: ANN401 - as click has it
    """Declare a group of commands; a decorator."""
    return lambda function: Group(function, name, **settings)


def option(*words: str, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401 - as click has it
    """Declare an option; a decorator."""
    return _with("parameters", Parameter(words, settings, is_option=True))


def argument(*words: str, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401 - as click has it
    """Declare an argument; a decorator."""
    return _with("parameters", Parameter(words, settings, is_option=False))


def section(title: str) -> Callable[[F], F]:
    """Put the options below this decorator, as far as none above it does, into a section of the help."""

    def note(function: F) -> F:
        noted: list[Parameter] = function.__dict__["parameters"]
        noted[:] = [one if one.section else one._replace(section=title) for one in noted]
        return function

    return note


def pass_invocation(function: F) -> F:
    """Pass the `Invocation` to the function, after what the decorators below this one pass."""
    return _with("passed", "invocation", last=True)(function)


def pass_context(function: F) -> F:
    """Pass click's context to the function, as `pass_invocation`."""
    return _with("passed", "context", last=True)(function)


def _with(what: str, found: object, *, last: bool = False) -> Callable[[F], F]:
    """Note something of a function, before what is noted already: decorators apply from below."""

    def note(function: F) -> F:
        noted: list[object] = function.__dict__.setdefault(what, [])
        noted.insert(len(noted) if last else 0, found)
        return function

    return note

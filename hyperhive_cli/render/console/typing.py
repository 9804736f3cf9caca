"""`Typing`: keys → the typed line, its menu, and what a person asks for. Pure."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from hyperhive_cli.render.console.editor import Editor, History
from hyperhive_cli.render.console.keys import Key
from hyperhive_cli.render.console.region import Menu, View

AGAIN_S = 2.0  # in which a second Ctrl-C counts
STOPS = "Ctrl-C again stops the agent; the message of a running turn goes back into the inbox"
LEAVES = "Ctrl-C again leaves; the agent goes on"
ONLY_STOPS = "Ctrl-C twice stops the agent"
DETACH = "/detach"  # as Ctrl-D on an empty line
STOPPING = "stopping; Ctrl-C again ends it now"


class Act(Enum):
    """What a person asks for."""

    SEND = auto()  # a message
    COMMAND = auto()  # a line that begins with /
    CODE = auto()  # of a login
    INTERRUPT = auto()
    STOP = auto()
    LEAVE = auto()
    SHOW_LAST = auto()
    REDRAW = auto()
    KEYS = auto()


class Asked(NamedTuple):
    """An act, and the text that belongs to it."""

    act: Act
    text: str = ""


class Typing:
    """The typed line of a console. `commands`: `/name` and arguments, and what it does."""

    def __init__(self, view: View, history: History, commands: Sequence[tuple[str, str]]) -> None:
        self.takes_code = False  # a login waits for one
        self._view = view
        self._editor = view.editor if view.editor is not None else Editor()
        self._history = history
        self._commands = commands
        self._is_menu_closed = False
        self._ctrl_c_s = -AGAIN_S
        self._is_stopping = False

    def press(self, key: Key, now_s: float) -> Asked | None:
        """Take a key and return what it asks for; `now_s`: seconds of a monotonic clock."""
        self._view.remark = ""
        if self._view.menu is not None and (act := _MENU_KEYS.get(key.name)) is not None:
            return act(self)
        act = (_EMPTY_KEYS if self._editor.is_empty else _LINE_KEYS).get(key.name)
        if key.name == "text" and key.text == "?" and self._editor.is_empty:
            return Asked(Act.KEYS)
        if key.name == "ctrl-c":
            return self._ctrl_c(now_s)
        if act is None and not self._editor.press(key):
            act = _KEYS.get(key.name)
        asked = None if act is None else act(self)
        self._find_menu()
        return asked

    # --- the line ---

    def enter(self) -> Asked | None:
        """Send the line, or run its command; a backslash at its end asks for another line."""
        if self._editor.text.endswith("\\") and self._editor.cursor == len(self._editor.atoms):
            self._editor.press(Key("backspace"))
            self._editor.press(Key("newline"))
            return None
        text = self._editor.take()
        is_command = text.startswith("/") and not text.startswith("//")
        if self.takes_code and not is_command:
            return Asked(Act.CODE, text.strip()) if text.strip() else None
        if not text.strip():
            return None
        self._history.add(text)
        if text.strip() == DETACH:
            return self.leave()
        if is_command:
            return Asked(Act.COMMAND, text.strip())
        return Asked(Act.SEND, text.removeprefix("/") if text.startswith("//") else text)

    def clear(self) -> None:
        """Clear the line; ↑ brings it back."""
        self._history.add(self._editor.take())

    def _ctrl_c(self, now_s: float) -> Asked | None:
        if not self._editor.is_empty:
            self.clear()
            self._find_menu()
            return None
        is_again, self._ctrl_c_s = now_s - self._ctrl_c_s < AGAIN_S, now_s
        if not (is_again or self._is_stopping):
            self._view.remark = LEAVES if self._view.is_attached else STOPS
            return None
        self._is_stopping = not self._view.is_attached
        self._view.remark = STOPPING if self._is_stopping else ""
        return Asked(Act.LEAVE if self._view.is_attached else Act.STOP)

    def leave(self) -> Asked | None:
        """Leave, if the console is attached."""
        if self._view.is_attached:
            return Asked(Act.LEAVE)
        self._view.remark = ONLY_STOPS
        return None

    def older(self) -> None:
        """Go a line up, or to what was sent before."""
        if not self._editor.move_line(-1) and (text := self._history.older(self._editor.text)) is not None:
            self._recall(text)

    def newer(self) -> None:
        """Go a line down, or to what was sent after."""
        if not self._editor.move_line(1) and (text := self._history.newer()) is not None:
            self._recall(text)

    def _recall(self, text: str) -> None:
        self._editor.set(text)
        self._is_menu_closed = True  # ↑ and ↓ go on in the history

    # --- the menu ---

    def _find_menu(self) -> None:
        """Show the commands that begin with what was typed, until an argument follows or Esc closes them."""
        text = self._editor.text
        if not text.startswith("/") or " " in text or "\n" in text:
            self._view.menu, self._is_menu_closed = None, False
            return
        fitting = [entry for entry in self._commands if entry[0].startswith(text)]
        if self._is_menu_closed or not fitting:
            self._view.menu = None
        elif self._view.menu is None or self._view.menu.entries != fitting:
            self._view.menu = Menu(fitting)

    def choose(self, by: int) -> None:
        """Choose another command of the menu."""
        if (menu := self._view.menu) is not None:
            menu.chosen = (menu.chosen + by) % len(menu.entries)

    def complete(self) -> str:
        """Put the chosen command into the line, and return its arguments."""
        assert self._view.menu is not None  # noqa: S101 - only then
        name, _, arguments = self._view.menu.entries[self._view.menu.chosen][0].partition(" ")
        self._editor.set(f"{name} " if arguments else name)
        self._find_menu()
        return arguments

    def run_chosen(self) -> Asked | None:
        """Run the chosen command; one that needs an argument is completed first."""
        typed = self._editor.text
        assert self._view.menu is not None  # noqa: S101 - only then
        is_whole = any(entry[0].partition(" ")[0] == typed for entry in self._view.menu.entries)
        if not is_whole:
            needs_more = self.complete()
            if needs_more and not needs_more.startswith("["):
                return None
        self._view.menu = None
        return self.enter()

    def close(self) -> None:
        """Close the menu."""
        self._view.menu, self._is_menu_closed = None, True


_Press = Callable[[Typing], Asked | None]


def _asks(act: Act) -> _Press:
    return lambda _: Asked(act)


def _does(act: Callable[[Typing], object]) -> _Press:
    def press(typing: Typing) -> None:
        act(typing)

    return press


_MENU_KEYS: Mapping[str, _Press] = {
    "up": _does(lambda typing: typing.choose(-1)),
    "down": _does(lambda typing: typing.choose(1)),
    "tab": _does(Typing.complete),
    "enter": Typing.run_chosen,
    "escape": _does(Typing.close),
}
_EMPTY_KEYS: Mapping[str, _Press] = {
    "escape": _asks(Act.INTERRUPT),
    "ctrl-d": Typing.leave,
    "enter": lambda _: None,
    "newline": lambda _: None,
}
_LINE_KEYS: Mapping[str, _Press] = {"escape": _does(Typing.clear), "enter": Typing.enter, "tab": Typing.enter}
_KEYS: Mapping[str, _Press] = {
    "up": _does(Typing.older),
    "down": _does(Typing.newer),
    "ctrl-p": _does(Typing.older),
    "ctrl-n": _does(Typing.newer),
    "ctrl-o": _asks(Act.SHOW_LAST),
    "ctrl-l": _asks(Act.REDRAW),
}

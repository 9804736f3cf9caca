"""A console without cursor movements, for TERM=dumb, --plain and screen readers: lines, and a line that is typed.

What is to be printed waits while a line is typed, so that neither tears the other apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from hyperhive_cli.render.console.cells import clusters, shown, width_of_text
from hyperhive_cli.render.console.editor import Editor, History
from hyperhive_cli.render.console.keys import Key
from hyperhive_cli.render.console.region import View
from hyperhive_cli.render.console.screen import Screen
from hyperhive_cli.render.console.typing import Asked, Typing
from hyperhive_cli.render.layout import Layout

MAX_HELD = 100_000  # characters that wait for the end of the typed line; then nothing more is taken
_ENTERS = {"enter", "newline"}
_CLEARS = {"escape", "ctrl-c", "ctrl-u"}
# None of them moves the cursor within the line: that could not be shown.
_KEYS = {
    "text", "paste", "backspace", "ctrl-w", "ctrl-d", "ctrl-o", "up", "down", "ctrl-p", "ctrl-n", *_ENTERS, *_CLEARS,
}  # fmt: skip


class PlainTyping(Typing):
    """A typed line that is only ever written on. `view.echo` gets what is to be printed of it, if it `echoes`."""

    def __init__(self, view: View, history: History, *, echoes: bool) -> None:
        super().__init__(view, history, ())
        self._echoes = echoes

    def press(self, key: Key, now_s: float) -> Asked | None:
        """Take a key, as `Typing.press`; one that would move the cursor does nothing."""
        if key.name not in _KEYS:
            return None
        name = "enter" if key.name in _ENTERS else key.name
        before = self._editor.text
        asked = super().press(Key(name, key.text), now_s)
        if self._echoes:
            self._view.echo += "\n" if name == "enter" else _echo(before, self._editor.text, clears=name in _CLEARS)
        if self._view.remark:
            self._view.echo += f"{self._view.remark}\n"
        return asked


def _echo(before: str, after: str, *, clears: bool) -> str:
    """Return what turns the printed line into another: more at its end, less of it, or all of it on a new line."""
    if after.startswith(before):
        return _as_shown(after[len(before) :])
    less = before[len(after) :]
    if before.startswith(after) and not clears and "\n" not in less:
        return "\b \b" * width_of_text(_as_shown(less))
    return f"\n{_as_shown(after)}"


def _as_shown(text: str) -> str:
    return "".join(map(shown, clusters(text)))


class PlainScreen(Screen):
    """A screen that prints lines, and the line that is typed. It has no region."""

    begins = ends = ""

    def __init__(
        self, snapshot: Mapping[str, Any] | None, file: TextIO, *, echoes: bool, layout: Layout | None = None
    ) -> None:
        super().__init__(snapshot, file, styled=False, live=False, plain=True, layout=layout)
        self._echoes = echoes
        self._held = ""

    @property
    def is_full(self) -> bool:
        """True if so much waits for the end of the typed line that nothing more should come."""
        return len(self._held) > MAX_HELD

    def typing(self, history: History, commands: Sequence[tuple[str, str]]) -> Typing:  # noqa: ARG002 - no menu
        """Return the typed line of this screen."""
        self.view.editor = Editor()
        return PlainTyping(self.view, history, echoes=self._echoes)

    def frames(self, text: str, now: float) -> Iterator[str]:  # noqa: ARG002 - nothing here ticks
        """Yield what is new of the typed line, and, unless one is being typed, the text."""
        self._held += text
        echo, self.view.echo = self.view.echo, ""
        if self.view.editor is None or self.view.editor.is_empty:
            echo, self._held = echo + self._held, ""
        if echo:
            yield echo

    def erase(self) -> str:
        """Return what was held: the typed line is left as it stands."""
        held, self._held = self._held, ""
        return f"\n{held}" if held else ""

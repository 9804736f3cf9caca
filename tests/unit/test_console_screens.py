"""Whole screens of the console on a terminal (pyte), at four sizes: as agreed, and never without the typed line."""

import io
import os
import re
from collections.abc import Callable

import pyte
import pytest

from hyperhive_cli.core.events import LiveEvent
from hyperhive_cli.render.console import screen as screens
from hyperhive_cli.render.console.editor import History
from hyperhive_cli.render.console.keys import KeyReader
from hyperhive_cli.render.console.screen import Screen
from hyperhive_cli.render.layout import Layout
from tests.unit.agreed import GOLDEN
from tests.unit.made_events import (
    NOW,
    assistant,
    call,
    delta,
    numbered,
    recorded_turn,
    said,
    same_world,  # noqa: F401 - a fixture, used by name
)

pytestmark = pytest.mark.usefixtures("same_world")
SIZES = [(40, 10), (80, 24), (120, 40), (200, 60)]
SNAPSHOT = {
    "agent": "bee", "status": "online", "model": "claude-opus-4-7", "state": "thinking", "since_unix": NOW - 12,
    "context_tokens": 76_000, "context_window": 200_000, "unread": 2, "permission_mode": "acceptEdits",
    "workspace": "/home/anna/project", "today": {"cost_usd": 1.84}, "budget": {"today": {"limit_usd": 10.0}},
}  # fmt: skip
COMMANDS = [("/cancel [ID]", "interrupt the running turn"), ("/compact", "summarise it"), ("/pause", "start no more")]
TURN = recorded_turn("tools")
RUNNING = TURN[: -(2 + 6)]  # its last call has no answer yet
EMOJI = "漢字 naïve 🐝"


class Console:
    """A console on a terminal of some size; each state of the screen is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int, rows: int) -> None:
        self._patch = monkeypatch
        self.states: list[list[str]] = []
        self.sent = ""
        self._display = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._display)
        self._patch.setattr(screens, "terminal_size", lambda _: os.terminal_size((columns, rows)))
        self.screen = Screen(SNAPSHOT, io.StringIO(), styled=True, live=True, plain=False, layout=Layout("/show"))
        self.typing = self.screen.typing(History([]), COMMANDS)
        self._seq = 0
        self._draw("")

    def show(self, *events: LiveEvent | dict[str, object]) -> None:
        records = list(numbered(events, self._seq))
        self._seq = max((record.seq for record in records if record.seq is not None), default=self._seq)
        self._draw(self.screen.take(records))

    def type(self, text: str) -> None:
        for key in KeyReader().push(text.encode()):
            self.typing.press(key, 0.0)
        self._draw("")

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; pyte does not wrap again what it shows."""
        self._display.resize(rows, columns)
        self._patch.setattr(screens, "terminal_size", lambda _: os.terminal_size((columns, rows)))
        self.screen.fit()
        self._draw("")

    def _draw(self, text: str) -> None:
        for frame in self.screen.frames(text, NOW):
            self.sent += frame
            self._stream.feed(frame)
            self.states.append([row.rstrip() for row in self._display.display])


def working(console: Console) -> None:
    console.show(*RUNNING)
    console.type("and add a test for accents")


def writing(console: Console) -> None:
    console.show(*TURN[:3])
    console.show(delta("content_block_start", content_block={"type": "text"}))
    console.show(delta("content_block_delta", delta={"type": "text_delta", "text": "I look at the files " * 12}))


def idle(console: Console) -> None:
    console.show(*TURN)
    console.screen.view.status.update({"state": "idle", "unread": 0})
    console.resize(*console.screen.size)


def menu(console: Console) -> None:
    console.show(*RUNNING)
    console.type("/c")


def pasted(console: Console) -> None:
    console.show(*TURN)
    console.type("look at this: \x1b[200~" + "a line of a log\r" * 13_000 + "\x1b[201~ what is it?")


def wide_characters(console: Console) -> None:
    console.show(TURN[0], assistant(said(f"{EMOJI} " * 12)), assistant(call("a", "Bash", command=f"echo {EMOJI}")))
    console.type(f"{EMOJI} " * 4)


def resized(console: Console) -> None:
    console.type("half a sentence")
    for at, event in enumerate(TURN):
        console.show(event)
        if at % 5 == 0:
            console.resize(console.screen.size.columns - 3, console.screen.size.rows + (-1) ** at)


SCENES: list[Callable[[Console], None]] = [working, writing, idle, menu, pasted, wide_characters, resized]


def test_golden_screens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each scene at each size, as agreed; GOLDEN_WRITE=1 writes it again."""
    found = []
    for columns, rows in SIZES:
        for play in SCENES:
            console = Console(monkeypatch, columns, rows)
            play(console)
            found += [f"=== {columns}x{rows}, {play.__name__.replace('_', ' ')}", *console.states[-1]]
            assert all(any(row.startswith("›") for row in state) for state in console.states), play.__name__
    kept, shown = GOLDEN / "console_screens.txt", "".join(f"{row}\n" for row in found)
    if os.environ.get("GOLDEN_WRITE"):
        kept.write_text(shown, encoding="utf-8")
    assert shown == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("events_per_frame", [7, 67], ids=["200 a second", "2,000 a second"])
def test_the_typed_line_is_on_each_state_while_much_is_shown(
    size: tuple[int, int], events_per_frame: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(monkeypatch, *size)
    console.type("half a sentence")
    start = len(console.states)
    lines = [assistant(said(f"{at}: {EMOJI} {'word ' * (at % 30)}")) for at in range(events_per_frame)]
    for _ in range(10):
        console.show(*lines)
    states = console.states[start:]
    assert len(states) >= 10
    assert all(any(row.startswith("› half a sentence") for row in state) for state in states)


COLOURED = re.compile(r"\x1b\[([\d;]*)m([^\x1b]*)")
CODES = {"0", "1", "2", "2;3", "3", "7", "1;7", "31", "32", "33", "36", "1;4", "4", "9", "2;4", "4;36", "1;35", "4;32"}


@pytest.mark.parametrize(
    "name", ["tools", "tools_denied", "subagent", "compact", "overloaded_then_ok", "not_logged_in", "text"]
)
def test_the_colours_can_be_read_on_dark_and_light_terminals(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bright colours, no backgrounds; yellow is for signs alone."""
    console = Console(monkeypatch, 100, 40)
    code = "```python\nimport os\n# it says\nclass A(Exception):\n    def f(self): print('hi', 12)\n```"
    console.show(
        *recorded_turn(name)[:-1],
        assistant(said(code)),
        assistant(call("e", "Edit", old_string="a\n", new_string="b\n")),
    )
    for code, text in COLOURED.findall(console.sent):
        assert code in CODES, (code, text)
        assert "33" not in code.split(";") or not re.search(r"\w", text), text


@pytest.mark.parametrize("variable", ["NO_COLOR"])
def test_without_colours_only_weights_are_left(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    console = Console(monkeypatch, 100, 40)
    console.show(*TURN)
    console.type("/c")
    codes = {code for code, _ in COLOURED.findall(console.sent)}
    assert codes <= {"0", "1", "2", "3", "4", "7", "2;3", "1;7", "1;4"}

"""What keys ask for: sending, commands and their menu, history, interrupting, stopping and leaving."""

import pytest

from hyperhive_cli.render.console.editor import Editor, History
from hyperhive_cli.render.console.keys import KeyReader
from hyperhive_cli.render.console.region import View
from hyperhive_cli.render.console.typing import STOPPING, STOPS, Act, Asked, Typing
from hyperhive_cli.transcript.status_fields import StatusFields

COMMANDS = [("/pause", "a"), ("/resume", "b"), ("/retry ID", "c"), ("/cancel [ID]", "d")]


class Console:
    """A typed line, its keys given as a terminal sends them."""

    def __init__(self, *, is_attached: bool = False, sent: tuple[str, ...] = ()) -> None:
        self.view = View(StatusFields(), Editor(), is_attached=is_attached)
        self.typing = Typing(self.view, History(list(sent)), COMMANDS)
        self.now_s = 100.0

    def press(self, data: str) -> list[Asked]:
        reader = KeyReader()
        keys = [*reader.push(data.encode()), *reader.release()]
        return [asked for key in keys if (asked := self.typing.press(key, self.now_s)) is not None]

    @property
    def text(self) -> str:
        assert self.view.editor is not None
        return self.view.editor.text

    @property
    def menu(self) -> list[str]:
        return [] if self.view.menu is None else [name for name, _ in self.view.menu.entries]


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        ("hello\r", [Asked(Act.SEND, "hello")]),
        ("hello\t", [Asked(Act.SEND, "hello")]),
        ("one\ntwo\r", [Asked(Act.SEND, "one\ntwo")]),
        ("one\\\rtwo\r", [Asked(Act.SEND, "one\ntwo")]),
        ("//etc is full\r", [Asked(Act.SEND, "/etc is full")]),
        ("/pause\r", [Asked(Act.COMMAND, "/pause")]),
        ("/retry 7\r", [Asked(Act.COMMAND, "/retry 7")]),
        ("/paus\r", [Asked(Act.COMMAND, "/pause")]),
        ("/c\r", [Asked(Act.COMMAND, "/cancel")]),
        ("/puase\r", [Asked(Act.COMMAND, "/puase")]),
        ("  \r", []),
        ("\r", []),
        ("\x1b", [Asked(Act.INTERRUPT)]),
        ("half\x1b", []),
        ("?", [Asked(Act.KEYS)]),
        ("why?\r", [Asked(Act.SEND, "why?")]),
        ("\x0f", [Asked(Act.SHOW_LAST)]),
        ("half\x0c", [Asked(Act.REDRAW)]),
    ],
)
def test_what_keys_ask_for(data: str, asked: list[Asked]) -> None:
    assert Console().press(data) == asked


def test_the_menu_shows_what_fits_and_completes_it() -> None:
    console = Console()
    console.press("/")
    assert console.menu == [name for name, _ in COMMANDS]
    console.press("re")
    assert console.menu == ["/resume", "/retry ID"]
    console.press("\x1b[B\t")
    assert (console.text, console.menu) == ("/retry ", [])
    console.press("\x15/re\x1b")
    assert (console.text, console.menu) == ("/re", [])
    assert console.press("\r") == [Asked(Act.COMMAND, "/re")]


def test_a_command_that_needs_an_argument_is_completed_first() -> None:
    console = Console()
    assert console.press("/ret\r") == []
    assert console.text == "/retry "
    assert console.press("7\r") == [Asked(Act.COMMAND, "/retry 7")]


def test_what_was_sent_comes_back_commands_too() -> None:
    console = Console(sent=("one", "/pause", "/resume"))
    console.press("draft\x1b[A")
    assert (console.text, console.menu) == ("/resume", [])
    console.press("\x1b[A\x1b[A")
    assert console.text == "one"
    console.press("\x1b[B\x1b[B\x1b[B")
    assert console.text == "draft"


def test_what_escape_or_ctrl_c_clears_comes_back() -> None:
    for key in ("\x1b", "\x03"):
        console = Console()
        assert console.press(f"half{key}") == []
        assert console.text == ""
        console.press("\x1b[A")
        assert console.text == "half"


def test_ctrl_c_stops_only_if_it_comes_twice_soon() -> None:
    console = Console()
    assert console.press("\x03") == []
    assert console.view.remark == STOPS
    console.now_s += 3
    assert console.press("\x03") == []
    console.now_s += 1
    assert console.press("\x03") == [Asked(Act.STOP)]
    assert console.view.remark == STOPPING
    console.now_s += 60
    assert console.press("\x03") == [Asked(Act.STOP)]


def test_ctrl_c_and_ctrl_d_leave_attach_and_ctrl_d_never_stops_run() -> None:
    assert Console(is_attached=True).press("\x03\x03") == [Asked(Act.LEAVE)]
    assert Console(is_attached=True).press("\x04") == [Asked(Act.LEAVE)]
    assert Console(is_attached=True).press("/detach\r") == [Asked(Act.LEAVE)]
    assert Console().press("/detach\r") == []
    assert Console().press("\x04") == []


def test_the_code_of_a_login_is_neither_sent_nor_kept() -> None:
    console = Console()
    console.typing.takes_code = True
    assert console.press("a-code \r/cancel\r") == [Asked(Act.CODE, "a-code"), Asked(Act.COMMAND, "/cancel")]
    console.press("\x1b[A\x1b[A")
    assert console.text == "/cancel"

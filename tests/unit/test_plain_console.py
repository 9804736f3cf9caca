"""A console without cursor movements: what is printed of the typed line, and what waits until it has ended."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.render.console.editor import History
from hyperhive_cli.render.console.keys import KeyReader
from hyperhive_cli.render.console.plain import MAX_HELD, PlainScreen
from hyperhive_cli.render.console.typing import STOPS, Act, Asked


class Console:
    """A plain console whose output is on a terminal without cursor codes."""

    def __init__(self, *, echoes: bool = True, sent: tuple[str, ...] = ()) -> None:
        self.screen = PlainScreen({"agent": "bee"}, io.StringIO(), echoes=echoes)
        self.typing = self.screen.typing(History(list(sent)), [("/pause", "")])
        self.printed = ""

    def press(self, data: str) -> list[Asked]:
        reader = KeyReader()
        keys = [*reader.push(data.encode()), *reader.release()]
        found = [asked for key in keys if (asked := self.typing.press(key, 0.0)) is not None]
        self.show("")
        return found

    def show(self, text: str) -> None:
        self.printed += "".join(self.screen.frames(text, 0.0))


@pytest.mark.parametrize(
    ("data", "printed", "asked"),
    [
        ("hello\r", "hello\n", [Asked(Act.SEND, "hello")]),
        ("hello\n", "hello\n", [Asked(Act.SEND, "hello")]),  # as Emacs sends it
        ("hex\x7fllo\r", "hex\b \bllo\n", [Asked(Act.SEND, "hello")]),
        ("漢\x7f\r", "漢\b \b\b \b\n", []),
        ("one two\x17\r", "one two\b \b\b \b\b \b\n", [Asked(Act.SEND, "one ")]),
        ("half\x15\r", "half\n\n", []),
        ("half\x1b", "half\n", []),
        ("one\\\rtwo\r", "one\\\ntwo\n", [Asked(Act.SEND, "one\ntwo")]),
        ("\x03", f"{STOPS}\n", []),
        ("\x03\x03", None, [Asked(Act.STOP)]),
        ("/pause\r", "/pause\n", [Asked(Act.COMMAND, "/pause")]),
        ("/pau\r", "/pau\n", [Asked(Act.COMMAND, "/pau")]),  # no menu that could not be seen
        ("a\x1b[Db\x01c\r", "abc\n", [Asked(Act.SEND, "abc")]),  # nothing moves the cursor
        ("\x1b[A\x1b[A\r", "two\none\n", [Asked(Act.SEND, "one")]),
        ("\x1b[200~a\rb\x1b[201~", "a\nb", []),
    ],
)
def test_what_is_printed_of_a_typed_line(data: str, printed: str | None, asked: list[Asked]) -> None:
    console = Console(sent=("one", "two"))
    assert console.press(data) == asked
    assert printed is None or console.printed == printed


def test_output_waits_while_a_line_is_typed() -> None:
    console = Console()
    console.show("one\n")
    console.press("half ")
    console.show("two\n")
    console.show("three\n")
    assert console.printed == "one\nhalf "
    console.press("a line\r")
    console.show("four\n")
    assert console.printed == "one\nhalf a line\ntwo\nthree\nfour\n"


def test_not_more_waits_than_fits() -> None:
    console = Console()
    console.press("half")
    console.show("x" * MAX_HELD)
    assert not console.screen.is_full
    console.show("x\n")
    assert console.screen.is_full
    console.press("\x15")
    assert not console.screen.is_full


def test_what_waits_is_printed_at_the_end() -> None:
    console = Console()
    console.press("half")
    console.show("two\n")
    assert console.screen.erase() == "\ntwo\n"
    assert console.screen.erase() == ""


def test_where_another_program_echoes_nothing_is_printed_twice() -> None:
    console = Console(echoes=False)
    assert console.press("hello\n") == [Asked(Act.SEND, "hello")]
    assert console.printed == ""


@given(st.lists(st.sampled_from(["a", "bc ", "é", "\x7f", "\x17", "\r", "\x15", "\x1b[A", "\x1b[D", "\x0f"])))
def test_no_key_makes_it_print_an_escape_sequence(keys: list[str]) -> None:
    console = Console(sent=("one", "two\nlines"))
    console.press("".join(keys))
    assert not set(console.printed) & {"\x1b", "\r", "\x07"}

"""Frames on a terminal (pyte): what is printed stays, the region is below it, and nothing jumps."""

import pyte
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.render.console.cells import Span
from hyperhive_cli.render.console.painter import MAX_FRAME_CHARS, Painter, Region, Size

COLUMNS, ROWS = 40, 12


class Terminal:
    """A small terminal, and the painter that draws on it."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS) -> None:
        self.size = Size(columns, rows)
        self.screen = pyte.HistoryScreen(columns, rows, history=100_000, ratio=0.5)
        self.stream = pyte.Stream(self.screen)
        self.painter = Painter()
        self.states: list[list[str]] = []

    def draw(self, lines: list[str], region: Region) -> None:
        for frame in self.painter.frames(lines, region, self.size):
            assert len(frame) <= MAX_FRAME_CHARS + 2_000
            self.stream.feed(frame)
            self.states.append(self.rows)

    @property
    def rows(self) -> list[str]:
        return [row.rstrip() for row in self.screen.display]

    @property
    def printed(self) -> list[str]:
        """Return everything that is on the screen, and above it."""
        above = ["".join(row[at].data for at in range(self.size.columns)).rstrip() for row in self.screen.history.top]
        return [*above, *self.rows]


def made(height: int, word: str = "row") -> Region:
    rows: list[list[Span]] = [[(f"{word} {at}", "quiet")] for at in range(height - 1)]
    return Region([*rows, [("› ", "accent"), ("typed", "")]], (height - 1, [("› ", "accent"), ("ty", "")]))


@given(st.lists(st.tuples(st.lists(st.text("abc", max_size=COLUMNS), max_size=20), st.integers(1, 8)), max_size=12))
def test_everything_printed_is_there_once_in_order_and_the_region_below(steps: list[tuple[list[str], int]]) -> None:
    terminal = Terminal()
    told: list[str] = []
    for count, (lines, height) in enumerate(steps):
        told += (numbered := [f"{count} {at} {line}"[:COLUMNS].rstrip() for at, line in enumerate(lines)])
        region = made(height)
        terminal.draw(numbered, region)
        shown = [row for row in terminal.printed if row]
        assert shown == [*told, *("".join(text for text, _ in row) for row in region.rows)]
        assert terminal.rows[terminal.screen.cursor.y] == "› typed"
        assert terminal.screen.cursor.x == 4
    terminal.stream.feed(terminal.painter.erase())
    assert [row for row in terminal.printed if row] == told


def test_the_typed_row_does_not_jump_when_the_region_shrinks() -> None:
    terminal = Terminal()
    terminal.draw([f"line {at}" for at in range(20)], made(4))
    assert terminal.rows[-1] == "› typed"
    terminal.draw([], made(7))
    terminal.draw([], made(4))
    assert terminal.rows[-1] == "› typed"
    assert terminal.rows[-7:-4] == ["", "", ""]
    terminal.draw(["one", "two"], made(4))
    assert terminal.rows[-7:] == ["one", "two", "", "row 0", "row 1", "row 2", "› typed"]


def test_the_typed_line_is_on_each_state_of_the_screen() -> None:
    terminal = Terminal()
    for at in range(50):
        terminal.draw([f"{at} {'x' * 30}" for _ in range(at * 3)], made(4))
    assert len(terminal.states) > 60
    assert all("› typed" in state for state in terminal.states)


def test_a_row_as_wide_as_the_terminal_keeps_its_last_character() -> None:
    terminal = Terminal()
    terminal.draw(["a" * COLUMNS], Region([[("b" * COLUMNS, "")], [("c" * COLUMNS, "")]]))
    assert terminal.rows[:3] == ["a" * COLUMNS, "b" * COLUMNS, "c" * COLUMNS]


def test_nothing_is_written_if_nothing_changed() -> None:
    terminal = Terminal()
    terminal.draw([], made(3))
    assert list(terminal.painter.frames([], made(3), terminal.size)) == []
    assert list(terminal.painter.frames([], made(3, "other"), terminal.size)) != []


def test_a_narrower_terminal_that_reflows_is_counted_with() -> None:
    """The rule of 40 cells takes two rows at 30, so that the region's top is one row higher than it was."""
    region = Region([[("─" * 40, "rule")], [("› typed", "")]], (1, [("› typed", "")]))
    for reflows, up in ((True, 2), (False, 1)):
        painter = Painter(reflows=reflows)
        list(painter.frames([], region, Size(40, 12)))
        assert f"\r\x1b[{up}A" in next(painter.frames([], region, Size(30, 12)))


def test_no_colour_keeps_the_weights() -> None:
    row: list[Span] = [("a", "accent"), ("b", "head")]
    assert Painter(colours=False).styled(row) == "a\x1b[1mb\x1b[0m"

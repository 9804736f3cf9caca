"""The region below the transcript: what happens now, the typed line, the keys that do something. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hyperhive_cli.render.console.cells import Span, cut_spans, width_of_spans
from hyperhive_cli.render.console.editor import Editor
from hyperhive_cli.render.console.painter import Region, Size
from hyperhive_cli.render.console.state import NARROW, facts_row, state_row
from hyperhive_cli.transcript.status_fields import StatusFields

MAX_INPUT_ROWS, MAX_MENU_ROWS = 6, 6
FEW_ROWS, SPACED_ROWS = 8, 14  # of a terminal: below, only the most needed is shown; from here on with blank rows
_PROMPT: Span = ("› ", "accent")


@dataclass(slots=True)
class Menu:
    """The commands that fit what was typed: name and what it does, and which one is chosen."""

    entries: Sequence[tuple[str, str]]
    chosen: int = 0


@dataclass(slots=True)
class View:
    """Everything that the region shows. `editor`: None if nothing can be typed."""

    status: StatusFields
    editor: Editor | None = None
    menu: Menu | None = None
    draft: list[list[Span]] = field(default_factory=list)  # rows of what claude is writing
    remark: str = ""  # stands in place of the hints for a moment
    is_interruptible: bool = False
    is_attached: bool = False
    hint: str = ""  # behind what happens, in quiet words
    echo: str = ""  # what a screen without a region prints of the typed line


def region(view: View, now: float, size: Size) -> Region:
    """Return the region's rows, fewer than the terminal has."""
    width, is_small = size.columns, size.rows < FEW_ROWS
    state = state_row(view.status, now, width, view.hint)
    typed, cursor = _typed_rows(view, size)
    below = [] if is_small or view.editor is None else [_hints(view, width)]
    left = size.rows - 3 - len(typed) - len(below)
    if view.menu is not None and not is_small:
        below[:0] = _menu_rows(view.menu, width, left)
        left -= len(below) - 1
    above = (
        []
        if is_small
        else [*_draft_rows(view, left, size), facts_row(view.status, width, is_console=view.editor is not None)]
    )
    rows = [*above, state, *typed, *below]
    return Region(rows, None if cursor is None else (len(above) + 1 + cursor[0], cursor[1]))


def _draft_rows(view: View, left: int, size: Size) -> list[list[Span]]:
    """Return what claude is writing, with a blank row around it; a blank row alone where there is room."""
    room = max(0, min(len(view.draft), left - 2, size.rows // 2 - 3))
    drawn = view.draft[len(view.draft) - room :]
    is_spaced = size.rows >= SPACED_ROWS and left > 0
    return [*([[]] if drawn or is_spaced else []), *drawn, *([[]] if drawn else [])]


def _typed_rows(view: View, size: Size) -> tuple[list[list[Span]], tuple[int, list[Span]] | None]:
    """Return the rows of the typed line that are shown, and where the cursor is in them."""
    if view.editor is None:
        return [], None
    found = view.editor.rows(max(1, size.columns - 3))
    most = max(1, min(MAX_INPUT_ROWS, size.rows - 4))
    first = max(0, min(found.row - most + 1, len(found.rows) - most))
    rows = [[_gutter(first + at), (row, "")] for at, row in enumerate(found.rows[first : first + most])]
    return rows, (found.row - first, [_gutter(found.row), (found.before, "")])


def _gutter(row: int) -> Span:
    return _PROMPT if row == 0 else ("  ", "")


def _menu_rows(menu: Menu, width: int, left: int) -> list[list[Span]]:
    most = max(0, min(MAX_MENU_ROWS, left))
    first = max(0, min(menu.chosen - most + 1, len(menu.entries) - most))
    rows, names = [], max(len(name) for name, _ in menu.entries)
    for at, (name, about) in enumerate(menu.entries[first : first + most], first):
        is_chosen = at == menu.chosen
        rows.append(cut_spans([(f" {name:<{names}} ", "chosen" if is_chosen else ""), (f" {about}", "")], width))
    return rows


def _hints(view: View, width: int) -> list[Span]:
    if view.remark:
        return cut_spans([(view.remark, "")], width)
    pairs = list(_pairs(view, width))
    spans: list[Span] = []
    for at, (key, what) in enumerate(pairs):
        more: list[Span] = [*([(" · ", "quiet")] if at else []), (key, "head"), (f" {what}", "quiet")]
        if width_of_spans([*spans, *more]) > width:
            break
        spans += more
    return spans


def _pairs(view: View, width: int) -> list[tuple[str, str]]:
    """Return the keys that do something now, the most useful first."""
    assert view.editor is not None  # noqa: S101 - asked for with an editor alone
    if view.menu is not None:
        return [("Tab", "complete"), ("↑ ↓", "choose"), ("Enter", "run"), ("Esc", "close")]
    stops = [("Esc", "interrupt" if width >= NARROW else "stop")] if view.is_interruptible else []
    if not view.editor.is_empty:
        return [("Enter", "send"), ("Ctrl-J", "new line"), ("Esc", "clear")]
    leaves = [("Ctrl-D", "leave")] if view.is_attached else [("Ctrl-C Ctrl-C", "stop the agent")]
    return [("Enter", "send"), *stops, ("/", "commands"), ("?", "keys"), ("Ctrl-O", "last output whole"), *leaves]

"""What a person sees, kept as text: `golden/NAME.txt` holds it at 80 and 120 columns, without and with colours.

What a pipe gets is there too, where it differs.

After a wanted change: GOLDEN_WRITE=1 pytest tests/unit -k golden, then read the difference.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperhive_cli.cli.invocation import Invocation

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (80, 120)


class Output(io.TextIOWrapper):
    """A standard output that is a terminal or a pipe, as we like; its text is what was written."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def drain(self) -> None:
        """Do nothing: all is written already."""

    @property
    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def check(name: str, show: Callable[[Output, int], None]) -> None:
    """Compare what is shown with what was agreed; colours that say nothing of their own are left out."""
    sections: list[str] = []
    for width in WIDTHS:
        coloured, piped = (_shown(show, width, is_terminal=is_terminal) for is_terminal in (True, False))
        assert "\x1b" not in piped
        plain = _shown(show, width, is_terminal=True, no_color="1")
        plain = piped if "\x1b" in plain else plain  # rich keeps bold text
        sections.append(f"=== {width} columns\n{plain}")
        if coloured != plain:
            sections.append(f"=== {width} columns, colours\n{coloured}".replace("\x1b", "␛"))
        if piped != plain and width == WIDTHS[0]:
            sections.append(f"=== in a pipe\n{piped}")
    kept, shown = GOLDEN / f"{name}.txt", "".join(sections)
    if os.environ.get("GOLDEN_WRITE"):
        kept.write_text(shown, encoding="utf-8")
    assert shown == kept.read_text(encoding="utf-8")


def _shown(show: Callable[[Output, int], None], width: int, *, is_terminal: bool, no_color: str = "") -> str:
    file = Output(is_terminal=is_terminal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_COLOR", no_color)
        patch.setattr(Invocation, "current", None)  # of an earlier test: it may be plain
        show(file, width)
    return file.text

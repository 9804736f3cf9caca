"""What a person sees, kept as text: `golden/NAME.txt` holds it at 80 and 120 columns, without and with colours.

After a wanted change: GOLDEN_WRITE=1 pytest tests/unit -k golden, then read the difference.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (80, 120)


class Output(io.TextIOWrapper):
    """A standard output that is a terminal or a pipe, as we like; its text is what was written."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def check(name: str, show: Callable[[Output, int], None]) -> None:
    """Compare what is shown with what was agreed; colours that say nothing of their own are left out."""
    sections = []
    for width in WIDTHS:
        plain, coloured = (Output(is_terminal=is_terminal) for is_terminal in (False, True))
        for file in (plain, coloured):
            show(file, width)
        sections.append(f"=== {width} columns\n{plain.text}")
        if coloured.text != plain.text:
            sections.append(f"=== {width} columns, colours\n{coloured.text}".replace("\x1b", "␛"))
        assert "\x1b" not in plain.text
    kept, shown = GOLDEN / f"{name}.txt", "".join(sections)
    if os.environ.get("GOLDEN_WRITE"):
        kept.write_text(shown, encoding="utf-8")
    assert shown == kept.read_text(encoding="utf-8")

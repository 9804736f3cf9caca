#!/usr/bin/env python3
"""Turn what a program shows on a terminal into an SVG: how the README's picture of the console was made. Needs pyte.

examples/picture.py OUT.svg COMMAND…                         everything that it prints, until it ends
examples/picture.py OUT.svg --when WORDS TEXT … -- COMMAND…  waits for the words, types the text; draws the screen
"""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from fcntl import ioctl
from itertools import groupby
from pathlib import Path

import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.text import Text

COLUMNS, ROWS, MOST_ROWS = 80, 30, 500
LIMIT_S, LOOK_S = 60.0, 0.3
# pyte knows no dim text; blinking stands for it, which no program here does.
pyte.graphics.TEXT[2] = "+blink"


class Terminal:
    """A program on a terminal of its own, and what that shows."""

    def __init__(self, command: list[str], rows: int) -> None:
        self._display = pyte.Screen(COLUMNS, rows)
        self._stream = pyte.ByteStream(self._display)
        self._ours, its = pty.openpty()
        ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        self.process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment)
        os.close(its)

    def read(self) -> bool:
        """Take what was printed; return False at the end."""
        if not select.select([self._ours], [], [], LOOK_S)[0]:
            return True
        with suppress(OSError):  # Linux reports the end of a pseudo-terminal as an I/O error
            if data := os.read(self._ours, 65_536):
                self._stream.feed(data)
                return True
        return False

    def wait_for(self, words: str) -> None:
        """Read until the screen shows the words."""
        deadline = time.monotonic() + LIMIT_S
        while self.read() and time.monotonic() < deadline:
            if any(words in row for row in self._display.display):
                return
        raise SystemExit(f"not shown: {words}")

    def type(self, text: str) -> None:
        """Type a text; a newline in it is the Enter key."""
        os.write(self._ours, text.replace("\\n", "\r").encode())

    def close(self) -> None:
        """End the program, and close its terminal."""
        self.process.terminate()
        while self.process.poll() is None:
            self.read()
        os.close(self._ours)

    def rows(self) -> Iterator[Text]:
        """Yield the rows of the screen, down to the last one that is not empty."""
        last = max((at for at, row in enumerate(self._display.display) if row.strip()), default=-1)
        for at in range(last + 1):
            row, text = self._display.buffer[at], Text()
            for style, cells in groupby((row[column] for column in range(COLUMNS)), style_of):
                text.append("".join(cell.data for cell in cells), style)
            text.rstrip()
            yield text


def style_of(char: Char) -> Style:
    """Return rich's style of a cell."""
    colour = None if char.fg == "default" else char.fg.replace("brown", "yellow")
    return Style(
        color=colour, bold=char.bold, italic=char.italics, underline=char.underscore, dim=char.blink,
        reverse=char.reverse,
    )  # fmt: skip


def draw(words: list[str]) -> tuple[str, list[Text]]:
    """Run a command; return it, and what it shows in the end."""
    steps, command = [], words
    if words[:1] == ["--when"]:
        at = words.index("--")
        steps, command = [words[step + 1 : step + 3] for step in range(0, at, 3)], words[at + 1 :]
    terminal = Terminal(command, ROWS if steps else MOST_ROWS)
    try:
        for shown, text in steps:
            terminal.wait_for(shown)
            terminal.type(text)
        if steps:
            terminal.wait_for(steps[-1][1])
        else:
            while terminal.read():
                pass
        return " ".join(command), list(terminal.rows())
    finally:
        terminal.close()


if __name__ == "__main__":
    target, *rest = sys.argv[1:]
    title, lines = draw(rest)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        for line in lines:
            console.print(line)
    svg = console.export_svg(title=title)
    # Rich's picture would load its font from a web site; the reader's own monospace font does as well.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    Path(target).write_text(svg, encoding="utf-8")

#!/usr/bin/env python3
"""Turn what a command prints on a terminal into an SVG: how the README's picture of the console was made.

examples/picture.py OUT.svg hyperhive tail --since 0 --no-follow
"""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 80


def output_on_terminal(command: list[str]) -> str:
    """Run a command on a pseudo-terminal of 80 columns and give all it printed, colours included."""
    ours, its = pty.openpty()
    environment = os.environ | {"COLUMNS": str(WIDTH), "LINES": "60", "TERM": "xterm-256color"}
    chunks = []
    with subprocess.Popen(command, stdin=its, stdout=its, env=environment):
        os.close(its)
        try:
            while chunk := os.read(ours, 65_536):
                chunks.append(chunk)
        except OSError:
            pass  # Linux reports the end of a pseudo-terminal as an I/O error
    os.close(ours)
    return b"".join(chunks).decode(errors="replace").replace("\r\n", "\n")


if __name__ == "__main__":
    target, *command = sys.argv[1:]
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(output_on_terminal(command).rstrip()))
    svg = console.export_svg(title=" ".join(command))
    # Rich's picture would load its font from a web site; the reader's own monospace font does as well.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    Path(target).write_text(svg, encoding="utf-8")

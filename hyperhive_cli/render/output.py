"""What kind of output a file is: a terminal or a pipe, how wide, whether its reader is still there."""

import errno
import io
import os
from typing import TextIO

from rich.console import Console as RichConsole

from hyperhive_cli.render.blocks import THEME
from hyperhive_cli.render.display_file import READER_GONE


class _Rich(RichConsole):
    def on_broken_pipe(self) -> None:
        # rich would point standard output at /dev/null and leave the program.
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, READER_GONE)


def rich_console(file: TextIO, *, styled: bool, live: bool) -> RichConsole:
    """Make rich's console for `file`: with colours when styled, and with cursor codes when live."""
    return _Rich(
        file=file,
        theme=THEME,
        force_terminal=styled,
        force_interactive=live,
        color_system="auto" if styled else None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


def is_terminal(file: TextIO) -> bool:
    """Tell whether `file` is a terminal that can move its cursor."""
    try:
        return file.isatty() and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}
    except ValueError:  # closed
        return False


def is_background(file: TextIO) -> bool:
    """Tell whether `file` is a terminal whose foreground is another program, such as the shell after `bg`."""
    try:
        return os.tcgetpgrp(file.fileno()) != os.getpgrp()
    except (OSError, ValueError, AttributeError):  # no terminal, or not the one of this session
        return False


def terminal_size(file: TextIO) -> os.terminal_size | None:
    """Give the size of the terminal behind `file`, None when there is none."""
    try:
        return os.get_terminal_size(file.fileno())
    except (OSError, ValueError, AttributeError):
        return None


def columns_wanted() -> int:
    """Give the width that COLUMNS asks for, 0 when it asks for none."""
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def never_fail_to_encode(file: TextIO) -> None:
    """Let an output that is no UTF-8 escape what it cannot encode instead of raising."""
    if isinstance(file, io.TextIOWrapper) and file.errors == "strict":
        file.reconfigure(errors="backslashreplace")

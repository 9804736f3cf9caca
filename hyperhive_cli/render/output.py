"""What kind of output a file is: a terminal or a pipe, in the foreground or not, how wide."""

import errno
import io
import os
from typing import TextIO

from rich.console import Console as RichConsole

from hyperhive_cli.render.blocks import THEME
from hyperhive_cli.render.display_file import READER_GONE


class _Rich(RichConsole):
    def on_broken_pipe(self) -> None:
        # rich would point standard output at /dev/null and exit the program.
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, READER_GONE)


def rich_console(file: TextIO, *, styled: bool, live: bool) -> RichConsole:
    """Return rich's console for `file`: with colours if styled, and with cursor codes if live."""
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
    """Return True if `file` is a terminal that can move its cursor."""
    try:
        return file.isatty() and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}
    except ValueError:  # closed
        return False


def is_background(file: TextIO) -> bool:
    """Return True if `file` is a terminal with another program in the foreground, such as the shell after `bg`."""
    try:
        return os.tcgetpgrp(file.fileno()) != os.getpgrp()
    except (OSError, ValueError, AttributeError):  # not a terminal, or not the one of this session
        return False


def terminal_size(file: TextIO) -> os.terminal_size | None:
    """Return the size of the terminal behind `file`, None if it is not a terminal."""
    try:
        return os.get_terminal_size(file.fileno())
    except (OSError, ValueError, AttributeError):
        return None


def columns_wanted() -> int:
    """Return the width that COLUMNS asks for, 0 if it is not set to a number."""
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def never_fail_to_encode(file: TextIO) -> None:
    """Escape what an output other than UTF-8 cannot encode, instead of raising."""
    if isinstance(file, io.TextIOWrapper) and file.errors == "strict":
        file.reconfigure(errors="backslashreplace")

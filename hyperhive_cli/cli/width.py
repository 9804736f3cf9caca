"""The width of the output."""

import os


def columns() -> int:
    """Return the value of COLUMNS, the width of the terminal, or 80; `shutil` would cost 5 ms."""
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isascii() and wanted.isdigit() and int(wanted[:6]) > 0:
        return int(wanted[:6])
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80

"""The agent's choice of model: one line in a file, written atomically."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from hyperhive_cli.settings import DEFAULT_MODEL


def read_model(path: Path) -> str:
    """Give the chosen model; an empty, missing or unreadable file means the default."""
    with suppress(OSError, UnicodeDecodeError):
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        if lines and lines[0].strip():
            return lines[0].strip()
    return DEFAULT_MODEL


def write_model(path: Path, model: str) -> None:
    """Store the choice so that a reader sees the old line or the new one, also after a crash; raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{model}\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

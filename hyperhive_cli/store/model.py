"""The agent's choice of model: one line in a file, written atomically."""

import os
from contextlib import suppress
from pathlib import Path

from hyperhive_cli.errors import StoreError
from hyperhive_cli.settings import DEFAULT_MODEL


def read_model(path: Path) -> str:
    """Give the chosen model; an empty, missing or unreadable file means the default."""
    with suppress(OSError, UnicodeDecodeError):
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        if lines and lines[0].strip():
            return lines[0].strip()
    return DEFAULT_MODEL


def write_model(path: Path, model: str) -> None:
    """Store the choice so that a reader sees the old line or the new one, also after a crash; raises StoreError."""
    try:
        _write(path, model)
    except OSError as error:
        raise StoreError(
            f"the choice of model cannot be stored: {error.strerror}", "check the folder's permissions and space"
        ) from error


def _write(path: Path, model: str) -> None:
    # By hand: tempfile would cost `model set` 10 ms of imports.
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{model}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise

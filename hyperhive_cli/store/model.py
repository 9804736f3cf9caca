"""The agent's choice of model: one line in a file, written atomically."""

from pathlib import Path

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.files import read_file, write_file
from hyperhive_cli.core.settings import DEFAULT_MODEL

_FILE_LIMIT_BYTES = 64 * 1024


def load_model(path: Path) -> str:
    """Return the chosen model, the default if the file is missing or empty; raises StoreError if it cannot be read."""
    try:
        lines = read_file(path, _FILE_LIMIT_BYTES).decode().strip().splitlines()
    except FileNotFoundError:
        lines = []
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StoreError(
            f"the choice of model in {path} cannot be read: {reason}", "hyperhive model set NAME"
        ) from error
    return (lines[0].strip() if lines else "") or DEFAULT_MODEL


def read_model(path: Path) -> str:
    """Return the chosen model, the default if the file is missing, empty or unreadable."""
    try:
        return load_model(path)
    except StoreError:
        return DEFAULT_MODEL


def write_model(path: Path, model: str) -> None:
    """Store the choice atomically, even in case of a crash; raises StoreError."""
    try:
        write_file(path, f"{model}\n".encode())
    except OSError as error:
        raise StoreError(
            f"the choice of model cannot be stored: {error.strerror}", "check the folder's permissions and space"
        ) from error

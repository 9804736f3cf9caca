"""`SettingsCopy`: the operator's settings for claude merged with ours, in a file of the state folder.

The settings may contain secrets: they are never on a command line, and no other user may read the copy. Before each
turn the operator's file is checked again.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hyperhive_cli.claude.files import file_id
from hyperhive_cli.claude.settings_flag import merged_settings
from hyperhive_cli.core.errors import StoreError, UsageError
from hyperhive_cli.core.files import create_file, read_file

LIMIT_BYTES = 2 * 1024 * 1024
_COPIES = "claude-settings-*.json"


class SettingsCopy:
    """The copy. Its name changes with its content, so that no turn uses a waiting claude with older settings."""

    def __init__(self, source: Path, folder: Path, warn: Callable[[str], None]) -> None:
        """Write the first copy. Raises UsageError for an unusable file, StoreError if the copy cannot be written."""
        self._source = source
        self._folder = folder
        self._warn = warn
        self._warned = ""
        self._number = 0
        self._seen = file_id(source)
        self._text = read_settings(source)
        self._path = self._write(self._text)

    def refresh(self) -> Path:
        """Return the path of an up-to-date copy, or of the last good one. Never raises; reports each problem once."""
        seen = file_id(self._source)
        has_copy = self._path.exists()
        if has_copy and seen is not None and seen == self._seen:
            return self._path
        try:
            text = read_settings(self._source)
        except UsageError as error:
            self._warn_once(f"{error.message}; continuing with the earlier settings")
            text = self._text
        else:
            self._warned = ""
        try:
            if text != self._text or not has_copy:
                self._path = self._write(text)
        except StoreError as error:
            self._warn_once(error.message)
            return self._path
        self._text, self._seen = text, seen
        return self._path

    def _warn_once(self, text: str) -> None:
        if text != self._warned:
            self._warned = text
            self._warn(text)

    def _write(self, text: str) -> Path:
        self._number += 1
        path = self._folder / _COPIES.replace("*", str(self._number))
        try:
            path.unlink(missing_ok=True)
            with os.fdopen(create_file(path), "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StoreError(f"claude's settings cannot be written to {path}: {error.strerror}") from error
        _remove_copies(self._folder, but=path)
        return path


def read_settings(path: Path) -> str:
    """Read a settings file and return it merged with ours. Raises UsageError for an unusable file."""
    try:
        content = read_file(path, LIMIT_BYTES, links=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise UsageError(f"claude's settings {path} cannot be read: {reason}", _HINT) from error
    try:
        return merged_settings(content, path.resolve().parent)
    except (ValueError, OSError) as error:
        raise UsageError(f"claude's settings {path} are not usable: {error}", _HINT) from error


_HINT = "give a file with one JSON object, or the JSON itself: hyperhive run -- --settings '{…}'"


@contextmanager
def open_settings(source: Path | None, folder: Path, warn: Callable[[str], None]) -> Iterator[SettingsCopy | None]:
    """Keep a copy of the file during the block, and remove those of earlier lives. Raises as `SettingsCopy`."""
    _remove_copies(folder)
    try:
        yield None if source is None else SettingsCopy(source, folder, warn)
    finally:
        _remove_copies(folder)


def _remove_copies(folder: Path, but: Path | None = None) -> None:
    for path in folder.glob(_COPIES):
        if path != but:
            with suppress(OSError):
                path.unlink()

"""claude's own files: where they are, and safe reading, whatever is in their place."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hyperhive_cli.core.files import read_file

LIMIT_BYTES = 32 * 1024 * 1024  # a `.claude.json` grows to some MiB over years
FileId = tuple[int, int, int, int]  # device, inode, size, time of change in ns
_JOBS = Path(".claude", "scheduled_tasks.json")  # of the workspace itself, within a repository too


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON in a file; None if it is missing, not a regular file, too large or invalid. Blocks briefly."""
    with suppress(OSError, ValueError, RecursionError):
        return json.loads(read_file(path, LIMIT_BYTES, links=True).decode("utf-8-sig"))
    return None


def login_file(environment: Mapping[str, str]) -> Path:
    """Return the file in which a claude with this environment keeps its login."""
    # In both releases an empty variable means the default folder.
    named = environment.get("CLAUDE_SECURESTORAGE_CONFIG_DIR")
    if named is None:
        return config_folder(environment) / ".credentials.json"
    return Path(named or Path(environment.get("HOME", "/")) / ".claude") / ".credentials.json"


def file_id(path: Path) -> FileId | None:
    """Return what changes whenever a file is replaced or written; None if it cannot be found."""
    with suppress(OSError, ValueError):  # ValueError: a NUL in its name
        found = path.stat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
    return None


def config_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder in which a claude with this environment keeps its own files."""
    return Path(environment.get("CLAUDE_CONFIG_DIR") or Path(environment.get("HOME", "/")) / ".claude")


def settings_file(environment: Mapping[str, str]) -> Path:
    """Return the file in which a claude with this environment keeps what it knows of its user and of each folder."""
    return Path(environment.get("CLAUDE_CONFIG_DIR") or environment.get("HOME", "/")) / ".claude.json"


def has_kept_jobs(workspace: Path) -> bool:
    """Return True if a claude that waits in this workspace could run a job, or if the file of jobs cannot be read.

    These are jobs that outlive its own exit (`CronCreate` with `durable`). Measured, 2.1.332: a claude with an open
    stdin, such as one that waits for its message, runs them when they are due: a turn that no one asked for and that
    is not recorded. A claude that has got its prompt runs none.
    """
    path = workspace / _JOBS
    if not path.exists():
        return False
    found = read_json(path)
    tasks = found.get("tasks") if isinstance(found, Mapping) else None
    return not isinstance(tasks, list) or bool(tasks)

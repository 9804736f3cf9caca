"""Jobs that claude keeps in a file of its workspace (`CronCreate` with `durable`), across its own exit.

Measured, 2.1.332: a claude with an open stdin, such as one that waits for its message, runs them when they are due: a
turn that no one asked for and that is not recorded. A claude that has got its prompt runs none.
"""

from collections.abc import Mapping
from pathlib import Path

from hyperhive_cli.claude.files import read_json

_FILE = Path(".claude", "scheduled_tasks.json")  # of the workspace itself, within a repository too


def has_kept_jobs(workspace: Path) -> bool:
    """Return True if a claude that waits in this workspace could run a job, or if the file cannot be read."""
    path = workspace / _FILE
    if not path.exists():
        return False
    found = read_json(path)
    tasks = found.get("tasks") if isinstance(found, Mapping) else None
    return not isinstance(tasks, list) or bool(tasks)

"""A history in both of its places: rows of the events table, and chunks in segments."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.retention import HistoryRetention
from hyperhive_cli.core.settings import AgentPaths, paths_by_name
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.events import open_event_store


def paths_in(folder: Path) -> AgentPaths:
    return paths_by_name("bee", folder, {"HOME": str(folder)})


def words_of(rows: Sequence[BusEvent]) -> str:
    return b" ".join(row.payload for row in rows).decode()


def write_history(paths: AgentPaths, rows: Sequence[BusEvent], *, archived: int = 0, swept: int = 0) -> None:
    """Write rows, archive the closed runs up to number `archived`, and delete those up to `swept` from the table."""
    paths.state_dir.mkdir(parents=True, exist_ok=True)
    with open_event_store(paths.events_db) as store:
        assert store.append(rows) is None
    archive = Archive(paths.history, HistoryRetention(10_000), words_of)
    archive.find_end()
    archive.prepare()
    step = max(7, archived // 4)  # in several steps, as it happens
    for upto in range(step, archived + step, step):
        archive.append([row for row in rows[: min(upto, archived)] if (row.seq or 0) > archive.upto])
    sweep(paths, min(swept, archive.upto))


def sweep(paths: AgentPaths, upto: int) -> None:
    """Delete the rows up to this number from the table."""
    with closing(sqlite3.connect(paths.events_db)) as db, db:
        db.execute("DELETE FROM events WHERE id <= ?", (upto,))

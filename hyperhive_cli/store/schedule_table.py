"""`ScheduleTable`: an agent's schedules in the SQLite file of its inbox. Blocking."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from hyperhive_cli.core.schedules import LATE_MS, Schedule
from hyperhive_cli.store.inbox_file import InboxFile
from hyperhive_cli.store.schedules import Schedules

_COLUMNS = ", ".join(Schedule._fields)
_NEW = [name for name in Schedule._fields if name != "id"]
_INSERT = f"INSERT INTO schedules({', '.join(_NEW)}) VALUES ({', '.join(f':{name}' for name in _NEW)})"  # noqa: S608
_UPDATE = f"UPDATE schedules SET {', '.join(f'{name} = :{name}' for name in _NEW)} WHERE id = :id"  # noqa: S608
# Each condition has an index of its own.
_DUE = "SELECT id FROM schedules WHERE paused = 0 AND next_slot <= ?1"
_AHEAD = "SELECT id FROM schedules WHERE paused = 0 AND last_slot > ?1 + ?2"


def _row_to_schedule(row: Sequence[Any]) -> Schedule:
    found = Schedule._make(row)
    return found._replace(raw=bool(found.raw), paused=bool(found.paused))


def read_schedules(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the schedules as `status --json` lists them: name, the next start (Unix ms), and whether it is paused."""
    columns = _COLUMNS.replace("body", "''")  # a text may have a megabyte
    rows = db.execute(f"SELECT {columns} FROM schedules ORDER BY name").fetchall()  # noqa: S608 - our own words
    return [{"name": one.name, "next": one.next_start, "paused": one.paused} for one in map(_row_to_schedule, rows)]


class ScheduleTable(InboxFile, Schedules):
    """The schedules of an open inbox."""

    def schedules(self) -> list[Schedule]:
        """List the schedules by name."""
        return [_row_to_schedule(row) for row in self._read(f"SELECT {_COLUMNS} FROM schedules ORDER BY name")]  # noqa: S608

    def _find_schedule(self, name: str) -> Schedule | None:
        rows = self._read(f"SELECT {_COLUMNS} FROM schedules WHERE name = ?", name)  # noqa: S608
        return _row_to_schedule(rows[0]) if rows else None

    def _has_due(self, now_ms: int) -> bool:
        return bool(self._read(f"SELECT EXISTS ({_DUE}) OR EXISTS ({_AHEAD})", now_ms, LATE_MS)[0][0])

    def _due_schedules(self, now_ms: int) -> list[Schedule]:
        query = f"SELECT {_COLUMNS} FROM schedules WHERE id IN ({_DUE} UNION ALL {_AHEAD})"  # noqa: S608
        found = map(_row_to_schedule, self._read(query, now_ms, LATE_MS))
        return sorted(found, key=lambda schedule: (schedule.next_slot or 0, schedule.id))

    def _put_schedule(self, schedule: Schedule) -> None:
        self.connection.execute(_INSERT, schedule._asdict())

    def _update_schedule(self, schedule: Schedule) -> None:
        self.connection.execute(_UPDATE, schedule._asdict())

    def _delete_schedule(self, schedule_id: int) -> None:
        self.connection.execute("DELETE FROM schedules WHERE id = ?", (schedule_id,))

    def _open_message(self, prefix: str) -> int | None:
        rows = self._read(
            """SELECT id FROM messages
               WHERE key > ? AND key < ? AND key IS NOT NULL AND state IN ('ready', 'leased') LIMIT 1""",
            prefix, f"{prefix[:-1]};",  # the character after the colon
        )  # fmt: skip
        return int(rows[0][0]) if rows else None

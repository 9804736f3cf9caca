"""`HiveSchedules`: an agent's schedules in the hive, sent by the machine that runs the agent. Blocking.

They are the database's twin of those of a state folder. The database's clock says when a slot has come.
"""

from collections.abc import Sequence
from typing import Any

from hyperhive_cli.core.schedules import LATE_MS, Schedule
from hyperhive_cli.hive.address import pattern_to_like
from hyperhive_cli.hive.agent_rows import AgentRows
from hyperhive_cli.hive.database import Connection
from hyperhive_cli.hive.owner_sql import NOW_MS
from hyperhive_cli.store.schedules import MAX_ADOPTED, Schedules

_COLUMNS = ", ".join(Schedule._fields)
_NEW = [name for name in Schedule._fields if name != "id"]
_CHANGING = [name for name in _NEW if name not in {"name", "adopted", "created"}]
_INSERT = f"""WITH known AS (INSERT INTO hyperhive.agent(name) VALUES (%(agent)s) ON CONFLICT DO NOTHING)
              INSERT INTO hyperhive.schedule(agent, {", ".join(_NEW)})
              VALUES (%(agent)s, {", ".join(f"%({name})s" for name in _NEW)}) RETURNING 1"""
_UPDATE = f"""UPDATE hyperhive.schedule SET {", ".join(f"{name} = %({name})s" for name in _CHANGING)}
              WHERE agent = %(agent)s AND id = %(id)s RETURNING 1"""
# A schedule whose slot has come, or whose last slot lies so far ahead that the clock must have been set back.
IS_DUE = f"NOT paused AND (next_slot <= {NOW_MS} OR last_slot > {NOW_MS} + {LATE_MS})"


class HiveSchedules(AgentRows, Schedules):
    """The schedules of an agent of the hive, a part of its `HiveInbox`."""

    def take_in_schedule(self, schedule: Schedule) -> str | None:
        """Store a schedule that was added on a machine, as it is, once however often it is called; return None.

        Return why not if it cannot be: the hive has another one with this name, or enough of claude's own.
        """
        with self._changing():
            if (known := self._find_schedule(schedule.name)) is not None:
                is_same = known.created == schedule.created
                return None if is_same else f"the hive has another schedule {schedule.name}"
            if schedule.adopted is None:
                self._put_schedule(schedule)
                return None
            self._adopt([schedule], (), schedule.created)
            wanted = (schedule.expression, schedule.body)
            is_stored = any((one.expression, one.body) == wanted for one in self.schedules())
            return None if is_stored else f"an agent has at most {MAX_ADOPTED} schedules of its own"

    def drop_adopted(self, jobs: Sequence[str]) -> None:
        """Delete the schedules of these jobs, which claude has ended."""
        with self._changing():
            self._adopt((), jobs, 0)

    def schedules(self) -> list[Schedule]:
        """List the schedules by name."""
        return self._schedules("true ORDER BY name")

    def _schedules(self, which: str, **values: object) -> list[Schedule]:
        rows = self._all(f"SELECT {_COLUMNS} FROM hyperhive.schedule WHERE agent = %(agent)s AND {which}", **values)
        return [Schedule._make(row) for row in rows]

    def _find_schedule(self, name: str) -> Schedule | None:
        found = self._schedules("name = %(name)s", name=name)
        return found[0] if found else None

    def _has_due(self, now_ms: int) -> bool:  # noqa: ARG002 - the database's clock counts
        query = f"SELECT EXISTS (SELECT FROM hyperhive.schedule WHERE agent = %(agent)s AND {IS_DUE})"
        return bool(self._all(query)[0][0])

    def _due_schedules(self, now_ms: int) -> list[Schedule]:  # noqa: ARG002 - as above
        return self._schedules(f"{IS_DUE} ORDER BY next_slot, id")

    def _put_schedule(self, schedule: Schedule) -> None:
        self._all(_INSERT, **schedule._asdict())

    def _update_schedule(self, schedule: Schedule) -> None:
        self._all(_UPDATE, **schedule._asdict())

    def _delete_schedule(self, schedule_id: int) -> None:
        self._all("SELECT hyperhive.remove_schedule(%(agent)s, %(id)s)", id=schedule_id)

    def _open_message(self, prefix: str) -> int | None:
        rows = self._all(
            """SELECT id FROM hyperhive.inbox
               WHERE agent = %(agent)s AND state IN ('ready', 'leased') AND starts_with(key, %(prefix)s) LIMIT 1""",
            prefix=prefix,
        )
        return int(rows[0][0]) if rows else None


def schedules_by_agent(connection: "Connection", pattern: str) -> dict[str, list[dict[str, Any]]]:
    """Return the schedules of the matching agents as `status --json` lists them."""
    columns = ", ".join("''" if name in {"body", "sender"} else name for name in Schedule._fields)  # not their texts
    rows: Sequence[Sequence[Any]] = connection.execute(
        f"SELECT agent, {columns} FROM hyperhive.schedule WHERE agent LIKE %s ORDER BY agent, name".encode(),
        (pattern_to_like(pattern),),
    ).fetchall()
    found: dict[str, list[dict[str, Any]]] = {}
    for agent, *fields in rows:
        one = Schedule._make(fields)
        found.setdefault(agent, []).append({"name": one.name, "next": one.next_start, "paused": one.paused})
    return found

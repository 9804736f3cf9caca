"""What the web panel does with an agent's schedules, by name: in its inbox itself, or in its hive. Blocking.

They take the arguments of a request, and the time in Unix ms. No harness is needed: it looks at the schedules itself.
"""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from hyperhive_cli.core.errors import HyperhiveError, UsageError
from hyperhive_cli.core.schedules import Schedule
from hyperhive_cli.core.zone import local_zone_name
from hyperhive_cli.harness.client import AgentClient
from hyperhive_cli.store.schedules import Schedules

Arguments = Mapping[str, Any]
ScheduleChange = Callable[[Schedules, Arguments, int], Schedule]
NAME_CHARS = 24  # of a name that is made of the text
_OPTIONS = {"expression": "expression", "zone": "zone", "from": "sender", "body": "body", "missed": "missed",
            "overlap": "overlap", "jitter_s": "jitter_s"}  # fmt: skip


def change_schedule(client: AgentClient, op: str, arguments: Arguments) -> Mapping[str, Any]:
    """Change a schedule and return it as it is now; raises as the operation of `Schedules`."""
    with client.schedules(changes=True) as schedules:
        changed = SCHEDULE_CHANGES[op](schedules, arguments, int(time.time() * 1000))
    with suppress(HyperhiveError):  # the change is made; `schedule_run` has sent a message
        client.wake(ends_wait=False)
    return {"schedule": changed.to_dict()}


def _add(schedules: Schedules, arguments: Arguments, now_ms: int) -> Schedule:
    given = {"sender": "operator", "zone": local_zone_name() or "UTC", **_fields(arguments)}
    name = arguments.get("name") or _free_name(str(given.get("body", "")), {one.name for one in schedules.schedules()})
    fields = {"expression": "", "body": "", **given}
    return schedules.add_schedule(Schedule(0, str(name), **fields), now_ms=now_ms)


def _edit(schedules: Schedules, arguments: Arguments, now_ms: int) -> Schedule:
    return schedules.edit_schedule(_name(arguments), now_ms=now_ms, **_fields(arguments))


def _run(schedules: Schedules, arguments: Arguments, now_ms: int) -> Schedule:
    schedules.run_schedule(_name(arguments), now_ms=now_ms)
    return schedules.find_schedule(_name(arguments))


def _remove(schedules: Schedules, arguments: Arguments, _now_ms: int) -> Schedule:
    return schedules.remove_schedule(_name(arguments))


def _plain(change: Callable[..., Schedule], schedules: Schedules, arguments: Arguments, now_ms: int) -> Schedule:
    return change(schedules, _name(arguments), now_ms=now_ms)


SCHEDULE_CHANGES: Mapping[str, ScheduleChange] = {
    "schedule_add": _add,
    "schedule_edit": _edit,
    "schedule_pause": partial(_plain, Schedules.pause_schedule),
    "schedule_resume": partial(_plain, Schedules.resume_schedule),
    "schedule_remove": _remove,
    "schedule_run": _run,
}


def _fields(arguments: Arguments) -> dict[str, Any]:
    return {field: arguments[name] for name, field in _OPTIONS.items() if name in arguments}


def _name(arguments: Arguments) -> str:
    name = arguments.get("name")
    if not isinstance(name, str):
        raise UsageError(f"not a schedule's name: {name!r}", "hyperhive schedule list")
    return name


def _free_name(body: str, taken: set[str]) -> str:
    """Return a name of the first words of a text that no other schedule has."""
    words = re.sub(r"[^a-z0-9]+", "-", body[:200].lower()).strip("-")[:NAME_CHARS].strip("-") or "schedule"
    numbered = (f"{words}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (words, *numbered) if name not in taken)

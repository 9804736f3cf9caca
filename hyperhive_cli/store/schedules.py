"""`Schedules`: what operators and the harness do with an agent's schedules, written once for every database. Blocking.

A slot is sent in the transaction that moves the schedule on to the next slot, with a key of the slot's own: two
processes, or one that is killed, send it once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from hyperhive_cli.core.errors import RefusedError, UnknownError, UsageError
from hyperhive_cli.core.schedules import (
    MAX_JITTER_S,
    MISSED,
    OVERLAP,
    Schedule,
    check_expression,
    due_slots,
    key_prefix,
    message_key,
    next_slot,
    start_of,
)
from hyperhive_cli.core.settings import check_agent_name
from hyperhive_cli.store.messages import Message, check_message, new_uid

MAX_SCHEDULES = 100  # of an agent
MAX_ADOPTED = 10  # of claude's own jobs, besides
_EDITABLE = {"expression", "zone", "sender", "body", "raw", "missed", "overlap", "jitter_s"}


class Fired(NamedTuple):
    """What became of a schedule's slots: the schedule as it is now, the ids of the new messages, slots left out.

    `blocked_by`: the message that still waits or runs, if that is why. `problem`: the schedule is paused, because its
    next slot cannot be computed.
    """

    schedule: Schedule
    messages: tuple[int, ...] = ()
    skipped: int = 0
    blocked_by: int | None = None
    problem: str | None = None


def check_schedule(schedule: Schedule, now_ms: int) -> Schedule:
    """Return a schedule in the form to store; raises UsageError if something is not valid."""
    try:
        check_agent_name(schedule.name)
    except UsageError as error:
        raise UsageError(f"{schedule.name!r} is not a valid name of a schedule", error.hint) from error
    sender, body = check_message(schedule.sender, schedule.body)
    for option, value, known in (("missed", schedule.missed, MISSED), ("overlap", schedule.overlap, OVERLAP)):
        if value not in known:
            raise UsageError(f"not a valid value of {option}: {value!r}", " or ".join(known))
    if not 0 <= schedule.jitter_s <= MAX_JITTER_S:
        raise UsageError(f"not a valid jitter: {schedule.jitter_s} s", "from 0 s to 1 d")
    expression = check_expression(schedule.expression, schedule.zone, now_ms)
    return schedule._replace(sender=sender, body=body, expression=expression, changed=now_ms)


def _from_now(schedule: Schedule, now_ms: int) -> Schedule:
    """Return a schedule that goes on with the next slot from now."""
    following = None if schedule.paused else next_slot(schedule.expression, schedule.zone, now_ms)
    return schedule._replace(next_slot=following, last_slot=None, changed=now_ms)


class ScheduleDatabase(ABC):
    """How a database keeps an agent's schedules. All but the first two are called inside `_changing`."""

    @abstractmethod
    def schedules(self) -> list[Schedule]:
        """List the schedules by name."""

    @abstractmethod
    def _has_due(self, now_ms: int) -> bool: ...  # whether `_due_schedules` finds any: one look at an index

    @abstractmethod
    def _changing(self) -> AbstractContextManager[object]: ...  # a transaction that excludes others of the same kind

    @abstractmethod
    def _find_schedule(self, name: str) -> Schedule | None: ...

    @abstractmethod
    def _due_schedules(self, now_ms: int) -> list[Schedule]:
        """List the schedules that are not paused and whose slot has come, or lies so far ahead of a clock set back.

        That is: `next_slot <= now_ms` or `last_slot > now_ms + LATE_MS`.
        """

    @abstractmethod
    def _put_schedule(self, schedule: Schedule) -> None: ...  # under an id that was never given before

    @abstractmethod
    def _update_schedule(self, schedule: Schedule) -> None: ...  # all columns of the row with its id

    @abstractmethod
    def _delete_schedule(self, schedule_id: int) -> None: ...

    @abstractmethod
    def _open_message(self, prefix: str) -> int | None: ...  # one whose key starts so, and that waits or runs

    @abstractmethod
    def _put_scheduled(self, message: Message) -> int | None: ...  # None: one with its key is known


class Schedules(ScheduleDatabase):
    """An agent's schedules. Each change is one transaction; raises StoreError if the database fails."""

    def find_schedule(self, name: str) -> Schedule:
        """Return a schedule; raises UnknownError."""
        found = self._find_schedule(name)
        if found is None:
            raise UnknownError(f"there is no schedule {name!r}", "hyperhive schedule list")
        return found

    def add_schedule(self, schedule: Schedule, *, now_ms: int) -> Schedule:
        """Store a new schedule, whatever its id; its first slot is the next one from now.

        Raises UsageError for an unusable schedule, RefusedError if the name is taken or there are too many.
        """
        checked = _from_now(check_schedule(schedule, now_ms), now_ms)._replace(created=now_ms)
        with self._changing():
            if self._find_schedule(checked.name) is not None:
                edit = f"hyperhive schedule edit {checked.name} …"
                raise RefusedError(f"there is a schedule {checked.name!r} already", edit)
            if len(self.schedules()) >= MAX_SCHEDULES:
                raise RefusedError(f"an agent has at most {MAX_SCHEDULES} schedules", "hyperhive schedule remove NAME")
            self._put_schedule(checked)
            return self.find_schedule(checked.name)

    def edit_schedule(self, name: str, *, now_ms: int, **changes: Any) -> Schedule:  # noqa: ANN401 - fields of Schedule
        """Change fields of a schedule; with another time it goes on with the next slot from now.

        Raises as `add_schedule`.
        """
        if not changes.keys() <= _EDITABLE:
            raise UsageError(f"not a field that can be changed: {', '.join(sorted(changes.keys() - _EDITABLE))}")

        def edited(found: Schedule) -> Schedule:
            checked = check_schedule(found._replace(**changes), now_ms)
            is_same_time = (checked.expression, checked.zone) == (found.expression, found.zone)
            return checked if is_same_time else _from_now(checked, now_ms)

        return self._change_schedule(name, edited)

    def pause_schedule(self, name: str, *, now_ms: int) -> Schedule:
        """Stop sending its messages; the slots until `resume_schedule` do not count as missed."""
        return self._change_schedule(name, lambda found: found._replace(paused=True, next_slot=None, changed=now_ms))

    def resume_schedule(self, name: str, *, now_ms: int) -> Schedule:
        """Send its messages again, from the next slot on. Raises UsageError if its zone is no longer known."""

        def resumed(found: Schedule) -> Schedule:
            return _from_now(found._replace(paused=False), now_ms) if found.paused else found

        return self._change_schedule(name, resumed)

    def remove_schedule(self, name: str) -> Schedule:
        """Delete a schedule and return it as it was; messages that it has sent stay."""
        with self._changing():
            found = self.find_schedule(name)
            self._delete_schedule(found.id)
            return found

    def run_schedule(self, name: str, *, now_ms: int) -> int:
        """Send a schedule's message now, beside its slots, and return the message's id."""
        with self._changing():
            found = self.find_schedule(name)
            number = self._put_scheduled(_message(found, f"now:{new_uid()}", 0, now_ms))
            assert number is not None  # noqa: S101 - its key is new
            return number

    def _adopt(self, adopted: Sequence[Schedule], dropped: Sequence[str], now_ms: int) -> None:
        """Store schedules of claude's own jobs, and delete those of `dropped` jobs, inside the caller's transaction.

        One that is there already, with its time and text, is not stored again, nor more than MAX_ADOPTED.
        """
        own = [one for one in self.schedules() if one.adopted is not None] if adopted or dropped else []
        for one in [one for one in own if one.adopted in dropped]:
            own.remove(one)
            self._delete_schedule(one.id)
        for one in adopted:
            is_known = any((one.expression, one.body) == (other.expression, other.body) for other in own)
            if not is_known and len(own) < MAX_ADOPTED and self._find_schedule(one.name) is None:
                own.append(_from_now(one, now_ms)._replace(created=now_ms))
                self._put_schedule(own[-1])

    def fire_schedules(self, now_ms: int) -> list[Fired]:
        """Send the messages whose slots have come. Cheap if none has."""
        if not self._has_due(now_ms):
            return []
        with self._changing():
            return [self._fire(schedule, now_ms) for schedule in self._due_schedules(now_ms)]

    def _fire(self, schedule: Schedule, now_ms: int) -> Fired:
        """Send one schedule's due slots and move it on, inside the caller's transaction."""
        try:
            if schedule.next_slot is None or schedule.next_slot > now_ms:  # the clock was set back
                return self._moved(Fired(_from_now(schedule, now_ms)))
            open_message = self._open_message(key_prefix(schedule))
            due = due_slots(schedule, now_ms, is_blocked=open_message is not None)
        except UsageError as error:
            stopped = schedule._replace(paused=True, next_slot=None, changed=now_ms)
            return self._moved(Fired(stopped, problem=error.message))
        starts = {slot: start_of(schedule, slot) for slot in due.sent}
        sent = [self._put_scheduled(_message(schedule, slot, start, now_ms)) for slot, start in starts.items()]
        messages = tuple(number for number in sent if number is not None)
        moved = schedule._replace(
            next_slot=due.next_slot,
            last_slot=max([*due.sent, due.last_skipped or 0]) or schedule.last_slot,
            last_skipped=due.last_skipped or schedule.last_skipped,
            fired=schedule.fired + len(messages),
            skipped=schedule.skipped + due.skipped,
            changed=now_ms,
        )
        is_blocked = due.skipped > 0 and not due.sent and schedule.overlap == "skip"
        return self._moved(Fired(moved, messages, due.skipped, open_message if is_blocked else None))

    def _moved(self, fired: Fired) -> Fired:
        self._update_schedule(fired.schedule)
        return fired

    def _change_schedule(self, name: str, change: Callable[[Schedule], Schedule]) -> Schedule:
        with self._changing():
            changed = change(self.find_schedule(name))
            self._update_schedule(changed)
            return changed


def _message(schedule: Schedule, slot: int | str, start: int, now_ms: int) -> Message:
    not_before = start if start > now_ms else 0
    return Message(
        id=0, key=message_key(schedule, slot), sender=schedule.sender, body=schedule.body, raw=schedule.raw,
        state="ready", attempts=0, deliveries=0, acted=False, not_before=not_before, reason=None, created=now_ms,
        changed=now_ms, uid=new_uid(), start=not_before,
    )  # fmt: skip

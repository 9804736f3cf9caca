"""What becomes of claude's own plans after its turn: a wake-up becomes a message, a job a note or a schedule. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice, pairwise
from types import MappingProxyType
from typing import NamedTuple

from hyperhive_cli.claude.planned import Job, Planned, Wakeup, prompt_to_message
from hyperhive_cli.claude.prompt import WAKEUP_SENDER
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import Note
from hyperhive_cli.core.outcomes import MessageState
from hyperhive_cli.core.schedules import Schedule, check_expression, slots
from hyperhive_cli.core.text import one_line
from hyperhive_cli.store.inbox import MessageTable
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.planned import PlannedMessage
from hyperhive_cli.store.schedules import MAX_ADOPTED

_SHOWN_CHARS = 120  # of a prompt, in a note
_KEY = "wake-up of "  # a session
CHECKED_SLOTS = 100  # of a job: some days of one that runs too often at some hours
LEAST_GAP_MS = 15 * 60_000  # between two messages of a job


class Plans(NamedTuple):
    """What the end of a turn stores: planned messages, the key of an earlier one to withdraw, and schedules.

    `dropped`: ids of jobs whose schedules end. `refused`: why a job becomes no schedule, by its id.
    """

    messages: tuple[PlannedMessage, ...] = ()
    withdrawn: str | None = None
    schedules: tuple[Schedule, ...] = ()
    dropped: tuple[str, ...] = ()
    refused: Mapping[str, str] = MappingProxyType({})


class Adoption(NamedTuple):
    """How claude's jobs become schedules: the time zone of their expressions, and now."""

    zone: str
    now_ms: int


def plans_of(planned: Planned, session_id: str | None, state: MessageState, adoption: Adoption | None = None) -> Plans:
    """Return what to store of a turn's plans, by what became of its message; jobs only with an `adoption`.

    Only the plans of a message that is done are stored. A message that runs again plans again. After one that failed
    for good, or that a person cancelled, nothing goes on by itself. As in claude itself, a session has one wake-up at
    a time: a new one replaces the wake-up of an earlier turn.
    """
    if state is not MessageState.DONE:
        return Plans()
    plans = Plans() if adoption is None else _adopted(planned, adoption)
    key = f"{_KEY}{session_id or ''}"
    if not planned.replaces:
        return plans
    if planned.wakeup is None:
        return plans._replace(withdrawn=key)
    body, raw = planned.wakeup.message()
    wakeup = PlannedMessage(WAKEUP_SENDER, body, raw, planned.wakeup.at_ms, key, replaces=True)
    return plans._replace(messages=(wakeup, *plans.messages))


def _adopted(planned: Planned, adoption: Adoption) -> Plans:
    """Return the schedules of claude's jobs, and messages of those that fire once."""
    messages, schedules, refused = list[PlannedMessage](), list[Schedule](), dict[str, str]()
    for job in planned.jobs.values():
        body, raw = prompt_to_message(job.prompt)
        try:
            expression = check_expression(job.expression, adoption.zone, adoption.now_ms)
            coming = list(islice(slots(expression, adoption.zone, adoption.now_ms), CHECKED_SLOTS))
        except UsageError as error:
            refused[job.id] = error.message
            continue
        if not job.recurring:
            messages.append(PlannedMessage(WAKEUP_SENDER, body, raw, coming[0], _job_key(job)))
        elif any(later - earlier < LEAST_GAP_MS for earlier, later in pairwise(coming)):
            refused[job.id] = f"it runs more often than every {LEAST_GAP_MS // 60_000} minutes"
        else:
            name = re.sub(r"[^a-z0-9_-]", "-", f"job-{job.id}".lower())[:64]
            schedules.append(Schedule(0, name, expression, adoption.zone, WAKEUP_SENDER, body, raw, adopted=job.id))
    return Plans(tuple(messages), None, tuple(schedules), tuple(sorted(planned.deleted)), refused)


def _job_key(job: Job) -> str:
    return f"job {one_line(job.id, 64)}"


def session_notes(message: Message | None, session_id: str | None) -> list[Note]:
    """Return a note if a wake-up does not run in the session that planned it."""
    key = (message.key if message is not None else None) or ""
    if message is None or not key.startswith(_KEY) or key == f"{_KEY}{session_id or ''}":
        return []
    text = f"message {message.id} was planned in another session ({key.removeprefix(_KEY)}), which is not resumed"
    return [Note(text=text, level="warning")]


def notes_of(planned: Planned, plans: Plans, state: MessageState, inbox: MessageTable) -> list[Note]:
    """Return notes of what was planned and what becomes of it; raises StoreError."""
    if state is MessageState.READY:  # it runs again, and plans again
        return []
    stored = {one.key: inbox.with_key(one.key) for one in plans.messages if one.key is not None}
    jobs = [] if state is MessageState.CANCELLED else planned.jobs.values()
    numbers = [one.id for key, one in stored.items() if one is not None and key.startswith(_KEY)]
    wakeups = [] if planned.wakeup is None else [_wakeup_note(planned.wakeup, numbers)]
    schedules = inbox.schedules() if plans.schedules else []
    return [*wakeups, *(_job_note(job, plans, stored.get(_job_key(job)), schedules) for job in jobs)]


def _wakeup_note(wakeup: Wakeup, numbers: list[int]) -> Note:
    moment = datetime.fromtimestamp(wakeup.at_ms / 1000).astimezone()
    why = f" ({one_line(wakeup.reason, _SHOWN_CHARS)})" if wakeup.reason else ""
    what = f"claude planned to wake up at {moment:%H:%M}{why}: {one_line(wakeup.prompt, _SHOWN_CHARS)}"
    if not numbers:
        return Note(text=f"{what}; it will not, because its turn failed or was cancelled", level="warning")
    return Note(text=f"{what}; it is message {numbers[0]} (`hyperhive inbox cancel {numbers[0]}` prevents it)")


def _job_note(job: Job, plans: Plans, message: Message | None, schedules: Sequence[Schedule]) -> Note:
    """Return a note of a job: its schedule, its message, or why it will never run."""
    what = f"claude scheduled a job: {one_line(job.prompt, _SHOWN_CHARS)} ({_when(job)})"
    if message is not None:
        return Note(text=f"{what}; it is message {message.id} (`hyperhive inbox cancel {message.id}` prevents it)")
    wanted = {(one.expression, one.body) for one in plans.schedules if one.adopted == job.id}
    for one in schedules:
        if one.adopted is not None and (one.expression, one.body) in wanted:
            return Note(text=f"{what}; it is schedule {one.name} (`hyperhive schedule remove {one.name}` ends it)")
    if wanted or job.id in plans.refused:
        why = plans.refused.get(job.id, f"an agent has at most {MAX_ADOPTED} schedules of its own")
        return Note(text=f"{what} that will never run: {why}", level="warning", attention=True)
    return _unadopted_note(job)


def _when(job: Job) -> str:
    return ", ".join(filter(None, [one_line(job.schedule, _SHOWN_CHARS), f"job {one_line(job.id, 40)}"]))


def _unadopted_note(job: Job) -> Note:
    kept = ", unless claude is opened in this workspace by hand" if job.kept else ""
    text = f"claude scheduled a job that will never run{kept}: {one_line(job.prompt, _SHOWN_CHARS)} ({_when(job)})"
    hint = "`hyperhive schedule add` sends it, or `run --adopt-crons` all such jobs"
    return Note(text=f"{text}; {hint}", level="warning", attention=True)

"""What becomes of claude's own plans after its turn: a wake-up becomes a message, a job only a note. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from hyperhive_cli.claude.planned import Job, Planned, Wakeup
from hyperhive_cli.claude.prompt import WAKEUP_SENDER
from hyperhive_cli.core.events import Note
from hyperhive_cli.core.outcomes import MessageState
from hyperhive_cli.core.text import one_line
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.planned import PlannedMessage

_SHOWN_CHARS = 120  # of a prompt, in a note
_KEY = "wake-up of "  # a session


class Plans(NamedTuple):
    """What the end of a turn stores: the planned messages, and the key of an earlier one to withdraw."""

    messages: tuple[PlannedMessage, ...] = ()
    withdrawn: str | None = None


def plans_of(planned: Planned, session_id: str | None, state: MessageState) -> Plans:
    """Return what to store of a turn's plans, by what became of its message.

    Only the plans of a message that is done are stored. A message that runs again plans again. After one that failed
    for good, or that a person cancelled, nothing goes on by itself. As in claude itself, a session has one wake-up at
    a time: a new one replaces the wake-up of an earlier turn.
    """
    if state is not MessageState.DONE or not planned.replaces:
        return Plans()
    key = f"{_KEY}{session_id or ''}"
    if planned.wakeup is None:
        return Plans(withdrawn=key)
    body, raw = planned.wakeup.message()
    return Plans((PlannedMessage(WAKEUP_SENDER, body, raw, planned.wakeup.at_ms, key, replaces=True),))


def session_notes(message: Message | None, session_id: str | None) -> list[Note]:
    """Return a note if a wake-up does not run in the session that planned it."""
    key = (message.key if message is not None else None) or ""
    if message is None or not key.startswith(_KEY) or key == f"{_KEY}{session_id or ''}":
        return []
    text = f"message {message.id} was planned in another session ({key.removeprefix(_KEY)}), which is not resumed"
    return [Note(text=text, level="warning")]


def notes_of(
    planned: Planned, plans: Plans, state: MessageState, with_key: Callable[[str], Message | None]
) -> list[Note]:
    """Return notes of what was planned and what becomes of it; `with_key` finds the stored message."""
    if state is MessageState.READY:  # it runs again, and plans again
        return []
    stored = [with_key(one.key) for one in plans.messages if one.key is not None]
    jobs = [] if state is MessageState.CANCELLED else planned.jobs.values()
    wakeups = [] if planned.wakeup is None else [_wakeup_note(planned.wakeup, [one.id for one in stored if one])]
    return [*wakeups, *map(_job_note, jobs)]


def _wakeup_note(wakeup: Wakeup, numbers: list[int]) -> Note:
    moment = datetime.fromtimestamp(wakeup.at_ms / 1000).astimezone()
    why = f" ({one_line(wakeup.reason, _SHOWN_CHARS)})" if wakeup.reason else ""
    what = f"claude planned to wake up at {moment:%H:%M}{why}: {one_line(wakeup.prompt, _SHOWN_CHARS)}"
    if not numbers:
        return Note(text=f"{what}; it will not, because its turn failed or was cancelled", level="warning")
    return Note(text=f"{what}; it is message {numbers[0]} (`hyperhive inbox cancel {numbers[0]}` prevents it)")


def _job_note(job: Job) -> Note:
    when = ", ".join(filter(None, [one_line(job.schedule, _SHOWN_CHARS), f"job {one_line(job.id, 40)}"]))
    kept = ", unless claude is opened in this workspace by hand" if job.kept else ""
    text = f"claude scheduled a job that will never run{kept}: {one_line(job.prompt, _SHOWN_CHARS)} ({when})"
    return Note(text=f"{text}; `hyperhive schedule add` sends it", level="warning", attention=True)

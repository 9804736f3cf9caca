"""What becomes of claude's own plans when its turn is over: a wake-up is a message, a job is told of. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from hyperhive_cli.claude.planned import Job, Planned, Wakeup
from hyperhive_cli.claude.prompt import WAKEUP_SENDER
from hyperhive_cli.events import Note
from hyperhive_cli.outcomes import MessageState
from hyperhive_cli.render.text import one_line
from hyperhive_cli.store.inbox import Message, check_message
from hyperhive_cli.store.planned import PLANNED_KEY, PlannedMessage

_SHOWN_CHARS = 120  # of a prompt, in a note


class Plans(NamedTuple):
    """What the end of a turn stores: the planned messages, and why those of earlier turns are cancelled (None: not)."""

    messages: tuple[PlannedMessage, ...] = ()
    replaced: str | None = None


def plans_of(planned: Planned, session_id: str | None, state: MessageState) -> Plans:
    """Return what is to be stored of a turn's plans, by what became of its message.

    Only a turn that has done its message plans: one that runs again plans again, and of one that failed for good, or
    that a person has cancelled, nothing goes on by itself. claude has one wake-up at a time, so a new one replaces
    that of an earlier turn.
    """
    if state is not MessageState.DONE:
        return Plans()
    messages = () if planned.wakeup is None else (_message(planned.wakeup, session_id),)
    reason = "replaced by a later wake-up" if messages else "claude ended its loop"
    return Plans(messages, reason if planned.replaces else None)


def _message(wakeup: Wakeup, session_id: str | None) -> PlannedMessage:
    body, raw = wakeup.message()
    sender, body = check_message(WAKEUP_SENDER, body)
    key = one_line(f"{PLANNED_KEY}{session_id or ''}:{wakeup.id}:{wakeup.at_ms}", 300)
    return PlannedMessage(sender, body, raw, wakeup.at_ms, key, one_line(wakeup.reason, _SHOWN_CHARS) or None)


def session_note(message: Message, session_id: str | None) -> Note | None:
    """Return the remark on a wake-up that does not run in the session that planned it; None if there is none."""
    key = message.key or ""
    if not key.startswith(PLANNED_KEY) or key.split(":")[1] == (session_id or ""):
        return None
    text = f"message {message.id} was planned in another session, and does not know that one: {key.split(':')[1]}"
    return Note(text=text, level="warning")


def notes_of(planned: Planned, state: MessageState, numbers: Sequence[int]) -> list[Note]:
    """Say what was planned and what becomes of it; `numbers` are those of the planned messages."""
    if state is MessageState.READY:  # it runs again, and plans again
        return []
    jobs = [] if state is MessageState.CANCELLED else planned.jobs.values()
    wakeups = [] if planned.wakeup is None else [_wakeup_note(planned.wakeup, numbers)]
    return [*wakeups, *map(_job_note, jobs)]


def _wakeup_note(wakeup: Wakeup, numbers: Sequence[int]) -> Note:
    moment = datetime.fromtimestamp(wakeup.at_ms / 1000).astimezone()
    what = f"claude planned to wake up at {moment:%H:%M}: {one_line(wakeup.prompt, _SHOWN_CHARS)}"
    if not numbers:
        return Note(text=f"{what}; it will not, as its turn did not end well", level="warning")
    return Note(text=f"{what} (message {numbers[0]}; `hyperhive inbox cancel {numbers[0]}` prevents it)")


def _job_note(job: Job) -> Note:
    when = ", ".join(filter(None, [one_line(job.schedule, _SHOWN_CHARS), f"job {one_line(job.id, 40)}"]))
    kept = ", unless claude is opened in this workspace by hand" if job.kept else ""
    text = f"claude scheduled a job that will never run{kept}: {one_line(job.prompt, _SHOWN_CHARS)} ({when})"
    return Note(text=f"{text}; schedule `hyperhive send` instead, with cron or --at", level="warning", attention=True)

"""The report of what an agent did in a span of time: its facts, and what is computed from them. Pure.

Times are Unix ms, costs US dollars. A turn belongs to the span in which it ended, so reports of spans that follow each
other count each turn once. What is usual is the median of the same hours of the days before.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Any, NamedTuple

from hyperhive_cli.core.outcomes import MessageState, advice_of, is_ok
from hyperhive_cli.core.schedules import Schedule
from hyperhive_cli.core.statistics import EndedTurn, tally
from hyperhive_cli.core.text import one_line
from hyperhive_cli.core.times import local_to_moment

DAY_MS = 86_400_000
MAX_EARLIER = 14  # spans before this one
MIN_EARLIER = 3  # of them with a turn; fewer say nothing about what is usual
MIN_TURNS = 5  # before this span, for the usual cost of a turn
TIMES_USUAL = 5  # a turn that cost more than this many times the usual is named
LATE_MS = 15 * 60 * 1000  # a message that starts so long after its time is late
WORDS_CHARS = 200  # of a task, a result or a reason


class Span(NamedTuple):
    """From `since` up to, not including, `until`."""

    since: int
    until: int

    def contains(self, moment: int) -> bool:
        """Return True if a moment lies in the span."""
        return self.since <= moment < self.until


class Life(NamedTuple):
    """A life of the harness; `ended` is None if it runs, or was killed."""

    started: int
    ended: int | None


class WorkTurn(NamedTuple):
    """An ended turn and its message, as far as that is kept. The texts are their beginnings.

    `due`: when the message should have started, by its sender's wish or its schedule; None if it has no time.
    `first`: when the message's first turn started.
    """

    turn: EndedTurn
    message_id: int | None = None
    sender: str | None = None
    task: str | None = None
    due: int | None = None
    first: int | None = None
    note: str | None = None
    result: str | None = None
    session_id: str | None = None
    compacted_from: int | None = None


class OpenMessage(NamedTuple):
    """A message that is ready, held or dead, with the beginning of its text. `due`: as for `WorkTurn`."""

    id: int
    state: str
    sender: str
    task: str
    due: int | None
    not_before: int
    created: int
    changed: int
    reason: str | None
    outcome: str | None  # of its last turn


class Work(NamedTuple):
    """What an inbox knows of a span: its turns in order, those of the earlier spans, and what is open now."""

    turns: Sequence[WorkTurn] = ()
    earlier: Sequence[EndedTurn] = ()
    session_before: str | None = None
    open: Sequence[OpenMessage] = ()
    schedules: Sequence[Schedule] = ()
    lives: Sequence[Life] = ()


def earlier_spans(span: Span, zone: tzinfo) -> list[Span]:
    """Return the same hours of the days before, the newest first; of a span of two days each two days before."""
    days = max(1, -(-(span.until - span.since) // DAY_MS))
    return [Span(*(_back(moment, days * times, zone) for moment in span)) for times in range(1, MAX_EARLIER + 1)]


def _back(moment: int, days: int, zone: tzinfo) -> int:
    local = datetime.fromtimestamp(moment / 1000, zone).replace(tzinfo=None) - timedelta(days=days)
    return round(local_to_moment(local, zone).timestamp() * 1000)


def work_to_dict(
    work: Work, span: Span, zone: tzinfo, denials: Mapping[int, Sequence[str]] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the fields of `report --json` that the inbox knows; `denials` says of some turns why calls were denied."""
    return {
        "turns": _turns(work.turns),
        "failures": [_failure(one) for one in work.turns if not is_ok(one.turn.outcome)],
        "messages": list(_messages(work.turns)),
        "usage": _usage(work, span, zone),
        "costly": list(_costly(work)),
        "denied": [_denied(one.turn, denials) for one in work.turns if one.turn.denied],
        "stuck": [_stuck(one, span) for one in work.open if one.state != MessageState.READY],
        "waiting": [_waiting(one) for one in work.open if one.state == MessageState.READY],
        "late": [*_late_starts(work.turns), *_overdue(work.open, span)],
        "schedules": [_schedule(one, span) for one in work.schedules],
        "compactions": [_compaction(one) for one in work.turns if one.compacted_from is not None],
        "sessions": list(_new_sessions(work)),
        "harness": list(_starts(work.lives, span)),
    }


def _turns(turns: Sequence[WorkTurn]) -> dict[str, Any]:
    outcomes = Counter(one.turn.outcome for one in turns)
    ok = sum(count for outcome, count in outcomes.items() if is_ok(outcome))
    return {"total": len(turns), "ok": ok, "outcomes": dict(outcomes.most_common())}


def _failure(one: WorkTurn) -> dict[str, Any]:
    return {
        "turn_id": one.turn.turn_id,
        "message_id": one.message_id,
        "outcome": one.turn.outcome,
        "note": _words(one.note),
        "ended": one.turn.ended,
        "message_state": one.turn.message_state,
    }


def _messages(turns: Iterable[WorkTurn]) -> Iterable[dict[str, Any]]:
    """Yield what each message came to, in the order in which their last turns ended."""
    groups: dict[int, list[WorkTurn]] = {}
    for one in turns:
        if one.message_id is not None:
            groups[one.message_id] = [*groups.pop(one.message_id, []), one]
    for message_id, found in groups.items():
        last = found[-1]
        costs = [one.turn.cost_usd for one in found if one.turn.cost_usd is not None]
        yield {
            "id": message_id,
            "sender": last.sender,
            "task": _words(last.task),
            "state": last.turn.message_state,
            "outcome": last.turn.outcome,
            "result": _words(last.result if is_ok(last.turn.outcome) else last.note),
            "turns": [one.turn.turn_id for one in found],
            "duration_ms": sum(one.turn.duration_ms or 0 for one in found),
            "cost_usd": round(sum(costs), 9) if costs else None,
            "ended": last.turn.ended,
        }


def _usage(work: Work, span: Span, zone: tzinfo) -> dict[str, Any]:
    earlier = [
        tally(found)
        for before in earlier_spans(span, zone)
        if (found := [turn for turn in work.earlier if before.contains(turn.ended)])
    ]
    is_known = len(earlier) >= MIN_EARLIER
    return {
        **tally([one.turn for one in work.turns]),
        "usual": {
            "spans": len(earlier),
            "cost_usd": round(_median(one["cost_usd"] for one in earlier), 9) if is_known else None,
            "tokens": round(_median(map(tokens_of, earlier))) if is_known else None,
        },
    }


def _median(values: Iterable[float]) -> float:
    """Return the median; `statistics` would take 6 ms to import."""
    ordered = sorted(values)
    upper = len(ordered) // 2
    return ordered[upper] if len(ordered) % 2 else (ordered[upper - 1] + ordered[upper]) / 2


def tokens_of(usage: Mapping[str, Any]) -> int:
    """Return how many tokens went in and out, from the fields of a `tally`."""
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(usage[name] for name in names)


def _costly(work: Work) -> Iterable[dict[str, Any]]:
    costs = [turn.cost_usd for turn in work.earlier if turn.cost_usd]
    if len(costs) < MIN_TURNS:
        return
    usual = _median(costs)
    for one in work.turns:
        if (one.turn.cost_usd or 0.0) > TIMES_USUAL * usual:
            fields = {"turn_id": one.turn.turn_id, "message_id": one.message_id, "cost_usd": one.turn.cost_usd}
            yield {**fields, "usual_usd": round(usual, 9)}


def _denied(turn: EndedTurn, denials: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    return {"turn_id": turn.turn_id, "count": turn.denied, "remarks": [*denials.get(turn.turn_id, ())]}


def _stuck(one: OpenMessage, span: Span) -> dict[str, Any]:
    return {
        **_head(one),
        "reason": _words(one.reason),
        "since": one.changed,
        "is_new": one.changed >= span.since,
        "advice": advice_of(one.outcome, one.id),
    }


def _waiting(one: OpenMessage) -> dict[str, Any]:
    return {**_head(one), "reason": _words(one.reason), "not_before": one.not_before, "created": one.created}


def _head(one: OpenMessage) -> dict[str, Any]:
    return {"id": one.id, "state": one.state, "sender": one.sender, "task": _words(one.task)}


def _late_starts(turns: Sequence[WorkTurn]) -> Iterable[dict[str, Any]]:
    for one in turns:
        if one.due is not None and one.first == one.turn.started and one.first > one.due + LATE_MS:
            yield {"id": one.message_id, "task": _words(one.task), "due": one.due, "started": one.first}


def _overdue(messages: Sequence[OpenMessage], span: Span) -> Iterable[dict[str, Any]]:
    for one in messages:
        if one.state == MessageState.READY and one.due is not None and one.due + LATE_MS < span.until:
            yield {"id": one.id, "task": _words(one.task), "due": one.due, "started": None}


def _schedule(one: Schedule, span: Span) -> dict[str, Any]:
    """Return a schedule; `skipped`: when it left out a slot last, if in the span, `overdue`: a slot it has not sent."""
    slot = one.next_slot
    is_overdue = not one.paused and slot is not None and slot + LATE_MS < span.until
    return {
        "name": one.name,
        "paused": one.paused,
        "next": None if is_overdue else one.next_start,
        "overdue": slot if is_overdue else None,
        "skipped": one.last_skipped if one.last_skipped and one.last_skipped >= span.since else None,
        "skipped_ever": one.skipped,
    }


def _compaction(one: WorkTurn) -> dict[str, Any]:
    sizes = {"before": one.compacted_from, "after": one.turn.context_tokens}
    return {"turn_id": one.turn.turn_id, "ended": one.turn.ended, **sizes}


def _new_sessions(work: Work) -> Iterable[dict[str, Any]]:
    before = work.session_before
    for one in work.turns:
        if one.session_id and before and one.session_id != before:
            yield {"turn_id": one.turn.turn_id, "started": one.turn.started, "session_id": one.session_id}
        before = one.session_id or before


def _starts(lives: Sequence[Life], span: Span) -> Iterable[dict[str, Any]]:
    """Yield the harness's starts in the span; `was_killed`: the life before could not say that it ended."""
    before: Life | None = None
    for life in lives:
        if span.contains(life.started):
            stopped = None if before is None else before.ended
            yield {"started": life.started, "stopped": stopped, "was_killed": before is not None and stopped is None}
        before = life


def _words(text: str | None) -> str | None:
    """Return the first line of a text that says something, without the marks of a heading."""
    lines = (line.strip().lstrip("#").strip() for line in (text or "").splitlines())
    found = next(filter(None, lines), None)
    return None if found is None else one_line(found, WORDS_CHARS)

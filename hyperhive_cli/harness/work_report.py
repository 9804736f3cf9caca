"""The report of an agent's work, from its files and its status: for `report`, and for the harness's own each day."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import tzinfo
from itertools import chain
from typing import Any

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.core.work_report import Span, earlier_spans, work_to_dict
from hyperhive_cli.store.history import open_history
from hyperhive_cli.store.work import read_work
from hyperhive_cli.transcript.findings import Findings

# Of `status --json`: what the words for it need.
_OF_STATUS = (
    "running", "status", "why", "waits_until", "state", "activity", "since_unix", "paused", "paused_since", "unread",
    "next_due", "held", "dead", "budget", "limits", "quota", "problems",
)  # fmt: skip


def work_report(
    paths: AgentPaths, span: Span, status: Mapping[str, Any], zone: tzinfo, *, now_ms: int
) -> dict[str, Any]:
    """Return the fields of `report --json`; `status` has those of `status --json`. Blocking; raises StoreError."""
    work = read_work(paths, span, earlier_spans(span, zone)[-1].since)
    turns = [one.turn.turn_id for one in work.turns]
    findings = Findings(turns)
    with suppress(StoreError):  # as `status` says it; what was not observed is `unseen`
        for event in _events(paths, turns):
            findings.observe(event)
    return {
        "agent": paths.agent,
        **span._asdict(),
        "made": now_ms,
        **work_to_dict(work, span, zone, findings.denials),
        **findings.to_dict(),
        "now": {name: status[name] for name in _OF_STATUS},
    }


def _events(paths: AgentPaths, turns: Sequence[int]) -> Iterator[BusEvent]:
    """Yield the events from the first of these turns to the last one, as far as the history has them."""
    if not turns:
        return
    with open_history(paths) as history:
        first = history.span(turns[0])
        if first is None:  # the older ones are gone
            at = bisect_left(turns, True, key=lambda turn: history.span(turn) is not None)
            first = history.span(turns[at]) if at < len(turns) else None
        last = history.span(turns[-1])
        if first is not None:
            yield from chain.from_iterable(history.pages(first.first, None if last is None else last.last))

"""The report of an agent's work, from its files and its status: for `report`, and for the harness's own each day."""

from collections.abc import Mapping
from datetime import tzinfo
from itertools import chain
from typing import Any

from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.core.work_report import Span, earlier_spans, work_to_dict
from hyperhive_cli.store.history import open_history
from hyperhive_cli.store.work import read_work
from hyperhive_cli.transcript.findings import Findings

# Of `status --json`: what the words for it need.
_OF_STATUS = (
    "running", "status", "why", "waits_until", "state", "activity", "since_unix", "paused", "paused_since", "unread",
    "next_due", "held", "dead", "budget", "limits", "problems",
)  # fmt: skip


def work_report(paths: AgentPaths, span: Span, status: Mapping[str, Any], zone: tzinfo) -> dict[str, Any]:
    """Return the fields of `report --json`; `status` has those of `status --json`. Blocking; raises StoreError."""
    work = read_work(paths, span, earlier_spans(span, zone)[-1].since)
    findings = Findings()
    with open_history(paths) as history:
        for turn_id in (one.turn.turn_id for one in work.turns):
            findings.add_turn(turn_id, chain.from_iterable(history.turn(turn_id)))
    return {
        "agent": paths.agent,
        **span._asdict(),
        **work_to_dict(work, span, zone),
        **findings.to_dict(),
        "now": {name: status[name] for name in _OF_STATUS},
    }

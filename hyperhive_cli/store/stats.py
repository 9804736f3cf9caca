"""Turn statistics: what a turn leaves behind, and how its row is closed with its outcome."""

import json
import sqlite3
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.usage import TokenUsage


class TurnRecord(NamedTuple):
    """What one ended turn leaves behind. Durations in ms, costs in US dollars, sizes in tokens."""

    turn_id: int
    outcome: Outcome
    duration_ms: int
    exit_status: int | None = None
    session_id: str | None = None
    claude_version: str | None = None
    usage: TokenUsage = TokenUsage()
    cost_usd: float | None = None
    context_tokens: int | None = None
    context_window: int | None = None
    compacted_from: int | None = None  # the context's size before a compaction, as claude reported it
    tool_calls: Mapping[str, int] = MappingProxyType({})
    result_text: str | None = None
    answered_model: str | None = None  # may differ from the model that was asked for
    denied: int = 0  # tool calls


def close_turn(db: sqlite3.Connection, record: TurnRecord, message_state: str | None) -> None:
    """Store how a turn ended, and its message's new state if it has one, inside the caller's transaction."""
    db.execute(
        """UPDATE turn_stats SET outcome = :outcome, note = :note, duration_ms = :duration_ms,
               exit_status = :exit_status, session_id = :session_id, claude_version = :claude_version,
               input_tokens = :input_tokens, output_tokens = :output_tokens,
               cache_read_input_tokens = :cache_read_input_tokens,
               cache_creation_input_tokens = :cache_creation_input_tokens,
               cost_usd = :cost_usd, context_tokens = :context_tokens, context_window = :context_window,
               compacted_from = :compacted_from,
               tool_call_count = :tool_call_count, tool_call_breakdown_json = :breakdown,
               result_text = :result_text, answered_model = :answered_model, denied = :denied,
               message_state = :message_state
           WHERE turn_id = :turn_id""",
        {
            **record._asdict(),
            **record.usage.to_dict(),
            "outcome": record.outcome.kind.value,
            "note": record.outcome.note,
            "message_state": message_state,
            "usage": None,
            "tool_calls": None,
            "tool_call_count": sum(record.tool_calls.values()),
            "breakdown": json.dumps(dict(record.tool_calls), sort_keys=True),
        },
    )


def close_orphaned_turns(db: sqlite3.Connection, now_ms: int) -> None:
    """Mark the open turns of a dead harness as crashed, inside the caller's transaction, after `recover`'s update."""
    db.execute(
        """UPDATE turn_stats SET outcome = :crashed, note = :note, duration_ms = :now - started,
               message_state = (SELECT state FROM messages WHERE id = message_id)
           WHERE outcome IS NULL""",
        {"crashed": OutcomeKind.CRASHED.value, "note": "the harness died during this turn", "now": now_ms},
    )

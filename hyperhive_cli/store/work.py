"""What an agent did in a span of time, from its inbox: turns with their messages, what is open, schedules, lives."""

import sqlite3
from collections.abc import Iterator

from hyperhive_cli.core.schedules import slot_of
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.core.work_report import DAY_MS, OpenMessage, Span, Work, WorkTurn
from hyperhive_cli.store.ended import ENDED_COLUMNS, row_to_turn, turns_since
from hyperhive_cli.store.inbox import Inbox, open_inbox_reader
from hyperhive_cli.store.lives import read_lives
from hyperhive_cli.store.messages import IN_ORDER
from hyperhive_cli.store.schema import in_states

MOST_DAYS_OF_A_TURN = 30  # one that took longer is not looked for
_CHARS = 2_000  # of a text, in which the first line is looked for
_TURNS = f"""
    SELECT {ENDED_COLUMNS}, message_id, sender, substr(body, 1, {_CHARS}), messages.start, messages.key,
        (SELECT min(tried.started) FROM turn_stats AS tried WHERE tried.message_id = turn_stats.message_id),
        note, substr(result_text, 1, {_CHARS}), session_id, compacted_from
    FROM turn_stats LEFT JOIN messages ON messages.id = message_id
    WHERE outcome IS NOT NULL AND started >= :earliest AND started < :until
        AND started + coalesce(duration_ms, 0) >= :since AND started + coalesce(duration_ms, 0) < :until
    ORDER BY started, turn_id
"""  # noqa: S608 - our own list
_OPEN = """
    SELECT id, state, sender, substr(body, 1, :chars), start, key, not_before, created, changed, reason,
        (SELECT outcome FROM turn_stats WHERE message_id = messages.id ORDER BY turn_id DESC LIMIT 1)
    FROM messages WHERE {state} ORDER BY {order}
"""
_ORDERS = {"held": "id", "dead": "id", "ready": IN_ORDER}  # those of the states' indexes
_SESSION_BEFORE = """
    SELECT session_id FROM turn_stats WHERE turn_id < ? AND session_id IS NOT NULL ORDER BY turn_id DESC LIMIT 1
"""


def read_work(paths: AgentPaths, span: Span, earliest: int) -> Work:
    """Read what an agent did in a span, and its turns since `earliest` (Unix ms), for comparison; raises StoreError.

    What is open is read as it is now. Nothing is known of an agent that is new.
    """
    if not paths.inbox_db.exists():
        return Work()
    with open_inbox_reader(paths.inbox_db) as inbox:
        return work_of(inbox, span, earliest)


def work_of(inbox: Inbox, span: Span, earliest: int) -> Work:
    """Read from an open inbox, as `read_work`."""
    db = inbox.connection
    turns = list(_read_turns(db, span))
    first = min((one.turn.turn_id for one in turns), default=0)
    before = db.execute(_SESSION_BEFORE, (first,)).fetchone()
    return Work(
        turns=turns,
        earlier=[turn for turn in turns_since(db, earliest) if turn.ended < span.since],
        session_before=None if before is None else before[0],
        open=[message for state, order in _ORDERS.items() for message in _read_open(db, state, order)],
        schedules=inbox.schedules(),
        lives=read_lives(inbox.fact("lives")),
    )


def _read_turns(db: sqlite3.Connection, span: Span) -> Iterator[WorkTurn]:
    columns = ENDED_COLUMNS.count(",") + 1
    earliest = span.since - MOST_DAYS_OF_A_TURN * DAY_MS
    for row in db.execute(_TURNS, {**span._asdict(), "earliest": earliest}):
        message_id, sender, task, start, key, *rest = row[columns:]
        yield WorkTurn(row_to_turn(row[:columns]), message_id, sender, task, start or slot_of(key), *rest)


def _read_open(db: sqlite3.Connection, state: str, order: str) -> Iterator[OpenMessage]:
    query = _OPEN.format(state=in_states([state]), order=order)
    for number, of, sender, task, start, key, *rest in db.execute(query, {"chars": _CHARS}):
        yield OpenMessage(number, of, sender, task, start or slot_of(key), *rest)

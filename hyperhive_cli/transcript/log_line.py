"""A row as one line of a log in which several agents write. Pure."""

from collections.abc import Mapping

from hyperhive_cli.core.text import duration, one_line
from hyperhive_cli.transcript.rows import FootRow, HeadRow, NoteRow, Row

_LEVELS: Mapping[str, str] = {"warn": "warning", "bad": "error"}  # by the tone of a note


def row_to_log_line(row: Row) -> str | None:
    """Return the line for a row: turns, statuses, warnings and errors of the harness; None for any other row."""
    match row:
        case HeadRow():
            return f"{_turn(row)} for {one_line(row.sender, 16)}: {one_line(row.body.raw, 60)}"
        case FootRow():
            because = f": {one_line(row.note.raw, 80)}" if row.note else ""
            facts = [row.outcome, *row.remarks, duration((row.took_ms or 0) / 1000)]
            return f"{_turn(row)} {', '.join(facts)}{because}"
        case NoteRow(topic="status"):
            return row.text.plain
        case NoteRow(topic="note") if row.tone in _LEVELS:
            return f"{_LEVELS[row.tone]}: {one_line(row.text.raw, 120)}"
        case _:
            return None


def _turn(row: Row) -> str:
    return "turn" if row.origin.turn is None else f"turn {row.origin.turn}"

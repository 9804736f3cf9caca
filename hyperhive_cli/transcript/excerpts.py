"""How much of a row is shown where not everything is: in the console, and in the lines of `run` in a pipe. Pure."""

from hyperhive_cli.core.text import duration, plural
from hyperhive_cli.transcript.raw_text import Excerpt
from hyperhive_cli.transcript.rows import AnswerRow

SHOW = "hyperhive show"
BODY_LINES, NOTE_LINES, DIFF_LINES = 6, 12, 8
_OK_LINES, _FAILED_LINES = (2, 1), (2, 5)  # of an output, at its start and its end: errors stand at the end
_NAMED_BY_LABEL = frozenset({"Read"})  # tools whose output says little: their label is enough
_LONG_MS = 1000  # of a call, from which its time is shown
_NOTHING = Excerpt([], 0, [])


def output_excerpt(row: AnswerRow) -> Excerpt:
    """Return the part of an output that is worth a reader's time."""
    if row.label and not row.failed and row.name in _NAMED_BY_LABEL:
        return _NOTHING
    return row.output.excerpt(*(_FAILED_LINES if row.failed else _OK_LINES))


def took_words(row: AnswerRow) -> str:
    """Return how long a call took, "" for a short one."""
    return duration(row.took_ms / 1000) if row.took_ms is not None and row.took_ms >= _LONG_MS else ""


def rest_words(lines: int, number: str = "", show: str = SHOW) -> str:
    """Count the lines that were left out, and say what shows them: the command `show` with a call's number."""
    return f"… {plural(lines, 'line')}" + (f" ({show} {number})" if number else "")

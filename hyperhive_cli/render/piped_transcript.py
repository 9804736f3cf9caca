r"""The transcript for programs: a line for each row, with tabs between time, number, kind and text. Pure, no rich.

The time is ISO, the number is what `show` takes (`12`, or `12.3` for a tool call; `-` between turns), and the kind is
`turn`, `text`, `error`, `thinking`, `call`, `answer`, `failed`, `note` or `end`. Nothing is wrapped; a newline in a
text is `\n`, as in our tables.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.core.text import iso_time, one_line
from hyperhive_cli.render.piped import values_to_line
from hyperhive_cli.transcript.diff import hunks_to_text
from hyperhive_cli.transcript.excerpts import (
    BODY_LINES,
    DIFF_LINES,
    NOTE_LINES,
    output_excerpt,
    rest_words,
    took_words,
)
from hyperhive_cli.transcript.raw_text import NO_TEXT, Excerpt, RawText
from hyperhive_cli.transcript.rows import (
    AnswerRow,
    CallRow,
    ErrorRow,
    FootRow,
    HeadRow,
    NoteRow,
    QuoteRow,
    Row,
    TextRow,
    ThoughtRow,
)
from hyperhive_cli.transcript.translate import Translator


class PipedTranscript:
    """Prints the events of one feed. `whole`: nothing is cut; else long texts are, as in the console."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._translator = Translator()

    def text(self, records: Iterable[BusEvent]) -> str:
        """Return whole lines for what the events add; partial ones add nothing."""
        return "".join(
            f"{row_to_line(row, whole=self._whole)}\n"
            for record in records
            if not (isinstance(record.event, Stream) and record.event.is_partial)
            for row in self._translator.rows(record)
        )


class _Parts(NamedTuple):
    """A row's kind, its title, its text, and the part of it that is enough; None: all of it."""

    kind: str
    title: str = ""
    body: RawText = NO_TEXT
    excerpt: Callable[[], Excerpt] | None = None


def row_to_line(row: Row, *, whole: bool) -> str:
    """Return the line of a row, without its end."""
    parts = _CASES[row.kind](row)
    number = getattr(row, "full_number", "") or row.origin.turn
    found = None if whole or parts.excerpt is None else parts.excerpt()
    body = parts.body.plain.strip("\n") if found is None else _excerpt_text(found, row)
    inside = f"subagent ({one_line(row.origin.task, 60)})" if row.origin.parent else ""
    return values_to_line(
        [iso_time(row.origin.ts / 1000), number, parts.kind, ": ".join(filter(None, (inside, parts.title, body)))]
    )


def _excerpt_text(found: Excerpt, row: Row) -> str:
    head, tail = (["".join(span.text for span in line) for line in lines] for lines in (found.head, found.tail))
    rest = [rest_words(found.left_out, getattr(row, "full_number", ""))] if found.left_out else []
    return "\n".join([*head, *rest, *tail])


def _parts(kind: str, title: str, body: RawText, lines: int) -> _Parts:
    return _Parts(kind, title, body, lambda: body.excerpt(lines, 0, width=2000))


def _head(row: HeadRow) -> _Parts:
    number = f" #{row.message}" if row.message else ""
    tries = f", try {row.attempt}" if row.attempt > 1 else ""
    return _parts("turn", f"{row.sender}{number}{tries}", row.body, BODY_LINES)


def _foot(row: FootRow) -> _Parts:
    return _parts("end", ", ".join([row.outcome, *row.figures()]), row.note, NOTE_LINES)


def _thought(row: ThoughtRow) -> _Parts:
    return _parts("thinking", "" if row.text else "not shown", RawText(row.text or ""), 1)


def _call(row: CallRow) -> _Parts:
    """Return a call; its whole input is its text only where the subject does not say it."""
    hunks = row.diff()
    is_said = not hunks and not row.subject.endswith("…")
    body = NO_TEXT if is_said else RawText(hunks_to_text(hunks) or row.input_text())
    return _Parts("call", f"{row.name} {row.subject}".strip(), body, lambda: Excerpt([], 0, []))


def _answer(row: AnswerRow) -> _Parts:
    advice = f" (to allow it: {row.advice})" if row.advice else ""
    title = ", ".join(filter(None, (row.name, row.label, took_words(row)))) + advice
    kind = "failed" if row.failed else "answer"
    if row.diff and not row.output:
        return _parts(kind, title, RawText(hunks_to_text(row.diff)), DIFF_LINES)
    return _Parts(kind, title, row.output, lambda: output_excerpt(row))


def _note(row: NoteRow) -> _Parts:
    kind = "error" if row.tone == "bad" else "note"
    body = row.whole if isinstance(row, QuoteRow) else row.text
    return _parts(kind, "to claude" if isinstance(row, QuoteRow) else row.source, body, NOTE_LINES)


_CASES: Mapping[str, Callable[[Any], _Parts]] = {
    HeadRow.kind: _head,
    FootRow.kind: _foot,
    TextRow.kind: lambda row: _Parts("text", "", RawText(row.text)),
    ErrorRow.kind: lambda row: _Parts("error", "", RawText(row.text)),
    ThoughtRow.kind: _thought,
    CallRow.kind: _call,
    AnswerRow.kind: _answer,
    **dict.fromkeys(("note", "retry", "compaction", "quote"), _note),
}

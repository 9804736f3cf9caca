"""A transcript as a document that stands by itself: rows to plain text, Markdown or HTML. Pure, no rich.

Nothing is cut. Everything that others wrote (the model, tools, senders) is text: cleaned, escaped in HTML, and fenced
in Markdown. Only the model's own prose, which is Markdown, is not fenced.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hyperhive_cli.core import text
from hyperhive_cli.transcript.diff import hunks_to_text
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

OPEN_LINES = 12  # of an answer that HTML does not fold away


@dataclass(frozen=True, slots=True)
class Entry:
    """A part of the document; `kind` is turn, text, thinking, call, answer, note or end.

    `sign`: that of an end; `number`: of a call and its answer, as `show` takes it, such as 12.1.
    """

    kind: str
    title: str = ""
    body: str = ""
    failed: bool = False
    sign: str = ""
    number: str = ""


def row_to_entry(row: Row) -> Entry | None:
    """Return the part of the document that shows a row; None for thinking that claude keeps to itself."""
    match row:
        case HeadRow():
            return Entry("turn", f"{_turn_name(row)} · {_moment(row.origin.ts)}", row.body.plain)
        case FootRow():
            title = " · ".join([row.outcome, *row.figures()])
            return Entry("end", title, row.note.plain, row.tone == "bad", row.sign)
        case TextRow():
            return Entry("text", _titled(row, ""), row.text.strip())
        case ErrorRow():
            return Entry("text", _titled(row, ""), row.text.strip(), failed=True)
        case ThoughtRow():
            return None if row.text is None else Entry("thinking", _titled(row, "thinking"), row.text)
        case CallRow():
            hunks = row.diff()
            title = f"{row.name} {row.subject}" if hunks else row.name  # a diff does not name its file
            return Entry("call", _titled(row, title), hunks_to_text(hunks) or row.input_text(), number=row.full_number)
        case AnswerRow():
            title = row.label or ("error" if row.failed else "answer")
            body = row.output.plain or hunks_to_text(row.diff) or (f"to allow it: {row.advice}" if row.advice else "")
            return Entry("answer", _titled(row, title), body, row.failed, number=row.full_number)
        case QuoteRow():
            return Entry("note", _titled(row, "to claude"), row.whole.plain)
        case NoteRow():
            return Entry("note", _titled(row, row.source or row.topic), row.text.plain, row.tone == "bad")
        case _:
            return None


def _titled(row: Row, title: str) -> str:
    return ", ".join(part for part in ("subagent" if row.origin.depth else "", title) if part)


def _turn_name(row: HeadRow) -> str:
    tries = f", try {row.attempt}" if row.attempt > 1 else ""
    turn = "" if row.origin.turn is None else f" {row.origin.turn}"
    return f"Turn{turn}: {row.sender}{tries}"


def _moment(ts: int) -> str:
    at = text.local_time(ts / 1000)
    return "?" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


# --- plain text ---

_SIGNS: Mapping[str, str] = {"turn": "──", "thinking": "~", "call": "▸", "note": "·"}


def rows_to_text(rows: Iterable[Row]) -> Iterator[str]:
    """Return the document line by line, without ends of lines and with blank lines between its parts."""
    for position, entry in enumerate(filter(None, map(row_to_entry, rows))):
        if position:
            yield ""
        if head := _text_head(entry):
            yield head
        if entry.body:
            yield from text.clean(entry.body).split("\n")


def _text_head(entry: Entry) -> str:
    number = f"({entry.number})" if entry.number else ""
    sign = entry.sign or _SIGNS.get(entry.kind, "")
    if entry.failed and entry.kind != "end":
        sign = "✗"
    elif entry.kind == "answer":
        sign = "✓"
    elif entry.kind == "text" and not entry.title:
        return ""
    return " ".join(part for part in (sign, text.one_line(entry.title, 400), number) if part)


# --- Markdown ---

_RUN_OF_TICKS = re.compile(r"`{3,}")
_MARKS = re.compile(r"([\\`*_\[\]<>#|])")


def rows_to_markdown(title: str, rows: Iterable[Row]) -> Iterator[str]:
    """Return the document piece by piece."""
    yield f"# {escape_markdown(title)}\n"
    for entry in filter(None, map(row_to_entry, rows)):
        yield f"\n{_markdown(entry)}\n"


def escape_markdown(words: str) -> str:
    """Return words on one line, cut to 400 characters, in which Markdown has no meaning."""
    return _MARKS.sub(r"\\\1", text.one_line(words, 400))


def _fenced(body: str) -> str:
    ticks = "`" * (1 + max((len(run) for run in _RUN_OF_TICKS.findall(body)), default=2))
    return f"{ticks}text\n{body}\n{ticks}"


def _markdown(entry: Entry) -> str:
    head = escape_markdown(entry.title)
    if entry.kind == "turn":
        return f"## {head}\n\n{_fenced(entry.body)}"
    if entry.kind == "text":
        return f"*{head}*\n\n{entry.body}" if head else entry.body
    if entry.kind == "end":
        return f"{entry.sign} {head}" + (f"\n\n{_fenced(entry.body)}" if entry.body else "")
    return f"**{head}**" + (f"\n\n{_fenced(entry.body)}" if entry.body else "")


# --- HTML ---

_STYLE = """
body{max-width:56rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:.6rem;border-radius:4px;font-size:14px}
section{border-left:3px solid #ccc;padding-left:.8rem;margin:.8rem 0}
h2{border-top:1px solid #ccc;padding-top:1rem;font-size:1.1rem}
.text{white-space:pre-wrap;overflow-wrap:anywhere;border-color:#36c}.failed{border-color:#c33}
.call{border-color:#b80}.thinking,.note{color:#666}.title{font-size:14px;font-weight:600}
@media (prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}}
"""
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head><body>
<h1>{title}</h1>
"""


def html_head(title: str, style: str) -> str:
    """Return the head of a document, up to its title on the page."""
    return _HEAD.format(title=html.escape(text.one_line(title, 400)), style=style)


def rows_to_html(title: str, rows: Iterable[Row]) -> Iterator[str]:
    """Return the document piece by piece: no scripts, nothing from the network."""
    yield html_head(title, _STYLE)
    for entry in filter(None, map(row_to_entry, rows)):
        yield f"{_html(entry)}\n"
    yield "</body></html>\n"


def _html(entry: Entry) -> str:
    head, body = html.escape(entry.title), html.escape(entry.body)
    title = f'<div class="title">{head}</div>' if head else ""
    if entry.kind == "turn":
        return f"<h2>{head}</h2><pre>{body}</pre>"
    mark = f"{entry.kind} failed" if entry.failed else entry.kind
    if entry.kind == "text":
        return f'<section class="{mark}">{title}{body}</section>'
    if entry.kind in {"answer", "thinking"} and entry.body.count("\n") >= OPEN_LINES:
        lines = text.plural(entry.body.count("\n") + 1, "line")
        return (
            f'<section class="{mark}"><details><summary>{head}, {lines}</summary><pre>{body}</pre></details></section>'
        )
    return f'<section class="{mark}">{title}{f"<pre>{body}</pre>" if body else ""}</section>'

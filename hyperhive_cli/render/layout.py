"""`Layout`: rows of the transcript → the blocks that the console prints.

Words have the default colour: a sign before them has the colour of what they say, because a colour alone may be hard to
read on a terminal's background. What may be missed is dim.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from hyperhive_cli.core.text import one_line
from hyperhive_cli.render.blocks import NAME_CELLS, Block, Cropped, Fullest, Gutter, RuledLine, marked
from hyperhive_cli.transcript.diff import NumberedLine, numbered_lines
from hyperhive_cli.transcript.excerpts import (
    BODY_LINES,
    DIFF_LINES,
    NOTE_LINES,
    SHOW,
    output_excerpt,
    rest_words,
    took_words,
)
from hyperhive_cli.transcript.raw_text import RawText, Span
from hyperhive_cli.transcript.rows import (
    AnswerRow,
    CallRow,
    ErrorRow,
    FootRow,
    HeadRow,
    NoteRow,
    Row,
    TextRow,
    ThoughtRow,
)
from hyperhive_cli.transcript.translate import minute_words

_BODY_BAR, _SUBAGENT_BAR = Text("  ▏ ", "quiet"), Text("  │ ", "quiet")
_NOTE_WIDTH, _ERROR_WIDTH = 2000, 4000  # characters of a line
_SIGNS: Mapping[str, str] = {"+": "fine", "-": "bad"}
# Black or white text may be invisible on the terminal's background.
_COLOURS = frozenset({"red", "green", "yellow", "blue", "magenta", "cyan"})


class Layout:
    """Lays rows out one after the other; remembers what the row before was, to say whose a row is when it must.

    `show` is the command that shows a call whole, for this reader to type.
    """

    def __init__(self, show: str = SHOW) -> None:
        self._show = show
        self._call = ""  # of the last row, if it was a call or an answer
        self._subagent = ""  # whose rows the reader was just reading

    def block(self, row: Row) -> Block:
        """Return the block that shows a row."""
        block = self._answer(row) if isinstance(row, AnswerRow) else _CASES[row.kind](row)
        self._call = getattr(row, "call", "")
        parent = row.origin.parent
        if not parent:
            self._subagent = self._call
            return block
        inside = Gutter(_SUBAGENT_BAR, block.body, rest=_SUBAGENT_BAR)
        if self._subagent == parent:
            return Block(block.group, inside)
        self._subagent = parent
        heading = Gutter(_SUBAGENT_BAR, Cropped(Text(f"{row.origin.task}:", "quiet")))
        return Block(block.group, Group(heading, inside))

    def _answer(self, row: AnswerRow) -> Block:
        """Put an answer under its call. If other rows stand between, its tool's name says whose it is."""
        is_below_its_call = row.call != "" and row.call == self._call
        name = "" if is_below_its_call else one_line(row.name or "result", NAME_CELLS)
        body = Group(*map(Cropped, self._answer_lines(row)))
        return Block("tool", Gutter(Text(f"  {name:<{NAME_CELLS}} ", "quiet"), body))

    def _answer_lines(self, row: AnswerRow) -> Iterator[Text]:
        changed = numbered_lines(row.diff)
        if not changed:
            yield from _outcome(row)
        if row.advice:
            yield Text(f"to allow it: {row.advice}")
        yield from map(_diff_line, changed[:DIFF_LINES])
        if len(changed) > DIFF_LINES:
            yield self._rest(len(changed) - DIFF_LINES, row)
        found = output_excerpt(row)
        yield from (_styled(line) for line in found.head)
        if found.left_out:
            yield self._rest(found.left_out, row)
        yield from (_styled(line) for line in found.tail)

    def _rest(self, lines: int, row: AnswerRow) -> Text:
        return Text(rest_words(lines, row.full_number, self._show), "quiet")


def _outcome(row: AnswerRow) -> Iterator[Text]:
    took = took_words(row)
    words = " · ".join(part for part in (row.label, took) if part)
    if row.failed:
        yield Text.assemble(("✗ ", "bad"), words)
    elif took:
        yield Text.assemble(("✓ ", "fine"), (words, "quiet" if row.label else ""))
    elif row.label:
        yield Text(words, "quiet")


def _diff_line(line: NumberedLine) -> Text:
    style = _SIGNS.get(line.sign, "quiet")
    return Text.assemble((f"{line.number} {line.sign} ", style), line.text)


def _lines(text: RawText, limit: int, style: str = "", width: int = 400, prefix: str = "") -> list[Text]:
    """Return the first lines of a text, and one that counts the rest."""
    lines, more = text.head(limit, width)
    shown = [_styled(line, style, prefix) for line in lines]
    return [*shown, Text(rest_words(more), "quiet")] if more else shown


def _styled(spans: Sequence[Span], style: str = "", prefix: str = "") -> Text:
    if len(spans) == 1 and spans[0].is_plain:  # the usual case; `append` costs more than the rest of the row
        return Text(prefix + spans[0].text, style)
    line = Text(prefix, style)
    for span in spans:
        own = (("bold",) if span.bold else ()) + ((span.colour,) if span.colour in _COLOURS else ())
        line.append(span.text, " ".join(own) or None)
    return line


def _words(tone: str) -> str:
    """Return the style of words of this tone; the sign before them has its colour."""
    return "quiet" if tone == "quiet" else ""


def _head(row: HeadRow) -> Block:
    left = Text(one_line(row.sender, 40), "head")
    if row.message:
        left.append(f" · #{row.message}")
    if row.attempt > 1:
        left.append(f" · try {row.attempt}")
    waiting = f"{row.waiting:,} waiting" if row.waiting else ""
    right = Text(" · ".join(part for part in (waiting, minute_words(row.origin.ts)) if part), "quiet")
    body = Gutter(_BODY_BAR, Group(*_lines(row.body, BODY_LINES)), rest=_BODY_BAR)
    return Block("head", Group(RuledLine(left, right), body))


def _foot(row: FootRow) -> Block:
    forms = [
        Text.assemble((row.word, "head"), ("".join(f" · {part}" for part in row.figures(full=full)), "quiet"))
        for full in (True, False)
    ]
    note = _lines(row.note, NOTE_LINES, "quiet" if row.ok else "", _NOTE_WIDTH)
    return Block("foot", marked(row.sign, Group(Fullest(forms), *note), row.tone))


def _prose(row: TextRow) -> Block:
    from hyperhive_cli.render.prose import prose  # noqa: PLC0415 - Markdown costs 60 ms, which the first text pays

    return Block("text", Gutter(Text("  "), prose(row.text)))


def _error(row: ErrorRow) -> Block:
    lines = _lines(RawText(row.text), NOTE_LINES, width=_ERROR_WIDTH)
    return Block("text", marked("✗", Group(*lines), "bad"))


def _thought(row: ThoughtRow) -> Block:
    """Fold a thought to its first line."""
    first, _, rest = (row.text or "thinking, not shown").strip().partition("\n")
    words = Text(one_line(first, _NOTE_WIDTH) + (" …" if rest else ""), "thought")
    return Block("thought", marked("~", Cropped(words), "quiet"))


def _call(row: CallRow) -> Block:
    shown = Text.assemble((f"{row.name:<{NAME_CELLS}}", "call.name"), " ", row.subject)
    return Block("tool", marked("▸", Cropped(shown), "accent"))


def _note(row: NoteRow) -> Block:
    prefix, style = f"{row.source}: " if row.source else "", _words(row.tone)
    if row.is_one_line:
        body: RenderableType = Cropped(Text(row.text.plain, style))
    else:
        lines = _lines(row.text, NOTE_LINES, style, _NOTE_WIDTH, prefix)
        body = Group(*lines or [Text(f"{prefix}(nothing)", style)])
    return Block("remark", marked(row.mark, body, row.tone))


_CASES: Mapping[str, Callable[[Any], Block]] = {
    "head": _head,
    "foot": _foot,
    "text": _prose,
    "error": _error,
    "thought": _thought,
    "call": _call,
    **dict.fromkeys(("note", "retry", "compaction", "quote"), _note),
}

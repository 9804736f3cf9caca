"""`Layout`: rows of the transcript → the blocks that the console prints."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from hyperhive_cli.core.text import one_line, plural
from hyperhive_cli.render.blocks import NAME_CELLS, Block, Cropped, Fullest, Gutter, RuledLine, marked
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
_BODY_LINES, _ANSWER_LINES, _NOTE_LINES = 6, 3, 12
_NOTE_WIDTH, _ERROR_WIDTH = 2000, 4000  # characters of a line
_THOUGHT_CHARS = 220
# Black or white text may be invisible on the terminal's background.
_COLOURS = frozenset({"red", "green", "yellow", "blue", "magenta", "cyan"})


class Layout:
    """Lays rows out one after the other; remembers what the row before was, to say whose a row is when it must."""

    def __init__(self) -> None:
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
        lines = _lines(row.output, _ANSWER_LINES, "quiet")
        if row.label:
            lines.insert(0, Text(f"✗ {row.label}", "bad") if row.failed else Text(row.label, "quiet"))
        body = Group(*map(Cropped, lines))
        return Block("tool", Gutter(Text(f"  {name:<{NAME_CELLS}} ", "quiet"), body))


def _lines(text: RawText, limit: int, style: str = "", width: int = 400, prefix: str = "") -> list[Text]:
    """Return the first lines of a text, and one that counts the rest."""
    lines, more = text.head(limit, width)
    shown = [_styled(line, style, prefix) for line in lines]
    return [*shown, Text(f"+{plural(more, 'line')}", "quiet")] if more else shown


def _styled(spans: Sequence[Span], style: str, prefix: str) -> Text:
    if len(spans) == 1 and spans[0].is_plain:  # the usual case; `append` costs more than the rest of the row
        return Text(prefix + spans[0].text, style)
    line = Text(prefix, style)
    for span in spans:
        own = (("bold",) if span.bold else ()) + ((span.colour,) if span.colour in _COLOURS else ())
        line.append(span.text, " ".join(own) or None)
    return line


def _head(row: HeadRow) -> Block:
    left = Text(one_line(row.sender, 40), "head")
    if row.message:
        left.append(f" · #{row.message}")
    if row.attempt > 1:
        left.append(f" · attempt {row.attempt}", "warn")
    waiting = f"{row.waiting:,} more waiting" if row.waiting else ""
    right = Text(" · ".join(part for part in (waiting, minute_words(row.origin.ts)) if part), "quiet")
    body = Gutter(_BODY_BAR, Group(*_lines(row.body, _BODY_LINES)), rest=_BODY_BAR)
    return Block("head", Group(RuledLine(left, right), body))


def _foot(row: FootRow) -> Block:
    forms = [
        Text.assemble((row.word, row.tone), "".join(f" · {part}" for part in row.figures(full=full)))
        for full in (True, False)
    ]
    note = _lines(row.note, _NOTE_LINES, "quiet" if row.ok else row.tone, _NOTE_WIDTH)
    return Block("foot", marked(row.sign, Group(Fullest(forms), *note), row.tone))


def _prose(row: TextRow) -> Block:
    from hyperhive_cli.render.prose import prose  # noqa: PLC0415 - Markdown costs 60 ms, which the first text pays

    return Block("text", Gutter(Text("  "), prose(row.text)))


def _error(row: ErrorRow) -> Block:
    lines = _lines(RawText(row.text), _NOTE_LINES, "bad", _ERROR_WIDTH)
    return Block("text", marked("✗", Group(*lines), "bad"))


def _thought(row: ThoughtRow) -> Block:
    words = "thinking, not shown" if row.text is None else one_line(row.text, _THOUGHT_CHARS)
    return Block("thought", marked("~", Text(words, "thought"), "quiet"))


def _call(row: CallRow) -> Block:
    shown = Text.assemble((f"{row.name:<{NAME_CELLS}}", "call.name"), " ", row.subject)
    return Block("tool", marked("▸", Cropped(shown), "accent"))


def _note(row: NoteRow) -> Block:
    prefix = f"{row.source}: " if row.source else ""
    if row.is_one_line:
        body: RenderableType = Cropped(Text(row.text.plain, row.tone))
    else:
        lines = _lines(row.text, _NOTE_LINES, row.tone, _NOTE_WIDTH, prefix)
        body = Group(*lines or [Text(f"{prefix}(nothing)", row.tone)])
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

"""What a search found, as a person sees it: the line with the words, where it stands, and what was asked. Pure."""

from itertools import islice
from typing import Any

from hyperhive_cli.core.text import one_line, text_of
from hyperhive_cli.store.search import Hit
from hyperhive_cli.store.words import Query
from hyperhive_cli.transcript.calls import call_summary
from hyperhive_cli.transcript.raw_text import RawText

EXCERPT_CHARS = 1_000  # of the line with the words; a line may have megabytes
CONTEXT_CHARS = 200  # of the lines around it
_BEFORE_CHARS = 120  # of a long line, before the first word in it
_TRIED_LINES = 1_000  # in search of one that has all words


def hit_to_dict(hit: Hit, query: Query) -> dict[str, Any]:
    """Return a hit as one JSON object; its texts are safe for a terminal.

    `part`: message, text (what the agent says), thought, call, output or note. `subject`: what the tool was asked; of a
    message its sender. `text`: the line with the words, at most 1,000 characters of it; `marks`: where in it, `[start,
    end]` each; `before` and `after`: the lines around it. `line` of `lines`: null for a call.
    """
    raw = hit.text.text
    start, end = _line_with(query, raw) if query.patterns else _telling_line(raw, is_failure=hit.text.failed)
    excerpt = _excerpt(raw[start:end], query)
    is_call = hit.text.part == "call"
    return {
        "agent": hit.agent,
        "seq": hit.seq,
        "ts": hit.ts,
        "turn": hit.turn_id,
        "kind": hit.kind,
        "part": hit.text.part,
        "failed": hit.text.failed,
        "tool": one_line(hit.text.tool, 60),
        "subject": _subject(hit),
        "call": hit.text.call,
        "line": None if is_call else raw.count("\n", 0, start) + 1,
        "lines": None if is_call else raw.rstrip("\n").count("\n") + 1,
        "before": [] if is_call else _context(raw[:start].rsplit("\n", 2)[-2:-1]),
        "text": excerpt,
        "marks": _marks(excerpt, query),
        "after": [] if is_call else _context(raw[end + 1 : end + 1 + 2 * CONTEXT_CHARS].split("\n", 1)[:1]),
    }


def _subject(hit: Hit) -> str:
    if hit.text.part == "message":
        return one_line(text_of(hit.text.given), 64)
    return call_summary(hit.text.tool, hit.text.given) if hit.text.tool else ""


def _line_with(query: Query, text: str) -> tuple[int, int]:
    """Return the bounds of the line that is shown: the first that matches the whole query, else a part of it."""
    found = islice((match.start() for match in query.patterns[0].finditer(text)), _TRIED_LINES)
    lines = list(dict.fromkeys(_bounds(text, at) for at in found))
    return next((line for line in lines if query.matches(text[slice(*line)])), lines[0] if lines else (0, len(text)))


def _telling_line(text: str, *, is_failure: bool) -> tuple[int, int]:
    """Return the bounds of the first line that is not blank; of a failure those of the last, which says what failed."""
    return _bounds(text, len(text.rstrip()) - 1 if is_failure else len(text) - len(text.lstrip()))


def _bounds(text: str, at: int) -> tuple[int, int]:
    end = text.find("\n", max(0, at))
    return text.rfind("\n", 0, max(0, at)) + 1, len(text) if end < 0 else end


def _excerpt(line: str, query: Query) -> str:
    first = min((match.start() for match in (each.search(line) for each in query.patterns) if match), default=0)
    start = max(0, first - _BEFORE_CHARS) if len(line) > EXCERPT_CHARS else 0
    cut = line[start : start + EXCERPT_CHARS]
    shown = RawText(cut.strip()).plain
    return f"{'…' if start else ''}{shown}{'…' if start + len(cut) < len(line) else ''}"


def _marks(excerpt: str, query: Query) -> list[tuple[int, int]]:
    """Return where in a line the words are: apart from each other, in order."""
    marks = list[tuple[int, int]]()
    for start, end in sorted(match.span() for pattern in query.patterns for match in pattern.finditer(excerpt)):
        if marks and start <= marks[-1][1]:
            marks[-1] = (marks[-1][0], max(end, marks[-1][1]))
        elif end > start:
            marks.append((start, end))
    return marks


def _context(lines: list[str]) -> list[str]:
    return [one_line(RawText(line[: 2 * CONTEXT_CHARS]).plain, CONTEXT_CHARS) for line in lines if line.strip()]

"""What a search found, as lines for a terminal and as rows for a program. Pure: no I/O, no rich."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.render.table import Span, cells, cut

PIPED_HIT = ("agent", "seq", "time", "turn", "part", "tool", "failed", "text")
_WHO = {"message": "message", "text": "says", "thought": "thinks", "note": "note"}
_INDENT = "    "

Found = Mapping[str, Any]  # as `transcript.hits.hit_to_dict` has it


def hit_to_values(found: Found) -> list[object]:
    """Return the cells of PIPED_HIT."""
    time = text.iso_time(found["ts"] / 1000)
    names = ("part", "tool", "failed", "text")
    return [found["agent"], found["seq"], time, found["turn"], *(found[name] for name in names)]


def hit_to_spans(found: Found, width: int, now: float, *, with_agent: bool = False) -> Iterator[list[Span]]:
    """Yield a head (time, turn, tool and what it was asked), the line with the words, and those around it."""
    agent = f"{found['agent']}  " if with_agent else ""
    turn = "" if found["turn"] is None else f"  turn {found['turn']}"
    when = text.moment(found["ts"] / 1000, now)
    who = "end" if found["kind"] == "turn_end" else _WHO.get(found["part"])
    what = found["tool"] or who or found["part"]
    place = f"  line {found['line']:,} of {found['lines']:,}" if (found["lines"] or 1) > 1 else ""
    end = f"{place}  seq {found['seq']}"
    sign: list[Span] = [(" ✗", "bad")] if found["failed"] else []
    start: list[Span] = [(f"{agent}{when}{turn}  ", "quiet"), (what, "head"), *sign]
    room = width - sum(cells(words) for words, _ in start) - cells(end) - 1
    subject = cut(found["subject"], room) if room > 8 else ""
    yield [*start, (f" {subject}" if subject else "", ""), (end, "quiet")]
    for line in found["before"]:
        yield [(_INDENT + cut(line, width - len(_INDENT)), "quiet")]
    yield [(_INDENT, ""), *_marked(found, width - len(_INDENT))]
    for line in found["after"]:
        yield [(_INDENT + cut(line, width - len(_INDENT)), "quiet")]


def _marked(found: Found, width: int) -> Iterator[Span]:
    """Yield the line with its words marked; the start of a long one gives way to the first of them."""
    line, marks = found["text"], found["marks"]
    skipped = max(0, min(marks[0][0] - width // 3, len(line) - width)) if marks and cells(line) > width else 0
    shown = cut(f"…{line[skipped + 1 :]}" if skipped else line, width)
    at = 0
    for start, end in ((max(0, first - skipped), max(0, last - skipped)) for first, last in marks):
        yield shown[at:start], ""
        yield shown[start:end], "warn"
        at = max(at, end)
    yield shown[at:], ""

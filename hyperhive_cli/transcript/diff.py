"""Diffs: what an edit asks for, and what it changed. Pure.

Inputs and answers of tools are any JSON; an odd shape gives no hunk.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

from hyperhive_cli.core.text import clean, count


class Hunk(NamedTuple):
    """A part of a diff. Each line begins with "+", "-" or " "; the starts are line numbers from 1, 0: not known.

    The lines are as they are in the file, uncleaned.
    """

    old_start: int
    new_start: int
    lines: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the hunk as JSON, its lines cleaned."""
        return {**self._asdict(), "lines": [clean(line) for line in self.lines]}


def hunks_to_dicts(hunks: Iterable[Hunk], limit: int | None = None) -> list[dict[str, Any]]:
    """Return the hunks as JSON, of all their lines together at most `limit` characters.

    `cut` is how many lines are left off at the end of a hunk.
    """
    found, left = [], math.inf if limit is None else limit
    for hunk in hunks:
        kept = []
        for line in hunk.lines:
            left -= len(line)
            if left < 0:
                break
            kept.append(line)
        found.append({**hunk._replace(lines=tuple(kept)).to_dict(), "cut": len(hunk.lines) - len(kept)})
    return found


def patch_hunks(patch: object) -> Iterator[Hunk]:
    """Read the `structuredPatch` of an edit's result."""
    for hunk in patch if isinstance(patch, list) else ():
        if isinstance(hunk, Mapping):
            lines = hunk.get("lines")
            shown = [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
            yield Hunk(count(hunk.get("oldStart")), count(hunk.get("newStart")), tuple(shown))


def created_hunk(content: str) -> Hunk:
    """Return a new file as the lines that it adds."""
    lines = content.split("\n")
    return Hunk(0, 1, tuple(f"+{line}" for line in (lines if lines[-1] else lines[:-1])))


def asked_hunks(given: object) -> Iterator[Hunk]:
    """Return the change that a tool's input asks for; what both texts share at their ends is one line of context."""
    edits = given.get("edits") if isinstance(given, Mapping) else None
    for edit in edits if isinstance(edits, list) else [given]:
        if isinstance(edit, Mapping):
            old, new = edit.get("old_string"), edit.get("new_string")
            if isinstance(old, str) and isinstance(new, str):
                yield _between(old.split("\n"), new.split("\n"))


def hunks_to_text(hunks: Iterable[Hunk]) -> str:
    """Return a diff as plain text, cleaned; "" without hunks."""
    parts = (f"@@ -{hunk.old_start} +{hunk.new_start} @@\n" + "\n".join(hunk.lines) for hunk in hunks)
    return clean("\n".join(parts))


def _between(old: list[str], new: list[str]) -> Hunk:
    head = _shared(old, new)
    tail = _shared(reversed(old[head:]), reversed(new[head:]))
    old_end, new_end = len(old) - tail, len(new) - tail
    context, changed = old[max(0, head - 1) : head], old[head:old_end]
    lines = [
        *(f" {line}" for line in context),
        *(f"-{line}" for line in changed),
        *(f"+{line}" for line in new[head:new_end]),
        *(f" {line}" for line in old[old_end : old_end + 1]),
    ]
    return Hunk(0, 0, tuple(lines))


def _shared(old: Iterable[str], new: Iterable[str]) -> int:
    pairs = zip(old, new, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


class NumberedLine(NamedTuple):
    """A line of a diff for a reader: its number in the file, right-aligned; its sign; its text, cleaned."""

    number: str
    sign: str
    text: str


def numbered_lines(hunks: Iterable[Hunk]) -> list[NumberedLine]:
    """Return the changed lines of an edit, each change after one line of context, without their common indentation.

    Removed lines have their old number, the others the new one. A hunk that does not know its lines in the old file,
    such as that of a new file, gives nothing.
    """
    found = [one for hunk in hunks if hunk.old_start for one in _numbered(hunk)]
    width = max((len(str(number)) for number, _ in found), default=0)
    indent = min((_indent(line[1:]) for _, line in found if line[1:].strip()), default=0)
    return [
        NumberedLine(f"{number:>{width}}", line[:1], clean(line[1:].expandtabs(4)[indent:])) for number, line in found
    ]


def _numbered(hunk: Hunk) -> Iterator[tuple[int, str]]:
    old, new = hunk.old_start, hunk.new_start
    context: tuple[int, str] | None = None
    for line in hunk.lines:
        sign = line[:1]
        if sign in {"+", "-"}:
            if context is not None:
                yield context
            context = None
            yield (new if sign == "+" else old, line)
        elif sign == " ":
            context = (new, line)
        old += sign in {" ", "-"}
        new += sign in {" ", "+"}


def _indent(text: str) -> int:
    shown = text.expandtabs(4)
    return len(shown) - len(shown.lstrip(" "))


def line_counts(hunks: Iterable[Hunk]) -> tuple[int, int]:
    """Count the added and the removed lines."""
    lines = [line for hunk in hunks for line in hunk.lines]
    return sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)

"""Choosing events: those of a turn, of some kinds, of tools, with a text in them. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from hyperhive_cli.events import KINDS, BusEvent, LiveEvent, Stream, TurnEnd, TurnStart, is_replaced_remark

ATTENTION = "attention"  # for a hook: what needs a person
HOOK_KINDS = (ATTENTION, *KINDS)
BOUNDS = (TurnStart.kind, TurnEnd.kind)  # the kinds that begin and end a turn
COUNT = 20  # events, where nobody says how many

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(slots=True)
class Sieve:
    """What `tail` is asked for; to be given every event, in the order of their numbers.

    `turn`: from its `turn_start` to its `turn_end`, or up to the next turn where its end is missing. `grep` is
    looked for in all texts of an event, capitals or not. `over` tells that the turn has ended.
    """

    kinds: tuple[str, ...] = ()
    turn: int | None = None
    grep: str | None = None
    tools: bool = False
    over: bool = False
    _inside: bool = field(default=False, repr=False)

    @property
    def is_by_kind(self) -> bool:
        """Whether an event's kind, and nothing else, decides."""
        return self.turn is None and not self.grep and not self.tools

    def passes(self, event: LiveEvent) -> bool:
        """Whether this event is one of those."""
        if self.turn is not None and not self._is_in_turn(event, self.turn):
            return False
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.tools and not has_tools(event):
            return False
        return not self.grep or contains(event.to_fields(), self.grep.casefold())

    def shows(self, record: BusEvent) -> bool:
        """Return whether a follower shows this; the word that another history follows, from its start, always."""
        if is_replaced_remark(record):
            self._inside = False
            return True
        return self.passes(record.event)

    def _is_in_turn(self, event: LiveEvent, turn: int) -> bool:
        if isinstance(event, TurnStart):
            self.over = self.over or self._inside  # a harness that died left no end
            self._inside = event.turn_id == turn
            self.over = self.over and not self._inside  # an inbox begun anew counts its turns from 1
            return self._inside
        if isinstance(event, TurnEnd) and event.turn_id == turn:
            self._inside, self.over = False, True
            return True
        return self._inside


class Feed(Protocol[T_co]):
    """What holds earlier events, each of which may come with a name."""

    def newest(self, limit: int, kinds: Sequence[str] = ()) -> Sequence[T_co]:
        """Give the newest, oldest first."""

    def stored(self, since: int = 0) -> Iterator[T_co]:
        """Give what comes after this number."""


def earlier(
    feed: Feed[T], sieve: Sieve, count: int | None, since: int | None, record_of: Callable[[T], BusEvent]
) -> Iterable[T]:
    """Give what a feed holds of what is asked for: what comes after `since`, or the newest `count` (of a turn all)."""
    if since is None and sieve.is_by_kind:
        return feed.newest(COUNT if count is None else count, sieve.kinds)
    # A turn is known by its beginning, which may be before that number.
    start = since if since is not None and sieve.turn is None else 0
    found = (one for one in feed.stored(start) if sieve.passes(record_of(one).event))
    if since is not None:
        return found if start == since else (one for one in found if (record_of(one).seq or 0) > since)
    if count is None and sieve.turn is not None:
        return found
    return deque(found, COUNT if count is None else count)


def has_tools(event: LiveEvent) -> bool:
    """Whether this is a line of claude's in which a tool is called or answers, here or at the API."""
    message = event.line.get("message") if isinstance(event, Stream) else None
    content = message.get("content") if isinstance(message, Mapping) else None
    blocks = content if isinstance(content, list) else ()
    kinds = [str(block.get("type")) for block in blocks if isinstance(block, Mapping)]
    return any(kind.endswith(("tool_use", "tool_result")) for kind in kinds)


def contains(value: Any, folded: str) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a text, already case-folded, stands in a string of a JSON value; names of fields do not count."""
    left = [value]
    while left:
        found = left.pop()
        if isinstance(found, str):
            if folded in found.casefold():
                return True
        elif isinstance(found, Mapping):
            left.extend(found.values())
        elif isinstance(found, list | tuple):
            left.extend(found)
    return False


def last_turn_id(bounds: Iterable[BusEvent]) -> int | None:
    """Give the turn that began last, None where none did."""
    found = None
    for record in bounds:
        if isinstance(record.event, TurnStart) and record.event.turn_id is not None:
            found = record.event.turn_id
    return found


class Span(NamedTuple):
    """The records of a turn by their numbers, both ends included (`last` None: to the newest).

    Not `is_whole`: its beginning was swept away.
    """

    first: int
    last: int | None
    is_whole: bool


def span_of_turn(bounds: Iterable[BusEvent], turn: int) -> Span | None:
    """Return where the newest turn of this id stands among the records, None where nothing of it is left.

    `bounds` are the `turn_start` and `turn_end` records (`BOUNDS`), oldest first. Records in which its beginning is
    missing are its own from the bound before them up to its end; where its end is missing, those up to the next turn.
    """
    found: Span | None = None
    after = 0  # the number of the bound before
    is_open = False
    for record in bounds:
        seq = record.seq or 0
        if isinstance(record.event, TurnStart):
            if is_open and found is not None:
                found = found._replace(last=seq - 1)
            is_open = record.event.turn_id == turn
            if is_open:
                found = Span(seq, None, is_whole=True)
        elif isinstance(record.event, TurnEnd):
            if is_open and found is not None:
                found = found._replace(last=seq)
            elif record.event.turn_id == turn:
                found = Span(after + 1, seq, is_whole=False)
            is_open = False
        after = seq
    return found

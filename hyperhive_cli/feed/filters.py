"""Choosing events: those of a turn, of some kinds, of tools, with a text in them. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from hyperhive_cli.core.events import BusEvent, LiveEvent, Stream, TurnEnd, TurnStart, is_replaced_remark

COUNT = 20  # events, where nobody says how many

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(slots=True)
class EventFilter:
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
    feed: Feed[T], sieve: EventFilter, count: int | None, since: int | None, record_of: Callable[[T], BusEvent]
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

"""Choosing events: those of a turn, of some kinds, of tools, with a text in them. Pure."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from hyperhive_cli.core.events import BusEvent, LiveEvent, Stream, TurnEnd, TurnStart, is_replaced_remark
from hyperhive_cli.core.settings import HISTORY_CAPACITY

COUNT = 20  # events, by default

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Feed(Protocol[T_co]):
    """A source of events, which may come with more, such as the agent's name."""

    @property
    def has_more(self) -> bool:
        """True if `follow` yields another event without waiting for it."""

    def newest(self, limit: int, kinds: Sequence[str] = ()) -> Sequence[T_co]:
        """Return the newest events, oldest first."""

    def stored(self, since: int = 0) -> Iterator[T_co]:
        """Yield the events after this number that there are."""

    def follow(self) -> Iterator[T_co | None]:
        """Yield what comes after those; None is a tick in which nothing happened."""


@dataclass(slots=True)
class EventFilter:
    """What `tail` is asked for; it has to see every event, in the order of the numbers.

    `turn`: from its `turn_start` to its `turn_end`, or up to the next turn if its end is missing. `grep`: a text in any
    string of an event, case-insensitive. `count`: so many of the newest (None: COUNT, or all of a turn); `since`: all
    after this number instead. `over`: the turn has ended.
    """

    kinds: tuple[str, ...] = ()
    turn: int | None = None
    grep: str | None = None
    tools: bool = False
    count: int | None = None
    since: int | None = None
    over: bool = False
    _inside: bool = field(default=False, repr=False)

    def earlier(self, feed: Feed[T], record_of: Callable[[T], BusEvent]) -> Iterable[T]:
        """Return what a feed holds of the events wanted, oldest first."""
        if self.since is None and self.turn is None and not self.grep and not self.tools:
            return feed.newest(COUNT if self.count is None else self.count, self.kinds)
        # A turn is known by its start, which may be before that number.
        start = self.since if self.since is not None and self.turn is None else 0
        found = (one for one in feed.stored(start) if self.passes(record_of(one).event))
        if (since := self.since) is not None:
            return found if start == since else (one for one in found if (record_of(one).seq or 0) > since)
        if self.count is None and self.turn is not None:
            return found
        return deque(found, COUNT if self.count is None else self.count)

    def passes(self, event: LiveEvent) -> bool:
        """Return True if this event is wanted, whatever its number."""
        if self.turn is not None and not self._is_in_turn(event, self.turn):
            return False
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.tools and not has_tools(event):
            return False
        return not self.grep or contains(event.to_fields(), self.grep.casefold())

    def shows(self, record: BusEvent) -> bool:
        """Return True if a follower shows this: an event wanted, or the note that another history follows."""
        if is_replaced_remark(record):
            self._inside = False
            return True
        if self.turn is None and not self.tools and not self.grep:  # then the event need not be parsed
            return not self.kinds or record.kind in self.kinds
        return self.passes(record.event)

    def _is_in_turn(self, event: LiveEvent, turn: int) -> bool:
        if isinstance(event, TurnStart):
            self.over = self.over or self._inside  # a harness that died left no end
            self._inside = event.turn_id == turn
            self.over = self.over and not self._inside  # a new inbox counts its turns from 1
            return self._inside
        if isinstance(event, TurnEnd) and event.turn_id == turn:
            self._inside, self.over = False, True
            return True
        return self._inside


class Heads(Generic[T]):
    """What a person sees of a filtered feed: before the first event of a turn also its start, if that was left out.

    `record_of` and `agent_of` tell the event and the agent of what the feed yields.
    """

    def __init__(
        self, wanted: EventFilter, record_of: Callable[[T], BusEvent], agent_of: Callable[[T], str] = lambda _: ""
    ) -> None:
        self._wanted = wanted
        self._record_of = record_of
        self._agent_of = agent_of
        self._left_out: dict[str, T] = {}  # by agent: the start of the turn of which nothing is shown yet

    def earlier(self, feed: Feed[T]) -> Iterator[T]:
        """Yield what the feed holds, oldest first; then `following` goes on."""
        bounds = defaultdict[str, deque[T]](deque)
        for bound in () if self._wanted.kinds else feed.newest(HISTORY_CAPACITY, ("turn_start", "turn_end")):
            bounds[self._agent_of(bound)].append(bound)
        for one in self._wanted.earlier(feed, self._record_of):
            coming, seq = bounds[self._agent_of(one)], self._record_of(one).seq or 0
            while coming and (self._record_of(coming[0]).seq or 0) < seq:
                self._leave_out(coming.popleft())
            if coming and self._record_of(coming[0]).seq == seq:
                coming.popleft()
            yield from self._with_head(one)
        for coming in bounds.values():
            for bound in coming:
                self._leave_out(bound)

    def following(self, one: T) -> Iterator[T]:
        """Yield what is shown of an event that a follower sees."""
        record = self._record_of(one)
        if self._wanted.shows(record):
            yield from self._with_head(one)
        elif not self._wanted.kinds:
            self._leave_out(one)

    def _with_head(self, one: T) -> Iterator[T]:
        head, record = self._left_out.pop(self._agent_of(one), None), self._record_of(one)
        if head is not None and record.kind != "turn_start" and not is_replaced_remark(record):
            yield head
        yield one

    def _leave_out(self, one: T) -> None:
        kind = self._record_of(one).kind
        if kind == "turn_start":
            self._left_out[self._agent_of(one)] = one
        elif kind == "turn_end":
            self._left_out.pop(self._agent_of(one), None)


def has_tools(event: LiveEvent) -> bool:
    """Return True if this is a line of claude's with a tool call or an answer, of a tool here or at the API."""
    message = event.line.get("message") if isinstance(event, Stream) else None
    content = message.get("content") if isinstance(message, Mapping) else None
    blocks = content if isinstance(content, list) else ()
    kinds = [str(block.get("type")) for block in blocks if isinstance(block, Mapping)]
    return any(kind.endswith(("tool_use", "tool_result")) for kind in kinds)


def contains(value: Any, folded: str) -> bool:  # noqa: ANN401 - any JSON value
    """Return True if a string of a JSON value contains a text, which is case-folded; names of fields do not count."""
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

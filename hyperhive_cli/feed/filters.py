"""Choosing events: those of a turn, of some kinds, of tools, with a text in them. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from hyperhive_cli.core.events import BusEvent, LiveEvent, Stream, TurnEnd, TurnStart, is_replaced_remark

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

    def of_turn(self, turn: int) -> Iterator[T_co]:
        """Yield the events of a turn that there are; `follow` goes on after the newest event of all."""

    def newest_first(self) -> Iterator[T_co]:
        """Return the events that there are, the newest first; `follow` goes on after that one, read or not."""

    def turn_start(self, agent: str, seq: int) -> T_co | None:
        """Return the start of the turn that runs at an agent's event; None if it is that event, or no turn runs."""

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

    def earlier(self, feed: Feed[T], record_of: Callable[[T], BusEvent]) -> Iterator[T]:
        """Yield what a feed holds of the events wanted, oldest first."""
        return (one for one, is_wanted in self.sift(feed, record_of) if is_wanted)

    def sift(self, feed: Feed[T], record_of: Callable[[T], BusEvent]) -> Iterator[tuple[T, bool]]:
        """Yield what a feed holds, oldest first, each with whether it is wanted.

        No more of it is read than needed; what is not wanted is yielded if it starts or ends a turn.
        """
        limit = COUNT if self.count is None else self.count
        if self.turn is not None:
            found = ((one, self._is_wanted(record_of(one))) for one in feed.of_turn(self.turn))
            return iter(found if self.since is not None or self.count is None else _newest(found, limit))
        if self.since is not None:
            return ((one, self._is_wanted(record_of(one))) for one in feed.stored(self.since))
        if self.grep or self.tools:
            return iter(self._look_back(feed.newest_first(), limit, record_of))
        return ((one, True) for one in feed.newest(limit, self.kinds))

    def _is_wanted(self, record: BusEvent) -> bool:
        return self.passes_record(record) and (self.since is None or (record.seq or 0) > self.since)

    def _look_back(
        self, newest_first: Iterator[T], limit: int, record_of: Callable[[T], BusEvent]
    ) -> list[tuple[T, bool]]:
        """Return the newest `limit` events that are wanted and the bounds of turns between them, oldest first."""
        found, count = list[tuple[T, bool]](), 0
        while count < limit and (one := next(newest_first, None)) is not None:
            record = record_of(one)
            is_wanted = self.passes_record(record)
            count += is_wanted
            if is_wanted or record.kind in _BOUNDS:
                found.append((one, is_wanted))
        return found[::-1]

    def passes_record(self, record: BusEvent) -> bool:
        """Return True if this event is wanted. It is parsed only if its text does not say so already."""
        if self.turn is None:
            if self.kinds and record.kind not in self.kinds:
                return False
            if self.tools and not _may_contain(record.payload, "tool_"):
                return False
            if self.grep and not _may_contain(record.payload, self.grep.casefold()):
                return False
        return self.passes(record.event)

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
        return self.passes_record(record)

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
        self._feed: Feed[T] | None = None
        self._known: set[str] = set()  # the agents of which something was seen
        self._left_out: dict[str, T] = {}  # by agent: the start of the turn of which nothing is shown yet

    def earlier(self, feed: Feed[T]) -> Iterator[T]:
        """Yield what the feed holds, oldest first; then `following` goes on."""
        self._feed = feed
        for one, is_wanted in self._wanted.sift(feed, self._record_of):
            if is_wanted:
                yield from self._with_head(one)
            elif not self._wanted.kinds:
                self._leave_out(one)

    def following(self, one: T) -> Iterator[T]:
        """Yield what is shown of an event that a follower sees."""
        record = self._record_of(one)
        if self._wanted.shows(record):
            yield from self._with_head(one)
        elif not self._wanted.kinds:
            self._leave_out(one)

    def _with_head(self, one: T) -> Iterator[T]:
        agent, record = self._agent_of(one), self._record_of(one)
        head = self._left_out.pop(agent, None)
        if head is None and agent not in self._known and self._feed is not None and not self._wanted.kinds:
            head = None if record.seq is None else self._feed.turn_start(agent, record.seq)
        self._known.add(agent)
        if head is not None and record.kind != "turn_start" and not is_replaced_remark(record):
            yield head
        yield one

    def _leave_out(self, one: T) -> None:
        agent, kind = self._agent_of(one), self._record_of(one).kind
        if kind in _BOUNDS:
            self._known.add(agent)
            self._left_out.pop(agent, None)
        if kind == TurnStart.kind:
            self._left_out[agent] = one


def _newest(found: Iterable[tuple[T, bool]], limit: int) -> Iterator[tuple[T, bool]]:
    """Return the newest `limit` of those that are wanted."""
    return iter(deque((one for one in found if one[1]), limit))


_BOUNDS = (TurnStart.kind, TurnEnd.kind)
_ESCAPED = frozenset('"\\/')  # what JSON may write in another way, beside `\u` and control characters


def _may_contain(payload: bytes, folded: str) -> bool:
    """Return False if no string of a JSON text contains a case-folded text; much cheaper than parsing it."""
    text = payload.decode(errors="replace")
    return "\\u" in text or folded in text.casefold() or not folded.isprintable() or not _ESCAPED.isdisjoint(folded)


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

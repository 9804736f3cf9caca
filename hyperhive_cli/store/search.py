"""Searching a history, the newest events first: the index names the parts to open, the rows of these are then checked.

A search is a generator, which its reader may leave at any time; `Search.reached` says how far it came.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import BusEvent, TurnEnd, TurnStart
from hyperhive_cli.store.history import Block, HistoryReader
from hyperhive_cli.store.texts import Text, texts_of
from hyperhive_cli.store.words import ANYTHING, HINT, Query

ANSWERED_ROWS = 200  # before a part of the history that are looked through for the call of an answer in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is searched for. `before`: numbers below it; the times are Unix ms, inclusive; `turn`: its id.

    `kinds`: of events; `tools`: tool calls and their answers alone; `tool`: those of this tool, capitals or not;
    `failed`: what says that something failed. Raises UsageError if none of it narrows the search.
    """

    query: Query = ANYTHING
    kinds: tuple[str, ...] = ()
    turn: int | None = None
    tools: bool = False
    tool: str | None = None
    failed: bool = False
    since_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None

    def __post_init__(self) -> None:
        """Refuse a search for everything."""
        if not (self.query.patterns or self.tools or self.tool or self.failed):
            raise UsageError("nothing to search for", HINT)

    def has(self, row: BusEvent) -> bool:
        """Return True if an event may be wanted, as far as that is known without parsing it."""
        return (
            (self.before is None or (row.seq or 0) < self.before)
            and (self.since_ms is None or row.ts >= self.since_ms)
            and (self.until_ms is None or row.ts <= self.until_ms)
            and (not self.kinds or row.kind in self.kinds)
            and self.query.may_match(row.payload)
        )

    def takes(self, text: Text) -> bool:
        """Return True if a text is wanted, as far as that is known without its call."""
        if (self.tools or self.tool) and text.part not in {"call", "output"}:
            return False
        return (text.failed or not self.failed) and self.query.matches(text.text)

    def is_of_tool(self, text: Text) -> bool:
        """Return True if a text, now with its call, is of the tool that is wanted."""
        return self.tool is None or text.tool.casefold() == self.tool.casefold()


class Hit(NamedTuple):
    """A text that was searched for. An output has the tool and the input of its call, as far as that was found."""

    agent: str
    seq: int
    ts: int  # Unix ms
    turn_id: int | None  # None: between turns, or not known
    kind: str
    text: Text


class Place(NamedTuple):
    """Where a search goes on: before this number; of several agents, at this time (Unix ms)."""

    seq: int
    ts: int


@dataclass(slots=True)
class Search:
    """A search in one history. `reached`: every event from this number on was looked through; None: all there are.

    `is_over`: asked before each part of the history that is opened, whether to stop there.
    """

    agent: str
    history: HistoryReader
    wanted: Wanted
    is_over: Callable[[], bool] = lambda: False
    reached: int | None = field(default=None, init=False)

    def hits(self) -> Iterator[list[Hit]]:
        """Yield what is found, event by event, the newest first. Raises StoreError."""
        wanted = self.wanted
        for block in self.history.chunks(
            before=wanted.before,
            turn=wanted.turn,
            since_ms=wanted.since_ms,
            until_ms=wanted.until_ms,
            fts=wanted.query.fts,
        ):
            if self.is_over() and self.reached is not None:
                return
            self.reached = block.last_seq + 1
            yield from self._hits_in(block)
            self.reached = block.first_seq
        self.reached = None

    def place(self) -> "Place | None":
        """Return the place up to which was searched; None if that is everything."""
        if self.reached is None:
            return None
        events, _ = self.history.since(self.reached - 1, 1)
        return Place(self.reached, events[0].ts if events else 0)

    def _hits_in(self, block: Block) -> Iterator[list[Hit]]:
        wanted = self.wanted
        # What the index named has the words, as good as always; anything else is read once more only if it has them.
        if wanted.query.fts is None and wanted.query.needles and not wanted.query.may_match(block.raw()):
            return
        rows = block.rows()
        turns = _Turns(self.history, block, rows)
        calls = _Calls(self.history, block, rows)
        for row in reversed(rows):
            if not wanted.has(row):
                continue
            texts = [text for text in texts_of(row) if wanted.takes(text)]
            if not texts or (wanted.turn is not None and turns.of(row) != wanted.turn):
                continue
            texts = [text for text in (calls.completed(row, text) for text in texts) if wanted.is_of_tool(text)]
            if texts:
                yield [Hit(self.agent, row.seq or 0, row.ts, turns.of(row), row.kind, text) for text in texts]


class _Turns:
    """Which turn each row of a block belongs to. It is looked up when it is first asked for."""

    def __init__(self, history: HistoryReader, block: Block, rows: Sequence[BusEvent]) -> None:
        self._history, self._block, self._rows = history, block, rows
        self._starts: list[tuple[int, int | None]] | None = None  # from which number on it is which turn, newest first

    def of(self, row: BusEvent) -> int | None:
        """Return the turn of a row, None between turns or if its start is no longer there."""
        if self._block.turn_id is not None:
            return self._block.turn_id
        if self._starts is None:
            self._starts = self._look()
        return next((turn for first, turn in self._starts if (row.seq or 0) >= first), None)

    def _look(self) -> list[tuple[int, int | None]]:
        start = self._history.turn_start_before(self._block.first_seq)
        turn = None if start is None else _turn_of(start)
        starts: list[tuple[int, int | None]] = [(0, turn)]
        for row in self._rows:
            if row.kind == TurnStart.kind:
                starts.append((row.seq or 0, _turn_of(row)))
            elif row.kind == TurnEnd.kind:
                if starts == [(0, None)]:
                    starts = [(0, _turn_of(row))]  # of a turn whose start was deleted
                starts.append(((row.seq or 0) + 1, None))
        return starts[::-1]


def _turn_of(row: BusEvent) -> int | None:
    try:
        event = row.event
    except (ValueError, TypeError):
        return None
    return event.turn_id if isinstance(event, TurnStart | TurnEnd) else None


class _Calls:
    """The tool calls that answers in a block belong to: mostly of the same block, else shortly before it."""

    def __init__(self, history: HistoryReader, block: Block, rows: Sequence[BusEvent]) -> None:
        self._history, self._block, self._rows = history, block, rows
        self._earlier: Sequence[BusEvent] | None = None

    def completed(self, row: BusEvent, text: Text) -> Text:
        """Return the text of an answer with the tool and the input of its call; any other as it is."""
        if text.part != "output" or text.tool or not text.call:
            return text
        found = self._call(text.call, row)
        return text if found is None else text._replace(tool=found.tool, given=found.given)

    def _call(self, call: str, answer: BusEvent) -> Text | None:
        ident = call.encode()
        for row in chain(self._rows, self._before()):
            if ident in row.payload and row is not answer:
                for text in texts_of(row):
                    if text.part == "call" and text.call == call:
                        return text
        return None

    def _before(self) -> Iterator[BusEvent]:
        if self._earlier is None:
            self._earlier = self._history.before(self._block.first_seq, ANSWERED_ROWS)
        yield from self._earlier


def newest_hits(searches: Sequence[Search], count: int) -> Iterator[Hit]:
    """Yield the newest hits of several searches, `count` of them and the rest of the last event."""
    given = 0
    for hits in heapq.merge(*(search.hits() for search in searches), key=lambda hits: -hits[0].ts):
        yield from hits
        given += len(hits)
        if given >= count:
            return


def where_to_go_on(searches: Sequence[Search], last: Hit | None) -> Place | None:
    """Return where a search goes on; None if everything was searched. `last`: the hit after which it was left."""
    if last is not None:
        return Place(last.seq, last.ts)
    places = [place for search in searches if (place := search.place()) is not None]
    return max(places, key=lambda place: place.ts, default=None)

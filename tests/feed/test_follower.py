"""The follower's state machine: each phase with each input, and that nothing is lost or shown twice whatever comes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, product
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperhive_cli.feed.follower import (
    Batch,
    Closed,
    Events,
    Follower,
    Gap,
    Input,
    Output,
    Page,
    Phase,
    Reset,
    Restarted,
    Snapshot,
    Unreadable,
)
from hyperhive_cli.feed.ring_buffer import RingBuffer, Subscription


class Event(NamedTuple):
    seq: int | None
    ts: int | None = None
    payload: bytes = b"x"


LIVE_ONLY = Event(None)


def events(*numbers: int) -> list[Event]:
    return [Event(seq, 100 + seq) for seq in numbers]


# --- each phase with each input ---


def follower_in(phase: Phase) -> Follower[Event]:
    """Return a follower that was shown the events up to 5; in FILLING the batch 9, 10 waits."""
    if phase is Phase.CHECKING:
        found = Follower[Event](5, 105)
        found.step(Snapshot("a", stored=True, seq=9))
    elif phase is Phase.FILLING:
        found = Follower[Event](5, 105, Phase.LAGGING)
        found.step(Batch(events(9, 10)))
    else:
        found = Follower[Event](5, 105, phase)
    assert (found.phase, found.last, found.ts) == (phase, 5, 105)
    return found


Row = tuple[Phase, Input, Phase, list[Output[Event]], int]
W, R, C, L, G, F = Phase.WAITING, Phase.READING, Phase.CHECKING, Phase.LIVE, Phase.LAGGING, Phase.FILLING
ROWS: list[Row] = [
    (W, Snapshot("a", stored=True, seq=9), C, [], 5),
    (W, Snapshot(None, stored=True, seq=9), C, [], 5),
    (W, Snapshot("a", stored=False, seq=9), L, [], 5),
    (W, Snapshot("a", stored=False, seq=4), W, [Reset(0)], 0),
    (R, Snapshot("a", stored=True, seq=9), C, [], 5),
    (R, Snapshot(None, stored=True, seq=9), C, [], 5),
    (R, Snapshot("a", stored=False, seq=9), L, [], 5),
    (R, Snapshot("a", stored=False, seq=4), W, [Reset(0)], 0),
    (R, Page(events(6, 7), 7), R, [Events(events(6, 7))], 7),
    (R, Page(events(6), 8), R, [Events(events(6))], 8),
    (R, Page([], 5), W, [], 5),
    (R, Page([], 5, oldest=1, newest=5), W, [], 5),
    (R, Page(events(8), 8, oldest=8, newest=8), R, [Gap(7, 2), Events(events(8))], 8),
    (R, Page([], 5, oldest=None, newest=8), R, [Gap(8, 3)], 8),
    (R, Page(events(1, 2), 2, is_held=False), R, [Reset(0, 5)], 0),
    (W, Closed(), R, [], 5),
    (R, Unreadable(), W, [], 5),
    (C, Page([], 5), L, [], 5),
    (C, Page(events(6), 6, is_held=False), R, [Reset(0, 5)], 0),
    (C, Unreadable(), L, [], 5),
    (C, Closed(), R, [], 5),
    (L, Batch(events(6, 7)), L, [Events(events(6, 7))], 7),
    (L, Batch([LIVE_ONLY, *events(5, 6), LIVE_ONLY]), L, [Events([LIVE_ONLY, *events(6), LIVE_ONLY])], 6),
    (L, Batch(events(4, 5)), L, [], 5),
    (L, Batch(events(8)), L, [Events(events(8))], 8),
    (L, Batch(events(8), lagged=True), F, [], 5),
    (L, Closed(), R, [], 5),
    (L, Restarted(7), G, [Reset(0, 7)], 0),
    (G, Batch(events(6)), L, [Events(events(6))], 6),
    (G, Batch(events(4, 5), newest=5), L, [], 5),
    (G, Batch([LIVE_ONLY], newest=None), G, [Events([LIVE_ONLY])], 5),
    (G, Batch(events(8)), F, [], 5),
    (G, Batch([], newest=8), F, [], 5),
    (G, Closed(), R, [], 5),
    (G, Restarted(None), G, [Reset(0)], 0),
    (F, Page(events(6, 7), 7), F, [Events(events(6, 7))], 7),
    (F, Page(events(6, 7, 8, 9), 9), L, [Events(events(6, 7, 8)), Events(events(9, 10))], 10),
    (F, Page(events(6), 8), L, [Events(events(6)), Events(events(9, 10))], 10),
    (F, Page([], 5), L, [Gap(8, 3), Events(events(9, 10))], 10),
    (F, Page(events(8), 8, oldest=8, newest=8), F, [Gap(7, 2)], 7),
    (F, Page([], 5, oldest=None, newest=20), L, [Gap(8, 3), Events(events(9, 10))], 10),
    (F, Page(events(2), 2, oldest=2, newest=3), F, [Reset(1)], 1),
    (F, Page([], 5, oldest=6, newest=4), L, [Gap(8, 3), Events(events(9, 10))], 10),
    (F, Unreadable(), L, [Gap(8, 3), Events(events(9, 10))], 10),
    (F, Restarted(7), G, [Reset(0, 7)], 0),
]


@pytest.mark.parametrize(("phase", "given_", "after", "shown", "last"), ROWS)
def test_a_row_of_the_table(phase: Phase, given_: Input, after: Phase, shown: list[Output[Event]], last: int) -> None:
    follower = follower_in(phase)
    assert (follower.step(given_), follower.phase, follower.last) == (shown, after, last)


INPUTS: dict[type, Input] = {
    Snapshot: Snapshot("a", stored=True, seq=9),
    Page: Page(events(6), 6, is_held=False),
    Unreadable: Unreadable(),
    Batch: Batch(events(6), lagged=True),
    Closed: Closed(),
    Restarted: Restarted(5),
}
EXPECTED = {(row[0], type(row[1])) for row in ROWS}


@pytest.mark.parametrize(("phase", "kind"), [pair for pair in product(Phase, INPUTS) if pair not in EXPECTED])
def test_an_input_that_a_phase_does_not_expect_changes_nothing(phase: Phase, kind: type) -> None:
    follower = follower_in(phase)
    assert follower.step(INPUTS[kind]) == []
    assert (follower.phase, follower.last, follower.ts) == (phase, 5, 105)


def test_the_time_of_the_newest_event_is_known_when_it_was_shown() -> None:
    follower = Follower[Event](phase=Phase.READING)
    times = []
    for page in (Page(events(1, 2), 2), Page(events(3), 4), Page([], 4)):
        follower.step(page)
        times.append((follower.last, follower.ts))
    follower.step(Snapshot("a", stored=True, seq=4))
    follower.step(Page([], 4))
    follower.step(Batch([*events(5), LIVE_ONLY]))
    assert [*times, (follower.last, follower.ts)] == [(2, 102), (4, None), (4, None), (5, 105)]


@pytest.mark.parametrize(("last", "begins"), [(3, True), (6, True), (7, False)])
def test_a_life_that_gets_a_history_goes_on_in_its_numbers(last: int, begins: bool) -> None:
    follower = Follower[Event]()
    follower.step(Snapshot("a", stored=False, seq=9))
    follower.step(Batch(events(*range(1, last + 1))))
    follower.step(Closed())
    assert follower.phase is Phase.WAITING  # there is no history to be read
    shown = follower.step(Snapshot("a", stored=True, seq=9, first_seq=7))
    assert (shown, follower.last) == (([Reset(7)], 7) if begins else ([], last))


# --- a ring and a history ---


class Nobody:
    async def park(self) -> None: ...

    def unpark_all(self) -> None: ...


@dataclass
class RingWorld:
    """A small ring over a history, and a follower as the bus and the web's readers have it."""

    ring: RingBuffer[Event] = field(default_factory=lambda: RingBuffer(4, Nobody()))
    history: dict[int, Event] = field(default_factory=dict)
    unwritten: list[Event] = field(default_factory=list)
    newest: int = 0
    knows_gaps: bool = False
    is_unreadable: bool = False

    def begin(self, since: int) -> None:
        self.since = since
        self.follower = Follower[Event](since, phase=Phase.LAGGING)
        self.subscription = Subscription(self.ring, backlog=True)
        self.shown: list[int] = []
        self.missing: list[int] = []

    def publish(self, amount: int, *, written: bool = True) -> None:
        for _ in range(amount):
            self.newest += 1
            self.unwritten.append(Event(self.newest, 100 + self.newest))
            self.ring.extend([LIVE_ONLY, self.unwritten[-1]])
        if written:  # rows that could not be written wait for the next ones
            self.history |= {event.seq or 0: event for event in self.unwritten}
            self.unwritten = []

    def sweep(self, kept: int) -> None:
        self.history = dict(sorted(self.history.items())[-kept:])

    def move(self, most: int) -> None:
        """Read a page if the follower wants one, else take what is in the ring."""
        if self.follower.phase is Phase.FILLING:
            self.note(self.follower.step(Unreadable() if self.is_unreadable else self.page(most)))
            return
        dropped, taken = self.subscription.take(most)
        newest = self.newest if self.subscription.is_at_end else None
        self.note(self.follower.step(Batch(taken, lagged=dropped > 0, newest=newest)))

    def page(self, most: int) -> Page[Event]:
        found = [event for seq, event in sorted(self.history.items()) if seq > self.follower.last][:most]
        last = found[-1].seq if found else None
        newest = max(self.history, default=0) if self.knows_gaps else None
        bounds = (min(self.history, default=None), max(newest, self.follower.last)) if newest is not None else ()
        return Page(found, last or self.follower.last, *bounds)

    def note(self, shown: list[Output[Event]]) -> None:
        for one in shown:
            match one:
                case Events(found):
                    self.shown += [event.seq for event in found if event.seq is not None]
                case Gap(since, missing):
                    self.missing += range(since - missing + 1, since + 1)
                case Reset():
                    raise AssertionError(one)

    def drain(self) -> None:
        self.is_unreadable = False
        while not self.subscription.is_at_end or self.follower.phase in {Phase.FILLING, Phase.LAGGING}:
            self.move(3)


Move = Callable[[RingWorld], None]
READS = st.integers(1, 5).map(lambda most: lambda world: world.move(most))
WRITES = st.integers(1, 9).map(lambda amount: lambda world: world.publish(amount))
LOSSES = st.one_of(
    st.integers(1, 9).map(lambda amount: lambda world: world.publish(amount, written=False)),
    st.integers(1, 5).map(lambda kept: lambda world: world.sweep(kept)),
    st.booleans().map(lambda value: lambda world: setattr(world, "is_unreadable", value)),
)


def play(moves: Sequence[Move], before: int, since: int, *, knows_gaps: bool) -> RingWorld:
    world = RingWorld(knows_gaps=knows_gaps)
    world.publish(before)
    world.begin(min(since, before))
    for move in moves:
        move(world)
    world.drain()
    return world


@given(st.lists(READS | WRITES), st.integers(0, 12), st.integers(0, 12), st.booleans())
def test_every_event_is_shown_once_in_order(moves: list[Move], before: int, since: int, knows_gaps: bool) -> None:
    world = play(moves, before, since, knows_gaps=knows_gaps)
    assert (world.shown, world.missing) == (list(range(world.since + 1, world.newest + 1)), [])


@given(st.lists(READS | WRITES | LOSSES), st.integers(0, 12), st.integers(0, 12))
def test_what_cannot_be_shown_is_counted(moves: list[Move], before: int, since: int) -> None:
    """Removed rows are told of by a history that knows its bounds; rows that are not written yet, always."""
    world = play(moves, before, since, knows_gaps=True)
    assert world.shown == sorted(set(world.shown))
    assert sorted(world.shown + world.missing) == list(range(world.since + 1, world.newest + 1))


# --- lives and histories that come and go ---


@dataclass
class LivesWorld:
    """An agent whose harness starts, stops and runs without a history, whose files are replaced, and one follower."""

    clock: "count[int]" = field(default_factory=lambda: count(1_000))
    boots: "count[int]" = field(default_factory=count)
    follower: Follower[Event] = field(default_factory=Follower)
    history: list[Event] = field(default_factory=list)
    backup: list[Event] = field(default_factory=list)
    life: Snapshot | None = None
    unwritten: list[Event] = field(default_factory=list)  # of a life without a history
    is_connected: bool = False
    sent: int = 0  # of the events of the life, to the follower
    since: int = 0  # where the follower last started again
    shown: list[Event] = field(default_factory=list)

    # what happens to the agent

    def start(self, *, stored: bool) -> None:
        if self.life is None:
            newest = len(self.history) if stored else 0
            self.life, self.unwritten = Snapshot(f"{next(self.boots)}", stored, newest, newest), []

    def stop(self) -> None:
        self.life = None
        self.close()

    def publish(self, amount: int) -> None:
        """Publish as the harness, or write the history as a harness that the follower never meets."""
        rows = self.rows()
        for _ in range(amount):
            rows.append(Event(len(rows) + 1, next(self.clock)))
        if self.life is not None:
            self.life = self.life._replace(seq=len(rows))

    def rows(self) -> list[Event]:
        return self.history if self.life is None or self.life.stored else self.unwritten

    def restore(self, kept: int | None) -> None:
        if kept is not None:
            self.history = self.backup[:kept]

    # what the follower does

    def connect(self) -> None:
        if self.life is None or self.is_connected:
            return
        asked = self.follower.last
        shown = self.follower.step(self.life)
        if self.follower.phase is Phase.CHECKING:
            shown = self.follower.step(Page([], asked, is_held=self.is_held(self.life.seq)))
        self.note(shown)
        if self.follower.phase is Phase.LIVE:
            self.is_connected, self.sent = True, min(asked, self.life.seq)
        else:
            self.close()

    def is_held(self, newest: int) -> bool:
        last = self.follower.last
        return last <= newest and (last == 0 or self.history[last - 1].ts == self.follower.ts)

    def take(self, most: int) -> None:
        if self.is_connected:
            found = self.rows()[self.sent : self.sent + most]
            self.sent += len(found)
            self.note(self.follower.step(Batch(found)))

    def close(self) -> None:
        self.is_connected = False
        self.follower.step(Closed())

    def read(self, most: int) -> None:
        """Read a page of the file, which is done only while there is no harness to follow."""
        if not self.is_connected and self.follower.phase is Phase.WAITING:
            self.follower.step(Closed())
        if self.follower.phase is Phase.READING:
            found = self.history[self.follower.last : self.follower.last + most]
            is_held = self.is_held(len(self.history))
            self.note(self.follower.step(Page(found, self.follower.last + len(found), is_held=is_held)))

    def note(self, shown: list[Output[Event]]) -> None:
        for one in shown:
            match one:
                case Events(found):
                    self.shown += found
                case Reset(since):
                    self.since, self.shown = since, []
                case Gap():
                    raise AssertionError(one)

    def drain(self) -> None:
        for _ in range(4):  # it is checked, starts again, and is asked again
            self.connect()
        self.take(10**6)
        while self.life is None and (self.follower.is_in_history or self.follower.phase is Phase.READING):
            self.read(5)
            if self.follower.phase is Phase.WAITING:
                break


class Episode(NamedTuple):
    """What happens in a row: files are replaced, a harness runs or none, and the follower looks now and then.

    `stored`: whether the harness has a history, None if none runs; the numbers are of events.
    """

    saves: bool
    restored: int | None
    stored: bool | None
    connects: tuple[bool, bool]
    published: tuple[int, int, int]
    taken: int
    read: int

    def play(self, world: LivesWorld) -> None:
        world.restore(self.restored)
        if self.saves:
            world.backup = list(world.history)
        if self.stored is not None:
            world.start(stored=self.stored)
        for connects, published in zip((*self.connects, False), self.published, strict=True):
            world.publish(published)
            if connects:
                world.connect()
            world.take(self.taken)
        world.read(self.read)
        world.read(self.read)


FEW = st.integers(0, 4)
EPISODES = st.builds(
    Episode,
    saves=st.booleans(),
    restored=st.none() | FEW,
    stored=st.none() | st.booleans(),
    connects=st.tuples(st.booleans(), st.booleans()),
    published=st.tuples(FEW, FEW, FEW),
    taken=FEW,
    read=FEW,
)


@settings(max_examples=300)
@given(st.lists(EPISODES, max_size=5))
def test_after_the_last_reset_everything_is_shown_once_in_order(episodes: list[Episode]) -> None:
    world = LivesWorld()
    for episode in episodes:
        world.stop()
        episode.play(world)
    world.drain()
    if world.life is not None or world.follower.is_in_history:
        assert world.shown == world.rows()[world.since :]
    numbers = [event.seq for event in world.shown]
    assert numbers == list(range(world.since + 1, world.since + 1 + len(numbers)))

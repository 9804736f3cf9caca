"""`Follower`: the state machine of every reader of a feed. Pure: `step` takes an input and returns what to show.

A feed has a history, which is read in pages, and a live source, which sends what happens from now on. The phase tells
the owner of a follower what to do next. The table at the end of the class says which inputs may come of it.

  WAITING    wait a moment, then look for a live source
  READING    read the history after `last`, or look for a live source
  CHECKING   read the history after `last`: does the life that was met write the same history?
  LIVE       take what the source sends
  LAGGING    the same, but events may be missing before it
  FILLING    read the history up to the batch that waits

Rules:
  1. Every event is shown once, in the order of the numbers. `last` is the newest one shown; numbers up to it are
     dropped. Events without a number exist only live, and are shown as they come.
  2. Events that are missing before a live one are read from the history. What it does not hold either is a `Gap`.
  3. An event is known by its number and its time: after a backup is restored, or a new history is started, the same
     number is another event. Each life of a harness (`boot`) may write another history, so when a new one is met,
     `last` is looked up. If it is not there, a `Reset` says that everything shown is void, and the new history follows.
  4. Without a history each life counts from 1, so that another life is a `Reset`. A life that gets a history goes on in
     its numbers, from where that life started.

The owners are `Bus.follow` (inside the harness), `AgentFeed` (files and control socket), `HiveFeed` (PostgreSQL), and
in the web panel `Channel` (one for each agent) and `Reader` (one for each browser).
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar


class Numbered(Protocol):
    """An event in the form that an owner uses. `seq`: None if it is live only; `ts`: Unix ms, None if not known."""

    @property
    def seq(self) -> int | None: ...  # noqa: D102
    @property
    def ts(self) -> int | None: ...  # noqa: D102


T = TypeVar("T", bound=Numbered)


class Phase(Enum):
    """What the owner of a follower does next, as above."""

    WAITING = "waiting"
    READING = "reading"
    CHECKING = "checking"
    LIVE = "live"
    LAGGING = "lagging"
    FILLING = "filling"

    __hash__ = object.__hash__  # Enum's own, in Python, would be a tenth of what an event costs


# --- inputs ---


class Snapshot(NamedTuple):
    """A live source was found. `seq`: the newest number given in it; `first_seq`: where its own life started."""

    boot: str | None  # None: not known
    stored: bool
    seq: int
    first_seq: int = 0

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Snapshot":
        """Read what a harness says of itself (`Bus.snapshot`)."""
        return cls(fields["boot"], bool(fields["stored"]), int(fields["seq"]), int(fields["first_seq"]))


class Page(NamedTuple, Generic[T]):
    """Events of the history after a number, oldest first, and the last number looked at: that number if none is left.

    `oldest` and `newest`: of the whole history; None if events that were removed are not reported. `is_held`: the
    history holds the event with the number asked for, and not another one.
    """

    events: Sequence[T]
    last: int
    oldest: int | None = None
    newest: int | None = None
    is_held: bool = True

    def start(self, since: int) -> int:
        """Return the number after which a reader at `since` finds events: higher if rows were removed."""
        if self.newest is None or since >= self.newest:
            return since
        return self.newest if self.oldest is None else max(since, self.oldest - 1)

    def lacks(self, since: int) -> bool:
        """Return True if events that followed `since` were removed, or belong to another history."""
        is_beyond = self.newest is not None and since > self.newest
        return self.start(since) > since or is_beyond or not self.is_held


class Unreadable(NamedTuple):
    """The history cannot be read, or not trusted, at the moment."""


class Batch(NamedTuple, Generic[T]):
    """Events from the live source. `lagged`: some may be missing before them.

    `newest`: the newest number that the source has given, if this batch is the last one so far.
    """

    events: Sequence[T]
    lagged: bool = False
    newest: int | None = None


class Closed(NamedTuple):
    """The live source went away, or there is none."""


class Restarted(NamedTuple):
    """The live source started again: it is a follower itself, and had a `Reset`."""

    replaced: int | None


Input = Snapshot | Page[Any] | Unreadable | Batch[Any] | Closed | Restarted

# --- outputs ---


class Events(NamedTuple, Generic[T]):
    """Show these."""

    events: list[T]


class Gap(NamedTuple):
    """So many events, up to number `since`, cannot be shown."""

    since: int
    missing: int


class Reset(NamedTuple):
    """Everything shown is void; what follows is everything after `since`.

    `replaced`: the number that the history does not hold, None if another life simply counts from `since`.
    """

    since: int
    replaced: int | None = None


Output = Events[T] | Gap | Reset


class Follower(Generic[T]):
    """One reader of a feed: the newest event that it was shown, by number and time, and what it does next."""

    def __init__(self, last: int = 0, ts: int | None = None, phase: Phase = Phase.WAITING) -> None:
        self.last = last
        self.phase = phase
        self._ts = ts
        self._newest: T | None = None  # the event `last`, if it was shown: its time is read only when it is needed
        self._boot: str | None = None
        self._stored: bool | None = None  # whether the numbers are those of the history; None: not known
        self._met: Snapshot | None = None  # while it is checked
        self._target = 0  # of filling
        self._waiting: Sequence[T] = ()  # the batch that comes after it

    def step(self, given: Input) -> list[Output[T]]:
        """Take an input and return what to show, in order; an input that the phase does not expect changes nothing."""
        rule = self._rules.get((self.phase, type(given)))
        return [] if rule is None else rule(self, given)

    def move(self, last: int, ts: int | None = None) -> None:
        """Go on after this event, without showing anything."""
        self.last, self._ts, self._newest = last, ts, None

    @property
    def ts(self) -> int | None:
        """The time of the newest event shown (Unix ms), None if it is not known."""
        return self._ts if self._newest is None else self._newest.ts

    @property
    def is_in_history(self) -> bool:
        """Return True if the numbers seen are those of the history; also before any were seen."""
        return self._stored is not False

    # --- meeting a live source ---

    def _meet(self, found: Snapshot) -> list[Output[T]]:
        is_known = found.boot is not None and found.boot == self._boot  # one life never gives a number twice
        if self.last > 0 and self.is_in_history and found.stored and not is_known:
            self._met, self.phase = found, Phase.CHECKING
            return []
        return self._join(found)

    def _check(self, found: Page[T] | Unreadable) -> list[Output[T]]:
        assert self._met is not None  # noqa: S101 - the phase says so
        is_held = found.is_held if isinstance(found, Page) else self.last <= self._met.seq
        return self._join(self._met) if is_held else self._replaced()

    def _join(self, found: Snapshot) -> list[Output[T]]:
        is_another = self._boot is not None and self._boot != found.boot
        was_stored = self._stored
        self._boot, self._stored = found.boot, found.stored
        if found.stored:
            is_afresh = was_stored is False and (is_another or self.last < found.first_seq)
        else:
            is_afresh = is_another or was_stored is True or self.last > found.seq
        if is_afresh:
            self.move(found.first_seq if found.stored else 0)
            self.phase = Phase.WAITING  # the source is to be asked again, from there
            return [Reset(self.last)]
        self.phase = Phase.LIVE
        return []

    def _replaced(self) -> list[Output[T]]:
        void = self.last
        self.move(0)
        self.phase = Phase.READING
        return [Reset(0, void)]

    # --- without one ---

    def _close(self, _: Closed) -> list[Output[T]]:
        self.phase = Phase.READING if self.is_in_history else Phase.WAITING
        return []

    def _read(self, page: Page[T]) -> list[Output[T]]:
        if not page.is_held:
            return self._replaced()
        before, start = self.last, page.start(self.last)
        shown: list[Output[T]] = []
        if start > before:
            self.move(start)
            shown.append(Gap(start, start - before))
        shown += self._show_page(page, page.last)
        if self.last > before:
            self._stored = True
        else:
            self.phase = Phase.WAITING
        return shown

    def _wait(self, _: Unreadable) -> list[Output[T]]:
        self.phase = Phase.WAITING
        return []

    # --- with one ---

    def _take(self, batch: Batch[T]) -> list[Output[T]]:
        return self._look_for_gap(batch) if batch.lagged else self._show(batch.events)

    def _look_for_gap(self, batch: Batch[T]) -> list[Output[T]]:
        first = next((event.seq for event in batch.events if event.seq is not None and event.seq > self.last), None)
        upto = batch.newest if first is None else first - 1
        if upto is not None and upto > self.last:
            self._target, self._waiting, self.phase = upto, batch.events, Phase.FILLING
            return []
        self.phase = Phase.LAGGING if upto is None else Phase.LIVE
        return self._show(batch.events)

    def _fill(self, found: Page[T] | Unreadable) -> list[Output[T]]:
        if isinstance(found, Page) and found.lacks(self.last):
            return self._skip(self._target if found.oldest is None else min(self._target, found.oldest - 1))
        if isinstance(found, Unreadable) or found.last <= self.last:
            return self._skip(self._target)
        return [*self._show_page(found, self._target), *self._go_on()]

    def _skip(self, since: int) -> list[Output[T]]:
        """Go on after a number up to which there is nothing to show; if it is before `last`, everything is void."""
        missing = since - self.last
        if missing == 0:  # the same page would be read forever
            since, missing = self._target, self._target - self.last
        self.move(since)
        return [Gap(since, missing) if missing > 0 else Reset(since), *self._go_on()]

    def _go_on(self) -> list[Output[T]]:
        """Show the batch that waits, once everything before it was shown."""
        if self.last < self._target:
            return []
        waiting, self._waiting, self.phase = self._waiting, (), Phase.LIVE
        return self._show(waiting)

    def _restart(self, source: Restarted) -> list[Output[T]]:
        self.move(0)
        self._waiting, self.phase = (), Phase.LAGGING
        return [Reset(0, source.replaced)]

    # --- showing ---

    def _show(self, events: Sequence[T]) -> list[Output[T]]:
        last = self.last
        new = [event for event in events if event.seq is None or event.seq > last]
        for event in reversed(new):
            if event.seq is not None:
                self.last, self._newest = event.seq, event
                break
        return [Events(new)] if new else []

    def _show_page(self, page: Page[T], upto: int) -> list[Output[T]]:
        new = [event for event in page.events if event.seq is not None and self.last < event.seq <= upto]
        last = min(page.last, upto)
        if last > self.last:  # rows that cannot be read are left out, also the last one
            self.move(last, new[-1].ts if new and new[-1].seq == last else None)
        return [Events(new)] if new else []

    _rules: ClassVar[Mapping[tuple[Phase, type], Callable[["Follower[Any]", Any], list[Output[Any]]]]] = {
        (Phase.WAITING, Snapshot): _meet,
        (Phase.WAITING, Closed): _close,
        (Phase.READING, Snapshot): _meet,
        (Phase.READING, Page): _read,
        (Phase.READING, Unreadable): _wait,
        (Phase.CHECKING, Page): _check,
        (Phase.CHECKING, Unreadable): _check,
        (Phase.CHECKING, Closed): _close,
        (Phase.LIVE, Batch): _take,
        (Phase.LIVE, Closed): _close,
        (Phase.LIVE, Restarted): _restart,
        (Phase.LAGGING, Batch): _look_for_gap,
        (Phase.LAGGING, Closed): _close,
        (Phase.LAGGING, Restarted): _restart,
        (Phase.FILLING, Page): _fill,
        (Phase.FILLING, Unreadable): _fill,
        (Phase.FILLING, Restarted): _restart,
    }

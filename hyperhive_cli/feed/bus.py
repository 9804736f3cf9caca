"""`Bus`: records an event, then hands it to every subscriber; holds model, usage, turn state, tool counts.

Durable before visible: `publish` commits to the store first. It never blocks on a reader: the bus keeps one
ring of the newest records and each subscriber a cursor; one that falls out of the ring is told so and
re-reads the store. Everything here runs on one trio thread.
"""

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import trio

from hyperhive_cli.claude.stream import session_id_of, tool_names
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import (
    BusEvent,
    LiveEvent,
    ModelChanged,
    Note,
    StatusChanged,
    Stream,
    TokenUsageChanged,
    TurnStateChanged,
)
from hyperhive_cli.core.settings import DEFAULT_MODEL, RING_CAPACITY
from hyperhive_cli.core.status import Status, StatusInputs, TurnState, status_of
from hyperhive_cli.core.usage import TokenUsage, context_of
from hyperhive_cli.feed.ring_buffer import RingBuffer, Subscription
from hyperhive_cli.store.events import EventStore
from hyperhive_cli.store.model import load_model, read_model, write_model

# A history that cannot be written is not tried again with each event: a lock that somebody holds costs
# BUSY_S of the loop's time, and the rows that wait are inserted anew each time.
RETRY_S = 1.0
_OBSERVED = ("assistant", "system")  # all other lines say nothing of what the bus holds
NOTE_LIMIT_CHARS = 8_000  # twice the longest reason of a failure
PAGE_ROWS = 200  # one read of the store: its own short transaction, well under a millisecond


class Facts(Protocol):
    """Where the bus keeps what must survive a restart: the inbox."""

    def fact(self, name: str) -> str | None:
        """Give a fact, None when it was never set."""

    def put_facts(self, **facts: str) -> None:
        """Set facts, durably."""


class Bus:
    """The live feed of one harness life (`boot`). Without a store `seq` counts from 1 in this life alone."""

    def __init__(
        self,
        store: EventStore | None = None,
        *,
        model_file: Path | None = None,
        facts: Facts | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.boot = uuid4().hex
        self.standing = StatusInputs()
        self._shown = status_of(self.standing)
        self.state = TurnState.IDLE
        self.since_unix = int(now())
        self.usage = TokenUsage()
        self.context_tokens: int | None = None
        self.context_window: int | None = None
        self.model = DEFAULT_MODEL if model_file is None else read_model(model_file)
        self.current_seq = 0 if store is None else store.last_seq()
        self.first_seq = self.current_seq  # where this life, or its history, began
        self._store = store
        self._failed_at: float | None = None  # when the store was last tried in vain
        self._model_file = model_file
        self._model_trouble: str | None = None  # why the choice of model cannot be read, as it was said
        self._facts = facts
        self._now = now
        self._tool_calls: Counter[str] = Counter()
        self._ring = RingBuffer[BusEvent](RING_CAPACITY, trio.lowlevel.ParkingLot())

    def publish(self, *events: LiveEvent) -> None:
        """Record events in one commit, then show them; partial lines are neither numbered nor kept."""
        ts = self.now_ms()
        records = [BusEvent.make(self._next_seq(event), ts, event) for event in events]
        remark = None if self._store is None else self._record(self._store, records)
        self._ring.extend(records)
        if remark is not None:
            self.publish(remark)

    def note(self, text: str, level: str = "info", source: str = "harness", *, attention: bool = False) -> None:
        """Publish a remark, cut to NOTE_LIMIT_CHARS; with `attention` a person should hear of it."""
        if len(text) > NOTE_LIMIT_CHARS:  # it may quote what claude, a server or a database said
            text = f"{text[: NOTE_LIMIT_CHARS - 1]}…"
        self.publish(Note(text=text, level=level, source=source, attention=attention))

    def _next_seq(self, event: LiveEvent) -> int | None:
        if isinstance(event, Stream) and event.is_partial:
            return None
        self.current_seq += 1
        return self.current_seq

    def _record(self, store: EventStore, records: list[BusEvent]) -> Note | None:
        """Write records, and give the remark (to follow them) when that fails for the first time, or works again."""
        if self._failed_at is not None and abs(self._now() - self._failed_at) < RETRY_S:
            store.put_off(records)
            return None
        return self._remark(store, store.append(records))

    def _remark(self, store: EventStore, failure: str | None) -> Note | None:
        """Keep in mind whether the store works, and give the remark when that changes."""
        was_failing, self._failed_at = self._failed_at is not None, None if failure is None else self._now()
        if failure is not None and not was_failing:
            return Note(text=f"the history cannot be written, going on without it: {failure}", level="warning")
        if failure is None and was_failing:
            lost, store.lost = store.lost, 0
            return Note(text=f"the history is written again; {lost} events are missing from it")
        return None

    def check_history(self) -> None:
        """Find the history again where its file was removed or replaced, and write the rows that wait."""
        store = self._store
        if store is None:
            return
        found, failure = None, None
        try:
            found = store.check_place(self.current_seq)
            if found is not None:
                self.current_seq = max(self.current_seq, store.last_seq())
            if store.unsaved:
                failure = store.append([])
        except StoreError as error:
            failure = error.message
        remarks = [Note(text=found, level="warning")] if found is not None else []
        remark = self._remark(store, failure)
        self.publish(*remarks, *([] if remark is None else [remark]))

    def holds(self, seq: int, ts: int | None) -> bool:
        """Return whether the history holds the event that had this number at this time (`EventStore.holds`)."""
        if self._store is None:
            return seq == 0
        try:
            return self._store.holds(seq, ts, self.current_seq)
        except StoreError:
            return seq <= self.current_seq

    def attach(self, store: EventStore) -> None:
        """Go on with a history that could not be opened when this life began; what came until now is not in it.

        Numbers go on above both: above what was shown, and above what the history holds. Raises StoreError.
        """
        missing, newest = self.current_seq, store.last_seq()
        self.current_seq = self.first_seq = max(missing, newest)
        self._store = store
        self.note(f"the history is written from now on; {missing} events of this life are missing from it")

    async def settle(self) -> None:
        """Let whoever floods the history wait where its log, or what it holds beyond its capacity, has grown too long.

        The log is copied in a thread, on the loop it would hold up all else (measured: 30 ms at a time). Most of it
        is copied beside the writer; for the rest nobody may write, or no log ever begins anew (it grew to 373 MB).
        """
        if self._store is None or self._store.log is None or not self._store.log.checkpoint_if_due():
            return
        await self._store.log.finish(trio.to_thread.run_sync)
        if self._store.is_crowded:
            await self.sweep()

    async def sweep(self) -> None:
        """Delete what the history holds beyond its capacity, in steps that hold nobody up."""
        while self._store is not None and self._failed_at is None:
            try:
                if not self._store.sweep():
                    self._store.unswept_bytes = 0
                    return
            except StoreError as error:
                self.note(error.message, "warning")
                return
            await trio.lowlevel.checkpoint()

    def now_ms(self) -> int:
        """Give the time as events are stamped with it, Unix milliseconds."""
        return int(self._now() * 1000)

    # --- what the bus holds ---

    def restore(self, context_tokens: str | None, context_window: str | None) -> None:
        """Take over what an earlier life knew of the context, as facts: silent, since nothing changes."""
        self.context_tokens = int(context_tokens) if context_tokens else None
        self.context_window = int(context_window) if context_window else None

    def set_state(self, state: TurnState) -> None:
        """Change the turn state, remembering since when; silent when nothing changes."""
        if state is not self.state:
            self.state, self.since_unix = state, int(self._now())
            self.publish(TurnStateChanged(state=state.value, since_unix=self.since_unix))

    def know(self, **fields: Any) -> None:  # noqa: ANN401 - those of StatusInputs
        """Set what one owner knows, by the fields of `StatusInputs`; publish the status if it changes."""
        self.standing = replace(self.standing, **fields)
        before, self._shown = self._shown, status_of(self.standing)
        if self._shown != before:
            self.publish(StatusChanged(**self._shown._asdict()))

    @property
    def status(self) -> Status:
        """The agent's status, as it follows from what every owner knows."""
        return self._shown.status

    @property
    def waits_until(self) -> int | None:
        """When the status ends by itself, Unix s; None: it does not, or that is not known."""
        return self._shown.until_unix

    def set_model(self, model: str) -> None:
        """Store the choice of model and announce it; raises StoreError when it cannot be stored."""
        if self._model_file is not None:
            write_model(self._model_file, model)
        self.model = model
        self.publish(ModelChanged(model=model))

    def refresh_model(self) -> str:
        """Read the choice of model again, announce it if somebody changed the file, and give it."""
        model = self.model if self._model_file is None else self._load_model(self._model_file)
        if model != self.model:
            self.model = model
            self.publish(ModelChanged(model=model))
        return model

    def _load_model(self, path: Path) -> str:
        """Read the choice; while it is unreadable, which is said once, the last one stands."""
        try:
            model, trouble = load_model(path), None
        except StoreError as error:
            model, trouble = self.model, error.message
        if trouble is not None and trouble != self._model_trouble:
            self.note(f"{trouble}; going on with {model}", "warning")
        self._model_trouble = trouble
        return model

    def record_usage(self, usage: TokenUsage, context_tokens: int | None, context_window: int | None) -> None:
        """Announce the tokens of a turn and the size of the context it left (None: as it was)."""
        self.usage = usage
        self.context_tokens = context_tokens if context_tokens is not None else self.context_tokens
        self.context_window = context_window or self.context_window
        self.publish(
            TokenUsageChanged(usage=usage, context_tokens=self.context_tokens, context_window=self.context_window)
        )

    def observe_stream(self, line: Mapping[str, Any]) -> None:
        """Take from a line of claude what the bus holds: tool calls, the context's size, the session."""
        if line.get("type") not in _OBSERVED:
            return
        for name in tool_names(line):
            self._tool_calls[name] += 1
        after_compaction = line.get("subtype") == "compact_boundary"  # which may not say how large it is
        self.context_tokens = context_of(line) or (None if after_compaction else self.context_tokens)
        if line.get("subtype") == "init":
            self._remember_session(session_id_of(line))

    def _remember_session(self, session_id: str | None) -> None:
        """Keep a new conversation's id at once: a harness that is killed in this turn goes on in it.

        Only where none is known: a claude that takes another one than was asked for must not have its way.
        """
        if self._facts is not None and session_id is not None:
            with suppress(StoreError):  # the end of the turn writes it again, and says what is wrong
                if not self._facts.fact("session_id"):  # a known one is what claude was asked to resume
                    self._facts.put_facts(session_id=session_id, session_cost_usd="", session_tokens="")

    def take_tool_calls(self) -> dict[str, int]:
        """Give the tool calls since the last take, by name, and start again at none."""
        taken, self._tool_calls = dict(self._tool_calls), Counter()
        return taken

    def request_new_session(self) -> None:
        """Let the next turn start a fresh conversation; asked twice before that turn, it counts once."""
        if self._facts is not None:
            self._facts.put_facts(skip_continue="1")

    def take_skip_continue(self) -> bool:
        """Say whether a fresh conversation was asked for, and forget it together with the old session."""
        if self._facts is None or self._facts.fact("skip_continue") != "1":
            return False
        self._facts.put_facts(
            skip_continue="", session_id="", session_cost_usd="", session_tokens="", context_tokens=""
        )
        self.context_tokens = None
        return True

    def snapshot(self) -> dict[str, Any]:
        """Give what the bus holds; events with a greater `seq` are not yet in it."""
        return {
            "boot": self.boot,
            "stored": self._store is not None,
            "seq": self.current_seq,
            "first_seq": self.first_seq,
            "status": self.status,
            "waits_until": self.waits_until,
            "why": self._shown.why,
            "state": self.state.value,
            "since_unix": self.since_unix,
            "model": self.model,
            "usage": self.usage.to_dict(),
            "context_tokens": self.context_tokens,
            "context_window": self.context_window,
        }

    # --- readers ---

    def subscribe(self) -> Subscription[BusEvent]:
        """Begin to read: only what is published from now on."""
        return Subscription(self._ring)

    async def follow(self, since: int | None = None) -> AsyncGenerator[list[BusEvent], None]:
        """Give the events after `since` (None: after now) in batches, from the store and then live.

        Without gap or double; partial lines come only live. Where a slow reader's missing events cannot be
        re-read, an unnumbered note says how many. Ends when the bus is closed and all was given.
        """
        subscription, upto = self.subscribe(), self.current_seq
        last = upto if since is None else min(since, upto)
        async with aclosing(self._replay(last)) as pages:
            async for batch in pages:
                yield batch
                last = batch[-1].seq or last
        # Without a store the ring is all that can be given of what was before.
        earlier = [record for record in self._ring.records if record.seq and last < record.seq <= upto]
        if earlier:
            for remark in self._gap(last, earlier):
                yield [remark]
            yield earlier
            last = upto
        async with aclosing(subscription.batches()) as taken:
            async for dropped, records in taken:
                if dropped:
                    async with aclosing(self._replay(last)) as pages:
                        async for batch in pages:
                            yield batch
                            last = batch[-1].seq or last
                    for remark in self._gap(last, records):
                        yield [remark]
                fresh = [record for record in records if record.seq is None or record.seq > last]
                if fresh:
                    yield fresh
                    last = max((record.seq for record in fresh if record.seq is not None), default=last)

    async def _replay(self, last: int) -> AsyncGenerator[list[BusEvent], None]:
        """Page through the store from `last` to where the feed stands now."""
        upto = self.current_seq
        while self._store is not None and last < upto:
            try:
                events, looked_at = self._store.since(last, PAGE_ROWS)
            except StoreError:
                return
            if looked_at == last:
                return
            last = looked_at
            if events:
                yield events
            await trio.lowlevel.checkpoint()

    def _gap(self, last: int, records: list[BusEvent]) -> list[BusEvent]:
        """Give an unnumbered note of the events that lie between `last` and these records, if any do."""
        oldest = next((record.seq for record in records if record.seq is not None), self.current_seq + 1)
        if oldest - last <= 1:
            return []
        text = f"{oldest - last - 1} events went by too fast to be shown"
        return [BusEvent.make(None, self.now_ms(), Note(text=text, level="warning"))]

    def close(self) -> None:
        """End the feed: rows that wait are tried once more, readers get what is left, then no more."""
        self.check_history()
        self._ring.close()

"""A model of an inbox, and a machine that makes changes to a real one and to the model, for each of its databases."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.store.messages import Message, View
from hyperhive_cli.store.queue import MessageQueue
from hyperhive_cli.store.schema import PAST

NOW_MS = 1_000
MOMENTS = st.sampled_from([0, 500, 2**44, 2**45])  # past or to come, by the clock of a database too
BODIES = st.text("ab", min_size=1, max_size=3)
ENDS = st.sampled_from(["done", "dead", "held", "ready"])


@dataclass(frozen=True)
class Known:
    """What should be true of a message."""

    body: str
    not_before: int
    state: str = "ready"
    runs: int = 0
    is_edited: bool = False


class QueueMachine(RuleBasedStateMachine):
    """Random changes of an operator, between turns that take messages. A subclass has the database."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, Known] = {}
        self.order: list[int] = []  # of the messages that wait
        self.running: Message | None = None

    # --- the database ---

    queue: MessageQueue

    def lease(self) -> Message | None:
        """Take the message that runs next, at NOW_MS."""
        raise NotImplementedError

    def settle(self, message: Message, state: str) -> None:
        """Let its turn end."""
        raise NotImplementedError

    # --- what happens ---

    @rule(body=BODIES, not_before=MOMENTS)
    def send(self, body: str, not_before: int) -> None:
        number = self.queue.send("operator", body, now_ms=1, not_before=not_before).id
        assert number not in self.known
        self.known[number] = Known(body, not_before)
        self.order.append(number)

    @precondition(lambda self: self.running is None)
    @rule()
    def begin(self) -> None:
        due = [number for number in self.order if self.known[number].not_before <= NOW_MS]
        taken = self.lease()
        assert (None if taken is None else taken.id) == (due[0] if due else None)
        if taken is not None:
            assert taken.body == self.known[taken.id].body  # an accepted edit is never lost
            self.running = taken
            self.order.remove(taken.id)
            self.now(taken.id, state="leased", runs=self.known[taken.id].runs + 1)

    @precondition(lambda self: self.running is not None)
    @rule(state=ENDS)
    def end(self, state: str) -> None:
        taken, self.running = self.running, None
        assert taken is not None
        self.settle(taken, state)
        self.now(taken.id, state=state)
        if state == "ready":
            self.back(taken.id)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), body=BODIES)
    def edit(self, data: st.DataObject, body: str) -> None:
        number = self.any(data)
        may = self.known[number].state == "ready" and not self.known[number].runs
        if self.tried(may, number, lambda: self.queue.edit(number, body, now_ms=7)):
            self.now(number, body=body, is_edited=True)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), not_before=MOMENTS)
    def schedule(self, data: st.DataObject, not_before: int) -> None:
        number = self.any(data)
        may = self.known[number].state == "ready"
        if self.tried(may, number, lambda: self.queue.schedule(number, not_before=not_before, now_ms=7)):
            self.now(number, not_before=not_before)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = self.any(data)
        may = self.known[number].state in {"ready", "held", "cancelled"}
        if self.tried(may, number, lambda: self.queue.cancel(number, now_ms=7)):
            self.now(number, state="cancelled")
            self.order = [one for one in self.order if one != number]

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        number = self.any(data)
        may = self.known[number].state in {"cancelled", "ready"} and not self.known[number].runs
        if self.tried(may, number, lambda: self.queue.restore(number, now_ms=7)):
            self.now(number, state="ready")
            self.back(number)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        number = self.any(data)
        before = data.draw(st.sampled_from([None, *(one for one in self.known if one != number)]))
        may = all(self.known[one].state == "ready" for one in (number, before) if one is not None)
        if self.tried(may, number, lambda: self.queue.move(number, before=before, now_ms=7)):
            self.order.remove(number)
            self.order.insert(len(self.order) if before is None else self.order.index(before), number)

    # --- what holds ---

    @invariant()
    def holds(self) -> None:
        found = {one.id: one for one in self.queue.messages(ended=True)}
        assert {
            number: Known(one.body, one.not_before, one.state, one.deliveries, one.edited is not None)
            for number, one in found.items()
        } == self.known
        assert [one.id for one in self.queue.messages() if one.state == "ready"] == self.order
        past = [number for number in sorted(self.known, reverse=True) if self.known[number].state in PAST]
        assert [one.id for one in self.queue.messages(view=View(past=True))] == past

    def any(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.known)))

    def now(self, number: int, **what: object) -> None:
        self.known[number] = Known(**{**asdict(self.known[number]), **what})

    def back(self, number: int) -> None:
        """A message waits again where it was: among the others, whose order is the same."""
        order = [one.id for one in self.queue.messages() if one.state == "ready"]
        assert [one for one in order if one != number] == [one for one in self.order if one != number]
        self.order = order

    def tried(self, may: bool, number: int, change: Callable[[], Message]) -> bool:
        """Make a change; it must be refused, and nothing else happen, unless it `may` be made."""
        if may:
            assert change().id == number
            return True
        with pytest.raises(RefusedError, match=r"message \d+ (is|has|was) "):
            change()
        return False

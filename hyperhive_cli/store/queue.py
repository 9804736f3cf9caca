"""`MessageQueue`: what senders and operators do with an inbox, written once for SQLite and PostgreSQL. Blocking."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, NamedTuple

from hyperhive_cli.core.errors import RefusedError, UnknownError, UsageError
from hyperhive_cli.store.messages import WHOLE, Message, Sent, View, check_key, check_message, new_uid, sent_before


class Change(NamedTuple):
    """What an operator may ask for: in which states, and the columns that it sets."""

    allowed: tuple[str, ...]
    columns: Mapping[str, object] = MappingProxyType({})
    needs: str = ""  # the allowed state in words, for a refusal
    only_unrun: bool = False  # a message that has run once has been read by claude
    hint: str | None = None  # what to do instead


CANCEL = Change(("ready", "held", "cancelled"), {"state": "cancelled"}, hint="hyperhive cancel")
RETRY = Change(
    ("ready", "held", "dead", "cancelled"),
    {"state": "ready", "attempts": 0, "not_before": 0, "reason": None, "idle": False},
)
MOVE = Change(("ready",), needs="waiting")  # it sets positions in the queue: `new_positions`
EDIT = Change(("ready",), needs="waiting", only_unrun=True, hint="hyperhive send 'the new text'")
SCHEDULE = Change(("ready",), needs="waiting")
RESTORE = Change(
    ("cancelled", "ready"), {"state": "ready"}, "cancelled", only_unrun=True, hint="hyperhive inbox retry {id}"
)
_STATE_WORDS = {"ready": "waiting", "leased": "running"}


def check_change(change: Change, message: Message, where_it_runs: str = "") -> None:
    """Raise RefusedError if the message is in a state that does not allow this change."""
    name, state = f"message {message.id}", _STATE_WORDS.get(message.state, message.state)
    hint = change.hint and change.hint.format(id=message.id)
    if message.state not in change.allowed:
        if change.needs:
            raise RefusedError(f"{name} is not {change.needs}: it is {state}", "hyperhive inbox --all")
        if message.state == "leased":
            raise RefusedError(f"{name} is running", hint and f"{hint}{where_it_runs}")
        raise RefusedError(f"{name} is already {state}")
    if change.only_unrun and message.deliveries:
        raise RefusedError(f"{name} has run already", hint)
    if change is RESTORE and message.reason is not None:  # withdrawn, or handed over: an operator gives no reason
        raise RefusedError(f"{name} was not cancelled by you: {message.reason}", hint)
    if change.columns.get("state") == "ready" and not message.body:
        raise RefusedError(f"the text of {name} is no longer kept", "hyperhive send 'what to do'")


def no_message(message_id: int) -> UnknownError:
    """Return the error for an id that no message has."""
    return UnknownError(f"there is no message {message_id}", "hyperhive inbox --all")


# --- positions in the queue (column `place`): the lowest runs first; a message that was never moved has its id ---


def new_positions(
    waiting: Sequence[tuple[int, float]], message_id: int, before: int | None, newest: int
) -> dict[int, float]:
    """Return the positions that change, by id, when a message is moved before another one, or to the end (None).

    `waiting` are the other waiting messages as (id, position), in order; `newest` is the highest id ever given. If no
    number is left between two neighbours, which takes some 50 moves to one position, all get whole numbers below the
    ids to come.
    """
    order = [number for number, _ in waiting]
    at = len(order) if before is None else order.index(before)
    high = newest + 1 if at == len(order) else waiting[at][1]
    low = waiting[at - 1][1] if at else high - 2
    position = (low + high) / 2
    if low < position < high:
        return {message_id: position}
    order.insert(at, message_id)
    return {number: float(newest - len(order) + behind) for behind, number in enumerate(order, start=1)}


class QueueDatabase(ABC):
    """How a database keeps an agent's messages. Raises StoreError if it fails."""

    def get(self, message_id: int, *, lock: bool = False) -> Message:
        """Return one message, with `lock` unchanged by others until the transaction ends; raises UnknownError."""
        found = self._find("id", message_id, lock=lock)
        if found is None:
            raise no_message(message_id)
        return found

    def with_key(self, key: str) -> Message | None:
        """Return the message with this key, None if there is none."""
        return self._find("key", key)

    @abstractmethod
    def messages(self, *, ended: bool = False, view: View = WHOLE) -> list[Message]:
        """List the messages that wait, run, are held or dead, in the queue's order; with `ended` all of them."""

    @abstractmethod
    def turns(self, message_id: int) -> list[dict[str, Any]]:
        """Return the statistics rows of a message's turns, oldest first."""

    @abstractmethod
    def last_turn(self, message_id: int) -> dict[str, Any] | None:
        """Return the statistics row of a message's newest ended turn, None if there is none."""

    @abstractmethod
    def _sending(self) -> AbstractContextManager[int | None]:
        """Open a transaction in which no one else sends; yields the message's id, None if the database gives it."""

    @abstractmethod
    def _changing(self) -> AbstractContextManager[object]: ...  # a transaction

    @abstractmethod
    def _find(self, column: str, value: object, *, lock: bool = False) -> Message | None: ...  # by a unique column

    @abstractmethod
    def _change(self, message_id: int, now_ms: int, **columns: object) -> None: ...

    @abstractmethod
    def _insert(self, number: int | None, message: Message) -> int: ...  # returns its id

    @abstractmethod
    def _free_keys(self, message: Message) -> None:
        """Before this message is stored, free the keys of messages that ended more than KEY_KEPT_MS ago."""

    @abstractmethod
    def _waiting(self) -> Sequence[tuple[int, float]]: ...  # ids and positions of the waiting messages, in order

    @abstractmethod
    def _newest(self) -> int: ...  # the highest id ever given to a message


class MessageQueue(QueueDatabase):
    """An agent's inbox. Each change is one transaction; raises StoreError if the database fails."""

    where_it_runs = ""  # appended to the hint for a running message

    def send(
        self, sender: str, body: str, *, now_ms: int, key: str | None = None, raw: bool = False, not_before: int = 0,
        idle: bool = False,
    ) -> Sent:  # fmt: skip
        """Store a message durably; if one with this `key` is known, return that one instead.

        It does not run before `not_before` (Unix ms), or if `idle` while too little of the plan is left, and others
        pass it until then. Raises UsageError for an unusable
        message, RefusedError if the message with this key is a different one, cancelled or dead.
        """
        sender, body = check_message(sender, body)
        check_key(key)
        message = Message(
            id=0, key=key, sender=sender, body=body, raw=raw, state="ready", attempts=0, deliveries=0, acted=False,
            not_before=not_before, reason=None, created=now_ms, changed=now_ms, uid=new_uid(), start=not_before,
            idle=idle,
        )  # fmt: skip
        with self._sending() as number:
            return self._store(number, message)

    def _store(self, number: int | None, message: Message) -> Sent:
        """Store a message inside `_sending`, unless one with its key is known; raises as `send`."""
        self._free_keys(message)
        if message.key is not None and (known := self._find("key", message.key)) is not None:
            return sent_before(known, message)
        return Sent(self._insert(number, message), "ready", message.not_before)

    def cancel(self, message_id: int, *, now_ms: int) -> Message:
        """Cancel a message that waits or is held; raises RefusedError for one that runs or has ended."""
        return self._apply(CANCEL, message_id, now_ms)

    def retry(self, message_id: int, *, now_ms: int) -> Message:
        """Make a dead, held, cancelled or waiting message ready now, with fresh attempts; else raise RefusedError.

        One that is idle is so no longer: a person wants it to run.
        """
        return self._apply(RETRY, message_id, now_ms)

    def restore(self, message_id: int, *, now_ms: int) -> Message:
        """Undo a cancel: the message waits again, in its place; raises RefusedError unless it has never run."""
        return self._apply(RESTORE, message_id, now_ms)

    def edit(self, message_id: int, body: str, *, now_ms: int) -> Message:
        """Change the text of a message that waits and has never run; else raises RefusedError.

        Raises UsageError for an unusable text, as `send`.
        """
        _, body = check_message("operator", body)
        return self._apply(EDIT, message_id, now_ms, body=body, edited=now_ms)

    def schedule(self, message_id: int, *, not_before: int, now_ms: int) -> Message:
        """Set the moment (Unix ms; 0: now) before which a waiting message does not run; it keeps its place.

        Raises RefusedError if it does not wait.
        """
        return self._apply(SCHEDULE, message_id, now_ms, not_before=not_before)

    def _apply(self, change: Change, message_id: int, now_ms: int, **columns: object) -> Message:
        with self._changing():
            check_change(change, self.get(message_id, lock=True), self.where_it_runs)
            self._change(message_id, now_ms, **change.columns, **columns)
            return self.get(message_id)

    def move(self, message_id: int, *, before: int | None, now_ms: int) -> Message:
        """Move a waiting message before another waiting one, or to the end of the queue (None).

        Raises RefusedError if one of them does not wait, UsageError for a message before itself.
        """
        if message_id == before:
            raise UsageError(f"message {message_id} cannot be moved before itself", "hyperhive inbox")
        with self._changing():
            for number in {message_id, before}:
                if number is not None:
                    check_change(MOVE, self.get(number, lock=True))
            others = [one for one in self._waiting() if one[0] != message_id]
            for number, position in new_positions(others, message_id, before, self._newest()).items():
                self._change(number, now_ms, place=position)
        return self.get(message_id)

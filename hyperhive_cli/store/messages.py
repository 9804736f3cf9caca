"""A message of an inbox, and the rules of sending it, for SQLite and PostgreSQL alike. Pure.

A message goes `ready → leased → done | dead | held | cancelled`, or back to `ready`. The harness takes and settles it;
what operators may do with it is in the tables of `store.queue`.
"""

import os
from typing import Any, NamedTuple

from hyperhive_cli.core.errors import RefusedError, UsageError
from hyperhive_cli.core.settings import MESSAGE_LIMIT_BYTES, SENDER_LIMIT_CHARS

KEY_KEPT_MS = 7 * 24 * 3600 * 1000  # after its message has ended
STEP_ROWS = 100  # deleted in one step on the event loop: about 4 ms with bodies of 2 KB
IN_ORDER = "coalesce(place, id), id"  # the queue's order, in SQL
TAKEN = "state = 'leased', attempts = attempts + 1, deliveries = deliveries + 1, reason = NULL"  # by a lease, in SQL
HARNESS_DIED = "the harness died during its turn"  # the reason of a message that was leased by an earlier life


class Message(NamedTuple):
    """An entry of the inbox. `attempts` count towards the limit, `deliveries` are all leases so far."""

    id: int
    key: str | None
    sender: str
    body: str
    raw: bool
    state: str
    attempts: int
    deliveries: int
    acted: bool
    not_before: int
    reason: str | None
    created: int
    changed: int
    uid: str  # random, and the same in every copy: in a restored backup and in the hive, where numbers are used again
    start: int | None = None  # as asked for when it was sent; `not_before` changes with it. None: of an earlier release
    edited: int | None = None  # when its text was last changed; None: it is as it was sent
    idle: bool = False  # it runs only on what is left of the plan above the reserve

    @property
    def asked_start(self) -> int:
        """The `not_before` that its sender asked for."""
        return self.not_before if self.start is None else self.start

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that `inbox --json` documents; times are Unix milliseconds."""
        return self._asdict()


COLUMNS = ", ".join(Message._fields)


def new_uid() -> str:
    """Return 128 random bits in hexadecimal."""
    return os.urandom(16).hex()  # importing `uuid` would cost a client command 7 ms


class View(NamedTuple):
    """The part of a list of messages that is wanted: how much of each body, and which of the messages.

    `past`: those that are done or cancelled, newest first, in place of the list.
    """

    body_chars: int = 2**31 - 1
    limit: int = 2**31 - 1
    offset: int = 0
    past: bool = False


WHOLE = View()


class Sent(NamedTuple):
    """An accepted message. `sent_before`: an earlier send with the same key had stored it."""

    id: int
    state: str
    not_before: int
    sent_before: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that `send --json` documents."""
        return self._asdict()

    @property
    def remark(self) -> str | None:
        """What the sender should know about a message that was sent before."""
        return f"message {self.id} was sent before and {_SENT_WORDS[self.state]}" if self.sent_before else None


# --- sending a message ---


def clean(text: str) -> str:
    """Return text that both databases accept: without NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check_message(sender: str, body: str) -> tuple[str, str]:
    """Return sender and body in the form to store; raises UsageError if they are not valid."""
    text = clean(body)
    if not text.strip():
        raise UsageError("a message must not be empty", "hyperhive send 'what to do'")
    size_bytes = len(text.encode())
    if size_bytes > MESSAGE_LIMIT_BYTES:
        raise UsageError(
            f"a message has at most {MESSAGE_LIMIT_BYTES:,} bytes, this one has {size_bytes:,}",
            "put the text into a file of the workspace and name it in the message",
        )
    name = sender.strip()
    if not name or not name.isprintable() or len(name) > SENDER_LIMIT_CHARS:
        raise UsageError(
            f"{sender!r} is not a valid sender name", f"use one line of 1 to {SENDER_LIMIT_CHARS} characters"
        )
    return name, text


def check_key(key: str | None) -> None:
    """Raise UsageError for a text that cannot be a message's key."""
    if key is not None and not (key and key.isprintable()):
        raise UsageError(f"not a valid key: {key!r}", "one line of printable characters")


# --- sending it again ---

_SENT_WORDS = {"ready": "waits", "leased": "is running", "held": "is held", "done": "is done"}  # else it will not run
_OPTIONS = {"sender": "--from", "raw": "--raw", "asked_start": "--at", "idle": "--idle"}


def sent_before(known: Message, asked: Message) -> Sent:
    """Return the message that has the key of this one already.

    Raises RefusedError if it differs from what is sent now, or if it will not run: it is cancelled or dead. Later
    changes do not count: an edited text, another time.
    """
    key = asked.key
    if known.edited is None and known.body != asked.body:
        raise RefusedError(f"the key {key!r} was used for another message ({known.id})", "send it with another --key")
    for field, option in _OPTIONS.items():
        if getattr(known, field) != getattr(asked, field):
            raise RefusedError(
                f"the key {key!r} was used for message {known.id} with a different {option}",
                f"the same {option} as before, or another --key",
            )
    if known.state not in _SENT_WORDS:
        raise RefusedError(
            f"message {known.id} has the key {key!r} and is {known.state}: it will not run",
            f"hyperhive inbox retry {known.id}",
        )
    return Sent(known.id, known.state, known.not_before, sent_before=True)


def stored_before(known: Message, asked: Message) -> Sent:
    """Return the message that has the uid of this one already, in whatever state.

    Raises RefusedError if the one that is stored now is another message.
    """
    is_forgotten = not known.body  # it ended so long ago that its text is no longer kept
    if not is_forgotten and (known.sender, known.body, known.raw) != (asked.sender, asked.body, asked.raw):
        raise RefusedError(f"its uid is taken by another message ({known.id})", "send its text again, as a new message")
    return Sent(known.id, known.state, known.not_before, sent_before=True)

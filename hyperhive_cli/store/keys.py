"""Keys and uids of messages: what storing the same one again means. Pure."""

from typing import Any, NamedTuple

from hyperhive_cli.core.errors import RefusedError, UsageError

_WORDS = {"ready": "waits", "leased": "is running", "held": "is held", "done": "is done"}
_OPTIONS = {"sender": "--from", "raw": "--raw", "not_before": "--at"}


class Content(NamedTuple):
    """What a sender decides about a message; `not_before` in Unix ms."""

    sender: str
    body: str
    raw: bool
    not_before: int


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
        """Return what the sender should know about a message that was sent before."""
        return f"message {self.id} was sent before and {_WORDS[self.state]}" if self.sent_before else None


def check_key(key: str | None) -> None:
    """Raise UsageError for what cannot be a message's key."""
    if key is not None and not (key and key.isprintable()):
        raise UsageError(f"{key!r} is no key", "one line of printable characters")


def sent_before(key: str, message_id: int, state: str, known: Content, asked: Content) -> Sent:
    """Return the message that has the key already.

    Raises RefusedError if it differs from what is sent now, or if it will not run: it was cancelled or is dead.
    """
    if known.body != asked.body:
        raise RefusedError(f"the key {key!r} was used for another message ({message_id})", "send it with another --key")
    for field, option in _OPTIONS.items():
        if getattr(known, field) != getattr(asked, field):
            raise RefusedError(
                f"the key {key!r} was used for message {message_id} with a different {option}",
                f"the same {option} as before, or another --key",
            )
    if state not in _WORDS:
        raise RefusedError(
            f"message {message_id} has the key {key!r} and is {state}: it will not run",
            f"hyperhive inbox retry {message_id}",
        )
    return Sent(message_id, state, known.not_before, sent_before=True)


def stored_before(message_id: int, state: str, known: Content, asked: Content) -> Sent:
    """Return the message that has the uid already, whatever has become of it.

    Raises RefusedError if what is stored now is another message.
    """
    is_forgotten = not known.body  # it ended so long ago that its text is no longer kept
    if not is_forgotten and (known.sender, known.body, known.raw) != (asked.sender, asked.body, asked.raw):
        raise RefusedError(
            f"its uid is taken by another message ({message_id})", "send its text again, as a new message"
        )
    return Sent(message_id, state, known.not_before, sent_before=True)

"""What senders and operators do with an inbox, by name: for the control socket, and where no harness answers. Blocking.

They take the arguments of a request, and the time in Unix ms.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from hyperhive_cli.core.errors import HyperhiveError, UsageError
from hyperhive_cli.core.times import text_to_start
from hyperhive_cli.core.zone import LocalZone, utc_now
from hyperhive_cli.harness.client import AgentClient, LocalClient
from hyperhive_cli.store.messages import Message, Sent, new_uid
from hyperhive_cli.store.queue import MessageQueue

Arguments = Mapping[str, Any]
MessageChange = Callable[[MessageQueue, Arguments, int], Message]


def send(queue: MessageQueue, arguments: Arguments, now_ms: int) -> Mapping[str, Any]:
    """Store a message and return the fields of `send --json`, and a `note` on it."""
    fields, when = _sent_fields(arguments)
    return _sent(queue.send(now_ms=now_ms, **fields), when)


def _sent_fields(arguments: Arguments) -> tuple[dict[str, Any], str | None]:
    """Return the arguments of `MessageQueue.send`, and a remark on the time.

    With a key a moment may have passed: a request that is repeated because its answer was lost must not be refused.
    """
    at, key = arguments.get("at"), arguments.get("key")
    not_before, when = _start(at, is_past_allowed=key is not None)
    sender, body = str(arguments.get("from") or "operator"), str(arguments.get("body", ""))
    named = {"sender": sender, "body": body, "key": None if key is None else str(key)}
    return {**named, "not_before": not_before, "idle": arguments.get("idle") is True}, when


def _sent(sent: Sent, *remarks: str | None) -> Mapping[str, Any]:
    return {**sent.to_dict(), "note": next(filter(None, [sent.remark, *remarks]), None)}


def _start(at: object, *, is_past_allowed: bool = False) -> tuple[int, str | None]:
    text = None if at is None else str(at)
    return text_to_start(text, utc_now(), LocalZone(), is_past_allowed=is_past_allowed)


def _edit(queue: MessageQueue, arguments: Arguments, now_ms: int) -> Message:
    return queue.edit(message_id(arguments), str(arguments.get("body", "")), now_ms=now_ms)


def _move(queue: MessageQueue, arguments: Arguments, now_ms: int) -> Message:
    before = arguments.get("before")
    target = None if before is None else to_message_id(before)
    return queue.move(message_id(arguments), before=target, now_ms=now_ms)


def _schedule(queue: MessageQueue, arguments: Arguments, now_ms: int) -> Message:
    not_before, _ = _start(arguments.get("at"))
    return queue.schedule(message_id(arguments), not_before=not_before, now_ms=now_ms)


def _plain(change: Callable[..., Message], queue: MessageQueue, arguments: Arguments, now_ms: int) -> Message:
    return change(queue, message_id(arguments), now_ms=now_ms)


MESSAGE_CHANGES: Mapping[str, MessageChange] = {
    "inbox_cancel": partial(_plain, MessageQueue.cancel),
    "inbox_retry": partial(_plain, MessageQueue.retry),
    "inbox_restore": partial(_plain, MessageQueue.restore),
    "inbox_edit": _edit,
    "inbox_move": _move,
    "inbox_schedule": _schedule,
}
ENDS_WAIT = "inbox_retry"  # who runs a message again does not want it to wait for a back-off


def change_message(client: AgentClient, op: str, arguments: Arguments) -> Mapping[str, Any]:
    """Change a message through the harness; if none answers, in the inbox itself. Raises as the operation.

    Each change may be made twice, so it does not matter whether a harness that went away has made it.
    """
    reply = client.ask(op, **arguments) if isinstance(client, LocalClient) else None
    if reply is None:
        with client.inbox(message_id(arguments), changes=True) as opened:
            reply = {"message": MESSAGE_CHANGES[op](opened, arguments, _now_ms()).to_dict()}
        with suppress(HyperhiveError):  # the change is made; a harness that has started meanwhile may be told of it
            client.wake(ends_wait=op == ENDS_WAIT)
    return reply


def send_message(client: AgentClient, arguments: Arguments) -> Mapping[str, Any]:
    """Store a message through the harness; if none answers, in the inbox itself. Raises as `send`.

    Both ways have the same key and moment: what a harness stored before it went away is not stored again.
    """
    fields, when = _sent_fields(arguments)
    fields["key"] = new_uid() if fields["key"] is None else fields["key"]
    if isinstance(client, LocalClient):
        moment = datetime.fromtimestamp(fields["not_before"] / 1000, UTC).isoformat() if when else None
        reply = client.ask("send", **{**arguments, "key": fields["key"], "at": moment})
        if reply is not None:
            return reply
    sent, remarks = client.send(now_ms=_now_ms(), raw=False, **fields)
    return _sent(sent, when, *remarks)


def message_id(arguments: Arguments) -> int:
    """Return the argument `id`; raises UsageError."""
    return to_message_id(arguments.get("id"))


def to_message_id(given: object) -> int:
    """Return a message's id; raises UsageError for anything else."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise UsageError(f"not a message's id: {given!r}", "hyperhive inbox")
    return given


def _now_ms() -> int:
    return int(time.time() * 1000)

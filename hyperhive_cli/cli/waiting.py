"""Waiting for the end of a message, for `send --wait`."""

import time
from typing import Any, Protocol

from hyperhive_cli.cli.invocation import try_to_print
from hyperhive_cli.cli.progress import Progress
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.outcomes import MessageState, advice_of, needs_person
from hyperhive_cli.store.messages import Message

WAIT_POLL_S = 0.1
_STATE_WORDS = {"ready": "waits for its turn", "leased": "runs"}
_OVER = {MessageState.DONE, MessageState.DEAD, MessageState.CANCELLED, MessageState.HELD}


class Ends(Protocol):
    """The part of an inbox that shows how a message ends."""

    def get(self, message_id: int) -> Message:
        """Return a message."""

    def last_turn(self, message_id: int) -> dict[str, Any] | None:
        """Return the row of its newest ended turn."""


def wait_for_end(inbox: Ends, message_id: int, timeout: float | None, *, as_json: bool) -> int:
    """Wait for the end of a message and print its result; returns the exit status.

    Raises HyperhiveError for one that did not end well, without `as_json`, and if `timeout` seconds are over.
    """
    with Progress() as progress:
        ended = await_end(inbox, message_id, timeout, progress)
    ok = ended["state"] == MessageState.DONE
    if as_json or ok:
        why = try_to_print(ended if as_json else str(ended["result"] or ""))
        if why is not None:
            raise HyperhiveError(
                f"message {message_id} is {ended['state']}, but its result could not be printed: {why}",
                f"hyperhive inbox show {message_id}",
            )
    else:
        reason = f": {ended['note']}" if ended["note"] else ""
        how = f"ended {ended['outcome'] or ended['state']}"
        if ended["state"] == MessageState.HELD:
            how = f"is held, {ended['outcome']}"
        raise HyperhiveError(f"message {message_id} {how}{reason}", _hint(ended))
    return 0 if ok else 1


def _hint(ended: dict[str, Any]) -> str | None:
    waits = "; the message stays in the inbox" if ended["state"] == MessageState.READY else ""
    return f"{advice_of(ended['outcome'], ended['id'])}{waits}" or None


def await_end(inbox: Ends, message_id: int, timeout: float | None, progress: Progress) -> dict[str, Any]:
    """Wait until the message has ended or is held, or a turn of it has ended with an outcome that needs a person."""
    deadline = None if timeout is None else time.monotonic() + timeout
    before = inbox.last_turn(message_id)
    seen_turn = 0 if before is None or inbox.get(message_id).state != MessageState.READY else before["turn_id"]
    while True:
        message, turn = inbox.get(message_id), inbox.last_turn(message_id)
        is_over = message.state in _OVER
        if turn is not None and turn["turn_id"] > seen_turn and needs_person(turn["outcome"], message.state):
            is_over = True
        if is_over:
            return {
                "id": message_id,
                "state": message.state,
                "outcome": turn and turn["outcome"],
                "note": turn and turn["note"],
                "result": turn and turn["result_text"],
                "cost_usd": turn and turn["cost_usd"],
            }
        if deadline is not None and time.monotonic() > deadline:
            raise HyperhiveError(
                f"message {message_id} is still {message.state} after {timeout:g} s",
                "it stays in the inbox: hyperhive inbox",
            )
        progress.tick(f"message {message_id} {_STATE_WORDS.get(message.state, message.state)}")
        time.sleep(WAIT_POLL_S)

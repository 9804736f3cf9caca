"""The operations of the control socket: one handler for the command line, and for whoever comes later."""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hyperhive_cli.agent.control import AgentControl
from hyperhive_cli.agent.session import request_new_session
from hyperhive_cli.claude.process import owner_of
from hyperhive_cli.control.peer import Peer, child_towards
from hyperhive_cli.core.budget import TURN_LIMITS, positive
from hyperhive_cli.core.errors import RefusedError, UsageError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import check_model_name
from hyperhive_cli.core.times import text_to_start
from hyperhive_cli.core.zone import LocalZone, utc_now
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.harness.login import LoginService
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.messages import Message

Operation = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]

OPEN_TO_TURNS = {"status", "events"}
FOLLOWED = {"login", "login_join"}


def refuse_turns(op: str, peer: Peer | None, panel: int | None = None, state_dir: Path | None = None) -> None:
    """Raise RefusedError where a process that the harness itself has started, however far down, would steer it.

    One that has ended since it asked may have left its connection to a child, and is refused too. Not so the web
    panel's own process, which asks for an operator who has its token, and what works for another agent of this
    process than the one with this state folder: its guard is above it.
    """
    if op in OPEN_TO_TURNS or peer is None or peer.pid == panel:
        return
    child = child_towards(peer.pid, os.getpid())
    if child != 0 and (child is None or owner_of(child) in {None, str(state_dir)}):
        raise RefusedError("a turn may not steer its own harness", "hyperhive run --allow-self-control")


class ControlHandler:
    """Answers what peers ask of a running harness."""

    def __init__(self, bus: Bus, control: AgentControl, inbox: Inbox, desk: LoginService) -> None:
        self._bus = bus
        self._control = control
        self._inbox = inbox
        self._desk = desk
        self._operations: dict[str, Operation] = {
            "status": self._status,
            "may_steer": self._may_steer,
            "wake": self._wake,
            "ring": self._wake,  # the word of older clients, for one more release
            "send": self._send,
            "inbox_cancel": self._inbox_cancel,
            "inbox_retry": self._inbox_retry,
            "pause": self._pause,
            "resume": self._resume,
            "set_model": self._set_model,
            "new_session": self._new_session,
            "compact": self._compact,
            "budget_raise": self._budget_raise,
            "cancel": self._cancel,
            "login": self._login,
            "login_join": self._login_join,
            "login_code": self._login_code,
            "login_cancel": self._login_cancel,
            "logout": self._logout,
        }

    async def handle(self, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out an operation and give the reply's fields; raises HyperhiveError to refuse."""
        operation = self._operations.get(op)
        if operation is None:
            raise UsageError(f"this harness knows no operation {op!r}", "restart it after an upgrade")
        return await operation(arguments)

    async def stay(self, op: str) -> None:
        """Wait for the end of a login that a peer follows; nothing else is stayed for."""
        if op in FOLLOWED:
            await self._desk.follow()

    def snapshot(self) -> Mapping[str, Any]:
        """Give the live part of `status`."""
        return {
            **self._bus.snapshot(),
            "running": True,
            "pid": os.getpid(),
            "session_id": self._inbox.fact("session_id") or None,
            "unread": self._inbox.unread(),
            "held": self._inbox.held(),
            "login": self._desk.detail(),
            **self._control.snapshot(),
        }

    def follow(self, since: int | None) -> AsyncGenerator[list[BusEvent], None]:
        """Give the feed after `since`."""
        return self._bus.follow(since)

    async def _status(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.snapshot()

    async def _may_steer(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer those that the server has let in: a command asks before it writes the files itself."""
        return {}

    async def _wake(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        self._control.wake()
        return {}

    async def _send(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put a message into the inbox; the fields are those of `send`."""
        sender, body = str(arguments.get("from") or "operator"), str(arguments.get("body", ""))
        key, at = arguments.get("key"), arguments.get("at")
        not_before, when = text_to_start(None if at is None else str(at), utc_now(), LocalZone())
        put = partial(
            Inbox.send,
            sender=sender,
            body=body,
            key=None if key is None else str(key),
            not_before=not_before,
            now_ms=self._bus.now_ms(),
        )
        sent = await self._control.change(put)
        return {**sent.to_dict(), "note": sent.remark or when}

    async def _inbox_cancel(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self._change_message(Inbox.cancel, arguments)

    async def _inbox_retry(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        changed = await self._change_message(Inbox.retry, arguments)
        self._control.end_wait_for_message()
        return changed

    async def _change_message(self, change: Callable[..., Message], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        message_id = _to_message_id(arguments.get("id"))
        changed = await self._control.change(partial(change, message_id=message_id, now_ms=self._bus.now_ms()))
        return {"message": changed.to_dict()}

    async def _pause(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._control.pause()
        return {}

    async def _resume(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Go on; with `for_message` only as a message's sake asks for it."""
        is_for_message = arguments.get("for_message") is True
        return {"rested": self._control.end_wait_for_message() if is_for_message else await self._control.resume()}

    async def _set_model(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        model = check_model_name(str(arguments.get("model", "")))
        self._bus.current.set_model(model)
        self._control.wake()  # the claude that waits is another model's
        return {"model": model}

    async def _new_session(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._control.change(request_new_session)
        self._bus.note("the next turn starts a new session")
        return {}

    async def _compact(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        outcome = await self._control.compact()
        return {"outcome": outcome.kind.value, "note": outcome.note, "context_tokens": self._bus.current.context_tokens}

    async def _budget_raise(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = {name: arguments.get(name) for name in ("day_cost", *TURN_LIMITS)}
        limits = {name: _to_limit(name, limit) for name, limit in asked.items() if limit is not None}
        day_cost, named = limits.pop("day_cost", None), arguments.get("message_id")
        if bool(limits) != (named is not None):
            raise UsageError("a turn's limits are raised for one message", "--message ID --tool-calls N")
        raised = await self._control.raise_budget(day_cost, None if named is None else _to_message_id(named), limits)
        return {"budget": self._control.snapshot()["budget"], "turn": None if raised is None else raised._asdict()}

    async def _cancel(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        self._control.cancel()
        return {}

    async def _login(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        self._desk.begin()
        return {"login": self._desk.detail()}

    async def _login_join(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        self._desk.join()
        return {"login": self._desk.detail()}

    async def _login_code(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self._desk.pass_on(str(arguments.get("code", "")))
        return {}

    async def _login_cancel(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._desk.cancel()
        return {}

    async def _logout(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"logout": (await self._desk.log_out()).to_dict()}


def _to_message_id(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool):
        raise UsageError(f"{given!r} is no message's number", "hyperhive inbox")
    return given


def _to_limit(name: str, given: object) -> float:
    if (limit := positive(given)) is None:
        raise UsageError(f"{given!r} is no limit of {name.replace('_', '-')}", "a number above 0")
    return float(limit) if name.endswith("cost") else int(limit)

"""The operations of the control socket: a table of what a running harness does for the command line and others."""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any, NamedTuple

from hyperhive_cli.agent.control import AgentControl
from hyperhive_cli.agent.session import request_new_session
from hyperhive_cli.claude.process import owner_of
from hyperhive_cli.control.peer import Peer, child_towards
from hyperhive_cli.control.server import Consoles
from hyperhive_cli.core.budget import TURN_LIMITS, positive
from hyperhive_cli.core.errors import RefusedError, UsageError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import check_model_name
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.fan_out import Writer
from hyperhive_cli.harness.inbox_operations import ENDS_WAIT, MESSAGE_CHANGES, send, to_message_id
from hyperhive_cli.harness.login import LoginService
from hyperhive_cli.store.forget import forget_result
from hyperhive_cli.store.inbox import Inbox

OPEN_TO_TURNS = {"status", "events"}
FOLLOWED = {"login", "login_join"}


def refuse_turns(op: str, peer: Peer | None, panel: int | None = None, state_dir: Path | None = None) -> None:
    """Raise RefusedError if the peer is a process that the harness itself has started, directly or not.

    - A peer that has exited since it asked is refused too: it may have left its connection to a child.
    - The web panel's process is allowed: it asks for an operator who has its token.
    - What works for another agent of this process is allowed: the guard above it is not of this state folder.
    """
    if op in OPEN_TO_TURNS or peer is None or peer.pid == panel:
        return
    child = child_towards(peer.pid, os.getpid())
    if child != 0 and (child is None or owner_of(child) in {None, str(state_dir)}):
        raise RefusedError("a turn may not steer its own harness", "hyperhive run --allow-self-control")


Arguments = Mapping[str, Any]
Reply = Mapping[str, Any] | None  # the reply's fields; None: it has none
Operation = Callable[["ControlHandler", Arguments], Reply | Awaitable[Reply]]


class ControlHandler(NamedTuple):
    """Answers what peers ask of a running harness, by the parts of it that operations act on."""

    bus: Bus
    control: AgentControl
    inbox: Inbox
    logins: LoginService
    consoles: Consoles

    async def handle(self, op: str, arguments: Arguments) -> Mapping[str, Any]:
        """Carry out an operation and return the reply's fields; raises HyperhiveError to refuse."""
        operation = OPERATIONS.get(op)
        if operation is None:
            raise UsageError(f"this harness does not know the operation {op!r}", "restart it after an upgrade")
        reply = operation(self, arguments)
        return (await reply if isawaitable(reply) else reply) or {}

    async def stay(self, op: str) -> None:
        """Wait for the end of the login that a peer follows; other operations have nothing to wait for."""
        if op in FOLLOWED:
            await self.logins.follow()

    def follow(self, since: int | None, writer: Writer) -> AsyncGenerator[list[BusEvent], None]:
        """Return the feed after `since`."""
        return self.bus.follow(since, writer)

    async def write_to_followers(self) -> None:
        """Write live events to all followers that are up to date."""
        await self.bus.fan_out.run()

    def snapshot(self) -> Mapping[str, Any]:
        """Return the live part of `status`."""
        return {
            **self.bus.snapshot(),
            "running": True,
            "pid": os.getpid(),
            "session_id": self.inbox.fact("session_id") or None,
            "unread": self.inbox.unread(),
            "held": self.inbox.held(),
            "login": self.logins.detail(),
            "consoles": self.consoles.count,
            **self.control.snapshot(),
        }


async def _send(handler: ControlHandler, arguments: Arguments) -> Reply:
    return await handler.control.change(partial(send, arguments=arguments, now_ms=handler.bus.now_ms()))


async def _change_message(op: str, handler: ControlHandler, arguments: Arguments) -> Reply:
    change, now_ms = MESSAGE_CHANGES[op], handler.bus.now_ms()
    changed = await handler.control.change(lambda inbox: change(inbox, arguments, now_ms))
    if op == ENDS_WAIT:
        handler.control.end_wait_for_message()
    return {"message": changed.to_dict()}


async def _resume(handler: ControlHandler, arguments: Arguments) -> Reply:
    """End a pause or a wait; with `for_message` only the waits that a message may cut short."""
    is_for_message = arguments.get("for_message") is True
    return {"rested": handler.control.end_wait_for_message() if is_for_message else await handler.control.resume()}


def _set_model(handler: ControlHandler, arguments: Arguments) -> Reply:
    model = check_model_name(str(arguments.get("model", "")))
    handler.bus.current.set_model(model)
    handler.control.wake()  # a claude that was started in advance has the old model
    return {"model": model}


async def _new_session(handler: ControlHandler, _: Arguments) -> Reply:
    await handler.control.change(request_new_session)
    handler.bus.note("the next turn starts a new session")
    return None


async def _compact(handler: ControlHandler, _: Arguments) -> Reply:
    outcome = await handler.control.compact()
    return {"outcome": outcome.kind.value, "note": outcome.note, "context_tokens": handler.bus.current.context_tokens}


async def _budget_raise(handler: ControlHandler, arguments: Arguments) -> Reply:
    """Raise today's limit, or the limits of one message's turns."""
    asked = {name: arguments.get(name) for name in ("day_cost", *TURN_LIMITS)}
    limits = {name: _to_limit(name, limit) for name, limit in asked.items() if limit is not None}
    day_cost, named = limits.pop("day_cost", None), arguments.get("message_id")
    if bool(limits) != (named is not None):
        raise UsageError("a turn's limits are raised for one message", "--message ID --tool-calls N")
    raised = await handler.control.raise_budget(day_cost, None if named is None else to_message_id(named), limits)
    return {"budget": handler.control.snapshot()["budget"], "turn": None if raised is None else raised._asdict()}


async def _forget(handler: ControlHandler, arguments: Arguments) -> Reply:
    """Remove what a turn has left in the history."""
    turn_id = arguments.get("turn")
    if not isinstance(turn_id, int):
        raise UsageError(f"not a valid turn: {turn_id!r}", "hyperhive history forget --turn ID")
    count = await handler.bus.forget(turn_id)
    await handler.control.change(lambda inbox: forget_result(inbox, turn_id))
    return {"events": count}


def _login(act: Callable[[LoginService], object], handler: ControlHandler, _: Arguments) -> Reply:
    act(handler.logins)
    return {"login": handler.logins.detail()}


async def _logout(handler: ControlHandler, _: Arguments) -> Reply:
    return {"logout": (await handler.logins.log_out()).to_dict()}


def _stop(handler: ControlHandler, arguments: Arguments) -> Reply:
    """Stop the harness after the running turn, or with `now` by interrupting it; with `again` to start it again."""
    handler.control.wants_restart = arguments.get("again") is True
    handler.control.stop(after_turn=arguments.get("now") is not True)
    return None


OPERATIONS: Mapping[str, Operation] = {
    "status": lambda handler, _: handler.snapshot(),
    "may_steer": lambda *_: None,  # the server has admitted the peer: a command asks before it writes files itself
    **dict.fromkeys(
        ("wake", "ring"), lambda handler, _: handler.control.wake()
    ),  # ring: of clients of an earlier release
    "send": _send,
    **{op: partial(_change_message, op) for op in MESSAGE_CHANGES},
    "pause": lambda handler, _: handler.control.pause(),
    "resume": _resume,
    "set_model": _set_model,
    "new_session": _new_session,
    "compact": _compact,
    "budget_raise": _budget_raise,
    "history_forget": _forget,
    "cancel": lambda handler, _: handler.control.cancel(),
    "stop": _stop,
    "login": partial(_login, LoginService.start),
    "login_join": partial(_login, LoginService.under_way),
    "login_code": lambda handler, arguments: handler.logins.pass_on(str(arguments.get("code", ""))),
    "login_cancel": lambda handler, _: handler.logins.cancel(),
    "logout": _logout,
}


def _to_limit(name: str, given: object) -> float:
    if (limit := positive(given)) is None:
        raise UsageError(f"not a valid limit for {name.replace('_', '-')}: {given!r}", "a number above 0")
    return float(limit) if name.endswith("cost") else int(limit)

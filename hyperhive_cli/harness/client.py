"""`LocalClient`: an agent of this machine, as commands and the web panel see it. Blocking.

`hive.client.HiveClient` is the same for an agent of a hive. `AgentClient` is either: mypy checks that one can be asked
everything that the other is asked. Each command imports this module; what it needs beyond core and the state folder is
imported on use: sockets with JSON cost 10 ms, SQLite 11, the events with their parser 20.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.core.settings import ANSWER_LIMIT_S, AgentPaths
from hyperhive_cli.store.folder import find_agents, no_answer, prepare_state_dir, silent_holder, who_holds

if TYPE_CHECKING:
    from hyperhive_cli.core.statistics import EndedTurn
    from hyperhive_cli.hive.client import HiveClient
    from hyperhive_cli.store.inbox import Inbox
    from hyperhive_cli.store.messages import Message, Sent, View
    from hyperhive_cli.store.queue import MessageQueue
    from hyperhive_cli.store.schedules import Schedules

AgentClient: TypeAlias = "LocalClient | HiveClient"
LIST_LIMIT_S = 0.3  # for one of many harnesses that is stopped or stuck: the others must not wait for it


class LocalClient:
    """An agent of this machine, by its files and, while one runs, its harness.

    A context manager as its counterpart; each method opens what it needs. `workspace`: the folder that a message binds
    the agent to.
    """

    def __init__(self, paths: AgentPaths, workspace: Path | None = None) -> None:
        self.agent = paths.agent
        self.paths = paths
        self._workspace = workspace

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @property
    def is_new(self) -> bool:
        """Whether the agent has no inbox yet: its name may be a typing error."""
        return not self.paths.inbox_db.exists()

    # --- its harness ---

    def ask(
        self,
        op: str,
        *,
        limit_s: float | None = None,
        **arguments: Any,  # noqa: ANN401 - JSON values
    ) -> Mapping[str, Any] | None:
        """Ask the harness; None if none runs, or it does not answer within `limit_s` (None: ANSWER_LIMIT_S)."""
        return self._call(op, ANSWER_LIMIT_S if limit_s is None else limit_s, None, arguments)

    def require(
        self,
        op: str,
        *,
        tick: Callable[[], None] | None = None,
        **arguments: Any,  # noqa: ANN401 - JSON values
    ) -> Mapping[str, Any]:
        """Ask the harness and wait as long as it takes, calling `tick` meanwhile.

        Raises NotRunningError if no harness runs, and HyperhiveError if one holds the lock and does not answer; without
        a `tick` also if it is stopped.
        """
        reply = self._call(op, None, tick or partial(_refuse_stopped, self.paths), arguments)
        if reply is None:
            raise no_answer(self.paths)
        return reply

    def _call(
        self, op: str, limit_s: float | None, tick: Callable[[], None] | None, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        if not os.access(self.paths.socket, os.F_OK):
            return None
        from hyperhive_cli.control.client import GoneError, call  # noqa: PLC0415 - sockets and JSON

        try:
            return call(self.paths.socket, op, limit_s=limit_s, tick=tick, **arguments)
        except GoneError:
            return None

    def status(self, *, limit_s: float | None = None) -> dict[str, Any]:
        """Return the fields of `status --json`, from the harness and, for what it does not hold, the files."""
        from hyperhive_cli.store.report import stored_status, with_holder, with_live  # noqa: PLC0415 - statistics

        found = stored_status(self.paths, now_ms=int(time.time() * 1000))
        live = self.ask("status", limit_s=limit_s)
        return with_live(found, live) if live is not None else with_holder(found, self.paths.lock_file)

    def wake(self, *, ends_wait: bool = True) -> None:
        """Say that a message was made ready: a harness that waits goes on (`ends_wait`), unless it is paused."""
        if ends_wait:
            self.ask("resume", for_message=True)
        else:
            self.ask("wake")

    # --- its history and its turns ---

    def has_event(self, seq: int, ts: int) -> bool:
        """Return True if the history holds the event of this number and time, or has swept it."""
        from hyperhive_cli.store.history import open_history  # noqa: PLC0415 - the events' parser

        with open_history(self.paths) as history:
            return history.holds(seq, ts)

    def turns_since(self, since_ms: int) -> "list[EndedTurn]":
        """Return the ended turns that started at this moment or later, oldest first."""
        from hyperhive_cli.store.ended import read_turns  # noqa: PLC0415 - statistics

        return read_turns(self.paths, since_ms)

    def newest_turns(self, count: int) -> "list[EndedTurn]":
        """Return the newest ended turns, oldest first."""
        from hyperhive_cli.store.ended import read_newest_turns  # noqa: PLC0415 - statistics

        return read_newest_turns(self.paths, count)

    def turn(self, named: str) -> dict[str, Any]:
        """Return the fields of `show --json` of a turn, by its id or `last`; raises UnknownError."""
        from hyperhive_cli.store.turns import find_turn, turn_to_dict  # noqa: PLC0415 - the events' parser

        return turn_to_dict(find_turn(self.paths, named))

    # --- its inbox ---

    def messages(self, *, ended: bool, view: "View") -> "list[Message]":
        """List the messages as `MessageQueue.messages`; none of a new agent."""
        if self.is_new:
            return []
        with self._open() as inbox:
            return inbox.messages(ended=ended, view=view)

    @contextmanager
    def inbox(self, message_id: int, *, changes: bool = False) -> "Iterator[MessageQueue]":
        """Open the inbox for this message, to read it or to change it; raises UnknownError if the agent is new."""
        if self.is_new:
            from hyperhive_cli.store.queue import no_message  # noqa: PLC0415 - as the inbox below

            raise no_message(message_id)
        with self._open(changes=changes) as inbox:
            yield inbox

    @contextmanager
    def schedules(self, *, changes: bool = False) -> "Iterator[Schedules]":
        """Open the agent's schedules, to read them or to change them; a change binds the agent to its folder.

        Raises StoreError if the agent is new and nothing should be changed.
        """
        if changes:
            prepare_state_dir(self.paths.state_dir)
        with self._open(changes=changes) as inbox:
            if changes and self._workspace is not None:
                _bind(inbox, self.agent, str(self._workspace))
            yield inbox

    def _open(self, *, changes: bool = False) -> "AbstractContextManager[Inbox]":
        from hyperhive_cli.store.inbox import open_inbox, open_inbox_reader  # noqa: PLC0415 - SQLite costs 11 ms

        return open_inbox(self.paths.inbox_db) if changes else open_inbox_reader(self.paths.inbox_db)

    def ends(self) -> "LocalEnds":
        """Open the inbox to wait for the end of a message."""
        return LocalEnds(self._open)

    def send(
        self, sender: str, body: str, *, now_ms: int, key: str | None, raw: bool, not_before: int, idle: bool = False
    ) -> "tuple[Sent, Iterator[str]]":
        """Store a message durably, whether a harness runs or not.

        Raises AgentConflictError if the agent is bound to another folder than `workspace`. The iterator wakes the
        harness and yields what the sender should know; it raises nothing, because the message is stored.
        """
        is_new = self.is_new
        prepare_state_dir(self.paths.state_dir)
        with self._open(changes=True) as inbox:
            if self._workspace is not None:
                _bind(inbox, self.agent, str(self._workspace))
            sent = inbox.send(sender, body, now_ms=now_ms, key=key, raw=raw, not_before=not_before, idle=idle)
            is_paused = False
            with suppress(StoreError):
                is_paused = inbox.is_paused
        return sent, iter(()) if sent.state != "ready" else self._wake(is_new=is_new, is_paused=is_paused)

    def _wake(self, *, is_new: bool, is_paused: bool) -> Iterator[str]:
        """Wake the harness for a message; if none runs, say so."""
        try:
            reply = self.ask("wake")
        except (HyperhiveError, OSError) as error:
            why = error.message if isinstance(error, HyperhiveError) else str(error)
            yield f"the message is stored, but the harness could not be told of it: {why}"
        else:
            if reply is None:
                yield _words_without_harness(self.paths, is_new=is_new)
        if is_paused:
            yield "the agent is paused; the message waits for `hyperhive resume`"


class LocalEnds:
    """An inbox of this machine; opened again if its files are put back or replaced meanwhile."""

    def __init__(self, open_reader: "Callable[[], AbstractContextManager[Inbox]]") -> None:
        self._open = open_reader
        self._stack = ExitStack()
        self._inbox = self._stack.enter_context(open_reader())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def get(self, message_id: int) -> "Message":
        """Return a message."""
        return self._current().get(message_id)

    def last_turn(self, message_id: int) -> dict[str, Any] | None:
        """Return the row of its newest ended turn."""
        return self._current().last_turn(message_id)

    def _current(self) -> "Inbox":
        if self._inbox.place is not None and not self._inbox.place.is_kept():
            with suppress(StoreError), ExitStack() as stack:  # missing for a moment: the next poll looks again
                self._inbox = stack.enter_context(self._open())
                self._stack.close()
                self._stack = stack.pop_all()
        return self._inbox


def local_statuses(folder: Path) -> "list[tuple[LocalClient, dict[str, Any]]]":
    """Return each agent whose state folder is below this one, with the fields of its `status --json`, by name."""
    clients = map(LocalClient, find_agents(folder))
    return [(client, client.status(limit_s=LIST_LIMIT_S)) for client in clients]


def _words_without_harness(paths: AgentPaths, *, is_new: bool) -> str:
    holder = silent_holder(paths.lock_file)
    if holder is not None:
        return f"{holder.words}; the message waits; try: {holder.advice}"
    agent = f"agent {paths.agent!r} is new" if is_new else "no harness is running"
    return f"{agent}; the message waits for `hyperhive -a {paths.agent} run`"


def _refuse_stopped(paths: AgentPaths) -> None:
    holder = who_holds(paths.lock_file)
    if holder is not None and holder.is_stopped:
        raise HyperhiveError(holder.words, holder.advice)


def _bind(inbox: "Inbox", agent: str, workspace: str) -> None:
    """Bind the agent to its folder; raises AgentConflictError if it is bound to another one."""
    if (bound := inbox.bind(workspace)) != workspace:
        from hyperhive_cli.store.folder import bound_elsewhere  # noqa: PLC0415 - for the error

        raise bound_elsewhere(agent, bound)

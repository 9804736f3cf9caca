"""`SharedAccount`: the waits for a limit or a login that an agent shares with others of its account or its login."""

import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from hyperhive_cli.agent.config import Account
from hyperhive_cli.core.events import BusEvent, StatusChanged
from hyperhive_cli.core.status import Status
from hyperhive_cli.hive.owner_sql import AccountState

STAGGER_S = 5.0  # in which the agents of an account go on, one after the other
# These hide a wait without ending it, so they are not reported.
_HIDING = {Status.PAUSED, Status.NEEDS_LOGIN_IN_PROGRESS, Status.FAILED, Status.INBOX_UNAVAILABLE}


class AccountWait(Protocol):
    """What other agents of the account ask of the agent's loop."""

    def wait_for_account(self, reason: str, until_unix: int | None) -> None:
        """Wait as another agent of the account does, until `until_unix` (None: until that agent goes on)."""

    def stop_waiting_for_account(self, stagger_s: float) -> None:
        """Go on after `stagger_s` seconds, if this agent waits because of another one."""


class SharedAccount:
    """One agent among those of its account; with None it shares nothing."""

    def __init__(self, agent: str, account: Account | None, loop: AccountWait) -> None:
        self.account = None if account is None else account.name
        self.login = None if account is None else account.login
        self.names = frozenset() if account is None else frozenset({account.name, account.login})
        self._by_status: dict[str, str] = {}
        if account is not None:
            self._by_status = {Status.RATE_LIMITED: account.name, Status.NEEDS_LOGIN_IDLE: account.login}
        self._agent = agent
        self._loop = loop
        self._status: str = Status.ONLINE

    def changes(self, records: Sequence[BusEvent]) -> Iterator[tuple[str, str, int | None]]:
        """Yield what other agents should know of these events: account or login, status, end of the wait (Unix s)."""
        for event in (record.event for record in records if record.kind == StatusChanged.kind):
            if isinstance(event, StatusChanged) and event.status not in _HIDING:
                before, self._status = self._status, _shared_status(event)
                yield from self._told(before, self._status, event.until_unix)

    def _told(self, before: str, status: str, until: int | None) -> Iterator[tuple[str, str, int | None]]:
        if (name := self._by_status.get(status)) is not None:
            yield name, status, until
        elif status == Status.ONLINE and before == Status.WAITS_FOR_ACCOUNT:  # a person resumed this agent
            yield from ((name, status, until) for name in self.names)
        elif status == Status.ONLINE and (name := self._by_status.get(before)) is not None:
            yield name, status, until

    def apply(self, states: Sequence[AccountState], now_unix: float) -> None:
        """Wait or go on as the agents of the account have reported. An agent whose lease is over does not count.

        `now_unix` is this machine's time, to which the database's is converted.
        """
        others = [state for state in states if state.account in self.names and state.agent != self._agent]
        for state in others:
            if state.status in self._by_status and state.is_alive:
                until = None if state.left_s is None else round(now_unix + state.left_s)
                self._loop.wait_for_account(f"agent {state.agent} found: {state.status}; it has our account", until)
                return
        if others:
            self._loop.stop_waiting_for_account(random.random() * STAGGER_S)  # noqa: S311 - not a secret


def _shared_status(event: StatusChanged) -> str:
    """Return the status as it concerns the account: the limit of one model does not stop agents with another."""
    return event.status if event.model is None else f"{event.status} of {event.model}"

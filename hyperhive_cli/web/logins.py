"""`FollowedLogins`: to a harness the gateway is the client of a login that one of its pages takes part in.

A page is not one itself: a phone cuts a page's connections while its user is on claude's.
"""

import time
from collections.abc import Callable
from typing import Protocol

import anyio

PAGE_GRACE_S = 300.0  # from the end of the last page of an agent to the gateway's own
LOOK_EVERY_S = 5.0


class Followed(Protocol):
    """An agent whose login can be followed."""

    @property
    def key(self) -> object:
        """What tells it from others."""

    async def follow_login(self) -> None:
        """Be a client of the login under way, until it is over, there is none, or this is cancelled."""


class FollowedLogins:
    """The logins that are followed. `is_read`: whether a page of the agent with this key is open."""

    def __init__(self, is_read: Callable[[object], bool]) -> None:
        self._is_read = is_read
        self._touched: dict[object, float] = {}  # when a page last took part, by the agent's key

    async def follow(self, agent: Followed) -> None:
        """Follow an agent's login until it is over or its pages are gone; of one that is followed only take note."""
        is_new = agent.key not in self._touched
        self._touched[agent.key] = time.monotonic()
        if not is_new:
            return
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_without_pages, agent.key, tasks.cancel_scope)
                await agent.follow_login()
                tasks.cancel_scope.cancel()
        finally:
            del self._touched[agent.key]

    async def _cancel_without_pages(self, key: object, scope: anyio.CancelScope) -> None:
        while time.monotonic() - self._touched[key] < PAGE_GRACE_S:
            await anyio.sleep(LOOK_EVERY_S)
            if self._is_read(key):
                self._touched[key] = time.monotonic()
        scope.cancel()

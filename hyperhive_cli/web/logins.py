"""`FollowedLogins`: the gateway is a client of each login that one of its pages has joined.

The page cannot be the client itself: a phone closes a page's connections while its user is on claude's login page.
"""

import time
from collections.abc import Container
from typing import Protocol

import anyio

PAGE_GRACE_S = 300.0  # from the last page of an agent being closed to the gateway leaving its login
LOOK_EVERY_S = 5.0


class Followed(Protocol):
    """An agent whose login can be followed."""

    @property
    def key(self) -> object:
        """What identifies it."""

    async def follow_login(self) -> None:
        """Stay a client of the login in progress until it finishes, there is none, or this is cancelled."""


class FollowedLogins:
    """The logins being followed. `open_agents` contains the key of each agent with an open page."""

    def __init__(self, open_agents: Container[object]) -> None:
        self._open_agents = open_agents
        self._last_seen: dict[object, float] = {}  # when an agent last had an open page, by its key

    async def follow(self, agent: Followed) -> None:
        """Follow an agent's login until it finishes or the agent's pages are gone, unless it is being followed."""
        is_new = agent.key not in self._last_seen
        self._last_seen[agent.key] = time.monotonic()
        if not is_new:
            return
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_without_pages, agent.key, tasks.cancel_scope)
                await agent.follow_login()
                tasks.cancel_scope.cancel()
        finally:
            del self._last_seen[agent.key]

    async def _cancel_without_pages(self, key: object, scope: anyio.CancelScope) -> None:
        while time.monotonic() - self._last_seen[key] < PAGE_GRACE_S:
            await anyio.sleep(LOOK_EVERY_S)
            if key in self._open_agents:
                self._last_seen[key] = time.monotonic()
        scope.cancel()

"""One refresh of a login at a time, among the agents that share the file in which claude keeps it.

claude's access token is valid for some hours. A claude that starts less than five minutes before it expires asks for a
new one, with a token that can be used only once. Measured, 2.1.197 and 2.1.330: of five that start at the same time,
one does so and the others wait for at most seven seconds; then they use the expired token, and their turns are lost.
Therefore one agent's turn starts alone, and the others start theirs once the new token is there.
"""

import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import trio

from hyperhive_cli.agent.credentials import StoredLogin, stored_login
from hyperhive_cli.claude.files import FileId, login_file
from hyperhive_cli.claude.runner import Turn
from hyperhive_cli.core.files import open_file
from hyperhive_cli.core.usage import TokenUsage

AHEAD_S = 305.0  # claude's own five minutes, and its start
POLL_EVERY_S = 0.25
LIMIT_S = 60.0  # for one refresh; one that takes longer delays no other agent
LOCK_NAME = "hyperhive.lock"  # beside the login, so that agents that share the login share the lock


class Refresh:
    """An agent's part in the refreshes of its login. `say` shows a line to the operator."""

    def __init__(self, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._environment = environment
        self._say = say
        self._unused: FileId | None = None  # the file of a login that claude has worked without renewing

    def is_due(self) -> bool:
        """Return True if the next claude to start will renew the login."""
        return self._due() is not None

    @asynccontextmanager
    async def alone(self, turn: Turn) -> AsyncIterator[None]:
        """Delay a turn while another agent's turn renews the login. If it is still due after that, this turn does it.

        The delay is at most LIMIT_S. It ends if the turn is asked to stop, or if no lock can be taken.
        """
        lock = await self._wait(turn)
        if lock is None:
            yield
            return
        due = self._due()
        with lock:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._free_when_done, lock)
                yield
                nursery.cancel_scope.cancel()
        if due is not None and due == self._due() and turn.evidence.usage != TokenUsage():
            self._unused = due.file

    async def _wait(self, turn: Turn) -> IO[bytes] | None:
        waits = False
        with trio.move_on_after(LIMIT_S):
            while self.is_due() and not turn.is_stopping:
                try:
                    lock = take_lock(login_file(self._environment).parent / LOCK_NAME)
                except OSError:  # a folder without write access: the new login could not be stored either
                    return None
                if lock is not None:
                    return lock
                if not waits:
                    self._say("waiting: another agent is renewing the login that both use")
                waits = True
                await trio.sleep(POLL_EVERY_S)
        return None

    async def _free_when_done(self, lock: IO[bytes]) -> None:
        with trio.move_on_after(LIMIT_S):
            while self.is_due():  # noqa: ASYNC110 - no event tells of a file
                await trio.sleep(POLL_EVERY_S)
        lock.close()

    def _due(self) -> StoredLogin | None:
        found = stored_login(self._environment)
        if found is None or found.file == self._unused or found.ends_at - time.time() > AHEAD_S:
            return None
        return found


def take_lock(path: Path) -> IO[bytes] | None:
    """Open a file and lock it; None if another process has the lock, which ends with its process. Raises OSError."""
    lock = os.fdopen(open_file(path, os.O_RDWR | os.O_CREAT), "rb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except OSError:
        lock.close()
        raise
    return lock

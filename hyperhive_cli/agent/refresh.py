"""One refresh of a login at a time, among the agents that share the file in which claude keeps it.

claude's access token holds for some hours. A claude that starts less than five minutes before its end asks for a new
one, with a token that can be used only once. Measured, 2.1.197 and 2.1.330: of five that start at once one does so
and the others wait, but for seven seconds at most; then they go on with the token that has ended, and their turns are
lost. So one agent's turn begins alone here, and the others begin theirs when the new token is there.
"""

import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import trio

from hyperhive_cli.agent.credentials import FileId, StoredLogin, login_file, stored_login
from hyperhive_cli.claude.runner import Turn
from hyperhive_cli.core.files import open_file
from hyperhive_cli.core.usage import TokenUsage

AHEAD_S = 305.0  # claude's own five minutes, and its start
LOOK_EVERY_S = 0.25
LIMIT_S = 60.0  # for one refresh; what takes longer holds nobody up
LOCK_NAME = "hyperhive.lock"  # beside the login, so that whoever shares that has the same one


class Refresh:
    """An agent's part in the refreshes of its login. `say` shows the operator a line."""

    def __init__(self, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._environment = environment
        self._say = say
        self._unused: FileId | None = None  # a file that claude has worked without renewing what is in it

    def is_due(self) -> bool:
        """Whether the next claude to start will renew the login."""
        return self._due() is not None

    @asynccontextmanager
    async def alone(self, turn: Turn) -> AsyncIterator[None]:
        """Hold a turn back while another agent's renews the login. If then it is still due, this one does it.

        For LIMIT_S at most, and not where the turn is asked to end, or where no lock can be had.
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
                except OSError:  # a folder that may not be written: the new login could not be kept either
                    return None
                if lock is not None:
                    return lock
                if not waits:
                    self._say("waiting: another agent renews the login that both use")
                waits = True
                await trio.sleep(LOOK_EVERY_S)
        return None

    async def _free_when_done(self, lock: IO[bytes]) -> None:
        with trio.move_on_after(LIMIT_S):
            await self._is_done()
        lock.close()

    async def _is_done(self) -> None:
        while True:
            if not self.is_due():
                return
            await trio.sleep(LOOK_EVERY_S)

    def _due(self) -> StoredLogin | None:
        found = stored_login(self._environment)
        if found is None or found.file == self._unused or found.ends_at - time.time() > AHEAD_S:
            return None
        return found


def take_lock(path: Path) -> IO[bytes] | None:
    """Open a file and take its lock, which the kernel frees with the process; None: another has it. Raises OSError."""
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

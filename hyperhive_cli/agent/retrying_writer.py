"""`RetryingWriter`: retries the loop's writes to the inbox while the disk is full or another process has the lock.

The event loop never waits inside SQLite: the harness's inbox gives up on a lock after a moment, and the waiting is
done here.
"""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from hyperhive_cli.core.errors import InboxFailedError, StoreError
from hyperhive_cli.feed.bus import Bus

RETRY_FIRST_S = 0.05
MAX_RETRY_S = 5.0
REPORT_AFTER_S = 2.0  # a sender has the lock for some milliseconds; that need not be reported
CLOSING_LIMIT_S = 5.0  # how long a harness that is stopping keeps trying

T = TypeVar("T")


class RetryingWriter:
    """Tries again until a write works. After a while the agent's status says that the inbox is unavailable."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._since: float | None = None  # when the trouble began
        self._retry_s = RETRY_FIRST_S
        self._is_reported = False
        self._closing_at = math.inf

    def close(self) -> None:
        """Stop retrying soon: the harness is stopping."""
        self._closing_at = min(self._closing_at, trio.current_time())

    @property
    def trouble_s(self) -> float:
        """For how long writes have failed (s); 0 while they work."""
        return 0.0 if self._since is None else trio.current_time() - self._since

    @property
    def retry_in_s(self) -> float:
        """After how long to try again (s); infinite while writes work."""
        return math.inf if self._since is None else self._retry_s

    def try_once(self, write: Callable[[], T]) -> T | None:
        """Try a write once; return None if it failed."""
        try:
            result = write()
        except StoreError as error:
            self._failed(error)
            return None
        self._recovered()
        return result

    async def try_async(self, fetch: Callable[[], Awaitable[T]]) -> T | None:
        """Try an asynchronous write once; return None if it failed."""
        try:
            result = await fetch()
        except StoreError as error:
            self._failed(error)
            return None
        self._recovered()
        return result

    async def try_reading(self, work: Callable[[], Awaitable[T | None]]) -> T | None:
        """Do work that reads the inbox; return None if a read failed, to be tried again after `retry_in_s`.

        Raises InboxFailedError if a retry is of no use. Success does not end the trouble: writes may still fail.
        """
        try:
            return await work()
        except InboxFailedError:
            raise
        except StoreError as error:
            self._failed(error)
            return None

    async def retry_until(self, write: Callable[[], T], *, limit_s: float = math.inf) -> T:
        """Try until the write works. Raises InboxFailedError after `limit_s`, or soon after `close`."""
        began = trio.current_time()
        while True:
            try:
                result = write()
            except StoreError as error:
                self._failed(error)
                now = trio.current_time()
                if now > min(began + limit_s, max(began, self._closing_at) + CLOSING_LIMIT_S):
                    raise InboxFailedError(error.message, error.hint) from error
                await trio.sleep(self._retry_s)
            else:
                self._recovered()
                return result

    def _failed(self, error: StoreError) -> None:
        if self._since is None:
            self._since, self._retry_s = trio.current_time(), RETRY_FIRST_S
        else:
            self._retry_s = min(MAX_RETRY_S, self._retry_s * 2)
        if not self._is_reported and self.trouble_s >= REPORT_AFTER_S:
            self._is_reported = True
            text = f"{error.message}; trying again; no turn starts until this works"
            self._bus.current.know(write_trouble=text)
            self._bus.note(text, "error")

    def _recovered(self) -> None:
        self._since = None
        if self._is_reported:
            self._is_reported = False
            self._bus.note("the inbox is written again")
            self._bus.current.know(write_trouble=None)

"""`TrioConnection`: one connection to the hive for a trio program. It waits in a thread, one call at a time."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.hive.database import AwayError, Connection, DeniedError, connect, translated_errors

T = TypeVar("T")


class TrioConnection:
    """Connects on first use, and again after the connection is lost."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._limiter = trio.CapacityLimiter(1)
        self._connection: Connection | None = None
        self._has_worked = False

    async def call(self, work: Callable[["Connection"], T]) -> T:
        """Run `work` with the connection in a thread; raises as `translated_errors`, and what `work` raises.

        A missing right is a DeniedError until the first call succeeds, and a StoreError after that.

        If cancelled, the work goes on in its thread: whether it took effect is unknown.
        """
        return await trio.to_thread.run_sync(self._do, work, limiter=self._limiter, abandon_on_cancel=True)

    def _do(self, work: Callable[["Connection"], T]) -> T:
        try:
            with translated_errors(self._url):
                if self._connection is None or self._connection.closed:
                    self._connection = connect(self._url, name=self._name)
                done = work(self._connection)
        except AwayError:
            self._drop()
            raise
        except DeniedError as error:
            if not self._has_worked:
                raise
            # The right was revoked, perhaps by mistake: try again.
            raise StoreError(error.message, error.hint) from error
        self._has_worked = True
        return done

    def _drop(self) -> None:
        """Close a broken connection, in the thread that noticed."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            # Wake a task that waits for this descriptor, which is about to be reused. If cancelled, none does.
            with suppress(trio.RunFinishedError, trio.Cancelled):
                trio.from_thread.run_sync(trio.lowlevel.notify_closing, connection.fileno())
            connection.close()

    async def wait_readable(self) -> bool:
        """Wait until the server has sent something; return False if there is no connection."""
        connection = self._connection
        if connection is None or connection.closed:
            return False
        try:
            await trio.lowlevel.wait_readable(connection.fileno())
        except trio.ClosedResourceError:
            return False
        return True

    def close(self) -> None:
        """Close the connection, unless a thread still uses it: that one ends with the process."""
        if self._connection is not None and not self._limiter.borrowed_tokens:
            self._connection.close()

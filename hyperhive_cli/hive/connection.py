"""`TrioConnection`: one connection to the hive for a trio program. It waits in a thread, one call at a time."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.hive.database import AwayError, DeniedError, complaints, connect

if TYPE_CHECKING:
    from hyperhive_cli.hive.database import Connection

T = TypeVar("T")


class TrioConnection:
    """Connects when it is first used, and anew after the connection was lost."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._limiter = trio.CapacityLimiter(1)
        self._connection: Connection | None = None
        self._has_worked = False

    async def call(self, work: Callable[["Connection"], T]) -> T:
        """Do the work with the connection; raises as `room.complaints`, and what the work raises itself.

        A right that is missing is a DeniedError at first, and a StoreError once there was one.

        Cancelled, it leaves the work to end by itself: whether it took effect is not known then.
        """
        return await trio.to_thread.run_sync(self._do, work, limiter=self._limiter, abandon_on_cancel=True)

    def _do(self, work: Callable[["Connection"], T]) -> T:
        try:
            with complaints(self._url):
                if self._connection is None or self._connection.closed:
                    self._connection = connect(self._url, name=self._name)
                done = work(self._connection)
        except AwayError:
            self._drop()
            raise
        except DeniedError as error:
            if not self._has_worked:
                raise
            # A right that was there is taken away, perhaps by mistake: trouble that may pass.
            raise StoreError(error.message, error.hint) from error
        self._has_worked = True
        return done

    def _drop(self) -> None:
        """Close a connection that is broken, in the thread that has found it so."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            # Whoever waits for this descriptor must hear of it: soon it is another file's. Cancelled, nobody waits.
            with suppress(trio.RunFinishedError, trio.Cancelled):
                trio.from_thread.run_sync(trio.lowlevel.notify_closing, connection.fileno())
            connection.close()

    async def wait_readable(self) -> bool:
        """Wait until the server has sent something by itself; False when there is no connection (any more)."""
        connection = self._connection
        if connection is None or connection.closed:
            return False
        try:
            await trio.lowlevel.wait_readable(connection.fileno())
        except trio.ClosedResourceError:
            return False
        return True

    def close(self) -> None:
        """Close the connection, unless a thread still waits in it: that one ends with the process."""
        if self._connection is not None and not self._limiter.borrowed_tokens:
            self._connection.close()


@asynccontextmanager
async def open_connection(url: str, name: str) -> AsyncIterator[TrioConnection]:
    """Give a line for the block."""
    line = TrioConnection(url, name)
    try:
        yield line
    finally:
        line.close()

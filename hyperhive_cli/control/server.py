"""The server of the control socket: reads requests and writes the replies of its handler, which knows the operations.

The socket has mode 0600 before it listens, in a folder that no one else can write. Peers of another user are also
rejected, because the modes could be changed while the harness runs.
"""

import os
import socket
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import trio

from hyperhive_cli.control import wire
from hyperhive_cli.control.address import socket_address
from hyperhive_cli.control.peer import Peer, peer_of
from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.files import make_folder

WRITE_LIMIT_S = 10.0  # a follower that reads nothing for so long is dropped; it can reconnect and continue


class Consoles:
    """The number of consoles in which a person may type to the agent."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Count one more during the block."""
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


class Handler(Protocol):
    """The operations, implemented by the harness."""

    @property
    def consoles(self) -> Consoles:
        """The consoles of the agent."""

    async def handle(self, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out an operation and return the fields of the reply; raises HyperhiveError to refuse."""

    async def stay(self, op: str) -> None:
        """Wait for the end of what an operation started, while its peer is connected; cancelled when the peer leaves.

        It is always called and runs at least to its first checkpoint, even if the peer has already left.
        """

    def snapshot(self) -> Mapping[str, Any]:
        """Return the current state, to which the following events add."""

    def follow(self, since: int | None, writer: "FollowerSocket") -> AsyncGenerator[list[BusEvent], None]:
        """Yield batches of the events after `since`; whenever there are no more, write live ones to the `writer`.

        An empty batch is yielded when it has to wait before it takes more.
        """

    async def write_to_followers(self) -> None:
        """Write live events to the writers of followers, until cancelled."""


# Raises HyperhiveError to refuse an operation; the peer is None if the system does not tell who it is.
Admit = Callable[[str, Peer | None], None]


@asynccontextmanager
async def open_control_server(path: Path, handler: Handler, admit: Admit) -> AsyncIterator[None]:
    """Serve the socket during the block. The caller must hold the harness's lock: a stale socket is replaced."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(_bind(path)))
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handler.write_to_followers)
            await nursery.start(trio.serve_listeners, partial(_converse, handler, admit), [listener])
            yield
            nursery.cancel_scope.cancel()
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    if path.parent.name.startswith("hyperhive-"):  # a folder made for this socket alone (core/settings.py)
        with suppress(OSError):  # not empty
            path.parent.rmdir()


def _bind(path: Path) -> socket.socket:
    make_folder(path.parent)
    folder = path.parent.lstat()
    if folder.st_uid != os.getuid() or folder.st_mode & 0o022 or not stat.S_ISDIR(folder.st_mode):
        raise StoreError(f"other users can write to the folder {path.parent}", f"chmod 700 {path.parent}")
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StoreError(f"{path} exists and is not a socket")
        path.unlink()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket_address(path) as address:
            server.bind(address)
        path.chmod(0o600)
        server.listen(64)
    except BaseException:
        server.close()
        raise
    return server


async def _converse(handler: Handler, admit: Admit, stream: trio.SocketStream) -> None:
    """Answer one request of a peer. A peer that leaves or sends garbage affects only its own connection."""
    async with stream:
        peer = peer_of(stream.socket)
        if peer is not None and peer.uid not in {os.getuid(), 0}:
            return
        line = await _read_line(stream)
        if line is None:
            return
        op, stays = "", False
        try:
            request = wire.line_to_object(line)
            op = str(request.pop("op", ""))
            admit(op, peer)
            if op == "events":
                with handler.consoles.joined() if request.get("console") is True else nullcontext():
                    await _send_events(handler, stream, request)
                return
            wants_to_stay = request.pop("stay", None) is True
            reply: Mapping[str, Any] = {"ok": True, **await handler.handle(op, request)}
            stays = wants_to_stay
        except HyperhiveError as error:
            reply = wire.error_to_reply(error)
        except Exception as error:  # noqa: BLE001 - a bug here must not end a turn that has run for hours
            fault = HyperhiveError(f"the harness failed at {op!r}: {type(error).__name__}: {error}", "it keeps running")
            reply = wire.error_to_reply(fault)
        await _send(stream, wire.object_to_line(reply))
        if stays:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_at_hang_up, stream, nursery.cancel_scope)
                await handler.stay(op)
                nursery.cancel_scope.cancel()


async def _read_line(stream: trio.SocketStream) -> bytes | None:
    received = bytearray()
    while True:
        try:
            chunk = await stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None
        if not chunk or len(received) > wire.REQUEST_LIMIT_BYTES:
            return None
        received += chunk
        if b"\n" in chunk:
            return bytes(received.split(b"\n", 1)[0])


async def _send(stream: trio.SocketStream, data: bytes) -> bool:
    """Write data; return True if the peer took it in time."""
    try:
        with trio.move_on_after(WRITE_LIMIT_S) as scope:
            await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return False
    return not scope.cancelled_caught


class FollowerSocket:
    """A follower's connection. `form`: it wants partial lines. `rest`: what it has not taken yet."""

    def __init__(self, stream: trio.SocketStream, *, partial: bool) -> None:
        self.form = partial
        self.rest = b""
        self._stream = stream

    def write_now(self, data: bytes) -> bool:
        """Write data without waiting; return False if there is a `rest`, before which nothing may be written."""
        try:
            written = os.write(self._stream.socket.fileno(), data)  # a fifth of what trio's `send_all` costs
        except OSError:  # it is full, or gone; `send_rest` finds out
            written = 0
        self.rest = data[written:]
        return not self.rest

    async def send_rest(self) -> bool:
        """Wait until the rest was taken; return True if that was in time."""
        rest, self.rest = self.rest, b""
        return not rest or await _send(self._stream, rest)


async def _send_events(handler: Handler, stream: trio.SocketStream, request: Mapping[str, Any]) -> None:
    """Send the snapshot and then the feed until the peer hangs up or the harness stops.

    A `since` beyond the newest event (of an earlier harness without a store) means from now on.
    """
    since = request.get("since")
    follower = FollowerSocket(stream, partial=request.get("partial") is True)
    snapshot = handler.snapshot()
    known = since if isinstance(since, int) and since <= snapshot["seq"] else snapshot["seq"]
    if not await _send(stream, wire.object_to_line({"ok": True, **snapshot})):
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_at_hang_up, stream, nursery.cancel_scope)
        async with aclosing(handler.follow(known, follower)) as feed:
            async for batch in feed:
                if batch:
                    follower.write_now(wire.events_to_lines(batch, partial=follower.form))
                if not await follower.send_rest():
                    break
        nursery.cancel_scope.cancel()


async def _cancel_at_hang_up(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Cancel the scope when the peer hangs up, even if there is nothing to send."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while await stream.receive_some():
            pass
    scope.cancel()

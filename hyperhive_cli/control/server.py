"""The control socket's server: it reads requests and writes what its handler answers. It knows no operation.

The socket is 0600 before it listens, in a folder where nobody else may write, and a peer of another user is
turned away besides: modes could be changed under a running harness.
"""

import os
import socket
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
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

WRITE_LIMIT_S = 10.0  # a follower that takes nothing for so long is dropped; it may come back where it was


class Handler(Protocol):
    """What the server serves: given to it by the harness."""

    async def handle(self, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out an operation and give the reply's fields; raises HyperhiveError to refuse."""

    async def stay(self, op: str) -> None:
        """Wait for the end of what an operation has begun, beside a peer that stays for it; cancelled when it leaves.

        Whatever happens to the peer, it is called, and runs to its first wait.
        """

    def snapshot(self) -> Mapping[str, Any]:
        """Return the state that the events to come add to."""

    def follow(self, since: int | None) -> AsyncGenerator[list[BusEvent], None]:
        """Return the events after `since`, then live."""


# Raises HyperhiveError to refuse an operation to a peer; None for a peer of whom the system tells nothing.
Admit = Callable[[str, Peer | None], None]


def admit_all(_op: str, _peer: Peer | None) -> None:
    """Refuse nothing."""


@asynccontextmanager
async def open_control_server(path: Path, handler: Handler, admit: Admit = admit_all) -> AsyncIterator[None]:
    """Serve the socket during the block. To be called under the state lock: a stale socket is replaced."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(_bind(path)))
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, partial(_converse, handler, admit), [listener])
            yield
            nursery.cancel_scope.cancel()
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    if path.parent.name.startswith("hyperhive-"):  # made for this socket alone, as its own place was too long
        with suppress(OSError):  # something else is in it
            path.parent.rmdir()


def _bind(path: Path) -> socket.socket:
    make_folder(path.parent)
    folder = path.parent.lstat()
    if folder.st_uid != os.getuid() or folder.st_mode & 0o022 or not stat.S_ISDIR(folder.st_mode):
        raise StoreError(f"others may write in the folder {path.parent}", f"chmod 700 {path.parent}")
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StoreError(f"{path} is in the way: it is no socket")
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
    """Answer one request of a peer. One that goes away, or sends what nobody thought of, ends its own talk alone."""
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
                await _send_events(handler, stream, request)
                return
            wants_to_stay = request.pop("stay", None) is True
            reply: Mapping[str, Any] = {"ok": True, **await handler.handle(op, request)}
            stays = wants_to_stay
        except HyperhiveError as error:
            reply = wire.error_to_reply(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours, and no reason to end a turn of hours
            fault = HyperhiveError(f"the harness failed at {op!r}: {type(error).__name__}: {error}", "it works on")
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
    """Write, and say whether the peer took it."""
    try:
        with trio.move_on_after(WRITE_LIMIT_S) as scope:
            await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return False
    return not scope.cancelled_caught


async def _send_events(handler: Handler, stream: trio.SocketStream, request: Mapping[str, Any]) -> None:
    """Send the snapshot and then the feed, until the peer hangs up or the harness ends.

    A `since` from beyond the feed (of another life, without a store) starts afresh from now.
    """
    since = request.get("since")
    partial_too = request.get("partial") is True
    snapshot = handler.snapshot()
    known = since if isinstance(since, int) and since <= snapshot["seq"] else snapshot["seq"]
    if not await _send(stream, wire.object_to_line({"ok": True, **snapshot})):
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_at_hang_up, stream, nursery.cancel_scope)
        async with aclosing(handler.follow(known)) as feed:
            async for batch in feed:
                lines = [record.to_json() + b"\n" for record in batch if partial_too or not record.is_partial]
                if lines and not await _send(stream, b"".join(lines)):
                    break
        nursery.cancel_scope.cancel()


async def _cancel_at_hang_up(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Notice a peer that goes away while there is nothing to send it."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while await stream.receive_some():
            pass
    scope.cancel()

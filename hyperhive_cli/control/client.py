"""The client of the control socket, with blocking sockets: short commands must not import trio (150 ms)."""

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyperhive_cli.control import wire
from hyperhive_cli.control.address import socket_address
from hyperhive_cli.core.errors import HyperhiveError

CONNECT_LIMIT_S = 2.0
CALL_LIMIT_S = 30.0
CHUNK_BYTES = 65_536
TICK_S = 0.5


class GoneError(Exception):
    """No harness listens on the socket, or it went away."""


def connect(path: Path) -> socket.socket:
    """Connect to a harness; raises GoneError if none listens, HyperhiveError for the socket of another user."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_LIMIT_S)
        owner = path.stat().st_uid
        with socket_address(path) as address:
            connection.connect(address)
    except OSError as error:
        connection.close()
        raise GoneError(str(error)) from error
    if owner not in {os.getuid(), 0}:
        connection.close()
        raise HyperhiveError(f"the control socket {path} belongs to another user")
    return connection


def call(
    path: Path,
    op: str,
    *,
    limit_s: float | None = CALL_LIMIT_S,
    tick: Callable[[], None] | None = None,
    **arguments: Any,  # noqa: ANN401 - JSON values
) -> Mapping[str, Any]:
    """Send one request and return the reply.

    Raises GoneError if no harness listens or it goes away, HyperhiveError if it refuses. Blocks for at most `limit_s`
    (None: until the operation is done). With a `tick` there is no limit; it is called every TICK_S meanwhile.
    """
    with connect(path) as connection:
        return _ask(connection, limit_s, tick, {"op": op, **arguments})


@contextmanager
def open_call(path: Path, op: str) -> Iterator[Mapping[str, Any]]:
    """Send a request as `call` does and stay connected during the block, so the harness knows that we are there."""
    with connect(path) as connection:
        yield _ask(connection, CALL_LIMIT_S, None, {"op": op, "stay": True})


def _ask(
    connection: socket.socket, limit_s: float | None, tick: Callable[[], None] | None, request: Mapping[str, Any]
) -> Mapping[str, Any]:
    connection.settimeout(limit_s if tick is None else TICK_S)
    try:
        connection.sendall(wire.object_to_line(request))
        line = _read_line(connection) if tick is None else _await_line(connection, tick)
    except OSError as error:
        raise GoneError(str(error)) from error
    if not line.endswith(b"\n"):
        raise GoneError("the harness went away")
    return wire.reply_to_fields(wire.line_to_object(line))


def _read_line(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as file:
        return file.readline()


def _await_line(connection: socket.socket, tick: Callable[[], None]) -> bytes:
    for line in ReceivedLines(connection):
        if line:
            return line + b"\n"
        tick()
    return b""


@contextmanager
def open_events(
    path: Path, since: int | None, *, partial: bool = False, console: bool = False, tick_s: float | None = None
) -> Iterator[tuple[Mapping[str, Any], "ReceivedLines"]]:
    """Follow the feed: yield the snapshot and an iterator over the events, a line of JSON each.

    The iterator blocks for the next event, yields an empty line after each `tick_s` of silence, and ends with the
    harness. A `console` is counted as one. Raises GoneError if no harness listens.
    """
    with connect(path) as connection:
        connection.settimeout(CALL_LIMIT_S)
        try:
            request = {"op": "events", "since": since, "partial": partial, "console": console}
            connection.sendall(wire.object_to_line(request))
            lines = ReceivedLines(connection)
            first = next(lines, b"")
        except OSError as error:
            raise GoneError(str(error)) from error
        if not first:
            raise GoneError("the harness went away")
        connection.settimeout(tick_s)
        yield wire.reply_to_fields(wire.line_to_object(first)), lines


class ReceivedLines:
    """An iterator over the lines that a socket receives, without their newlines; it blocks.

    b"" stands for a timeout. It finishes when the other side closes; an incomplete last line is dropped.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._splitter = wire.LineSplitter()
        self._whole: deque[bytes] = deque()

    @property
    def has_more(self) -> bool:
        """True if the next line was received already."""
        return bool(self._whole)

    def __iter__(self) -> "ReceivedLines":
        return self

    def __next__(self) -> bytes:
        while not self._whole:
            try:
                chunk = self._connection.recv(CHUNK_BYTES)
            except TimeoutError:
                return b""
            except ConnectionError:
                raise StopIteration from None
            if not chunk:
                raise StopIteration
            self._whole.extend(self._splitter.push(chunk))
        return self._whole.popleft()

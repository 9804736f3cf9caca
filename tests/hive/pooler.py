"""A pooler as PgBouncer in transaction mode: a client has a server's connection until its transaction ends."""

import secrets
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LIMIT_S = 120.0
HELLO = struct.Struct("!ii")
TLS_REQUESTS = {80877103, 80877104}
READY = b"Z\x00\x00\x00\x05"


class Pooler:
    """Knows one server, which trusts everyone, and one user and database at a time."""

    def __init__(self, server: Path, most: int) -> None:
        self._server = server
        self._idle: list[socket.socket] = []
        self._opened: list[socket.socket] = []
        self._clients: list[tuple[socket.socket, threading.Thread]] = []
        self._parameters = b""
        self._free = threading.Semaphore(most)
        self.taken = 0  # how often a client was given another connection than it had before

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                thread = threading.Thread(target=self._answer, args=(client,), daemon=True)
                self._clients.append((client, thread))
                thread.start()

    def _answer(self, client: socket.socket) -> None:
        with client, suppress(OSError, EOFError):
            start = _read_start(client)
            server, parameters = self._take(start)
            self._give(server)
            key = b"K" + struct.pack("!iii", 12, secrets.randbits(31), secrets.randbits(31))
            client.sendall(b"R" + HELLO.pack(8, 0) + parameters + key + READY + b"I")
            before = None
            while select.select([client], [], [])[0]:
                server, _ = self._take(start)
                self.taken += before not in {None, server}
                before = server
                try:
                    _carry(client, server)
                except (OSError, EOFError):  # one of them has left, in a transaction perhaps
                    server.close()
                    self._free.release()
                    raise
                self._give(server)

    def _take(self, start: bytes) -> tuple[socket.socket, bytes]:
        """Take the connection that was used last, or a new one; with a new one what the server says of itself."""
        assert self._free.acquire(timeout=LIMIT_S)
        if self._idle:
            return self._idle.pop(), self._parameters
        server = socket.socket(socket.AF_UNIX)
        self._opened.append(server)
        server.connect(str(self._server))
        server.sendall(start)
        self._parameters = b""
        while (message := _read_message(server))[:1] != b"Z":
            self._parameters += message if message[:1] == b"S" else b""
        return server, self._parameters

    def close(self) -> None:
        """Hang up on all clients, and close all connections to the server. Nobody may come meanwhile."""
        for client, thread in self._clients:
            with suppress(OSError):  # it has left by itself
                client.shutdown(socket.SHUT_RDWR)
            thread.join()
        for server in self._opened:
            server.close()

    def _give(self, server: socket.socket) -> None:
        self._idle.append(server)
        self._free.release()


def _carry(client: socket.socket, server: socket.socket) -> None:
    """Copy both ways until the server is ready for another transaction."""
    while True:
        for source in select.select([client, server], [], [], LIMIT_S)[0]:
            message = _read_message(source)
            if source is client and message[:1] == b"X":
                raise EOFError  # it leaves
            (server if source is client else client).sendall(message)
            if source is server and message[:5] == READY and message[5:] == b"I":
                return


def _read_start(client: socket.socket) -> bytes:
    while True:
        size, code = HELLO.unpack(head := _read(client, 8))
        rest = _read(client, size - 8)
        if code not in TLS_REQUESTS:
            return head + rest
        client.sendall(b"N")


def _read_message(source: socket.socket) -> bytes:
    head = _read(source, 5)
    return head + _read(source, struct.unpack("!i", head[1:])[0] - 4)


def _read(source: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        if not (chunk := source.recv(size - len(found))):
            raise EOFError
        found += chunk
    return found


@contextmanager
def open_pooler(server: Path, *, most: int) -> Iterator[tuple[Pooler, str]]:
    """Pool at most so many connections to the server's socket; yield the pooler and its `host` and `port`."""
    pooler = Pooler(server, most)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=pooler.serve, args=(listener,))
        thread.start()
        try:
            yield pooler, f"host=127.0.0.1&port={listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            pooler.close()

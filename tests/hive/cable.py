"""A cable between the machines of a test and its database, which can be pulled: a relay of bytes in a thread."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Cable:
    """Carries bytes between TCP connections to `port` and a server's Unix socket.

    While it is pulled what either end sends is lost, and no end is told; a connection that loses something is of no
    use afterwards.
    """

    def __init__(self, target: Path) -> None:
        self.is_pulled = False
        self._target = target
        self._ends: dict[socket.socket, socket.socket] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._stop, stopped = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._connect)
        self._selector.register(stopped, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def close(self) -> None:
        """Cut off whatever is still connected."""
        self._stop.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _carry(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data(key.fileobj)

    def _connect(self, listener: socket.socket) -> None:
        near, _ = listener.accept()
        far = socket.socket(socket.AF_UNIX)
        far.connect(str(self._target))
        self._ends |= {near: far, far: near}
        for end in (near, far):
            self._selector.register(end, selectors.EVENT_READ, self._pass_on)

    def _pass_on(self, end: socket.socket) -> None:
        data, other = b"", self._ends[end]
        with suppress(OSError):
            data = end.recv(1 << 16)
            if data and not self.is_pulled:
                other.sendall(data)
        if data:
            return
        self._selector.unregister(end)
        if not self.is_pulled:
            with suppress(OSError):
                other.shutdown(socket.SHUT_WR)
        end.close()


@contextmanager
def open_cable(target: Path) -> Iterator[Cable]:
    """Return a cable to the server that listens at `target`, for the block."""
    cable = Cable(target)
    try:
        yield cable
    finally:
        cable.close()

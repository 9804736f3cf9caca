"""A connection between browser and gateway that can be cut: a proxy that copies bytes to one address."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Wire:
    """Copies bytes between its own port and another one, both ways, until it is cut."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._port = port
        self._open: set[socket.socket] = set()
        self._whole = threading.Event()
        self._whole.set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def address(self) -> str:
        host, port = self.listener.getsockname()
        return f"http://{host}:{port}"

    def cut(self) -> None:
        """Close all connections, and new ones immediately."""
        self._whole.clear()
        self._end(self._open)

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self.cut()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self.listener.accept()
                if not self._whole.is_set():
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._port))
                self._open |= {near, far}
                if not self._whole.is_set():  # it was cut meanwhile
                    self._end({near, far})
                self._start(self._copy, near, far)
                self._start(self._copy, far, near)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        self._end({source, target})

    def _end(self, sockets: set[socket.socket]) -> None:
        for one in list(sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._open.discard(one)


@contextlib.contextmanager
def open_wire(port: int) -> Iterator[Wire]:
    """Open a wire to a port of this machine."""
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()

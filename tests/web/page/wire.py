"""A connection between browser and gateway that can be cut, and be slow: a proxy that copies bytes to one address."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator


class Wire:
    """Copies bytes between its own port and another one, both ways, until it is cut.

    `delay_s`: how long bytes take, each way. `rate`: how many bytes a second reach the browser, of all connections.
    """

    def __init__(self, port: int, *, delay_s: float = 0.0, rate: float | None = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.received = 0  # bytes for the browser
        self._port = port
        self._delay_s = delay_s
        self._rate = rate
        self._free_at = 0.0
        self._timing = threading.Lock()
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
                usable_at = time.monotonic() + 2 * self._delay_s  # the connection is made first
                self._start(self._copy, near, far, lambda _, at=usable_at: max(at, time.monotonic()))
                self._start(self._copy, far, near, self._pass)

    def _copy(self, source: socket.socket, target: socket.socket, passed_at: Callable[[int], float]) -> None:
        due: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._start(self._send_when_due, due, source, target)
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                due.put((passed_at(len(data)) + self._delay_s, data))
        due.put((0.0, b""))

    def _pass(self, size: int) -> float:
        """Return when so many bytes for the browser will have passed, after those before them."""
        with self._timing:
            self.received += size
            self._free_at = max(time.monotonic(), self._free_at) + (size / self._rate if self._rate else 0.0)
            return self._free_at

    def _send_when_due(
        self, due: "queue.SimpleQueue[tuple[float, bytes]]", source: socket.socket, target: socket.socket
    ) -> None:
        with contextlib.suppress(OSError):
            while (found := due.get())[1]:
                time.sleep(max(0.0, found[0] - time.monotonic()))
                target.sendall(found[1])
        self._end({source, target})

    def _end(self, sockets: set[socket.socket]) -> None:
        for one in list(sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._open.discard(one)


@contextlib.contextmanager
def open_wire(port: int, *, delay_s: float = 0.0, rate: float | None = None) -> Iterator[Wire]:
    """Open a wire to a port of this machine."""
    wire = Wire(port, delay_s=delay_s, rate=rate)
    try:
        yield wire
    finally:
        wire.close()

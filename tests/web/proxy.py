"""A reverse proxy for one gateway: it terminates TLS, keeps Host, and may strip a prefix."""

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import trustme

from tests.harness import LIMIT_S


@dataclass
class Proxy:
    """`address` is where browsers find it; `upstream` is the gateway's socket. One request a connection."""

    address: str
    strips: str = ""  # the prefix that it strips
    upstream: Path | None = None
    seen: list[str] = field(default_factory=list)  # the paths that browsers asked for

    def serve(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        threads: list[Thread] = []
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(LIMIT_S)
                threads.append(Thread(target=self._answer, args=(connection, context), daemon=True))
                threads[-1].start()

    def _answer(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as browser:
            request = b""
            while b"\r\n\r\n" not in request:
                if not (chunk := browser.recv(65536)):
                    return
                request += chunk
            head, _, body = request.partition(b"\r\n\r\n")
            first, *headers = head.split(b"\r\n")
            method, path, version = first.split(b" ")
            self.seen.append(path.decode())
            cut = path.removeprefix(self.strips.encode()) or b"/"
            kept = [line for line in headers if not line.lower().startswith(b"connection:")]
            lines = [b" ".join((method, cut, version)), *kept, b"Connection: close", b"X-Forwarded-Proto: https"]
            with socket.socket(socket.AF_UNIX) as gateway:
                gateway.connect(str(self.upstream))
                gateway.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
                _carry(browser, gateway)


def _carry(browser: ssl.SSLSocket, gateway: socket.socket) -> None:
    """Copy both ways until one side closes; in one thread, because two cannot use a TLS connection at a time."""
    other = {browser: gateway, gateway: browser}
    while True:
        ready = [browser] if browser.pending() else select.select(list(other), [], [], LIMIT_S)[0]
        for source in ready:
            try:
                chunk = source.recv(65536)
            except ssl.SSLWantReadError:  # a record of TLS's own
                continue
            if not chunk:
                return
            other[source].sendall(chunk)


@contextmanager
def open_proxy(folder: Path, prefix: str, *, strips: bool) -> Iterator[tuple[Proxy, ssl.SSLContext]]:
    """Listen as https://localhost:PORT; yields the proxy, and the TLS context for its clients."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://localhost:{listener.getsockname()[1]}{prefix}"
        proxy = Proxy(address, prefix if strips else "", folder / "web.sock")
        server = Thread(target=proxy.serve, args=(listener, context))
        server.start()
        try:
            yield proxy, trusted
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()

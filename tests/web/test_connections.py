"""Strangers at the gateway: endless heads, silent connections, and the operator among them."""

import select
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.web.connections import HEAD_LIMIT_BYTES
from tests.conftest import wait_until
from tests.forkserver import Forkserver
from tests.harness import LIMIT_S
from tests.web.site import Site, open_site, plain_environment, telling, web_words

MIB = 1024 * 1024
FEW_FILES = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))"
SIZE = 8_000_000
HEAD = b"GET /api/state HTTP/1.1\r\nHost: x\r\n"


@contextmanager
def slow_download(site: Site, state_dir: Path) -> Iterator[socket.socket]:
    """Ask for an event of 8 MB with so small a buffer that most of it waits in the gateway."""
    with open_event_store(state_dir / "hyperhive-events.sqlite") as store:
        assert store.append([BusEvent.make(1, 1, Note(text="x" * SIZE))]) is None
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(LIMIT_S)
        client.connect(("127.0.0.1", site.port))
        words = f"Host: {site.host}\r\nAuthorization: Bearer {site.token}"
        client.sendall(f"GET /api/events/1 HTTP/1.1\r\n{words}\r\n\r\n".encode())
        yield client


@contextmanager
def small_site(
    state_dir: Path,
    tmp_path: Path,
    forkserver: Forkserver,
    options: Sequence[str] = (),
    **how: Any,  # noqa: ANN401
) -> Iterator[Site]:
    """Serve with a limit of 256 open files."""
    words = web_words(state_dir, *options)
    with open_site(forkserver, words, plain_environment(tmp_path), tmp_path, prelude=FEW_FILES, **how) as site:
        yield site


def connect(site: Site) -> socket.socket:
    return socket.create_connection(("127.0.0.1", site.port), LIMIT_S)


def is_cut(connection: socket.socket) -> bool:
    """Return True once the other side has closed the connection, whatever it sent before."""
    try:
        return bool(select.select([connection], [], [], 0)[0]) and connection.recv(65536) == b""
    except ConnectionResetError:
        return True


def send_until_cut(connection: socket.socket, piece: bytes, limit_bytes: int) -> int:
    """Send the piece repeatedly; return the number of bytes sent before the other side closed."""
    sent = 0
    try:
        while sent < limit_bytes:
            connection.sendall(piece)
            sent += len(piece)
            time.sleep(0)  # so that the answer is seen
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", b"x" * 65536),  # an address
        (HEAD, b"X-Name: " + b"x" * 4086 + b"\r\n"),  # many headers
        (HEAD + b"X-Name: ", b"x" * 65536),  # one that does not end
        (
            b"POST /static/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X-N: " + b"x" * 4089 + b"\r\n",
        ),
    ],
)
def test_an_endless_head_is_refused_and_not_kept_in_memory(site: Site, start: bytes, piece: bytes) -> None:
    before = site.memory_bytes()
    with connect(site) as connection:
        connection.sendall(start)
        assert send_until_cut(connection, piece, 64 * MIB) < 64 * MIB  # the rest is what the system holds for both
    assert site.get("/api/state")["agent"] == "bee"
    assert site.memory_bytes() - before < 8 * MIB


def test_the_longest_head_is_read_and_a_longer_one_is_refused_with_a_reason(site: Site) -> None:
    room = HEAD_LIMIT_BYTES - 1024
    assert site.ask("GET", "/api/state", {"X-Long": "x" * room}).status == 200
    answer = site.ask("GET", "/api/state", {"X-Long": "x" * HEAD_LIMIT_BYTES})
    assert answer.status == 431
    assert answer.header("content-security-policy").startswith("default-src 'none'")


@pytest.mark.parametrize("said", [b"", HEAD, b"POST /api/cancel HTTP/1.1\r\nContent-Length: 9\r\nHost: x\r\n\r\n1"])
def test_a_connection_that_does_not_send_a_whole_request_is_closed(
    said: bytes, state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    fast = {"web.connections.HEAD_LIMIT_S": 0.2}
    with (
        open_site(forkserver, web_words(state_dir), plain_environment(tmp_path), tmp_path, constants=fast) as site,
        connect(site) as connection,
    ):
        connection.sendall(said)
        wait_until(lambda: is_cut(connection))


def test_a_stream_outlives_the_limits_of_a_request(state_dir: Path, tmp_path: Path, forkserver: Forkserver) -> None:
    fast = {"web.connections.HEAD_LIMIT_S": 0.2, "web.connections.REQUEST_LIMIT_S": 0.2}
    with (
        telling(state_dir) as (harness, _),
        open_site(forkserver, web_words(state_dir), plain_environment(tmp_path), tmp_path, constants=fast) as site,
        site.stream() as stream,
    ):
        stream.named("snapshot")
        with connect(site) as connection:  # as old as the limit, and still there when the stream is asked for more
            wait_until(lambda: is_cut(connection))
        harness.note("1")
        assert stream.numbers(1) == [1]


def test_3000_idle_strangers_at_256_files_leave_room_for_the_operator(
    state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    with (
        telling(state_dir) as (harness, handler),
        small_site(state_dir, tmp_path, forkserver) as site,
        site.stream() as stream,
        ExitStack() as stack,
    ):
        stream.named("snapshot")
        for n in range(3000):
            stranger = stack.enter_context(connect(site))
            if n % 2:
                stranger.sendall(HEAD)
            if n % 500 == 0:
                assert site.get("/api/state")["agent"] == "bee"
                assert site.open_files() < 200
        assert site.post("/api/cancel").status == 400  # the harness of this test has no such operation
        assert handler.asked == ["cancel"]
        harness.note("1")
        assert stream.numbers(1) == [1]
        assert site.open_files() < 200


def test_strangers_that_never_finish_the_tls_handshake_make_room_too(
    certified: tuple[list[str], ssl.SSLContext], state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    options, context = certified
    context.check_hostname = False
    with (
        small_site(state_dir, tmp_path, forkserver, ["--web-allow-host=hive.test", *options], tls=context) as site,
        ExitStack() as stack,
    ):
        for n in range(600):
            stack.enter_context(connect(site)).sendall(b"" if n % 2 else b"GET / HTTP/1.1\r\n")
        assert site.get("/api/state")["agent"] == "bee"
        assert site.open_files() < 200


def test_a_slow_client_gets_the_whole_of_a_response_that_takes_longer_than_all_limits(
    state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    fast = {"web.connections.HEAD_LIMIT_S": 1.0, "web.connections.LOOK_EVERY_S": 0.1}
    with (
        open_site(forkserver, web_words(state_dir), plain_environment(tmp_path), tmp_path, constants=fast) as site,
        slow_download(site, state_dir) as client,
    ):
        received, pieces = 0, 0
        while received < SIZE:
            pieces += 1
            if pieces < 25:
                time.sleep(0.1)  # more than two seconds in all
            chunk = client.recv(1 << 16)
            assert chunk, f"cut after {received} bytes"
            received += len(chunk)
        wait_until(lambda: is_cut(client))  # once all was taken, the next head is waited for as ever


def test_a_client_that_takes_nothing_of_a_response_is_dropped(
    state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    limits = {"HEAD_LIMIT_S": 1.0, "LOOK_EVERY_S": 0.1, "STALL_LIMIT_S": 0.3}
    fast = {f"web.connections.{name}": limit_s for name, limit_s in limits.items()}
    with open_site(forkserver, web_words(state_dir), plain_environment(tmp_path), tmp_path, constants=fast) as site:
        idle = site.idle_files()
        with slow_download(site, state_dir):
            wait_until(lambda: site.open_files() > idle)
            wait_until(lambda: site.open_files() == idle)

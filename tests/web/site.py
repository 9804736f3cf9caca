"""A gateway as a process, and a client that can send any request."""

import http.client
import json
import os
import signal
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from hyperhive_cli.control.server import Handler
from hyperhive_cli.feed.bus import Bus
from tests.control.serving import EchoHandler, Served, serving
from tests.forkserver import Forkserver
from tests.harness import LIMIT_S, SOURCE, Program

JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """A response. The headers' names are in lower case; repeated ones are kept."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Return the value of a header that occurs once."""
        (value,) = (value for found, value in self.headers if found == name)
        return value

    def json(self) -> Any:  # noqa: ANN401 - as JSON
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=LIMIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(self._path)


@dataclass(slots=True)
class Site:
    """A listening gateway as a browser sees it. `host` is the value of Host."""

    url: str
    token: str
    program: Program
    unix: str | None = None
    tls: ssl.SSLContext | None = None
    connect_to: str = "127.0.0.1"

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    def connection(self) -> http.client.HTTPConnection:
        if self.unix is not None:
            return _UnixConnection(self.unix)
        if self.tls is not None:
            return http.client.HTTPSConnection(self.connect_to, self.port, timeout=LIMIT_S, context=self.tls)
        return http.client.HTTPConnection(self.connect_to, self.port, timeout=LIMIT_S)

    def ask(self, method: str, path: str, headers: Mapping[str, str | None] | None = None, body: bytes = b"") -> Answer:
        """Send a request as the page would, with these headers changed (None: left out), and return the response."""
        with closing(self.connection()) as connection:
            self.send(connection, method, path, headers, body)
            response = connection.getresponse()
            found = [(name.lower(), value) for name, value in response.getheaders()]
            return Answer(response.status, found, response.read())

    def send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str | None] | None = None,
        body: bytes = b"",
    ) -> None:
        wanted = {"Host": self.host, "Authorization": f"Bearer {self.token}", **(headers or {})}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in wanted.items():
            if value is not None:
                connection.putheader(name, value)
        if body or method == "POST":
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)

    def get(self, path: str) -> Any:  # noqa: ANN401 - as JSON
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.json()

    def post(self, path: str, **fields: object) -> Answer:
        return self.ask("POST", path, JSON, json.dumps(fields).encode())

    @contextmanager
    def stream(self, query: str = "", path: str = "/api/stream", **headers: str) -> Iterator["Stream"]:
        """Open the feed during the block."""
        with closing(self.connection()) as connection:
            self.send(
                connection, "GET", f"{path}?{query}", {name.replace("_", "-"): it for name, it in headers.items()}
            )
            response = connection.getresponse()
            assert response.status == 200, response.read()
            yield Stream(response)
            response.close()

    def idle_files(self) -> int:
        """Return how many files it has open without any connection, once it serves and has closed earlier ones."""
        with closing(self.connection()) as connection:
            for _ in range(2):
                self.send(connection, "GET", "/api/state")
                connection.getresponse().read()
            return self.open_files() - 1

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.program.pid}/fd").iterdir()))

    def memory_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.program.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


class Told(NamedTuple):
    """One event of a stream, as a browser parses it: without an `event` line it is a message."""

    id: int | None
    event: str
    data: Any


@dataclass(slots=True)
class Stream:
    """Parses a stream as the HTML standard says, and counts comments."""

    response: http.client.HTTPResponse
    comments: int = 0
    last_id: int | None = field(default=None)

    def next(self) -> Told:
        """Wait for the next event; raises EOFError at the end of the stream."""
        found: dict[str, list[str]] = {}
        while True:
            line = self.response.readline().decode()
            if not line:
                raise EOFError
            assert line.endswith("\n")
            assert "\r" not in line
            if line == "\n" and found:
                number = int(found["id"][0]) if "id" in found else None
                self.last_id = number or self.last_id
                name, data = found.get("event", ["message"])[0], "\n".join(found.get("data", []))
                return Told(number, name, json.loads(data))
            if line.startswith(":"):
                self.comments += 1
            elif line != "\n":
                name, _, value = line.rstrip("\n").partition(": ")
                found.setdefault(name, []).append(value)

    def events(self, count: int) -> list[Told]:
        return [self.next() for _ in range(count)]

    def named(self, name: str) -> Told:
        """Return the next event, which must have this name: one of the gateway itself."""
        told = self.next()
        assert told.event == name, told
        return told

    def numbers(self, count: int) -> list[int | None]:
        """Return the numbers of the next events of the feed, without events of the gateway itself."""
        found: list[int | None] = []
        while len(found) < count:
            told = self.next()
            if told.event == "message":
                assert told.id == told.data["seq"]
                found.append(told.id)
        return found


@contextmanager
def open_site(
    forkserver: Forkserver,
    words: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    constants: Mapping[str, float] | None = None,
    prelude: str = "",
    **how: Any,  # noqa: ANN401
) -> Iterator[Site]:
    """Start `hyperhive … web --json` and wait for its address; at the end it is interrupted and must exit with 130."""
    all_constants = {"web.local.POLL_S": 0.02, **(constants or {})}  # while no harness runs
    process = forkserver.fork(words, folder, environment, all_constants, prelude)
    program = Program(process)
    try:
        announced = program.wait_for(lambda found: "url" in found)
        url = announced["url"].partition("#")[0]
        yield Site(url, announced["token"], program, **how)
        if process.poll() is None:
            assert program.interrupt() == 128 + signal.SIGINT
            assert program.stderr == []
    finally:
        process.kill()
        program.wait()


class Telling(EchoHandler):
    """A harness that reports its status and records every other operation."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.asked: list[str] = []

    def snapshot(self) -> Mapping[str, Any]:
        return {**super().snapshot(), "running": True}

    async def handle(self, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if op == "status":
            return self.snapshot()
        self.asked.append(op)
        return await super().handle(op, arguments)


@contextmanager
def telling(folder: Path, events: str | None = None) -> Iterator[tuple[Served, Telling]]:
    """Serve as a harness in a thread of this process, with its history in this file of the folder, or without one."""

    def make_handler(bus: Bus, _: ExitStack) -> Handler:
        return Telling(bus)

    with serving(folder / "control.sock", None if events is None else folder / events, make_handler) as served:
        assert isinstance(served.handler, Telling)
        yield served, served.handler


def web_words(state_dir: Path, *arguments: str) -> list[str]:
    """Return the arguments of `hyperhive` for the panel of one agent, on any port unless one is given."""
    bind = () if any(word.startswith("--bind") for word in arguments) else ("--bind", "127.0.0.1:0")
    return ["-a", "bee", "--state-dir", str(state_dir), "web", *bind, *arguments, "--json"]


def plain_environment(home: Path) -> dict[str, str]:
    """Return a gateway's environment, for code that is not given a fixture."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": str(SOURCE)}

"""A control server in a trio thread of its own, for clients that block; and one that speaks by a script."""

import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import ExitStack, aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio

from hyperhive_cli.control.server import Admit, Consoles, Handler, open_control_server
from hyperhive_cli.core.errors import RefusedError, StoreError, UsageError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.fan_out import Writer
from hyperhive_cli.store.events import open_event_store

T = TypeVar("T")
MakeHandler = Callable[[Bus, ExitStack], Handler]  # what the stack holds is closed after the server
LIMIT_S = 120.0  # on every wait of a test: long enough for a busy machine


class EchoHandler:
    """A handler whose operations show what the server does with them; `followers` counts its open feeds.

    `staying` are the operations whose peers stay, until `let_go` is set.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.followers = 0
        self.consoles = Consoles()
        self.hanging = threading.Event()
        self.staying: list[str] = []
        self.let_go = trio.Event()

    async def stay(self, op: str) -> None:
        self.staying.append(op)
        try:
            await self.let_go.wait()
        finally:
            self.staying.remove(op)

    async def handle(self, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        match op:
            case "echo":
                return {"echo": dict(arguments)}
            case "refuse":
                raise RefusedError("not now", "try later")
            case "misuse":
                raise UsageError("what is this")
            case "stumble":
                return {"sum": len(arguments) + arguments["number"]}
            case "hang":
                self.hanging.set()
                await trio.sleep_forever()
        raise UsageError(f"no operation {op!r}", "ask for another")

    def snapshot(self) -> Mapping[str, Any]:
        return self.bus.snapshot()

    async def write_to_followers(self) -> None:
        await self.bus.fan_out.run()

    async def follow(self, since: int | None, writer: Writer) -> AsyncGenerator[list[BusEvent], None]:
        self.followers += 1
        try:
            async with aclosing(self.bus.follow(since, writer)) as feed:
                async for batch in feed:
                    yield batch
        finally:
            self.followers -= 1


def make_echo(bus: Bus, _: ExitStack) -> Handler:
    return EchoHandler(bus)


@dataclass
class Served:
    """A server that runs in another thread; `do` runs something there, between two moves of the server."""

    bus: Bus
    handler: Handler
    token: trio.lowlevel.TrioToken
    over: trio.Event = field(default_factory=trio.Event)

    def do(self, work: Callable[..., T], *arguments: object) -> T:
        return trio.from_thread.run_sync(work, *arguments, trio_token=self.token)

    def note(self, *texts: str) -> None:
        """Publish notes, one after the other."""
        for text in texts:
            self.do(self.bus.note, text)

    def stop(self) -> None:
        self.do(self.over.set)


@contextmanager
def serving(
    path: Path,
    events_db: Path | None = None,
    make_handler: MakeHandler = make_echo,
    admit: Admit = lambda _op, _peer: None,
) -> Iterator[Served]:
    """Serve the socket, with the history in `events_db`, until the block ends or `stop` is called."""
    ready, found, errors = threading.Event(), list[Served](), list[BaseException]()

    async def main() -> None:
        with ExitStack() as stack:
            store = None
            if events_db is not None:
                try:
                    store = stack.enter_context(open_event_store(events_db))
                except StoreError:
                    store = None  # as the harness does
            bus = Bus(store)
            handler = make_handler(bus, stack)
            async with open_control_server(path, handler, admit):
                served = Served(bus, handler, trio.lowlevel.current_trio_token())
                found.append(served)
                ready.set()
                await served.over.wait()

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            errors.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        ready.wait()
        if found:
            yield found[0]
    finally:
        if thread.is_alive() and found:
            with suppress(trio.RunFinishedError):
                found[0].stop()
        thread.join()
    if errors:
        raise errors[0]


@contextmanager
def scripted_server(path: Path, *steps: bytes | threading.Event) -> Iterator[None]:
    """Answer one request by a script: bytes are sent, an event is waited for; then the connection is closed."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as requests:
            requests.readline()
            for step in steps:
                if isinstance(step, bytes):
                    connection.sendall(step)
                else:
                    step.wait(LIMIT_S)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            thread.join()


@contextmanager
def talking(path: Path) -> Iterator[socket.socket]:
    """Open a plain connection, for what no client of ours would say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(LIMIT_S)
        connection.connect(str(path))
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    received = bytearray()
    while True:
        try:
            chunk = connection.recv(65_536)
        except ConnectionResetError:  # it closed with something of ours unread
            return bytes(received)
        if not chunk:
            return bytes(received)
        received += chunk

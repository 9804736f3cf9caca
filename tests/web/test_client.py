"""One client without a socket: heartbeats, and the end of a client that stops reading."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message

from hyperhive_cli.core.settings import AgentPaths, resolve_paths
from hyperhive_cli.web import channel as channel_module
from hyperhive_cli.web import stream as stream_module
from hyperhive_cli.web.local import LocalAgent
from hyperhive_cli.web.reader import Reader
from hyperhive_cli.web.sse import HEARTBEAT, Form
from hyperhive_cli.web.stream import ClientWriter, EventStream, WriteNow
from tests.conftest import LIMIT_S


@pytest.fixture
def paths(state_dir: Path) -> AgentPaths:
    return resolve_paths("bee", state_dir, state_dir, {})


@asynccontextmanager
async def endless(_: WriteNow, count: int = 10**9) -> AsyncIterator[list[AsyncGenerator[bytes, None]]]:
    async def chunks() -> AsyncGenerator[bytes, None]:
        for _ in range(count):
            yield b"x"

    yield [chunks()]


def test_a_silent_stream_sends_heartbeats(paths: AgentPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "HEARTBEAT_S", 0.01)

    written: list[bytes] = []

    def write_now(chunk: bytes) -> bool:
        written.append(chunk)
        return False

    async def main() -> bytes:
        channel = LocalAgent(paths).channel()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.run)
            chunks = Reader(channel, None, None, ClientWriter(Form(), write_now)).chunks()
            snapshot = await anext(chunks)
            while len(written) < 2:
                assert await anext(chunks) in {b"", HEARTBEAT}
            await chunks.aclose()
            tasks.cancel_scope.cancel()
        return snapshot

    assert anyio.run(main).startswith(b"event: snapshot\n")
    assert set(written) == {b"%x\r\n%b\r\n" % (len(HEARTBEAT), HEARTBEAT)}


async def serve(send_blocks: bool, closing: bool = False, hangs_up: bool = False) -> tuple[list[Message], int]:
    """Serve one client; return what was sent, and how often the connection was aborted."""
    sent, aborts, event, gone = list[Message](), list[int](), anyio.Event(), anyio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    def abort() -> None:
        aborts.append(1)
        gone.set()

    async def send(message: Message) -> None:
        sent.append(message)
        if send_blocks and message.get("more_body"):
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()

    if closing:
        event.set()
    if hangs_up:
        gone.set()
    scope = {"type": "http", "state": {"abort": abort, "write_chunk": lambda _: True}}
    with anyio.fail_after(LIMIT_S):
        await EventStream(endless, event)(scope, receive, send)
    return sent, len(aborts)


def test_a_client_that_stops_reading_is_dropped_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "WRITE_LIMIT_S", 0.01)
    sent, aborts = anyio.run(serve, True)
    assert ([message.get("more_body") for message in sent], aborts) == ([None, True, False], 1)


@pytest.mark.parametrize(("closing", "hangs_up"), [(True, False), (False, True)])
def test_a_stream_ends_with_its_client_and_with_the_gateway(*, closing: bool, hangs_up: bool) -> None:
    sent, aborts = anyio.run(serve, False, closing, hangs_up)
    assert (sent[-1].get("more_body"), aborts) == (False, 0)

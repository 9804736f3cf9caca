"""What one more reader costs: of the control socket, of the web panel, and a hundred real `tail --json` in all."""

import asyncio
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.agents import Agent, cpu_s, open_agent
from tests.benchmarks.line_to_eye import PACER, await_all, open_follower
from tests.benchmarks.measure import SOURCE, Found, Sample, Scale, in_process, take_turns
from tests.benchmarks.rows import Figure, Goal
from tests.benchmarks.web import ask, open_gateway

RATE = 100  # events a second: no two of them are collected into one write
MANY = 100
LINE = b'{"kind":"stream","type":"system","subtype":"status","pad":"%b","at":0}\n' % (b"x" * 250)
Address = str | tuple[str, int]  # of a unix socket, or host and port
Until = Callable[[], object]  # blocks until every reader has everything


FIGURES = (
    Figure(
        f"harness, each of {MANY}",
        "µs",
        ("harness", "us"),
        ("loop", "us"),
        "a loop that writes to as many unix sockets",
        Goal("≤", 4),
        "headroom",
    ),
    Figure(
        f"gateway, each of {MANY}",
        "µs",
        ("gateway", "us"),
        ("uvloop", "us"),
        "uvloop writing to as many TCP sockets",
        Goal("≤", 2),
        "headroom",
    ),
    Figure(
        f"many agents, each of {MANY}",
        "µs",
        ("gateway of many", "us"),
        ("gateway", "us"),
        "the stream of one agent",
        Goal("≤", 1.1),
        "headroom",
    ),
    Figure(
        f"{MANY} tails at {RATE}/s",
        "cores",
        ("tails", "cores"),
        None,
        "no reference: all processes together",
        Goal("≤", 1, of="ours"),
        "headroom",
        "Each line wakes each `tail`, which takes 0.12 ms; the harness's part is a twentieth.",
    ),
)


def run(scale: Scale) -> Iterator[Found]:
    """Measure processor time: of the harness and the gateway for each reader and event, and of real tails in all."""
    lines = RATE * scale.pick(5, 1)
    yield take_turns(
        scale.pick(3, 1),
        {
            "harness": partial(harness, MANY, lines),
            "loop": partial(in_process, "followers:write_by_loop", MANY, lines),
            "gateway": partial(gateway, MANY, lines),
            "gateway of many": partial(gateway, MANY, lines, of_many=True),
            "uvloop": partial(in_process, "followers:write_by_uvloop", MANY, lines),
            "tails": partial(tails, MANY, lines),
        },
    )


# --- ours ---


def harness(followers: int, lines: int) -> Sample:
    """Run a turn that writes at the rate, with followers and without; return what each costs the harness an event."""
    return {"us": (_harness_s(followers, lines) - _harness_s(0, lines)) * 1e6 / followers / lines}


def _harness_s(followers: int, lines: int) -> float:
    with _turn(lines) as (agent, pid, gate):
        address = str(agent.folder / "state" / "control.sock")
        with _readers(address, b'{"op":"events"}\n', followers, lines) as until:
            return _spent_s([pid], gate, until if followers else lambda: time.sleep(lines / RATE))


def gateway(browsers: int, lines: int, *, of_many: bool = False) -> Sample:
    """Let so many browsers read (`of_many`: several agents); return what each costs the gateway an event."""
    with _turn(lines) as (agent, _, gate), open_gateway(agent) as (process, address):
        netloc, path = urlsplit(address["url"]).netloc, "/api/stream"
        if of_many:
            path = f"{path}?agents={json.loads(ask(address, '/api/state')[0])['agent']}"
        host, _, port = netloc.rpartition(":")
        head = f"GET {path} HTTP/1.1\r\nHost: {netloc}\r\nAuthorization: Bearer {address['token']}\r\n\r\n"
        with _readers((host, int(port)), head.encode(), browsers, lines) as until:
            return {"us": _spent_s([process.pid], gate, until) * 1e6 / browsers / lines}


def tails(count: int, lines: int) -> Sample:
    """Let so many `tail --json` follow; return what they and the harness spend, in cores."""
    with _turn(lines) as (agent, pid, gate), ExitStack() as stack:
        followers = [stack.enter_context(open_follower(agent, first=not n)) for n in range(count)]
        for follower in followers:
            stack.callback(follower.kill)
        await_all(*followers)
        spent_s = _spent_s([pid, *(one.pid for one in followers)], gate, lambda: _read_to(followers[0], lines))
        return {"cores": spent_s * RATE / lines}


@contextmanager
def _turn(lines: int) -> Iterator[tuple[Agent, int, Path]]:
    """Yield a running agent, its process id, and the file that starts the writing."""
    with open_agent() as agent:
        gate = agent.folder / "gate"
        claude = [
            f"'{word}'" for word in (sys.executable, "-IS", str(PACER), "lines", str(RATE), str(lines), str(gate))
        ]
        with agent.running(claude, "--message", "go") as process:
            yield agent, process.pid, gate


def _spent_s(pids: list[int], gate: Path, until: Until) -> float:
    before = sum(map(cpu_s, pids))
    gate.touch()
    until()
    return sum(map(cpu_s, pids)) - before


def _read_to(follower: subprocess.Popen[bytes], lines: int) -> None:
    assert follower.stdout is not None
    left = lines
    while left:
        left -= follower.stdout.readline().count(b'"at":')


# --- references: in a process of their own ---


def write_by_loop(readers: str, lines: str) -> Sample:
    """Write each line to so many unix sockets, one after the other; return what one write costs."""
    pairs = [socket.socketpair() for _ in range(int(readers))]
    with _draining([theirs for _, theirs in pairs]):
        before = time.process_time()
        for _ in range(int(lines)):
            time.sleep(1 / RATE)
            for ours, _ in pairs:
                ours.send(LINE)
        spent_s = time.process_time() - before
    return {"us": spent_s * 1e6 / int(lines) / int(readers)}


def write_by_uvloop(readers: str, lines: str) -> Sample:
    """Do the same over TCP by uvloop's transports."""
    import uvloop  # noqa: PLC0415 - of an extra

    return uvloop.run(_write_by_transports(int(readers), int(lines)))


async def _write_by_transports(readers: int, lines: int) -> Sample:
    loop, transports = asyncio.get_running_loop(), list[asyncio.Transport]()

    class Writer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)  # type: ignore[arg-type]

    server = await loop.create_server(Writer, "127.0.0.1", 0)
    theirs = [
        await asyncio.to_thread(socket.create_connection, server.sockets[0].getsockname()) for _ in range(readers)
    ]
    await asyncio.sleep(0.1)
    assert len(transports) == readers
    with _draining(theirs):
        before = time.process_time()
        for _ in range(lines):
            await asyncio.sleep(1 / RATE)
            for transport in transports:
                transport.write(LINE)
        spent_s = time.process_time() - before
        for transport in transports:
            transport.close()
        server.close()
    return {"us": spent_s * 1e6 / lines / readers}


# --- readers: in a process of their own ---


@contextmanager
def _readers(address: Address, request: bytes, count: int, lines: int) -> Iterator[Until]:
    """Connect so many readers that see what comes first; yield what waits until each has so many lines."""
    with ExitStack() as stack:
        sockets = []
        for _ in range(count):
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            reader = stack.enter_context(socket.socket(family))
            reader.connect(address)
            reader.sendall(request)
            received = b""
            while b'"boot"' not in received or not received.endswith(b"\n"):
                received += reader.recv(65_536)
            sockets.append(reader)
        with _draining(sockets, b'"at":', lines) as process:
            yield process.wait


@contextmanager
def _draining(sockets: list[socket.socket], text: bytes = b"", count: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """Let a process read these sockets until each has had a text so many times, or else until they are closed."""
    numbers = [one.fileno() for one in sockets]
    words = [text.decode(), str(count), *map(str, numbers)]
    command = [sys.executable, "-m", "tests.benchmarks.followers", *words]
    with subprocess.Popen(command, cwd=SOURCE, pass_fds=numbers, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def drain(text: bytes, count: int, numbers: list[int]) -> None:
    """Read the sockets."""
    left = dict.fromkeys(numbers, count)
    with selectors.DefaultSelector() as selector:
        for number in numbers:
            selector.register(number, selectors.EVENT_READ)
        print("ready", flush=True)
        while not count or any(left.values()):
            for key, _ in selector.select():
                found = os.read(key.fd, 262_144)
                left[key.fd] -= found.count(text) if count else 0


if __name__ == "__main__":
    drain(sys.argv[1].encode(), int(sys.argv[2]), [int(word) for word in sys.argv[3:]])

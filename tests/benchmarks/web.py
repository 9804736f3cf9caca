"""The web panel: from claude's write to a hundred browsers, beside one; and what they cost the harness."""

import gzip
import http.client
import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.agents import Agent, cpu_s, open_agent
from tests.benchmarks.line_to_eye import PACER, WARM_UP
from tests.benchmarks.measure import SOURCE, Found, Sample, Scale, take_turns
from tests.benchmarks.rows import Figure, Goal

RATE = 200  # events a second
MANY = 100
LIMIT_S = 120.0
_WRITTEN = re.compile(rb'"at":(\d+)\}')
FIGURES = tuple(
    Figure(f"web {RATE}/s x {MANY}, {name}", unit, ("many", name), ("one", name), "one browser", goal, table)
    for name, unit, goal, table in (
        ("p50", "ms", None, ""),
        ("p99", "ms", Goal("≤", 10.0), "headroom"),
        ("harness", "ms/s", Goal("≤", 1.2), "headroom"),
    )
)


def run(scale: Scale) -> Iterator[Found]:
    """Compare many clients with one."""
    lines = RATE * scale.pick(5, 1) + WARM_UP
    yield take_turns(scale.pick(3, 1), {"many": partial(measure, MANY, lines), "one": partial(measure, 1, lines)})


def measure(clients: int, lines: int) -> Sample:
    """Run a turn that writes at the rate while so many read; the harness's processor time is in ms a second."""
    with open_agent() as agent, ExitStack() as stack:
        gate = agent.folder / "gate"
        words = (sys.executable, "-IS", str(PACER), "lines", str(RATE), str(lines), str(gate))
        harness = stack.enter_context(agent.running([f"'{word}'" for word in words], "--message", "go"))
        _, address = stack.enter_context(open_gateway(agent))
        reading = map(str, (json.dumps(address), clients, lines, gate))
        command = [sys.executable, "-m", "tests.benchmarks.web", *reading]
        with subprocess.Popen(command, cwd=SOURCE, stdout=subprocess.PIPE) as readers:
            assert readers.stdout is not None
            while not gate.exists() and readers.poll() is None:
                time.sleep(0.01)
            began, before = time.monotonic(), cpu_s(harness.pid)
            late: Sample = json.loads(readers.stdout.readline())
            used_s = cpu_s(harness.pid) - before
            return {**late, "harness": used_s * 1000 / (time.monotonic() - began)}


@contextmanager
def open_gateway(agent: Agent) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """Run the web panel during the block; yield its process, and its address with the token."""
    command = agent.command("web", "--bind", "127.0.0.1:0", "--json")
    with subprocess.Popen(command, env=agent.environment, cwd=agent.folder, stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        try:
            yield gateway, json.loads(gateway.stdout.readline())
        finally:
            gateway.terminate()


def ask(address: dict[str, str], path: str) -> tuple[bytes, float]:
    """Send a request as a browser does; return the body, and how long it took in ms."""
    netloc = urlsplit(address["url"]).netloc
    headers = {"Authorization": f"Bearer {address['token']}", "Accept-Encoding": "gzip"}
    with closing(http.client.HTTPConnection(netloc)) as connection:
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        sent = response.read()
        took_ms = (time.perf_counter() - began) * 1000
        assert response.status == 200, sent
        is_packed = response.getheader("Content-Encoding") == "gzip"
        return gzip.decompress(sent) if is_packed else sent, took_ms


def read(address: dict[str, str], clients: int, lines: int, gate: Path) -> Sample:
    """Be so many browsers: each must see every line in order. How late they were is in ms."""
    netloc = urlsplit(address["url"]).netloc
    host, _, port = netloc.rpartition(":")
    head = f"GET /api/stream HTTP/1.1\r\nHost: {netloc}\r\nAuthorization: Bearer {address['token']}\r\n\r\n".encode()
    late: list[float] = []
    deadline = time.monotonic() + LIMIT_S
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        for _ in range(clients):
            client = stack.enter_context(socket.create_connection((host, int(port))))
            client.sendall(head)
            received = b""
            while b"event: snapshot" not in received:
                received += client.recv(65_536)
            selector.register(client, selectors.EVENT_READ, _Reader())
        gate.touch()
        while len(late) < clients * lines:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(late)} of {clients * lines} lines have come")
            for key, _ in selector.select(1.0):
                late += key.data.take(key.fileobj)
    cuts = quantiles(late[WARM_UP * clients :], n=100)
    return {"p50": cuts[49], "p99": cuts[98]}


class _Reader:
    def __init__(self) -> None:
        self._rest = b""
        self._last = 0

    def take(self, client: socket.socket) -> list[float]:
        """Read what there is and return how late each line of it is."""
        chunk = client.recv(262_144)
        now = time.monotonic_ns()
        whole, _, self._rest = (self._rest + chunk).rpartition(b"\n\n")
        stamps = [int(stamp) for stamp in _WRITTEN.findall(whole)]
        assert chunk
        assert stamps == sorted(stamps)
        assert not stamps or stamps[0] > self._last
        self._last = stamps[-1] if stamps else self._last
        return [(now - stamp) / 1e6 for stamp in stamps]


if __name__ == "__main__":
    words = sys.argv[1:]
    print(json.dumps(read(json.loads(words[0]), int(words[1]), int(words[2]), Path(words[3]))), flush=True)

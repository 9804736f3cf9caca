"""The pipeline: claude's stdout, split, parsed, observed, stored and handed to one subscriber.

Beside claude-agent-sdk's `query()`, which parses and stores nothing, and beside the floor: one loop of read, split,
orjson and one transaction a chunk. The floor stores what we store: all but the partial lines.
"""

import gc
import importlib.util
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import orjson
import trio

from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.claude.runner import Turn
from hyperhive_cli.claude.turn_request import TurnRequest
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import LINE_LIMIT_BYTES
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.feed.ring_buffer import Subscription
from hyperhive_cli.store.events import open_event_store
from tests.benchmarks.corpus import write_corpus
from tests.benchmarks.measure import Sample, Scale, in_process, in_turn, values
from tests.benchmarks.rows import Goal, Row, paired

EMITTER = Path(__file__).with_name("emitter.py")
SECRETS = {"ANTHROPIC_API_KEY": "sk-ant-0123456789abcdef", "GH_TOKEN": "ghp_0123456789abcdef"}
CHUNK_BYTES = 65_536
NO_SDK = "claude-agent-sdk is not installed: pip install -e '.[bench]'"
CORPORA = {"mixed": ("mixed lines", 1.3), "deltas": ("partial deltas", 3.0), "small": ("all stored", None)}


def run(scale: Scale) -> Iterator[Row]:
    """Measure each corpus with all three."""
    has_sdk = importlib.util.find_spec("claude_agent_sdk") is not None
    for kind, (name, bound) in CORPORA.items():
        path = scale.folder / f"{kind}.jsonl"
        write_corpus(path, kind, lines := scale.pick(200_000, 4_000))
        measures = {who: partial(in_process, f"pipeline:{who}", path) for who in ("ours", "floor", *["sdk"] * has_sdk)}
        found = in_turn(scale.pick(5, 1), **measures)
        speeds = {who: [lines / 1000 / s for s in values(samples, "s")] for who, samples in found.items()}
        goal = None if bound is None else Goal("≥", bound)
        if has_sdk:
            yield paired(f"{name} / SDK", "k/s", speeds["ours"], speeds["sdk"], goal)
        else:
            yield Row(f"{name} / SDK", goal=goal, note=NO_SDK)
        yield paired(f"{name} / floor", "k/s", speeds["ours"], speeds["floor"], Goal("≥", 0.8))
        path.unlink()


def ours(corpus: str) -> Sample:
    """Let a turn take the corpus in."""
    gc.freeze()  # as `run` does
    with tempfile.TemporaryDirectory(dir=Path(corpus).parent) as folder:
        return trio.run(_turn, corpus, Path(folder))


async def _turn(corpus: str, folder: Path) -> Sample:
    with open_event_store(folder / "events.sqlite") as store:
        bus = Bus(store)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_subscribe, bus.subscribe())
            began = time.perf_counter()
            await Turn(request_for(corpus, folder), PlainFeed(bus)).run()
            spent = time.perf_counter() - began
            bus.close()
    return {"s": spent}


class PlainFeed:
    """A turn's feed that does no more than the bus does."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.observe_stream = bus.current.observe_stream
        self.publish = bus.publish
        self.settle = bus.settle


def request_for(corpus: str, workspace: Path) -> TurnRequest:
    """Return the turn in which a claude writes this file."""
    argv = [sys.executable, "-IS", str(EMITTER), corpus]
    return TurnRequest(argv, b"go", workspace, dict(os.environ), redact=Redactor(SECRETS))


async def _subscribe(subscription: Subscription[BusEvent]) -> None:
    async for _, records in subscription.batches():
        for record in records:
            record.to_json()


def floor(corpus: str) -> Sample:
    """Do the least that must be done, in one loop."""
    with tempfile.TemporaryDirectory(dir=Path(corpus).parent) as folder:
        began = time.perf_counter()
        with closing(sqlite3.connect(Path(folder) / "events.sqlite", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("CREATE TABLE events(id INTEGER PRIMARY KEY, ts INTEGER, kind TEXT, payload TEXT)")
            command = [sys.executable, "-IS", str(EMITTER), corpus]
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
                assert child.stdout is not None
                _pump(child.stdout.fileno(), db)
        return {"s": time.perf_counter() - began}


def _pump(stdout: int, db: sqlite3.Connection) -> None:
    rest, seq = b"", 0
    while chunk := os.read(stdout, CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        now, rows = int(time.time() * 1000), []
        for line in lines:
            if orjson.loads(line)["type"] != "stream_event":
                seq += 1
                rows.append((seq, now, "stream", line.decode()))
        if rows:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
            db.execute("COMMIT")


def sdk(corpus: str) -> Sample:
    """Let claude-agent-sdk read it."""
    import asyncio  # noqa: PLC0415 - here alone

    program = Path(corpus).with_suffix(".sh")
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{EMITTER}' '{corpus}' \"$@\"\n", encoding="utf-8")
    program.chmod(0o700)
    os.environ["CLAUDE_AGENT_SDK_SKIP_VERSION_CHECK"] = "1"
    return asyncio.run(_query(program))


async def _query(program: Path) -> Sample:
    from claude_agent_sdk import ClaudeAgentOptions, query  # noqa: PLC0415 - of the extra `bench`

    options = ClaudeAgentOptions(
        cli_path=program, include_partial_messages=True, max_buffer_size=LINE_LIMIT_BYTES, cwd=program.parent
    )
    began, count = time.perf_counter(), 0
    async for _ in query(prompt="go", options=options):
        count += 1
    return {"s": time.perf_counter() - began, "messages": count}

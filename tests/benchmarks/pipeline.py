"""The pipeline: claude's stdout, split, searched for secrets, parsed, observed, stored and handed to one subscriber.

The references, from the least work to the same:
- floor: one loop of read, split, orjson and one transaction a chunk; it stores what we store, all but partial lines
- checked floor: the same loop also looks for secrets and makes the bytes for one reader
- SDK: claude-agent-sdk's `query()`, which parses and stores nothing
- SDK, stored: the same, and a transaction for each message
- SDK, same rows: a transaction for each message that we store, so none for partial lines
"""

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
from tests.benchmarks.measure import Found, Sample, Scale, UnavailableError, in_process, take_turns
from tests.benchmarks.rows import Figure, Goal

EMITTER = Path(__file__).with_name("emitter.py")
SECRETS = {"ANTHROPIC_API_KEY": "sk-ant-0123456789abcdef", "GH_TOKEN": "ghp_0123456789abcdef"}
NEEDLES = (b"ghp_0123456789abcdef", b"sk-ant-", b"earer ", b"\\u00")  # what our search looks for, given SECRETS
CHUNK_BYTES = 65_536
NO_SDK = "claude-agent-sdk is not installed: pip install -e '.[bench]'"

AGAINST = {
    "SDK": ("sdk", "the vendor's SDK, which stores nothing"),
    "SDK, stored": ("stored_sdk", "the SDK and a transaction a message"),
    "SDK, same rows": ("same_sdk", "the SDK and a transaction for each line that we store"),
    "floor": ("floor", "a loop of read, split, parse, store"),
    "checked floor": ("checked_floor", "that loop, secrets searched, bytes for a reader made"),
}
GOALS = {
    "mixed": {"SDK": 1.25, "SDK, stored": 4.0, "SDK, same rows": 3.0, "floor": 0.85, "checked floor": 0.75},
    "deltas": {"SDK": 5.0, "floor": 0.55, "checked floor": 0.75},
    "stored": {"SDK": 2.0, "floor": 0.75, "checked floor": 0.75},
}

MORE_WORK = "Each stored line is also looked at for the outcome of the turn, numbered, and indexed by its time."
WHY = {
    "SDK": "The SDK only parses. " + MORE_WORK,
    "SDK, stored": MORE_WORK,
    "SDK, same rows": MORE_WORK,
    "floor": "The floor looks for no secrets and makes no bytes for a reader: see the checked floor.",
    "checked floor": MORE_WORK,
}


def _figure(corpus: str, reference: str, bound: float) -> Figure:
    measurement, words = AGAINST[reference]
    pair = (f"{corpus} ours", "k/s"), (f"{corpus} {measurement}", "k/s")
    return Figure(f"{corpus} / {reference}", "k/s", *pair, words, Goal("≥", bound), "headroom", WHY.get(reference, ""))


FIGURES = tuple(_figure(corpus, name, bound) for corpus, goals in GOALS.items() for name, bound in goals.items())


def run(scale: Scale) -> Iterator[Found]:
    """Measure each corpus with all of them."""
    for corpus, goals in GOALS.items():
        path = scale.folder / f"{corpus}.jsonl"
        lines = scale.pick(200_000, 4_000)
        write_corpus(path, corpus, lines)
        functions = ["ours", *(AGAINST[reference][0] for reference in goals)]
        measures = {f"{corpus} {name}": partial(in_process, f"pipeline:{name}", path, lines) for name in functions}
        yield take_turns(scale.pick(5, 1), measures)
        path.unlink()


@contextmanager
def _timed(lines: str) -> Iterator[Sample]:
    """Measure the block: how many thousand lines a second that is, of time and of our own processor time."""
    found: Sample = {}
    began, cpu = time.perf_counter(), time.process_time()
    yield found
    found["k/s"] = int(lines) / 1000 / (time.perf_counter() - began)
    found["k/cpu_s"] = int(lines) / 1000 / (time.process_time() - cpu)


def ours(corpus: str, lines: str) -> Sample:
    """Run a turn whose claude writes the corpus."""
    gc.freeze()  # as `run` does
    with tempfile.TemporaryDirectory(dir=Path(corpus).parent) as folder:
        return trio.run(_turn, corpus, lines, Path(folder))


async def _turn(corpus: str, lines: str, folder: Path) -> Sample:
    with open_event_store(folder / "events.sqlite") as store:
        bus = Bus(store)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_subscribe, bus.subscribe())
            with _timed(lines) as found:
                await Turn(request_for(corpus, folder), PlainFeed(bus)).run()
            found["rows"] = bus.current_seq
            bus.close()
    return found


class PlainFeed:
    """A turn's feed that does no more than the bus does."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.observe_stream = bus.current.observe_stream
        self.publish = bus.publish
        self.publish_lines = bus.publish_lines
        self.settle = bus.settle


def request_for(corpus: str, workspace: Path) -> TurnRequest:
    """Return the turn in which a claude writes this file."""
    argv = [sys.executable, "-IS", str(EMITTER), corpus]
    return TurnRequest(argv, b"go", workspace, dict(os.environ), redact=Redactor(SECRETS))


async def _subscribe(subscription: Subscription[BusEvent]) -> None:
    async for _, records in subscription.batches():
        for record in records:
            record.to_json()


def floor(corpus: str, lines: str) -> Sample:
    """Do the least that must be done, in one loop."""
    return _loop(corpus, lines, is_checked=False)


def checked_floor(corpus: str, lines: str) -> Sample:
    """Do the least that must be done, and look for secrets and make the bytes for a reader."""
    return _loop(corpus, lines, is_checked=True)


def _loop(corpus: str, lines: str, *, is_checked: bool) -> Sample:
    command = [sys.executable, "-IS", str(EMITTER), corpus]
    with (
        tempfile.TemporaryDirectory(dir=Path(corpus).parent) as folder,
        _timed(lines) as found,
        _database(Path(folder)) as db,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child,
    ):
        assert child.stdout is not None
        found["rows"] = _pump(child.stdout.fileno(), db, is_checked=is_checked)
    return found


@contextmanager
def _database(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / "events.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("CREATE TABLE events(id INTEGER PRIMARY KEY, ts INTEGER, kind TEXT, payload TEXT)")
        yield db


def _pump(stdout: int, db: sqlite3.Connection, *, is_checked: bool) -> int:
    """Store what comes through a pipe, and return how many rows that were."""
    rest, seq = b"", 0
    while chunk := os.read(stdout, CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        now, rows, sent = int(time.time() * 1000), [], []
        if is_checked and any(needle in chunk for needle in NEEDLES):
            raise ValueError("a secret in the corpus")
        for line in lines:
            is_stored = orjson.loads(line)["type"] != "stream_event"
            if is_stored:
                seq += 1
                rows.append((seq, now, "stream", line.decode()))
            if is_checked:
                number = b"%d" % seq if is_stored else b"null"
                sent.append(b'{"seq":%b,"ts":%d,"kind":"stream",%b' % (number, now, line[1:]))
        if rows:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
            db.execute("COMMIT")
        b"\n".join(sent)
    return seq


def sdk(corpus: str, lines: str) -> Sample:
    """Have claude-agent-sdk read it."""
    return asyncio.run(_query(Path(corpus), lines))


def stored_sdk(corpus: str, lines: str) -> Sample:
    """Have claude-agent-sdk read it, and store each message in a transaction of its own."""
    return _stored_sdk(corpus, lines, partial_too=True)


def same_sdk(corpus: str, lines: str) -> Sample:
    """Store only what we store: no partial lines."""
    return _stored_sdk(corpus, lines, partial_too=False)


def _stored_sdk(corpus: str, lines: str, *, partial_too: bool) -> Sample:
    with tempfile.TemporaryDirectory(dir=Path(corpus).parent) as folder, _database(Path(folder)) as db:
        return asyncio.run(_query(Path(corpus), lines, db, partial_too=partial_too))


async def _query(
    corpus: Path, lines: str, db: sqlite3.Connection | None = None, *, partial_too: bool = False
) -> Sample:
    try:
        from claude_agent_sdk import ClaudeAgentOptions, StreamEvent, query  # noqa: PLC0415 - of the extra `bench`
    except ImportError:
        raise UnavailableError(NO_SDK) from None
    program = corpus.with_suffix(".sh")
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{EMITTER}' '{corpus}' \"$@\"\n", encoding="utf-8")
    program.chmod(0o700)
    os.environ["CLAUDE_AGENT_SDK_SKIP_VERSION_CHECK"] = "1"
    options = ClaudeAgentOptions(
        cli_path=program, include_partial_messages=True, max_buffer_size=LINE_LIMIT_BYTES, cwd=program.parent
    )
    seq = 0
    with _timed(lines) as found:
        async for message in query(prompt="go", options=options):
            if db is not None and (partial_too or not isinstance(message, StreamEvent)):
                seq += 1
                row = (seq, int(time.time() * 1000), "stream", orjson.dumps(message, default=str).decode())
                db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", row)  # commits
    found["rows"] = seq
    return found

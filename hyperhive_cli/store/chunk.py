"""Chunks: rows of the history, packed together and compressed, as the archive keeps them. Pure.

Each row is `SEQ TS KIND LENGTH`, a newline, the payload and another newline. The payload is kept byte by byte.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from types import ModuleType
from typing import NamedTuple

from hyperhive_cli.core.events import BusEvent, TurnEnd, TurnStart
from hyperhive_cli.core.settings import LINE_LIMIT_BYTES

CHUNK_BYTES = 1024 * 1024  # of payload, apart from a longer row, which is a chunk by itself
CHUNK_ROWS = 1000  # read from the events table on the event loop, in about a millisecond
CODEC = "zstd"
# Measured on realistic lines: ratio 11, 1 GB/s; zlib 6 reaches 7 and a tenth of the speed, a higher level gains little.
LEVEL = 3
# Far above what a chunk can hold. The body of a damaged or forged one may claim anything.
UNPACKED_LIMIT_BYTES = 2 * LINE_LIMIT_BYTES + CHUNK_BYTES


class Chunk(NamedTuple):
    """Rows of one turn, or of the time between two, in one body. The times are Unix ms."""

    first_seq: int
    last_seq: int
    first_ts: int  # the lowest: a clock may be set back
    last_ts: int
    turn_id: int | None  # None: between turns, or not known
    events: int
    raw_bytes: int  # of payload
    codec: str
    body: bytes


class Run(NamedTuple):
    """Rows that belong into one chunk. `is_closed`: none can be added to them."""

    turn_id: int | None
    rows: list[BusEvent]
    is_closed: bool


def cut(rows: Iterable[BusEvent], turn_id: int | None = None) -> Iterator[Run]:
    """Cut rows where a turn starts or ends, and into runs of at most CHUNK_BYTES and CHUNK_ROWS.

    `turn_id`: the turn that is open before the first row. A turn whose start is missing is recognised by its end.
    """
    run: list[BusEvent] = []
    size = 0
    for row in rows:
        starts = row.kind == TurnStart.kind
        if run and (starts or len(run) == CHUNK_ROWS or size + len(row.payload) > CHUNK_BYTES):
            yield Run(turn_id, run, is_closed=True)
            run, size = [], 0
        if starts:
            turn_id = _turn_of(row)
        run.append(row)
        size += len(row.payload)
        if row.kind == TurnEnd.kind:
            yield Run(_turn_of(row) if turn_id is None else turn_id, run, is_closed=True)
            run, size, turn_id = [], 0, None
    if run:
        yield Run(turn_id, run, is_closed=size >= CHUNK_BYTES or len(run) == CHUNK_ROWS)


def _turn_of(row: BusEvent) -> int | None:
    with suppress(ValueError, TypeError):
        event = row.event
        return event.turn_id if isinstance(event, TurnStart | TurnEnd) else None
    return None


def pack(rows: Sequence[BusEvent], turn_id: int | None = None) -> Chunk:
    """Pack rows, ordered by their numbers.

    Raises ValueError if there are none, or one has no number or a kind with a newline.
    """
    numbers = [row.seq for row in rows if row.seq is not None]
    if not rows or len(numbers) < len(rows) or any("\n" in row.kind for row in rows):
        raise ValueError("a chunk has rows with a number and a kind in one line")
    times = [row.ts for row in rows]
    raw = b"".join(
        b"%d %d %b %d\n%b\n" % (seq, row.ts, row.kind.encode(), len(row.payload), row.payload)
        for seq, row in zip(numbers, rows, strict=True)
    )
    return Chunk(
        numbers[0], numbers[-1], min(times), max(times), turn_id, len(rows), sum(len(row.payload) for row in rows),
        CODEC, compress(raw),
    )  # fmt: skip


def unpack(codec: str, body: bytes) -> Iterator[BusEvent]:
    """Yield the rows of a body; raises ValueError if it is damaged or of an unknown codec.

    The payloads are not parsed: `event` of a row may raise, as it was stored.
    """
    return rows_of(decompress(codec, body))


def rows_of(raw: bytes) -> Iterator[BusEvent]:
    """Yield the rows of a decompressed body; raises ValueError if it is malformed."""
    at = 0
    while at < len(raw):
        start = raw.index(b"\n", at) + 1
        seq, ts, rest = raw[at : start - 1].split(b" ", 2)
        kind, length = rest.rsplit(b" ", 1)
        at = start + int(length) + 1
        if raw[at - 1 : at] != b"\n" or at <= start:
            raise ValueError("a row of a chunk is cut off")
        yield BusEvent(int(seq), int(ts), kind.decode(), raw[start : at - 1])


# The library takes 4 ms to load, which no command pays that opens no chunk.


def compress(raw: bytes) -> bytes:
    """Compress to one frame with a checksum."""
    zstd = _library()
    parameter = zstd.CompressionParameter
    body: bytes = zstd.compress(raw, options={parameter.compression_level: LEVEL, parameter.checksum_flag: 1})
    return body


def decompress(codec: str, body: bytes) -> bytes:
    """Decompress a body; raises ValueError if it is damaged, far too large, or of an unknown codec."""
    if codec != CODEC:
        raise ValueError(f"a chunk has an unknown codec: {codec!r}")
    zstd = _library()
    frame = zstd.ZstdDecompressor()
    try:
        raw: bytes = frame.decompress(body, max_length=UNPACKED_LIMIT_BYTES)
    except (zstd.ZstdError, EOFError) as error:
        raise ValueError(f"a chunk is damaged: {error}") from error
    if not frame.eof or frame.unused_data:  # a flipped bit of its head switches the checksum off, which then is left
        raise ValueError("a chunk is damaged: it is cut off, or far too large")
    return raw


def _library() -> ModuleType:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - see above
    else:
        from backports import zstd  # noqa: PLC0415
    return zstd

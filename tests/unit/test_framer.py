"""Bytes to lines: cut anywhere, of any size, with memory that stays bounded."""

import hashlib
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.stream import HEAD_BYTES, LineFramer, Oversized
from hyperhive_cli.core.settings import LINE_LIMIT_BYTES

KIB, MIB = 1024, 1024 * 1024
Line = bytes | Oversized
LINES_IN_BYTES = st.lists(st.sampled_from([b"\n", b"\r", b"a", b"{}", b"\x00", b"\xff", "\u2028".encode()])).map(
    b"".join
)


def frame(chunks: Iterable[bytes], limit_bytes: int = LINE_LIMIT_BYTES) -> list[Line]:
    """Push the chunks one after the other, then end the stream."""
    framer = LineFramer(limit_bytes)
    return [line for chunk in chunks for line in framer.push(chunk)] + framer.flush()


def by_hand(data: bytes) -> list[bytes]:
    """Return what the lines should be; an empty tail is no line."""
    *lines, tail = data.split(b"\n")
    return [*lines, tail] if tail else lines


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut at these places, wherever they fall; the same place twice gives an empty chunk."""
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(marks)]


def over(line: bytes, head_bytes: int = HEAD_BYTES) -> Oversized:
    return Oversized(len(line), hashlib.sha256(line).hexdigest(), line[:head_bytes])


def without_heads(lines: Iterable[Line]) -> list[Line]:
    """Drop the heads: with a limit below their usual length they end where the limit was passed."""
    return [replace(line, head=b"") if isinstance(line, Oversized) else line for line in lines]


@given(LINES_IN_BYTES | st.binary(), st.lists(st.integers(min_value=0)))
def test_any_bytes_cut_anywhere_give_the_same_lines(data: bytes, places: list[int]) -> None:
    assert frame(cut(data, places)) == by_hand(data)


@given(LINES_IN_BYTES, st.lists(st.integers(min_value=0)), st.integers(min_value=1, max_value=6))
def test_with_a_small_limit_each_line_is_whole_or_oversized_wherever_it_is_cut(
    data: bytes, places: list[int], limit: int
) -> None:
    expected = [line if len(line) <= limit else over(line, 0) for line in by_hand(data)]
    assert without_heads(frame(cut(data, places), limit)) == expected


@given(LINES_IN_BYTES)
def test_byte_by_byte_gives_the_same_lines(data: bytes) -> None:
    assert frame(data[i : i + 1] for i in range(len(data))) == by_hand(data)


def test_a_line_is_given_with_the_chunk_that_ends_it() -> None:
    framer = LineFramer()
    assert framer.push(b"one\ntw") == [b"one"]
    assert framer.push(b"o") == []
    assert framer.push(b"\n") == [b"two"]
    assert framer.flush() == []


def test_what_follows_the_last_newline_comes_with_the_flush() -> None:
    framer = LineFramer()
    assert framer.push(b"one\ntail") == [b"one"]
    assert framer.flush() == [b"tail"]


def test_a_flush_is_given_once() -> None:
    framer = LineFramer()
    framer.push(b"tail")
    framer.flush()
    assert framer.flush() == []


def test_empty_lines_are_lines() -> None:
    assert frame([b"\n\na\n\n"]) == [b"", b"", b"a", b""]


def test_an_empty_chunk_changes_nothing() -> None:
    assert frame([b"", b"a", b"", b"b\n", b""]) == [b"ab"]


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x85", "\r", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_0x0a_ends_a_line(inside: str) -> None:
    line = f'{{"text":"a{inside}b"}}'.encode()
    assert frame([line + b"\n" + line + b"\n"]) == [line, line]


@pytest.mark.parametrize("chunk", [1, 3, 7, 10, 11, 100])
def test_a_line_of_exactly_the_limit_is_whole(chunk: int) -> None:
    data = b"0123456789\nnext\n"
    pieces = [data[i : i + chunk] for i in range(0, len(data), chunk)]
    assert frame(pieces, limit_bytes=10) == [b"0123456789", b"next"]


@pytest.mark.parametrize("chunk", [1, 3, 7, 10, 11, 100])
def test_a_line_one_byte_over_is_counted_and_hashed_and_the_next_one_is_intact(chunk: int) -> None:
    data = b"0123456789X\nnext\n"
    pieces = [data[i : i + chunk] for i in range(0, len(data), chunk)]
    assert without_heads(frame(pieces, limit_bytes=10)) == [over(b"0123456789X", 0), b"next"]


def test_lines_of_one_chunk_are_measured_one_by_one() -> None:
    data = b"0123456789X\n0123456789\n0123456789XY\n\nnext\n"
    lines = without_heads(frame([data], limit_bytes=10))
    assert lines == [over(b"0123456789X", 0), b"0123456789", over(b"0123456789XY", 0), b"", b"next"]


def test_an_oversized_line_without_its_newline_comes_with_the_flush() -> None:
    assert frame([b"01234", b"56789", b"X"], limit_bytes=10) == [over(b"0123456789X")]


@pytest.mark.parametrize("chunk", [1, 100, 4096, 20_000, 65_536])
def test_the_head_of_an_oversized_line_is_its_first_bytes_however_it_comes(chunk: int) -> None:
    line = bytes(i % 251 for i in range(3 * HEAD_BYTES)).replace(b"\n", b".")
    pieces = [line[i : i + chunk] for i in range(0, len(line), chunk)]
    assert frame([*pieces, b"\n"], limit_bytes=2 * HEAD_BYTES) == [over(line)]


def test_sixteen_mebibytes_are_one_line_by_default() -> None:
    line = b"x" * (16 * MIB)
    (whole,) = frame([line, b"\n"])
    (left_out,) = frame([line, b"x", b"\n"])
    assert whole == line
    assert isinstance(left_out, Oversized)
    assert left_out.size_bytes == len(line) + 1


def test_the_memory_for_a_line_over_the_limit_stays_bounded() -> None:
    chunk, count, limit = b"y" * (64 * KIB), 512, MIB  # 32 MiB in all
    framer = LineFramer(limit)
    tracemalloc.start()
    try:
        for _ in range(count):
            assert framer.push(bytes(bytearray(chunk))) == []
        (line,) = framer.push(b"\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(line, Oversized)
    assert (line.size_bytes, line.sha256) == (32 * MIB, hashlib.sha256(chunk * count).hexdigest())
    assert peak < 2 * limit

"""Chunks: what is packed is unpacked byte by byte, whatever it is, and damage is found."""

import sys
from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.events import BusEvent, Note, TurnEnd, TurnStart
from hyperhive_cli.store import chunk
from hyperhive_cli.store.chunk import CHUNK_BYTES, CODEC, Run, cut, pack, unpack

ROWS = st.lists(
    st.tuples(st.integers(0, 2**62), st.text(st.characters(exclude_characters="\n")), st.binary(max_size=60)),
    min_size=1, max_size=8,
)  # fmt: skip


def row(seq: int, payload: bytes = b"{}", kind: str = "note") -> BusEvent:
    return BusEvent(seq, 1_000 + seq, kind, payload)


def bound(seq: int, event: TurnStart | TurnEnd) -> BusEvent:
    return BusEvent.make(seq, 1_000 + seq, event)


def start(seq: int, turn_id: int | None) -> BusEvent:
    return bound(seq, TurnStart(model="haiku", sender="operator", body="x", unread=0, turn_id=turn_id))


def end(seq: int, turn_id: int | None) -> BusEvent:
    return bound(seq, TurnEnd(ok=True, turn_id=turn_id))


def shape(runs: Iterable[Run]) -> list[tuple[int | None, list[int | None], bool]]:
    return [(run.turn_id, [found.seq for found in run.rows], run.is_closed) for run in runs]


@given(ROWS)
def test_every_row_is_unpacked_as_it_was_packed(made: list[tuple[int, str, bytes]]) -> None:
    rows = [BusEvent(seq, ts, kind, payload) for seq, (ts, kind, payload) in enumerate(made, 7)]
    packed = pack(rows, 3)
    assert list(unpack(packed.codec, packed.body)) == rows
    assert packed[:7] == (
        7, 6 + len(rows), min(ts for ts, *_ in made), max(ts for ts, *_ in made), 3, len(rows),
        sum(len(payload) for *_, payload in made),
    )  # fmt: skip


@pytest.mark.parametrize("rows", [[], [BusEvent(None, 1, "stream", b"{}")], [row(1, kind="a\nb")]])
def test_what_would_not_be_read_back_is_refused(rows: list[BusEvent]) -> None:
    with pytest.raises(ValueError, match="a chunk has rows"):
        pack(rows)


@given(st.data())
def test_a_body_with_a_changed_or_missing_byte_is_damaged(data: st.DataObject) -> None:
    rows = [row(seq, Note(text=f"line {seq}").to_payload()) for seq in range(20)]
    body = pack(rows).body
    at = data.draw(st.integers(4, len(body) - 1))  # the first four mark the frame
    changed = bytes([body[at] ^ data.draw(st.integers(1, 255))])
    with pytest.raises(ValueError, match="chunk"):
        list(unpack(CODEC, body[:at]))
    with suppress(ValueError):
        assert list(unpack(CODEC, body[:at] + changed + body[at + 1 :])) == rows  # some bits mean nothing


def test_an_unknown_codec_and_rows_that_are_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown codec: 'lz4'"):
        list(unpack("lz4", b""))
    for raw in (b"x", b"1 2 note 2\n{}", b"1 2 note 9\n{}\n", b"1 2 note -4\n{}\n", b"1 2\n"):
        with pytest.raises(ValueError, match=r"."):
            list(unpack(CODEC, chunk.compress(raw)))


def test_a_small_body_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "UNPACKED_LIMIT_BYTES", 1_000)
    with pytest.raises(ValueError, match="too large"):
        chunk.decompress(CODEC, chunk.compress(b"0" * 2_000))


def test_rows_are_cut_where_a_turn_starts_and_ends() -> None:
    rows = [row(1), start(2, 5), row(3), end(4, 5), row(5), start(6, 6), row(7)]
    assert shape(cut(rows)) == [
        (None, [1], True),
        (5, [2, 3, 4], True),
        (None, [5], True),
        (6, [6, 7], False),
    ]


def test_a_turn_goes_on_in_the_next_rows_and_is_known_by_its_end() -> None:
    assert shape(cut([row(3), end(4, 5), row(5)], 5)) == [(5, [3, 4], True), (None, [5], False)]
    assert shape(cut([row(3), end(4, 5)])) == [(5, [3, 4], True)]


def test_a_turn_that_was_cut_off_lasts_until_the_next_starts() -> None:
    assert shape(cut([start(1, 5), row(2), start(3, None), row(4)])) == [(5, [1, 2], True), (None, [3, 4], False)]


def test_bounds_that_cannot_be_read_cut_too() -> None:
    rows = [row(1, b"[", TurnStart.kind), row(2, b'"x"', TurnEnd.kind)]
    assert shape(cut(rows)) == [(None, [1, 2], True)]


def test_a_run_holds_a_mebibyte_or_one_longer_row() -> None:
    half, long = bytes(CHUNK_BYTES // 2), bytes(CHUNK_BYTES + 1)
    rows = [start(1, 5), row(2, half), row(3, half), row(4, half), row(5, long), row(6)]
    assert shape(cut(rows)) == [
        (5, [1, 2], True),
        (5, [3, 4], True),
        (5, [5], True),
        (5, [6], False),
    ]
    assert shape(cut([row(1, half), row(2, half)])) == [(None, [1, 2], True)]


def test_the_library_is_loaded_when_a_chunk_is_opened() -> None:
    pack([row(1)])
    assert {"compression.zstd", "backports.zstd"} & sys.modules.keys()

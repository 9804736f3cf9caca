"""Keys from bytes, however they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.render.console.keys import Key, KeyReader

SEQUENCES = [
    b"a", b"\r", b"\n", b"\t", b"\x7f", b"\x01", b"\x1a", b"\x1b[A", b"\x1bOA", b"\x1b[1;5C", b"\x1b[3~",
    b"\x1b[27;2;13~", b"\x1b[13;2u", b"\x1b\r", b"\x1bb", b"\x1b\x7f", "é".encode(), "漢".encode(), "👩‍🔬".encode(),
    b"\x1b[200~a\rb\x1b[201~",
    b"\x1b[<0;10;10M", b"\xff", b"\xe2\x28", b"\x1b[I", b"\x1b[?1;2c", b"\x1b\x1b[A", b"\xed\xa0\x80",
]  # fmt: skip


def read(*pieces: bytes) -> list[Key]:
    reader = KeyReader()
    keys = [key for piece in pieces for key in reader.push(piece)]
    return [*keys, *reader.release()]


@given(st.lists(st.sampled_from(SEQUENCES) | st.binary(max_size=6), max_size=12), st.data())
def test_cut_at_any_byte_the_same_bytes_give_the_same_keys(sequences: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(sequences)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(*pieces) == read(whole)
    assert read(*(bytes([byte]) for byte in whole)) == read(whole)


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
def test_any_text_that_is_typed_arrives(text: str) -> None:
    assert "".join(key.text for key in read(text.encode())) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\x1b")))
def test_any_text_that_is_pasted_arrives_as_one_key(text: str) -> None:
    assert read(b"\x1b[200~", text.encode(), b"\x1b[201~") == [Key("paste", text)]


def test_line_ends_of_a_paste_are_those_of_unix() -> None:
    assert read(b"\x1b[200~a\rb\r\nc\x1b[201~") == [Key("paste", "a\nb\nc")]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\r", "enter"), (b"\n", "newline"), (b"\x1b\r", "newline"), (b"\x1b[13;2u", "newline"), (b"\t", "tab"),
        (b"\x1b", "escape"), (b"\x1b\x1b", "escape"), (b"\x1b[A", "up"), (b"\x1bOB", "down"), (b"\x1b[Z", "shift-tab"),
        (b"\x1b[1;3C", "alt-right"), (b"\x1b[1;5D", "ctrl-left"), (b"\x1bf", "alt-f"), (b"\x1b\x7f", "alt-backspace"),
        (b"\x03", "ctrl-c"), (b"\x0f", "ctrl-o"), (b"\x1b[3~", "delete"),
    ],
)  # fmt: skip
def test_the_names_of_keys(data: bytes, name: str) -> None:
    assert read(data) == [Key(name)]


def test_an_arrow_key_that_comes_late_in_two_pieces_is_no_escape() -> None:
    reader = KeyReader()
    assert reader.push(b"\x1b") == []
    assert reader.is_waiting
    assert reader.push(b"[A") == [Key("up")]
    assert not reader.is_waiting
    assert reader.release() == []


def test_what_a_terminal_reports_unasked_is_not_text() -> None:
    for report in (b"\x1b[I", b"\x1b[O", b"\x1b[<35;1;1M", b"\x1b[?64;1c", b"\x1b[24;80R"):
        assert [key for key in read(report) if key.name in {"text", "escape", "enter"}] == [], report

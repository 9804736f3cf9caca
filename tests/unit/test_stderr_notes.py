"""What claude writes to stderr: which lines become notes, and what is kept of the rest."""

from hyperhive_cli.claude.stderr_notes import MAX_NOTES, NOTE_CHARS, StderrNotes
from hyperhive_cli.claude.stream import Oversized


def test_each_line_is_a_warning_and_blank_lines_are_none() -> None:
    found = StderrNotes().take([b"one  ", b"  ", b"", "zwei ü".encode(), b"\xff"])
    assert [note.text for note in found] == ["one", "zwei ü", "\ufffd"]
    assert {(note.level, note.source) for note in found} == {("warning", "stderr")}


def test_a_long_line_is_cut() -> None:
    long = b"x" * (NOTE_CHARS + 1)
    assert [len(note.text) for note in StderrNotes().take([long, Oversized(10**9, "digest", long)])] == [NOTE_CHARS] * 2


def test_a_flood_is_counted_and_its_end_is_kept() -> None:
    notes = StderrNotes()
    assert notes.left_out() is None
    shown = [note for number in range(MAX_NOTES + 7) for note in notes.take([str(number).encode()])]
    assert len(shown) == MAX_NOTES
    left_out = notes.left_out()
    assert left_out is not None
    assert left_out.text == f"7 more lines came on stderr; the last: {MAX_NOTES + 6}"
    assert notes.tail.splitlines() == [str(MAX_NOTES + number) for number in range(2, 7)]

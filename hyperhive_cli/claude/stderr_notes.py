"""`StderrNotes`: what claude writes to stderr, as notes of the live feed. Pure."""

from collections import deque
from collections.abc import Sequence

from hyperhive_cli.claude.stream import Oversized
from hyperhive_cli.core.events import Note

LINE_LIMIT_BYTES = 65_536
NOTE_CHARS = 2_000
TAIL_LINES = 5
MAX_NOTES = 200  # in one turn: a flood of them would push everything else out of the history


class StderrNotes:
    """The stderr of one turn: its first MAX_NOTES lines become notes, and the last TAIL_LINES are kept."""

    def __init__(self) -> None:
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._lines = 0

    @property
    def tail(self) -> str:
        """The last lines, for a diagnosis."""
        return "\n".join(self._tail)

    def take(self, lines: Sequence[bytes | Oversized]) -> list[Note]:
        """Return the notes of some lines; blank lines are skipped."""
        texts = [line.head if isinstance(line, Oversized) else line for line in lines]
        found = [text.decode(errors="replace").rstrip()[:NOTE_CHARS] for text in texts if text.strip()]
        self._tail.extend(found)
        shown = found[: max(0, MAX_NOTES - self._lines)]
        self._lines += len(found)
        return [_note(text) for text in shown]

    def left_out(self) -> Note | None:
        """Return a note that counts the lines without a note, at the end of the turn; None if there are none."""
        count = self._lines - MAX_NOTES
        return None if count <= 0 else _note(f"{count} more lines came on stderr; the last: {self._tail[-1]}")


def _note(text: str) -> Note:
    return Note(text=text[:NOTE_CHARS], level="warning", source="stderr")

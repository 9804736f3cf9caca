"""`Editor`: the line that a person types, of one or several rows, with the keys of readline. Pure.

Its text is a list of atoms: clusters of characters, and whole texts that were pasted. A pasted text that is long is
drawn as one word and deleted as one.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hyperhive_cli.core.text import plural
from hyperhive_cli.render.console.cells import clusters, shown, width_of_text
from hyperhive_cli.render.console.keys import Key

LONG_PASTE_LINES, LONG_PASTE_CHARS = 10, 2_000
MAX_CLUSTER = 32  # characters; a longer atom is a pasted text


class TypedRows(NamedTuple):
    """The text wrapped to a width: its rows, the row of the cursor, and what stands before the cursor in it."""

    rows: list[str]
    row: int
    before: str


class Editor:
    """A text and a cursor in it."""

    def __init__(self) -> None:
        self.atoms: list[str] = []
        self.cursor = 0
        self._killed: list[str] = []

    @property
    def text(self) -> str:
        """Everything that was typed and pasted."""
        return "".join(self.atoms)

    @property
    def is_empty(self) -> bool:
        """True if there is no text."""
        return not self.atoms

    def set(self, text: str) -> None:
        """Replace the text; the cursor goes to its end."""
        self.atoms, self.cursor = [], 0
        self.paste(text)

    def take(self) -> str:
        """Return the text and clear it."""
        text = self.text
        self.set("")
        return text

    def paste(self, text: str) -> None:
        """Insert a text at the cursor; a long one as one atom."""
        if len(text) > LONG_PASTE_CHARS or text.count("\n") >= LONG_PASTE_LINES:
            self.insert([text])
        else:
            self.insert(list(clusters(text)))

    def press(self, key: Key) -> bool:
        """Take a key; return False if it is not one that edits."""
        if key.name in {"text", "paste"}:
            if key.name == "text" and self.cursor and len(self.atoms[self.cursor - 1]) <= MAX_CLUSTER:
                self.cursor -= 1
                self.insert(list(clusters(self.atoms.pop(self.cursor) + key.text)))
            else:
                self.paste(key.text)
            return True
        act = EDIT_KEYS.get(key.name)
        if act is not None:
            act(self)
        return act is not None

    def move_line(self, by: int) -> bool:
        """Move the cursor a line up (-1) or down (1); return False if there is none."""
        start, end = self.line()
        column = self.cursor - start
        if (by < 0 and start == 0) or (by > 0 and end == len(self.atoms)):
            return False
        self.cursor = start - 1 if by < 0 else end + 1
        start, end = self.line()
        self.cursor = min(start + column, end)
        return True

    def rows(self, width: int) -> TypedRows:
        """Wrap the text to rows of at most `width` cells."""
        rows, row, left = [""], 0, width
        position = (0, "")
        for at, atom in enumerate([*self.atoms, ""]):
            if at == self.cursor:
                position = (row, rows[row])
            if atom == "\n":
                rows.append("")
                row, left = row + 1, width
                continue
            pieces = list(clusters(_label(atom) if len(atom) > MAX_CLUSTER else shown(atom)))
            for index, piece in enumerate(pieces):
                size = width_of_text(piece)
                if size > left and rows[row]:
                    rows.append("")
                    row, left = row + 1, width
                    if at == self.cursor and index == 0:
                        position = (row, "")
                rows[row] += piece
                left -= size
        return TypedRows(rows, *position)

    def insert(self, atoms: list[str]) -> None:
        """Insert atoms at the cursor."""
        self.atoms[self.cursor : self.cursor] = atoms
        self.cursor += len(atoms)

    def line(self) -> tuple[int, int]:
        """Return where the cursor's line starts and ends."""
        start = next((at + 1 for at in range(self.cursor - 1, -1, -1) if self.atoms[at] == "\n"), 0)
        end = next((at for at in range(self.cursor, len(self.atoms)) if self.atoms[at] == "\n"), len(self.atoms))
        return start, end

    def go(self, to: int) -> None:
        """Move the cursor to a place."""
        self.cursor = min(max(0, to), len(self.atoms))

    def word(self, by: int) -> int:
        """Return where the word before (-1) or after (1) the cursor starts or ends."""
        at, edge = self.cursor, 0 if by < 0 else len(self.atoms)
        for is_word in (False, True):
            while at != edge and _is_of_word(self.atoms[at - 1 if by < 0 else at]) == is_word:
                at += by
        return at

    def delete(self, to: int, *, keep: bool = True) -> None:
        """Delete from the cursor to a place, and `keep` what was deleted for `yank`."""
        start, end = sorted((self.cursor, min(max(0, to), len(self.atoms))))
        if start == end:
            return
        if keep:
            self._killed = self.atoms[start:end]
        del self.atoms[start:end]
        self.cursor = start

    def delete_to_line(self, end: int) -> None:
        """Delete to the start (0) or end (1) of the line; at the end of a line, the line break."""
        to = self.line()[end]
        self.delete(to + 1 if to == self.cursor and end else to)

    def yank(self) -> None:
        """Insert what was deleted last."""
        self.insert(list(self._killed))


def _is_of_word(atom: str) -> bool:
    return atom.isalnum() or atom == "_" or len(atom) > 1


def _label(text: str) -> str:
    count = text.count("\n") + 1
    return f"[pasted {plural(count, 'line') if count > 1 else f'{len(text):,} characters'}]"


EDIT_KEYS: Mapping[str, Callable[[Editor], None]] = {
    **dict.fromkeys(("ctrl-a", "home"), lambda editor: editor.go(editor.line()[0])),
    **dict.fromkeys(("ctrl-e", "end"), lambda editor: editor.go(editor.line()[1])),
    **dict.fromkeys(("ctrl-b", "left"), lambda editor: editor.go(editor.cursor - 1)),
    **dict.fromkeys(("ctrl-f", "right"), lambda editor: editor.go(editor.cursor + 1)),
    **dict.fromkeys(("alt-b", "ctrl-left", "alt-left"), lambda editor: editor.go(editor.word(-1))),
    **dict.fromkeys(("alt-f", "ctrl-right", "alt-right"), lambda editor: editor.go(editor.word(1))),
    "backspace": lambda editor: editor.delete(editor.cursor - 1, keep=False),
    **dict.fromkeys(("ctrl-d", "delete"), lambda editor: editor.delete(editor.cursor + 1, keep=False)),
    **dict.fromkeys(("ctrl-w", "alt-backspace"), lambda editor: editor.delete(editor.word(-1))),
    "alt-d": lambda editor: editor.delete(editor.word(1)),
    "ctrl-u": lambda editor: editor.delete_to_line(0),
    "ctrl-k": lambda editor: editor.delete_to_line(1),
    "ctrl-y": Editor.yank,
    "newline": lambda editor: editor.insert(["\n"]),
}


class History:
    """What was sent before, oldest first, and a place in it. Pure: its file is the caller's."""

    def __init__(self, entries: list[str]) -> None:
        self.entries = entries
        self._at = len(entries)
        self._draft = ""

    def add(self, text: str) -> bool:
        """Add a text that was sent; return False if it is the newest one already."""
        is_new = bool(text.strip()) and self.entries[-1:] != [text]
        if is_new:
            self.entries.append(text)
        self._at, self._draft = len(self.entries), ""
        return is_new

    def older(self, current: str) -> str | None:
        """Return the entry before the current one, None if there is none."""
        if self._at == 0:
            return None
        if self._at == len(self.entries):
            self._draft = current
        self._at -= 1
        return self.entries[self._at]

    def newer(self) -> str | None:
        """Return the entry after the current one, or what was typed before; None if there is none."""
        if self._at >= len(self.entries):
            return None
        self._at += 1
        return self._draft if self._at == len(self.entries) else self.entries[self._at]

"""A small terminal: what is left on the screen after the codes that the live region uses.

It knows carriage return, newline, cursor up, erase a line, its rest or the rest of the screen, show and hide the
cursor, colours, wrapping, pasting and the ends of a frame, and nothing else: any other escape sequence, or control
character, is an error.
"""

import re

_PARTS = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|([\r\n])|([^\x00-\x1f\x7f-\x9f]+)")


class Screen:
    def __init__(self) -> None:
        self.rows = [""]
        self.row = 0
        self.column = 0
        self.cursor_shown = True

    def feed(self, output: str) -> "Screen":
        at = 0
        while at < len(output):
            found = _PARTS.match(output, at)
            assert found, f"a code this terminal does not know: {output[at : at + 20]!r}"
            at = found.end()
            if found[5]:
                self._write(found[5])
            elif found[4] == "\n":
                self._line_feed()
            elif found[4]:
                self.column = 0
            else:
                self._obey(found[1], found[2], found[3])
        return self

    def _line_feed(self) -> None:
        self.row, self.column = self.row + 1, 0
        while len(self.rows) <= self.row:
            self.rows.append("")

    def _write(self, text: str) -> None:
        old = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = old[: self.column] + text + old[self.column + len(text) :]
        self.column += len(text)

    def _obey(self, private: str, value: str, letter: str) -> None:
        match private, value, letter:
            case "", _, "m":
                pass
            case "", _, "A":
                self.row -= int(value or 1)
                assert self.row >= 0
            case "", "2", "K":
                self.rows[self.row] = ""
            case "", "", "K":
                self.rows[self.row] = self.rows[self.row][: self.column]
            case "", "", "J":
                self.rows[self.row] = self.rows[self.row][: self.column]
                del self.rows[self.row + 1 :]
            case "?", "25", ("h" | "l"):
                self.cursor_shown = letter == "h"
            case "?", ("7" | "2004" | "2026"), ("h" | "l"):
                pass  # wrapping, pasting, and a frame's ends
            case _:
                raise AssertionError(f"a code this terminal does not know: {private}{value}{letter}")

    @property
    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows).rstrip("\n")

    @property
    def last(self) -> str:
        return self.text.rsplit("\n", 1)[-1]

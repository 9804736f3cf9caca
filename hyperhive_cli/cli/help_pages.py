"""The help of every command as text: `-h` shows it without click, whose import takes longer than all the rest.

`help_pages.txt` is written by `python -m tests.reference` and tested against what click itself says. In it, a page is
not yet folded: `TERM<tab>MEANING` is a definition, `<tab>TEXT` a line to keep as it is, the rest are paragraphs.
"""

import os
import sys

from hyperhive_cli.cli.width import columns

WIDEST = 100  # longer lines are hard to read
WIDEST_TERM = 32  # a longer one has its meaning on the next line
HELP = ("-h", "--help")


def show_help(words: list[str]) -> bool:
    """Print the help that this command line asks for; False if it asks for something else, or needs more care."""
    if not words or words[-1] not in HELP or sys.stdout is None or sys.stdout.encoding.lower() != "utf-8":
        return False
    page = find_page(words[:-1])
    if page is None:
        return False
    rest = lay_out(page, min(columns(), WIDEST)).encode()
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except BrokenPipeError:  # as git: a reader that goes away is not an error
        return True
    except OSError:  # said by those who print everything else
        return False
    return True


def find_page(words: list[str]) -> str | None:
    """Return the page of a command, by the words that call it; None if there is no such command."""
    path = os.path.join(os.path.dirname(__file__), "help_pages.txt")  # noqa: PTH118, PTH120 - pathlib costs 5 ms
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as above
        pages = file.read()
    mark = f"\f{' '.join(['hyperhive', *words])}\n"
    _, _, found = pages.partition(mark)
    return found.partition("\f")[0] or None


def lay_out(page: str, width: int) -> str:
    """Fold a page to this width, its definitions in two columns."""
    lines = page.rstrip("\n").split("\n")
    out: list[str] = []
    for at, line in enumerate(lines):
        term, tab, meaning = line.partition("\t")
        if not tab:
            indent = len(line) - len(line.lstrip())
            out += _fold(line.split(), " " * indent, " " * (indent + 7 * line.startswith("Usage:")), width)
        elif not term:
            out.append(f"  {meaning}")
        else:
            column = _column(lines, at)
            first, rest = f"  {term}".ljust(column), " " * column
            if len(term) + 4 > column:
                out.append(first)
                first = rest
            out += _fold(meaning.split(), first, rest, max(width, column + 20))
    return "\n".join(out) + "\n"


def _column(lines: list[str], at: int) -> int:
    """Return where the meanings begin in the block of definitions that this line belongs to."""
    first = last = at
    while first and lines[first - 1].strip("\t"):
        first -= 1
    while last + 1 < len(lines) and lines[last + 1]:
        last += 1
    terms = [line.partition("\t")[0] for line in lines[first : last + 1] if "\t" in line]
    return max(len(term) for term in terms if len(term) <= WIDEST_TERM or len(terms) == 1) + 4


def _fold(words: list[str], first: str, rest: str, width: int) -> list[str]:
    lines = [first]
    is_empty = True
    for word in words:
        if not is_empty and len(lines[-1]) + 1 + len(word) > width:
            lines.append(rest)
            is_empty = True
        lines[-1] += word if is_empty else f" {word}"
        is_empty = False
    return lines

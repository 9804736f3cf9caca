"""The language of the project: phrases that read as translated and private words stay out.

It reads docstrings, comments and strings of the package, comments of the page's scripts, and whole texts. `ROOMS` lists
the parts that are checked.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import hyperhive_cli
from tests.harness import SOURCE

ROOT = Path(hyperhive_cli.__file__).parent
ROOMS = (
    "core", "claude", "store", "control", "demo", "feed", "transcript", "render", "agent", "hive", "harness", "doctor",
    "web", "cli", "docs", "README.md", "examples",
)  # fmt: skip
SUFFIXES = {".py", ".js", ".html", ".md", ".txt"}


class Pattern(NamedTuple):
    """A regular expression for a phrase, and what to write instead."""

    regex: str
    better: str


NOUNS = "|".join(
    """
    address agent answer command date file folder harness id key limit message model moment name number option path
    sender session socket text time token turn URL
    """.split()  # noqa: SIM905 - easier to read than a list
)
PATTERNS = (
    # Joints and verbs of a translation.
    Pattern(rf"(?<!there )\b(?:is|are|was) no (?:\w+ )?(?:{NOUNS})s?\b(?! (?:is|more|longer))", "is not a (valid) …"),
    Pattern(r"\bno JSON\b", "not JSON"),
    Pattern(r"\bfor ever\b", "forever"),
    Pattern(r"\banew\b", "again, or from the start"),
    Pattern(r"(?i:\bwhoever\b)", "anyone who, or the name of the one"),
    Pattern(r"(?i:\bnobody\b)", "no one, or no process"),
    Pattern(r"(?i:\bsomebody\b)", "someone, or another process"),
    Pattern(r"\bshall\b", "should, or the plain present"),
    Pattern(r"\bat once\b", "immediately; together"),
    Pattern(r"\ball that\b", "everything that, or every … that"),
    Pattern(r"\bwhat stands in\b", "the contents of"),
    Pattern(r"\bsuch as is\b", "the existing …"),
    Pattern(r"\b[Ww]here (?:that|none) (?:is|can)\b", "if …"),
    Pattern(r"\bbegins? (?:a|no|the) (?:turn|program|process|harness)\b", "start"),
    Pattern(r"\bthe harness that runs\b", "the running harness"),
    Pattern(r"^\s*Give\b", "Return …, or a noun phrase"),
    Pattern(r"^\s*Let (?!us\b)\w+", "the imperative of what happens"),
    Pattern(r"(?i:\btake (?:\w+ )?in (?:a|one|the) line\b)", "process, or note"),
    # Private words: a newcomer cannot guess them.
    Pattern(r"(?i:\bpurses?\b)", "budget, BudgetKeeper"),
    Pattern(r"(?i:\bfoyers?\b)", "local inbox, LocalInbox"),
    Pattern(r"(?i:\bkin\b)", "agents of the same account, SharedAccount"),
    Pattern(r"(?i:\btenures?\b)", "lease"),
    Pattern(r"(?i:\bsie(?:ve|ves|ved)\b)", "filter"),
    Pattern(r"(?i:\b\w*desks?\b)(?<!desktop)", "service, runner"),
    Pattern(r"\bPatient\b", "Subject"),
)


class Place(NamedTuple):
    """A line of text and its number."""

    line: int
    text: str


def python_texts(source: str) -> Iterator[Place]:
    """Yield the comments, docstrings and strings of a module, line by line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Place(token.start[0], token.string.lstrip("# "))
        elif token.type in STRINGS:
            yield from lines(token.start[0], QUOTES.sub("", token.string))


STRINGS = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}  # from Python 3.12 on
QUOTES = re.compile(r"\A[a-zA-Z]{0,2}(\"\"\"|\'\'\'|\"|\')|(\"\"\"|\'\'\'|\"|\')\Z")


def lines(first: int, text: str) -> Iterator[Place]:
    yield from (Place(first + offset, line) for offset, line in enumerate(text.split("\n")))


def script_texts(source: str) -> Iterator[Place]:
    """Yield the comments of JavaScript or HTML, line by line."""
    for match in re.finditer(r"/\*.*?\*/|<!--.*?-->|(?<![:\w\"\'`])//[^\n]*", source, re.DOTALL):
        text = "\n".join(line.strip(" */") for line in match[0].split("\n"))
        yield from lines(source.count("\n", 0, match.start()) + 1, text)


def texts_of(path: Path) -> list[Place]:
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return list(python_texts(source))
    return list(script_texts(source)) if path.suffix in {".js", ".html"} else list(lines(1, source))


def complaints(name: str, places: list[Place]) -> Iterator[str]:
    """Name each bad phrase with its file and line, and what to write instead."""
    for place in places:
        for pattern in PATTERNS:
            if found := re.search(pattern.regex, place.text):
                yield f"{name}:{place.line}: {found[0].strip()!r}: write: {pattern.better}"


def files_of(room: str) -> list[Path]:
    """Return the files of a room of the package, or of a file or folder beside the package."""
    top = next(path for path in (ROOT / room, SOURCE / room) if path.exists())
    paths = [top] if top.is_file() else sorted(top.rglob("*"))
    kept = (path for path in paths if path.suffix in SUFFIXES and path.is_file())
    return [path for path in kept if "vendor" not in path.parts]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_written_in_plain_english(room: str) -> None:
    files = files_of(room)
    assert files != []
    assert [one for path in files for one in complaints(str(path.relative_to(SOURCE)), texts_of(path))] == []


MADE_UP = '''"""Give the purse of whoever asks."""

LIMIT = 3  # for ever
TEXT = "'x' is no sender name"
f"all that {LIMIT} begins anew"


def run() -> None:
    """Run it at once.

    Nobody shall wait.
    """
'''


def test_a_bad_phrase_is_found_in_docstrings_comments_and_strings() -> None:
    found = [one.partition(": write")[0] for one in complaints("made/up.py", list(python_texts(MADE_UP)))]
    assert found == [
        "made/up.py:1: 'whoever'",
        "made/up.py:1: 'Give'",
        "made/up.py:1: 'purse'",
        "made/up.py:3: 'for ever'",
        "made/up.py:4: 'is no sender name'",
        "made/up.py:5: 'anew'",
        "made/up.py:5: 'all that'",
        "made/up.py:9: 'at once'",
        "made/up.py:11: 'Nobody'",
        "made/up.py:11: 'shall'",
    ]  # fmt: skip


def test_a_complaint_names_file_line_and_the_better_word() -> None:
    (found,) = complaints("cli/x.js", list(script_texts("const a = 1;\n// it waits for ever\n")))
    assert found == "cli/x.js:2: 'for ever': write: forever"


@pytest.mark.parametrize(
    "text",
    ["there is no time left", "the name is no longer valid", "there is no model", "a place to park", "in a kind way"],
)
def test_plain_english_is_left_alone(text: str) -> None:
    assert list(complaints("x.py", [Place(1, text)])) == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_pattern_hits_the_empty_line_or_its_own_advice(pattern: Pattern) -> None:
    assert not re.search(pattern.regex, "")
    assert not re.search(pattern.regex, pattern.better)

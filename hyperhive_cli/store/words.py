"""The words of a search: which of a chunk's rows are indexed, and what a query means. Pure.

The index says in which chunks all words of a query occur; `Query.matches` then decides, text by text. It may find less
than the index does, never more: both take letters, digits and their marks as parts of a word, all else as its end.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, Self

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.store.texts import texts_of

MOST_TOKENS = 32  # of a query that the index is asked for: its expressions may not be too deep
INDEXED_BYTES = 2 * 1024 * 1024  # of payload in one chunk: to parse more would stop the other threads for long

# Accents that follow their letter, and characters for private use (icons of a terminal): letters for the index.
_MARKS = "\u0300-\u036f\ud7a4-\uf8ff\U000e0000-\U0010ffff"
_LETTER = rf"(?:[^\W_]|[{_MARKS}])"
_RUN = re.compile(f"{_LETTER}+")
# Scripts that write spaces between words, but for the letter that is a small i without dot: for Python an I.
_WITH_SPACES = re.compile(r"[\x00-\u0130\u0132-\u024f\u0370-\u0373\u0376-\u052f]*")
_PARTS = re.compile(r'"([^"]*)"|([^\s"]+)|(")')
_COLOUR = b"\\u001b["  # as JSON has it: a colour may stand within a word, and is no part of a text
HINT = """hyperhive search 'connection refused', conn*, or '"connection refused"' for a phrase"""


def words_of(rows: Iterable[BusEvent]) -> str | None:
    """Return the text that is indexed of a chunk of rows; None if it is too long, so that search always opens it."""
    found, size_bytes = list[str](), 0
    for row in rows:
        size_bytes += len(row.payload)
        if size_bytes > INDEXED_BYTES:
            return None
        found.extend(text.text for text in texts_of(row))
    return "\n".join(found)


class Query(NamedTuple):
    """What is searched for: a text matches if all of `patterns` are found in it.

    `fts`: the chunks that can match, as an expression of the index; None: any chunk can. `needles`: words that a row
    must contain as bytes, in lower case, before it is worth parsing.
    """

    patterns: tuple[re.Pattern[str], ...]
    fts: str | None = None
    needles: tuple[bytes, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read words, `word*` and phrases in quotes, which must all occur; capitals do not matter.

        Raises UsageError if there is none, or a quote that does not end.
        """
        terms = list[_Term]()
        for phrase, word, lone in _PARTS.findall(text):
            if lone:
                raise UsageError("a quoted phrase does not end", HINT)
            if found := phrase.strip() or word:
                terms.append(_term(found, is_phrase=bool(phrase)))
        if not terms:
            raise UsageError("nothing to search for", HINT)
        tokens = dict.fromkeys(token for term in terms for token in term.tokens)
        needles = dict.fromkeys(needle for term in terms for needle in term.needles)
        return cls(tuple(term.pattern for term in terms), " AND ".join([*tokens][:MOST_TOKENS]) or None, tuple(needles))

    @classmethod
    def from_part(cls, text: str) -> Self:
        """Search for a text anywhere, also within words; capitals do not matter. Raises UsageError if it is empty."""
        if not text:
            raise UsageError("nothing to search for", HINT)
        needles = tuple(run.encode() for run in _RUN.findall(text.lower())) if text.isascii() else ()
        return cls((re.compile(_folded(text)),), None, needles)

    @classmethod
    def from_pattern(cls, text: str) -> Self:
        """Search for a regular expression; raises UsageError if it is not valid."""
        try:
            return cls((re.compile(text, re.MULTILINE),))
        except (re.error, OverflowError, RecursionError) as error:
            hint = "Python's syntax; for a text as it is: --grep TEXT"
            raise UsageError(f"not a valid regular expression: {error}", hint) from error

    def may_match(self, payload: bytes) -> bool:
        """Return True if a payload is worth parsing."""
        if not self.needles:
            return True
        lowered = payload.lower()
        return all(needle in lowered for needle in self.needles) or _COLOUR in lowered

    def matches(self, text: str) -> bool:
        """Return True if everything that is searched for occurs in this text."""
        return all(pattern.search(text) for pattern in self.patterns)


ANYTHING = Query(())


class _Term(NamedTuple):
    pattern: re.Pattern[str]
    tokens: list[str]
    needles: list[bytes]


def _term(text: str, *, is_phrase: bool) -> _Term:
    """Read one word or phrase; a star at the end of a word stands for any rest of it."""
    is_start = not is_phrase and len(text) > 1 and text.endswith("*")
    text = text[:-1] if is_start else text
    runs = list(_RUN.finditer(text))
    tokens = [f'"{run[0]}"' for run in runs if _has_words(run[0])]
    if is_start and runs and runs[-1].end() == len(text) and _has_words(runs[-1][0]):
        tokens[-1] += " *"
    needles = [run[0].lower().encode() for run in runs] if text.isascii() else []
    first, *rest = text.split()
    # Behind the first piece: before it, it would be tried at each place of a text, which takes seven times as long.
    before = rf"(?<!{_LETTER}[\s\S]{{{len(first)}}})" if _is_in_word(text[0]) else ""
    after = rf"(?!{_LETTER})" if not is_start and _is_in_word(text[-1]) else ""
    pattern = "".join([_folded(first), before, *(rf"\s+{_folded(piece)}" for piece in rest), after])
    return _Term(re.compile(pattern), tokens, needles)


def _has_words(text: str) -> bool:
    """Return True if a text is of scripts with spaces: of others no words are known, so they match anywhere."""
    return _WITH_SPACES.fullmatch(text) is not None


def _is_in_word(letter: str) -> bool:
    return _RUN.fullmatch(letter) is not None and _has_words(letter)


def _folded(text: str) -> str:
    """Return a pattern for a text in capitals or not. That of Python makes more letters equal than the index does."""
    if text.isascii():
        return f"(?ai:{re.escape(text)})"
    return "".join(f"[{''.join(map(re.escape, _cases(letter)))}]" for letter in text)


def _cases(letter: str) -> list[str]:
    return [case for case in dict.fromkeys((letter, letter.lower(), letter.upper())) if len(case) == 1]

"""The words by which the binary names an ending are those that our tables have: a newer one may have learnt more."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.unit.words_of_claude import API_ERRORS, ERRORS, STOP_REASONS, SUBTYPES, TERMINAL_REASONS

LISTS = {
    "terminal_reason": TERMINAL_REASONS,
    "subtype": SUBTYPES,
    "stop_reason": STOP_REASONS,
    "error": ERRORS,
    "api_error": API_ERRORS,
}
WORDS = re.compile(rb'"[a-z_]+"(?:,"[a-z_]+")+')


def lists_with(word: str, program: bytes) -> Iterator[frozenset[str]]:
    """Return each list of words in the binary's own source that holds this one."""
    quoted = b'"%s"' % word.encode()
    at = program.find(quoted)
    while at != -1:
        begins, ends = program.rfind(b"[", 0, at) + 1, program.find(b"]", at)
        if WORDS.fullmatch(program, begins, ends):
            yield frozenset(program[begins:ends].decode().replace('"', "").split(","))
        at = program.find(quoted, at + 1)


def same_lists(known: frozenset[str], program: bytes) -> set[frozenset[str]]:
    """Return the lists of the binary that are this one, whatever they have more; others share a word or two with it."""
    rare = sorted(known, key=len)[-4:]  # a long word is not found all over the program
    found = {words for word in rare for words in lists_with(word, program)}
    return {words for words in found if len(words & known) > max(2, len(words) // 2)}


def test_the_binary_knows_no_word_that_is_unknown_to_us(claude_binary: Path) -> None:
    program = claude_binary.read_bytes()
    found = {name: same_lists(known, program) for name, known in LISTS.items()}
    assert len([name for name, lists in found.items() if lists]) >= 3  # 2.1.197 lists no stop reasons, no API errors
    assert [word for name, lists in found.items() for words in lists for word in words - LISTS[name]] == []

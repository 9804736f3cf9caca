"""What claude's lines say: the table, case by case, and its bounds."""

import pytest

from hyperhive_cli.claude.sentences import (
    KNOWN_LINES,
    MAX_TEXT,
    QUIET,
    SENTENCES,
    SHOWN_ELSEWHERE,
    HookResult,
    hook_result,
    line_name,
    line_to_sentence,
    text_in,
)
from tests.unit.made_events import plain
from tests.unit.spoken_lines import CASES, DENIES, STOPS, Line, hook, odd_lines, system


@pytest.mark.parametrize(("line", "wanted"), CASES, ids=lambda one: line_name(one) if isinstance(one, dict) else "")
def test_each_line_says_what_it_should(line: Line, wanted: tuple[str, str, str] | None) -> None:
    found = line_to_sentence(line)
    assert (None if found is None else (found.text, found.tone, found.mark)) == wanted


def test_each_sentence_of_the_table_has_a_case() -> None:
    spoken = {line_name(line) for line, wanted in CASES if wanted is not None}
    rare = {"system/away_summary", "system/conversation_reset", "system/permission_retry", "system/thinking"}
    rare |= {"system/ui_log", "system/ui_notify", "system/ui_toast", "system/worker_shutting_down", "os_notification"}
    assert SENTENCES.keys() - spoken == rare


def test_a_line_stands_in_one_part_of_the_table() -> None:
    assert not QUIET & SHOWN_ELSEWHERE
    assert not QUIET & SENTENCES.keys()
    assert not SHOWN_ELSEWHERE & SENTENCES.keys()


def test_odd_values_do_no_harm() -> None:
    for line in odd_lines([*sorted(KNOWN_LINES), "novelty", "system/novelty"]):
        found = line_to_sentence(line)
        assert found is None or found.text


def test_a_huge_line_is_cut() -> None:
    line = {"type": "x", "content": ["a" * 10**6] * 500, "message": {"content": [{"text": "b" * 10**6}]}}
    found = line_to_sentence(line)
    assert found is not None
    assert len(found.text) < 3 * MAX_TEXT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (["a", "a", {"text": "b"}], "a\nb"),
        ({"message": {"content": [{"type": "text", "text": "b"}]}}, "b"),
        ({"other": "x"}, ""),
        (None, ""),
        (7, ""),
    ],
)
def test_every_text_is_found_once(value: object, text: str) -> None:
    assert text_in(value) == text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (hook("Stop", stdout=STOPS), HookResult("maintenance window", stops=True)),
        (hook("PreToolUse", stdout=DENIES), HookResult("not on a Friday", blocks=True)),
        (hook("PreToolUse", stderr="policy says no\n", code=2), HookResult("policy says no", blocks=True)),
        (hook("Stop", stderr="broken", code=1), HookResult("broken", failed=True)),
        (hook("Stop", stdout="fine"), HookResult("")),
    ],
)
def test_the_words_of_a_hook_are_found_whoever_repeats_them(line: Line, words: HookResult) -> None:
    assert hook_result(line) == words


def test_a_line_is_shown_once_a_turn() -> None:
    line = system("informational", content="by the way")
    assert plain(line, line).count("by the way") == 1
    assert plain(line, {"type": "result", "is_error": False, "result": "by the way"}).count("by the way") == 1


def test_what_a_line_says_is_cleaned_and_has_a_bound() -> None:
    shown = plain(system("novelty", content="\x1b]0;red\u202e\n" + "line\n" * 40))
    assert "\\x1b]0;red\\u202e" in shown
    assert shown.count("line") == 12  # eleven of its lines, and the count of those that are left out
    assert "… 29 lines" in shown

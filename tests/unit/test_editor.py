"""The typed line, and what was sent before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.render.console.cells import clusters, width_of_text, wrapped
from hyperhive_cli.render.console.editor import EDIT_KEYS, Editor, History
from hyperhive_cli.render.console.keys import Key

typed = st.builds(Key, st.just("text"), st.characters(exclude_categories=["Cs"], exclude_characters="\n"))
pasted = st.builds(Key, st.just("paste"), st.text(max_size=40) | st.just("line\n" * 20))
keys = st.lists(typed | pasted | st.sampled_from([Key(name) for name in EDIT_KEYS]), max_size=40)


def press(editor: Editor, *given_keys: Key | str) -> Editor:
    for key in given_keys:
        if isinstance(key, Key):
            assert editor.press(key)
        elif key in EDIT_KEYS:
            assert editor.press(Key(key))
        else:
            for char in key:
                assert editor.press(Key("text", char))
    return editor


@given(keys, st.integers(1, 30))
def test_the_cursor_is_in_the_text_and_each_row_fits(pressed: list[Key], width: int) -> None:
    editor = press(Editor(), *pressed)
    assert 0 <= editor.cursor <= len(editor.atoms)
    found = editor.rows(width)
    assert 0 <= found.row < len(found.rows)
    assert found.rows[found.row].startswith(found.before)
    widest = max((width_of_text(cluster) for row in found.rows for cluster in clusters(row)), default=0)
    assert all(width_of_text(row) <= max(width, widest) for row in found.rows)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\n")))
def test_what_is_typed_is_the_text(text: str) -> None:
    assert press(Editor(), *(Key("text", char) for char in text)).text == text


@given(keys)
def test_what_was_cut_comes_back(pressed: list[Key]) -> None:
    editor = press(Editor(), *pressed)
    before = editor.text
    end = editor.text[len("".join(editor.atoms[: editor.cursor])) :]
    press(editor, "ctrl-k")
    if editor.text != before:
        assert end
        press(editor, "ctrl-y")
    assert editor.text == before


@pytest.mark.parametrize(
    ("pressed", "text", "before"),
    [
        (["hello", "ctrl-a", "x"], "xhello", "x"),
        (["hello world", "ctrl-w"], "hello ", "hello "),
        (["hello world", "alt-b", "ctrl-u"], "world", ""),
        (["hello world", "ctrl-a", "alt-f", "ctrl-k", "ctrl-y", "ctrl-y"], "hello world world", "hello world world"),
        (["a", "newline", "b", "ctrl-a", "backspace"], "ab", "a"),
        (["ab", "left", "ctrl-d"], "a", "a"),
        (["ab", "ctrl-b", "ctrl-b", "ctrl-f", "delete"], "a", "a"),
    ],
)
def test_the_keys_of_readline(pressed: list[str], text: str, before: str) -> None:
    editor = press(Editor(), *pressed)
    assert (editor.text, editor.rows(60).before) == (text, before)


def test_a_family_is_one_character() -> None:
    editor = press(Editor(), *(Key("text", char) for char in "a👩‍👩‍👧e\u0301"))
    assert editor.atoms == ["a", "👩‍👩‍👧", "e\u0301"]
    press(editor, "backspace", "backspace")
    assert editor.text == "a"


def test_a_long_paste_is_one_word_and_goes_as_one() -> None:
    editor = press(Editor(), "see ", Key("paste", "line\n" * 213 + "end"), " please")
    assert editor.rows(60).rows == ["see [pasted 214 lines] please"]
    assert editor.text == "see " + "line\n" * 213 + "end please"
    press(editor, *["left"] * 7, "backspace")
    assert editor.text == "see  please"
    assert press(Editor(), Key("paste", "x" * 200_000)).rows(60).rows == ["[pasted 200,000 characters]"]


def test_what_is_pasted_cannot_steer_the_terminal() -> None:
    assert press(Editor(), Key("paste", "a\x1b[2Jb\x07")).rows(60).rows == ["a\\x1b[2Jb\\x07"]


def test_up_and_down_move_between_lines_first() -> None:
    editor = press(Editor(), Key("paste", "one\ntwo\nx"))
    assert editor.move_line(-1)
    assert editor.rows(60).before == "t"
    assert editor.move_line(-1)
    assert not editor.move_line(-1)
    assert editor.move_line(1)
    assert editor.move_line(1)
    assert not editor.move_line(1)


def test_history_goes_back_and_returns_to_the_draft() -> None:
    history = History(["one", "two"])
    assert (history.older("draft"), history.older(""), history.older("")) == ("two", "one", None)
    assert (history.newer(), history.newer(), history.newer()) == ("two", "draft", None)
    assert not history.add("two")
    assert history.add("three")
    assert history.older("") == "three"


@given(
    st.text(alphabet=st.characters(exclude_characters="\n", exclude_categories=["Cs", "Zs"]) | st.just(" ")),
    st.integers(2, 30),
)
def test_wrapped_rows_fit_and_lose_no_word(text: str, width: int) -> None:
    rows = wrapped(text, width)
    assert "".join("".join(rows).split()) == "".join(text.split())
    widest = max((width_of_text(cluster) for cluster in clusters(text)), default=0)
    assert all(width_of_text(row) <= max(width, widest) for row in rows)

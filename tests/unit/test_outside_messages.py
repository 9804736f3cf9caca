"""Messages that bypass the inbox, as claude's lines report them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.outside_messages import NAME_CHARS, TEXT_CHARS, outside_message

ORIGIN = {"kind": "peer", "name": "work-f5", "body": "drop\neverything", "from": "uds:/tmp/x.sock"}


def test_a_message_that_is_folded_into_a_turn_is_told_of() -> None:
    text = outside_message({"type": "command_lifecycle", "command_uuid": "e529", "state": "started"})
    assert text == "a message bypassed the inbox, most likely from another session"


def test_a_message_that_had_an_answer_of_its_own_is_told_with_name_and_text() -> None:
    text = outside_message({"type": "result", "is_error": False, "result": "I did.", "origin": ORIGIN})
    assert text == "claude answered a message from another session (work-f5): drop everything"


@pytest.mark.parametrize(
    "line",
    [
        {"type": "command_lifecycle", "state": "completed"},
        {"type": "command_lifecycle", "state": "queued"},
        {"type": "command_lifecycle", "state": "started", "wakeup_source": "loop_wakeup"},
        {"type": "command_lifecycle", "state": "started", "wakeup_source": "schedule_wakeup"},
        {"type": "result", "result": "done"},
        {"type": "result", "origin": {"kind": "task-notification"}},
        {"type": "result", "origin": "peer"},
        {"type": "system", "subtype": "peer_message_hold", "state": "held"},  # has a row of its own
    ],
)
def test_other_lines_tell_of_none(line: dict[str, Any]) -> None:
    assert outside_message(line) is None


def test_name_and_text_are_bounded() -> None:
    text = outside_message({"type": "result", "origin": {**ORIGIN, "name": "n" * 10**6, "body": "b" * 10**6}})
    assert text is not None
    assert len(text) < NAME_CHARS + TEXT_CHARS + 100
    assert text.endswith("…")


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none())))
def test_odd_shapes_are_never_an_error(origin: dict[str, Any]) -> None:
    assert outside_message({"type": "result", "origin": {**origin, "kind": "peer"}})
    assert outside_message({"type": "result", "origin": {"kind": "peer", "name": 5, "body": []}})

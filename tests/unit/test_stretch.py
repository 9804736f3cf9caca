"""Which stretch of a run is the message's own."""

from typing import Any

import pytest

from hyperhive_cli.claude.evidence import Evidence

Line = dict[str, Any]
# A tool call that an earlier run left deferred is settled first.

DEFERRED: Line = {
    "type": "result", "subtype": "success", "is_error": False, "result": "", "stop_reason": "tool_deferred",
    "deferred_tool_use": {"id": "old", "name": "Bash", "input": {}},
}  # fmt: skip
OLD_RESULT: Line = {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "old"}]}}
OLD_ANSWER: Line = {
    "type": "assistant",
    "message": {"model": "m", "content": [{"type": "text", "text": "Of the old call."}]},
}
ANSWER: Line = {
    "type": "assistant",
    "message": {"model": "m", "content": [{"type": "text", "text": "Of the message."}]},
}
DONE: Line = {"type": "result", "subtype": "success", "is_error": False, "terminal_reason": "completed"}


@pytest.mark.parametrize(
    "left_over",
    [[DEFERRED], [OLD_RESULT, OLD_ANSWER, {**DONE, "result": "Of the old call."}]],
    ids=["deferred again", "allowed now"],
)
def test_what_settles_an_older_call_is_not_the_messages_own_stretch(left_over: list[Line]) -> None:
    seen = Evidence()
    for line in left_over:
        seen.observe_stream(line)
    assert (seen.own.ended, seen.results, seen.is_working, seen.answer) == (False, 0, True, None)
    for line in (ANSWER, {**DONE, "result": "Of the message."}):
        seen.observe_stream(line)
    assert (seen.own.ended_well, seen.answer, len(seen.stretches)) == (True, "Of the message.", 1)


def test_a_call_of_this_run_that_is_deferred_is_the_messages_own() -> None:
    call = {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "old", "name": "Bash"}]}}
    seen = Evidence()
    for line in (call, DEFERRED):
        seen.observe_stream(line)
    assert (seen.own.ended, seen.own.deferred is not None) == (True, True)

"""Which stretch of a run is the message's own."""

from typing import Any

import pytest

from hyperhive_cli.claude.evidence import Evidence

Line = dict[str, Any]
# A tool call that an earlier run left deferred is settled first, and a background task that it lost.

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
TOLD: Line = {"type": "result", "subtype": "success", "is_error": False, "result": "", "num_turns": 0}
NOTED: Line = {"type": "assistant", "message": {"model": "m", "content": [{"type": "text", "text": "Noted."}]}}


def from_task(result: Line) -> Line:
    return {**result, "origin": {"kind": "task-notification"}}


@pytest.mark.parametrize(
    "left_over",
    [
        [DEFERRED],
        [OLD_RESULT, OLD_ANSWER, {**DONE, "result": "Of the old call."}],
        [from_task(TOLD)],
        [NOTED, from_task({**DONE, "result": "Noted."})],
        [from_task({**TOLD, "is_error": True, "result": "API Error: 500", "api_error_status": 500})],
        [from_task(TOLD), DEFERRED],
    ],
    ids=["deferred again", "allowed now", "a lost task", "a lost task, answered", "a lost task, failed", "both"],
)
def test_what_settles_older_work_is_not_the_messages_own_stretch(left_over: list[Line]) -> None:
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


def test_work_that_no_message_began_follows_the_answer_as_a_stretch_of_its_own() -> None:
    seen = Evidence()
    for line in (ANSWER, {**DONE, "result": "Of the message."}, NOTED, from_task({**DONE, "result": "Noted."})):
        seen.observe_stream(line)
    assert (seen.own.ended_well, seen.answer, len(seen.stretches), seen.results) == (True, "Noted.", 2, 2)

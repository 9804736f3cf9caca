"""`Stretch`: a part of a run of claude, up to one `result`. Pure.

One process may have several: the work of the message itself, then work that a task notification, a wake-up or a message
of another session started. Each has its own end, so the failure of a later one does not take an answer back.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.claude.retries import line_to_retry
from hyperhive_cli.claude.sentences import DIAGNOSTIC, hook_result
from hyperhive_cli.claude.stream import content_blocks, text_field
from hyperhive_cli.core.figures import whole

# After these a `result` has an answer. With `tool_use` the run was cut off before its next request.
ANSWERED = frozenset({None, "end_turn", "stop_sequence"})
INPUT_LIMIT_CHARS = 500  # of a tool call's input, in a note
_VAGUE_ERRORS = {None, "unknown", "invalid_request", "server_error"}  # they say less than a 401 beside them
_NO_CONNECTION = ("connection_", "tls_")  # prefixes of `api_error` without a connection, since 2.1.332
_PROMPT_QUOTED = "\n\nOriginal prompt:"  # follows the text of the hook
REASON_LIMIT_CHARS = 4_000  # of the text of a hook or an error


@dataclass(slots=True)
class Stretch:
    """What one stretch has shown so far. Fields are None, empty or 0 until a line has shown them."""

    inits: int = 0
    # It has the result of a tool call that this process never made: a hook deferred it in an earlier run. claude
    # settles it first, before it looks at the message (2.1.197 and 2.1.332).
    is_left_over: bool = False
    answers: int = 0  # of the main thread, including those of the binary itself
    model_answers: int = 0  # those of the model itself
    tool_calls: int = 0  # including those of subagents
    text: str | None = None  # the last text of the model in the main thread
    is_last_synthetic: bool = False  # the binary itself wrote the last assistant line of the main thread
    synthetic_error: str | None = None  # `error` of that line
    retry_error: str | None = None  # `error` of the last api_retry, until the next answer
    retry_status: int | None = None  # its HTTP status; None also if there was no response at all
    retry_delay_s: float = 0.0  # how long claude waits from that line on
    retry_waits_s: float = 0.0  # sum of the waits since the last answer
    retry_attempt: int = 0  # the newest attempt included in that sum
    unreachable: bool = False  # since the model's last answer: the binary reports no connection
    limit_rejected: bool = False  # since the model's last answer: after a rejection, usage credits may pay
    hook_words: str | None = None  # text of the last hook that stopped claude
    blocked: str | None = None  # text of the hook that blocked the prompt
    ended: bool = False  # there was a `result`; the fields below are from it
    is_error: bool = False
    subtype: str | None = None
    terminal_reason: str | None = None
    stop_reason: str | None = None
    api_error_status: int | None = None
    api_error: str | None = None  # the kind of error, since 2.1.332
    errors: tuple[str, ...] = ()
    result_text: str | None = None
    has_structured_output: bool = False  # with `--json-schema`, where the last step is a tool call
    deferred: str | None = None  # the tool call that a hook deferred, with its input

    @property
    def has_worked(self) -> bool:
        """Whether it has an `init` or an answer."""
        return self.inits > 0 or self.answers > 0

    @property
    def ended_well(self) -> bool:
        """Whether its `result` is an answer."""
        is_answer = self.stop_reason in ANSWERED or (self.has_structured_output and self.stop_reason == "tool_use")
        is_whole = self.subtype in {None, "success"} and self.terminal_reason in {None, "completed"}
        stopped = self.blocked is not None or self.deferred is not None
        return self.ended and not self.is_error and is_answer and is_whole and not stopped

    @property
    def answer(self) -> str | None:
        """The text of the `result`, else the last text of the main thread."""
        return self.result_text or self.text

    def observe_assistant(self, line: Mapping[str, Any], tool_calls: int) -> None:
        """Process an `assistant` line, which calls so many tools."""
        self.tool_calls += tool_calls
        self.retry_error = self.retry_status = None
        self.retry_delay_s = self.retry_waits_s = 0.0
        self.retry_attempt = 0
        self.synthetic_error = text_field(line, "error")
        is_models = not _is_synthetic(line)
        if is_models:
            self.limit_rejected = self.unreachable = False
        elif (text_field(line, "api_error") or "").startswith(_NO_CONNECTION):
            self.unreachable = True
        if line.get("parent_tool_use_id"):
            return
        self.answers += 1
        self.model_answers += is_models
        self.is_last_synthetic = not is_models
        texts = [text for block in content_blocks(line, "text") if (text := text_field(block, "text"))]
        if is_models and texts:
            self.text = texts[-1]

    def observe_retry(self, line: Mapping[str, Any]) -> None:
        """Process a `system/api_retry` line."""
        status = whole(line.get("error_status"))
        self.retry_status = status
        retry = line_to_retry(line)
        self.retry_delay_s = 0.0 if retry is None else retry.delay_s
        attempt = 0 if retry is None else retry.attempt
        if attempt == 0 or attempt != self.retry_attempt:  # else a report, every 30 s, of the rest of a long wait
            self.retry_waits_s += self.retry_delay_s
            self.retry_attempt = attempt
        error = text_field(line, "error")
        self.retry_error = "authentication_failed" if status == 401 and error in _VAGUE_ERRORS else error
        self.unreachable = status is None and error == "unknown"

    def observe_informational(self, line: Mapping[str, Any]) -> None:
        """Process a `system/informational` line, which reports a prompt that a hook blocked."""
        outcome = line.get("prompt_submit_outcome")  # since 2.1.330, only for a prompt that is blocked
        if line.get("prevent_continuation") is True or isinstance(outcome, Mapping):
            reason = text_field(outcome, "reason") if isinstance(outcome, Mapping) else None
            text = (text_field(line, "content") or "").partition(_PROMPT_QUOTED)[0].strip()
            self.blocked = (reason or text or "no reason given")[:REASON_LIMIT_CHARS]

    def observe_hook(self, line: Mapping[str, Any]) -> None:
        """Process a `system/hook_response` line."""
        found = hook_result(line)
        if found.stops:
            self.hook_words = found.words[:REASON_LIMIT_CHARS] or None

    def observe_result(self, line: Mapping[str, Any]) -> None:
        """Process the `result` that ends the stretch."""
        self.ended = True
        self.subtype = text_field(line, "subtype")
        self.is_error = line.get("is_error", self.subtype not in {None, "success"}) is not False
        self.terminal_reason = text_field(line, "terminal_reason")
        self.stop_reason = text_field(line, "stop_reason")
        self.api_error_status = whole(line.get("api_error_status"))
        self.api_error = text_field(line, "api_error")
        self.result_text = text_field(line, "result")
        if self.is_error and "api_error_status" not in line:
            self.api_error_status = _status_in_text(self.result_text or "")
        self.has_structured_output = line.get("structured_output") is not None
        self.deferred = _deferred(line)
        errors = line.get("errors")
        texts = (text for text in errors if isinstance(text, str) and text) if isinstance(errors, list) else ()
        self.errors = tuple(text for text in texts if not text.startswith(DIAGNOSTIC))
        if not self.is_error:
            self.synthetic_error = None


def _status_in_text(text: str) -> int | None:
    """Read the HTTP status of a failed request from claude's text: 2.1.100 and 2.0.77 have no field for it."""
    found = _STATUS_IN_TEXT.match(text)
    return int(found[1]) if found is not None else None


_STATUS_IN_TEXT = re.compile(r'API Error: ([45]\d\d) \{"type":"error"')  # followed by the API's response body


def _is_synthetic(line: Mapping[str, Any]) -> bool:
    message = line.get("message")
    is_its_own = isinstance(message, dict) and message.get("model") == "<synthetic>"
    return is_its_own or text_field(line, "error") is not None


def _deferred(line: Mapping[str, Any]) -> str | None:
    call = line.get("deferred_tool_use")
    if not isinstance(call, Mapping):
        return None
    given = ""
    with suppress(RecursionError):
        given = json.dumps(call.get("input"))[:INPUT_LIMIT_CHARS]
    return f"{text_field(call, 'name') or 'unknown'} {given}"

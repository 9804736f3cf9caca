"""`Stretch`: a part of a run of claude, up to one `result`. Pure.

One process may hold several: the message's own work, then what a task notification, a wake-up or another session's
message started. Each has an end of its own, so that the failure of a later one takes no answer back.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.claude.retries import line_to_retry
from hyperhive_cli.claude.sentences import hook_result
from hyperhive_cli.claude.stream import DIAGNOSTIC, content_blocks, text_field, tool_calls
from hyperhive_cli.core.settings import MAX_FIGURE

# After these a `result` holds an answer. `tool_use` is none: the run was cut off before its next request.
ANSWERED = frozenset({None, "end_turn", "stop_sequence"})
INPUT_LIMIT_CHARS = 500  # of a tool call's input, in a note
_VAGUE_ERRORS = {None, "unknown", "invalid_request", "server_error"}  # which say less than a 401 beside them
_NO_CONNECTION = ("connection_", "tls_")  # how `api_error` begins then, from 2.1.332 on
_PROMPT_QUOTED = "\n\nOriginal prompt:"  # what follows the words of the hook
REASON_LIMIT_CHARS = 4_000  # of what a hook or an error says


@dataclass(slots=True)
class Stretch:
    """What one stretch has shown so far. Fields are None, empty or 0 until a line has shown them."""

    inits: int = 0
    # It has the outcome of a tool call that no answer of this process has made: a hook deferred it in an earlier run.
    # claude settles it first, before the message is looked at (2.1.197 and 2.1.332).
    is_left_over: bool = False
    answers: int = 0  # of the main thread, those of the binary itself too
    model_answers: int = 0  # of these, the model's own
    tool_calls: int = 0  # those of subagents too
    text: str | None = None  # the last one that the model wrote in the main thread
    is_last_synthetic: bool = False  # the last assistant line of the main thread is the binary's own
    synthetic_error: str | None = None  # its `error`
    retry_error: str | None = None  # `error` of the last api_retry, until something was answered
    retry_status: int | None = None  # its HTTP status; None also where no answer came at all
    retry_delay_s: float = 0.0  # what claude waits from that line on
    retry_waits_s: float = 0.0  # before all the retries, until something was answered
    retry_attempt: int = 0  # the newest one that these waits include
    unreachable: bool = False  # since the model's last answer: no connection, by the binary's own word
    limit_rejected: bool = False  # since the model's last answer: what the plan refuses, extra usage may pay for
    hook_words: str | None = None  # of the last hook that told claude to stop
    blocked: str | None = None  # what the hook said that kept the prompt from the model
    ended: bool = False  # there was a `result`; the fields below are its
    is_error: bool = False
    subtype: str | None = None
    terminal_reason: str | None = None
    stop_reason: str | None = None
    api_error_status: int | None = None
    api_error: str | None = None  # what kind of an error, from 2.1.332 on
    errors: tuple[str, ...] = ()
    result_text: str | None = None
    has_structured_output: bool = False  # of `--json-schema`: there the last step is a tool call
    deferred: str | None = None  # the tool call that a hook deferred, in words

    @property
    def has_worked(self) -> bool:
        """Whether it was announced, or answered."""
        return self.inits > 0 or self.answers > 0

    @property
    def ended_well(self) -> bool:
        """Whether its `result` holds an answer."""
        is_answer = self.stop_reason in ANSWERED or (self.has_structured_output and self.stop_reason == "tool_use")
        is_whole = self.subtype in {None, "success"} and self.terminal_reason in {None, "completed"}
        stopped = self.blocked is not None or self.deferred is not None
        return self.ended and not self.is_error and is_answer and is_whole and not stopped

    @property
    def answer(self) -> str | None:
        """The answer's text: what `result` says, else the last text of the main thread."""
        return self.result_text or self.text

    def observe_assistant(self, line: Mapping[str, Any]) -> None:
        """Take in an `assistant` line."""
        self.tool_calls += len(tool_calls(line))
        self.retry_error = self.retry_status = None
        self.retry_delay_s = 0.0
        self.retry_waits_s = 0.0
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
        """Take in a `system/api_retry` line."""
        status = whole(line.get("error_status"))
        self.retry_status = status
        retry = line_to_retry(line)
        self.retry_delay_s = 0.0 if retry is None else retry.delay_s
        attempt = 0 if retry is None else retry.attempt
        if attempt == 0 or attempt != self.retry_attempt:  # not what is left of a long wait, which is said each 30 s
            self.retry_waits_s += self.retry_delay_s
            self.retry_attempt = attempt
        error = text_field(line, "error")
        self.retry_error = "authentication_failed" if status == 401 and error in _VAGUE_ERRORS else error
        self.unreachable = status is None and error == "unknown"

    def observe_informational(self, line: Mapping[str, Any]) -> None:
        """Take in a `system/informational` line: it tells of a prompt that a hook blocked."""
        outcome = line.get("prompt_submit_outcome")  # from 2.1.330 on; it comes only where the prompt goes no further
        if line.get("prevent_continuation") is True or isinstance(outcome, Mapping):
            reason = text_field(outcome, "reason") if isinstance(outcome, Mapping) else None
            said = (text_field(line, "content") or "").partition(_PROMPT_QUOTED)[0].strip()
            self.blocked = (reason or said or "no reason given")[:REASON_LIMIT_CHARS]

    def observe_hook(self, line: Mapping[str, Any]) -> None:
        """Take in a `system/hook_response` line."""
        found = hook_result(line)
        if found.stops:
            self.hook_words = found.words[:REASON_LIMIT_CHARS] or None

    def observe_result(self, line: Mapping[str, Any]) -> None:
        """Take in the `result` that ends it."""
        self.ended = True
        self.subtype = text_field(line, "subtype")
        self.is_error = line.get("is_error", self.subtype not in {None, "success"}) is not False
        self.terminal_reason = text_field(line, "terminal_reason")
        self.stop_reason = text_field(line, "stop_reason")
        self.api_error_status = whole(line.get("api_error_status"))
        self.api_error = text_field(line, "api_error")
        self.result_text = text_field(line, "result")
        if self.is_error and "api_error_status" not in line:
            self.api_error_status = _told_status(self.result_text or "")
        self.has_structured_output = line.get("structured_output") is not None
        self.deferred = _deferred(line)
        errors = line.get("errors")
        texts = (text for text in errors if isinstance(text, str) and text) if isinstance(errors, list) else ()
        self.errors = tuple(text for text in texts if not text.startswith(DIAGNOSTIC))
        if not self.is_error:
            self.synthetic_error = None


def _told_status(text: str) -> int | None:
    """Read the status of a refused request from claude's words: 2.1.100 and 2.0.77 have no field for it."""
    found = _TOLD_STATUS.match(text)
    return int(found[1]) if found is not None else None


_TOLD_STATUS = re.compile(r'API Error: ([45]\d\d) \{"type":"error"')  # the API's own body, as it came


def whole(value: object) -> int | None:
    """Return a whole number that is no larger than any figure may be, None for any other value."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_FIGURE else None


def _is_synthetic(line: Mapping[str, Any]) -> bool:
    """Whether a text is the binary's own, and not the model's."""
    message = line.get("message")
    is_its_own = isinstance(message, Mapping) and message.get("model") == "<synthetic>"
    return is_its_own or text_field(line, "error") is not None


def _deferred(line: Mapping[str, Any]) -> str | None:
    """Name the tool call that a hook deferred, with its input."""
    call = line.get("deferred_tool_use")
    if not isinstance(call, Mapping):
        return None
    given = ""
    with suppress(RecursionError):
        given = json.dumps(call.get("input"))[:INPUT_LIMIT_CHARS]
    return f"{text_field(call, 'name') or 'unknown'} {given}"

"""What claude has scheduled by itself: a wake-up, and cron jobs. Pure.

Measured, 2.1.330 and 2.1.332, `claude --print`:
- `ScheduleWakeup` answers with `tool_use_result.scheduledFor` (ms, rounded up to a minute, 60 s to 1 h ahead). 0 means
  that nothing was scheduled; 2.1.197 always answers 0. Only the main thread may call it.
- claude has at most one wake-up: a second call replaces the first, `stop: true` drops it.
- When it fires, a `command_lifecycle` line says `started` with `wakeup_source: "loop_wakeup"` and the `scheduled_for`
  of the call. A newer wake-up that was scheduled meanwhile is still pending then.
- A resumed session does not restore it: a wake-up that is pending when the process exits is lost.
- `CronCreate` answers with the job's id. Without a terminal the job never fires because claude exits. Its expression is
  in the local time zone. A later claude does not know the job and answers `CronDelete` with an error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hyperhive_cli.claude.stream import content_blocks

LATEST_MS = 10**14  # in the year 5138; `datetime` ends in 9999
MAX_ENTRIES = 100  # open calls, and jobs
PROMPT_CHARS = 200_000  # even as UTF-8 less than the limit of a message
TEXT_CHARS = 500  # of any other text
WAKEUP_TOOL = "ScheduleWakeup"
_LOOP = "/loop"
_Input = Mapping[str, str]  # the texts in a call's input
# The prompts of a `/loop` without a prompt. On stdin they would be plain text; `/loop` starts the same loop again.
_LOOP_WITHOUT_PROMPT = {"<<autonomous-loop-dynamic>>", "<<autonomous-loop>>"}


class Wakeup(NamedTuple):
    """A pending wake-up: the id of the call, the prompt, the time (Unix ms) and the reason."""

    id: str
    prompt: str
    at_ms: int
    reason: str

    def message(self) -> tuple[str, bool]:
        """Return the prompt as the body of a message, and whether to send it raw.

        Measured: claude passes the prompt of a wake-up to itself as plain text, even `/compact` and `@file`. It runs
        only commands that the model itself may run, and of these only `/loop` must continue by itself.
        """
        return prompt_to_message(self.prompt, self.reason)


def prompt_to_message(prompt: str, reason: str = "") -> tuple[str, bool]:
    """Return a planned prompt as `Wakeup.message` does."""
    text = prompt.strip()
    if text in _LOOP_WITHOUT_PROMPT:
        return _LOOP, True
    if text.startswith("/"):
        return text, text.split(maxsplit=1)[0] == _LOOP
    return prompt if text else reason.strip() or "Wake up.", True


class Job(NamedTuple):
    """A job of CronCreate. `schedule` is in claude's own words; a `kept` job is stored in a file of the workspace.

    One that is not `recurring` fires once, at the first moment of its expression.
    """

    id: str
    schedule: str
    prompt: str
    kept: bool = False
    expression: str = ""
    recurring: bool = True


@dataclass(slots=True)
class Planned:
    """What one run of claude has scheduled and not yet carried out."""

    wakeup: Wakeup | None = None
    replaces: bool = False  # it has scheduled or dropped a wake-up: a pending one of an earlier turn is void
    jobs: dict[str, Job] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)  # ids of jobs, of this run or an earlier one
    _calls: dict[str, tuple[str, _Input]] = field(default_factory=dict)  # open calls: id → tool and input

    def observe_stream(self, line: Mapping[str, Any]) -> None:
        """Process one line. Unknown types and malformed lines are ignored, never an error."""
        match line.get("type"):
            case "assistant":
                self._observe_calls(line)
            case "user":
                self._observe_answers(line)
            case "command_lifecycle":
                self._observe_lifecycle(line)

    def _observe_calls(self, line: Mapping[str, Any]) -> None:
        for block in content_blocks(line, "tool_use"):
            call, tool, given = block.get("id"), block.get("name"), block.get("input")
            if not (isinstance(call, str) and isinstance(tool, str) and isinstance(given, dict)):
                continue
            if tool in _ANSWERED and len(self._calls) < MAX_ENTRIES:
                self._calls[call] = tool, _kept(given)
            if tool == "CronDelete" and len(self.deleted) < MAX_ENTRIES:
                self.deleted.add(_text(given.get("id")))

    def _observe_answers(self, line: Mapping[str, Any]) -> None:
        for block in content_blocks(line, "tool_result"):
            call = block.get("tool_use_id")
            found = self._calls.pop(call, None) if isinstance(call, str) else None
            answer = line.get("tool_use_result")
            if found is not None and isinstance(answer, dict) and block.get("is_error") is not True:
                tool, given = found
                _ANSWERED[tool](self, _text(call), given, answer)

    def _observe_lifecycle(self, line: Mapping[str, Any]) -> None:
        has_fired = line.get("state") == "started" and line.get("wakeup_source") == "loop_wakeup"
        if has_fired and self.wakeup is not None and line.get("scheduled_for") in (None, self.wakeup.at_ms):
            self.wakeup = None


def _take_wakeup(planned: Planned, call: str, given: _Input, answer: Mapping[str, Any]) -> None:
    if answer.get("stopped") is True:
        planned.wakeup, planned.replaces = None, True
        return
    at_ms = _moment(answer.get("scheduledFor"))
    if at_ms is not None and "prompt" in given:
        planned.wakeup, planned.replaces = Wakeup(call, given["prompt"], at_ms, _text(given.get("reason"))), True


def _take_job(planned: Planned, _call: str, given: _Input, answer: Mapping[str, Any]) -> None:
    name = _text(answer.get("id"))
    if name and len(planned.jobs) < MAX_ENTRIES:
        schedule = _text(answer.get("humanSchedule")) or _text(given.get("cron"))
        prompt = _text(given.get("prompt"), PROMPT_CHARS)
        is_kept, recurs = answer.get("durable") is True, answer.get("recurring") is not False
        planned.jobs[name] = Job(name, schedule, prompt, is_kept, _text(given.get("cron")), recurs)


def _drop_job(planned: Planned, _call: str, given: _Input, answer: Mapping[str, Any]) -> None:
    planned.jobs.pop(_text(answer.get("id")) or _text(given.get("id")), None)


_ANSWERED: Mapping[str, Callable[[Planned, str, _Input, Mapping[str, Any]], None]] = {
    WAKEUP_TOOL: _take_wakeup,
    "CronCreate": _take_job,
    "CronDelete": _drop_job,
}


def _kept(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of a call's input, cut: a line may have 16 MiB, and many calls may be open."""
    texts = {name: given[name] for name in ("prompt", "reason", "cron", "id") if isinstance(given.get(name), str)}
    return {name: _text(text, PROMPT_CHARS) for name, text in texts.items()}


def _text(value: object, most: int = TEXT_CHARS) -> str:
    return value[:most] if isinstance(value, str) else ""


def _moment(value: object) -> int | None:
    """Return a time in Unix ms; None for 0, which means that nothing was scheduled, and for impossible times."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return int(value) if 0 < value <= LATEST_MS else None

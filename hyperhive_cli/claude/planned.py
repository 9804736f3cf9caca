"""What claude has planned by itself: a wake-up of its own, and jobs that run by the clock. Pure.

Measured, 2.1.330 and 2.1.332, `claude --print`:
- `ScheduleWakeup` answers with `tool_use_result.scheduledFor` (ms, rounded up to a minute, 60 s to an hour away); 0
  means that nothing was planned, which is all that 2.1.197 ever answers. Only the main thread may call it.
- claude keeps one wake-up: the second call replaces the first one, `stop: true` drops it.
- When it fires, `command_lifecycle` says `started` with `wakeup_source: "loop_wakeup"` and the `scheduled_for` of the
  call. A newer one may have been planned meanwhile, and is still to come.
- A session that is resumed does not plan it again: what was pending when its process ended is lost.
- `CronCreate` answers with the job's id. Without a terminal the job never fires, for claude exits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hyperhive_cli.claude.stream import content_blocks

LATEST_MS = 10**14  # in the year 5138: a calendar ends with 9999
MAX_ENTRIES = 100  # open calls, and jobs
PROMPT_CHARS = 200_000  # in UTF-8 less than a message may have
TEXT_CHARS = 500  # of anything else
WAKEUP_TOOL = "ScheduleWakeup"
_LOOP = "/loop"
_Input = Mapping[str, str]  # the texts of a call
# What `/loop` without a prompt has claude plan. On stdin it would be plain text; `/loop` begins the same again.
_LOOP_WITHOUT_PROMPT = {"<<autonomous-loop-dynamic>>", "<<autonomous-loop>>"}


class Wakeup(NamedTuple):
    """A wake-up that is still to come: the call that planned it, its prompt, its moment (Unix ms), and why."""

    id: str
    prompt: str
    at_ms: int
    reason: str

    def message(self) -> tuple[str, bool]:
        """Return the prompt as the body of a message, and whether it is to be sent raw.

        Measured: claude gives itself the prompt of a wake-up as plain text, `/compact` and `@file` too. Only commands
        that the model itself may run are run, and of these only `/loop` must go on by itself.
        """
        text = self.prompt.strip()
        if text in _LOOP_WITHOUT_PROMPT:
            return _LOOP, True
        if text.startswith("/"):
            return text, text.split(maxsplit=1)[0] == _LOOP
        return self.prompt if text else self.reason.strip() or "Wake up.", True


class Job(NamedTuple):
    """A job of CronCreate. `schedule` is claude's own words; a job that is `kept` lies in a file of the workspace."""

    id: str
    schedule: str
    prompt: str
    kept: bool = False


@dataclass(slots=True)
class Planned:
    """What one run of claude has planned and not carried out.

    `replaces`: it has planned a wake-up or dropped its own, so that one of an earlier turn is not to come any more.
    """

    wakeup: Wakeup | None = None
    replaces: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    _calls: dict[str, tuple[str, _Input]] = field(default_factory=dict)  # id → tool and input

    def observe_stream(self, line: Mapping[str, Any]) -> None:
        """Take in one line. Unknown types and odd shapes are ignored, never an error."""
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
            if not (isinstance(call, str) and isinstance(tool, str) and isinstance(given, Mapping)):
                continue
            if tool in _ANSWERED and len(self._calls) < MAX_ENTRIES:
                self._calls[call] = tool, _kept(given)

    def _observe_answers(self, line: Mapping[str, Any]) -> None:
        for block in content_blocks(line, "tool_result"):
            call = block.get("tool_use_id")
            found = self._calls.pop(call, None) if isinstance(call, str) else None
            answer = line.get("tool_use_result")
            if found is not None and isinstance(answer, Mapping) and block.get("is_error") is not True:
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
        planned.jobs[name] = Job(name, schedule, _text(given.get("prompt")), answer.get("durable") is True)


def _drop_job(planned: Planned, _call: str, given: _Input, answer: Mapping[str, Any]) -> None:
    planned.jobs.pop(_text(answer.get("id")) or _text(given.get("id")), None)


_ANSWERED: Mapping[str, Callable[[Planned, str, _Input, Mapping[str, Any]], None]] = {
    WAKEUP_TOOL: _take_wakeup,
    "CronCreate": _take_job,
    "CronDelete": _drop_job,
}


def _kept(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of a call's input, bounded: a line has up to 16 MiB, and many calls may be open."""
    texts = {name: given[name] for name in ("prompt", "reason", "cron", "id") if isinstance(given.get(name), str)}
    return {name: _text(text, PROMPT_CHARS) for name, text in texts.items()}


def _text(value: object, most: int = TEXT_CHARS) -> str:
    return value[:most] if isinstance(value, str) else ""


def _moment(value: object) -> int | None:
    """Return a moment in Unix ms; None for 0, which means that nothing was planned, and for an impossible one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return int(value) if 0 < value <= LATEST_MS else None

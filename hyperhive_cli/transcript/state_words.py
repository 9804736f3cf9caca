"""What an agent does, or what it waits for: one state in words, for `agents` and `status`. Pure.

It starts with the word for the agent's status (`status_words`), except that an agent with nothing in its way is
`working`, `compacting` or `idle`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hyperhive_cli.core import text
from hyperhive_cli.core.budget import shown as in_words
from hyperhive_cli.core.status import WITHOUT_ANSWER, Status
from hyperhive_cli.transcript.limit_words import open_limits
from hyperhive_cli.transcript.status_words import status_words

WHY_CHARS = 200
_SIGNS: Mapping[str, str] = {
    **dict.fromkeys((Status.RETRYING, Status.BACKING_OFF), "↻"),
    **dict.fromkeys((Status.PAUSED, Status.RATE_LIMITED, Status.OVER_BUDGET, Status.WAITS_FOR_ACCOUNT), "‖"),
    **dict.fromkeys((Status.NEEDS_LOGIN_IDLE, Status.NEEDS_LOGIN_IN_PROGRESS, Status.UNREACHABLE), "!"),
    **dict.fromkeys((Status.BAD_MODEL, Status.FAILED, Status.INBOX_UNAVAILABLE), "✗"),
    **dict.fromkeys((Status.STANDBY, Status.STOPPED), "-"),
}


class TurnDoing(NamedTuple):
    """What a turn does, and since when (Unix s)."""

    words: str  # a tool, thinking, writing, …
    since: float
    argument: str
    turn_since: float | None
    calls: int


class ShownState(NamedTuple):
    """An agent's state. `word` is for programs: working, compacting, idle, or a status as in `status --json`."""

    word: str
    sign: str
    style: str  # of the sign
    words: str  # of the status, such as `rate limited`; empty if nothing is in the agent's way
    sentence: str  # the same in a sentence, with the reason: `5-hour limit reached`
    why: str
    until: float | None  # when the status ends by itself, or when the next message of an idle agent is due (Unix s)
    doing: TurnDoing | None = None
    since: float | None = None  # of a pause (Unix s)


def state_of(found: Mapping[str, Any], now: float) -> ShownState:
    """Return the state in the fields of `status --json`; `now` is Unix seconds."""
    status, doing = found["status"], _doing(found)
    words, style = status_words(status)
    if status != Status.ONLINE:
        sign = _SIGNS.get(status, "!")
        said = status_sentence(found, now)
        since = text.number(found.get("paused_since")) if status == Status.PAUSED else None
        return ShownState(
            status or "unknown", sign, style, words, said, _why(found, now), found["waits_until"], doing, since
        )
    if doing is not None:
        word = "compacting" if found["state"] == "compacting" else "working"
        return ShownState(word, "●", "fine", "", "", "", None, doing)
    starts = [found["next_due"], *(one["next"] for one in found.get("schedules", ()) if one["next"])]
    due = min((start / 1000 for start in starts if start and start > now * 1000), default=None)
    return ShownState("idle", "○", "fine", "", "", "", due)


def status_sentence(found: Mapping[str, Any], now: float) -> str:
    """Return why an agent starts no turn, in a sentence; its fields may be unknown, then also absent."""
    status = text.text_of(found["status"])
    words, _ = status_words(status)
    say = _SENTENCES.get(status)
    if say is not None and (sentence := say(found, now)):
        return sentence
    why = text.one_line(text.text_of(found.get("why")), WHY_CHARS)
    return f"{words}: {why}" if why else words


def silence_words(found: Mapping[str, Any], now: float) -> str:
    """Return that claude has written nothing for long, and when that ends its turn; "" while it is not so far."""
    silence, activity = found.get("silence"), found.get("activity") or {}
    if not silence:
        return ""
    since_s, ends_s = silence["since"] / 1000, silence["ends"] / 1000
    tool = text.one_line(text.text_of(activity.get("tool")), 24)
    busy = f" · {tool} still busy" if tool else ""
    return f"silent for {text.clock(now - since_s)}{busy} · interrupts at {text.clock(ends_s - since_s)}"


def _paused(found: Mapping[str, Any], now: float) -> str:
    since = text.number(found.get("paused_since"))
    return "paused" if since is None else f"paused since {text.moment(since, now)}"


def _retrying(found: Mapping[str, Any], _: float) -> str:
    why = text.one_line(text.text_of(found.get("why")), WHY_CHARS)
    if (tries := _TRIES.fullmatch(why)) is None:
        return ""
    reason = "error" if tries["why"] == "unknown" else tries["why"].replace("_", " ")
    return f"API {reason} · try {tries['attempt']} of {tries['most']}"


def _limited(found: Mapping[str, Any], now: float) -> str:
    reached = _reached_limit(found, now)
    return f"{reached} reached" if reached else ""


def _over_budget(found: Mapping[str, Any], _: float) -> str:
    limit = text.number(((found.get("budget") or {}).get("today") or {}).get("limit_usd"))
    return "" if limit is None else f"today's {in_words('day_cost', limit).removesuffix('.00')} is spent"


def _failed(found: Mapping[str, Any], _: float) -> str:
    why = text.one_line(text.text_of(found.get("why")), WHY_CHARS)
    return f"stopped: {why}" if why else ""


_TRIES = re.compile(r"attempt (?P<attempt>\d+) of (?P<most>\d+): (?P<why>.+)")
_SENTENCES: Mapping[str, Callable[[Mapping[str, Any], float], str]] = {
    Status.PAUSED: _paused,
    Status.RETRYING: _retrying,
    Status.RATE_LIMITED: _limited,
    Status.OVER_BUDGET: _over_budget,
    Status.NEEDS_LOGIN_IDLE: lambda *_: "claude is logged out",
    Status.FAILED: _failed,
}


def _reached_limit(found: Mapping[str, Any], now: float) -> str:
    reached = [limit["name"] for limit in open_limits(found.get("limits"), now) if limit["status"] == "rejected"]
    return text.one_line(reached[0], 60) if reached else ""


def _doing(found: Mapping[str, Any]) -> TurnDoing | None:
    since, state, activity = found["since_unix"], found["state"], found.get("activity")
    if found["status"] in WITHOUT_ANSWER or state == "idle":
        return None
    if not activity:
        return TurnDoing(text.one_line(state, 30), since or 0, "", None, 0)
    more = f" (+{activity['tools_running'] - 1})" if activity["tools_running"] > 1 else ""
    words = f"{activity['tool'] or activity['doing']}{more}"
    argument = text.one_line(activity["argument"] or "", WHY_CHARS)
    return TurnDoing(
        text.one_line(words, 60), activity["since"] / 1000, argument, since, activity.get("tool_calls") or 0
    )


def _why(found: Mapping[str, Any], now: float) -> str:
    why = text.one_line(text.text_of(found.get("why")), WHY_CHARS)
    if found["status"] == Status.RATE_LIMITED and not why:
        return _reached_limit(found, now)
    if found["status"] == Status.STOPPED and found["paused"]:
        return "paused"
    today = (found["budget"] or {}).get("today") or {}
    if found["status"] == Status.OVER_BUDGET and today.get("limit_usd") is not None:
        return _over_budget(found, now)
    return why


def column_forms(state: ShownState, now: float | None) -> tuple[str, ...]:
    """Return the state for a column of a table, the longest form first; without `now`, nothing that time changes."""
    clock = "" if state.until is None or now is None else text.ahead(state.until, now).partition(" (")[0]
    if state.word == "idle":
        return (f"idle, next message at {clock}", f"idle, next at {clock}", "idle") if clock else ("idle",)
    head = f"{state.words}, until {clock}" if clock else state.words
    if state.doing is None:
        said = state.sentence if state.sentence.startswith(state.words) else state.words
        said = f"{state.words}: {state.why}" if said == state.words and state.why else said
        forms = f"{said}{f', until {clock}' if clock else ''}", head, state.words
        return tuple(dict.fromkeys(forms))
    doing = state.doing
    lead = f"{head} · " if head else ""
    short = f"{lead}{doing.words}{'' if now is None else f' {text.clock(now - doing.since)}'}"
    whole = f"{short}: {doing.argument}" if doing.argument else short
    turn = "" if now is None or doing.turn_since is None else f" · turn {text.clock(now - doing.turn_since)}"
    return f"{whole}{turn}", whole, short


def state_line(state: ShownState, now: float) -> str:
    """Return the state as one line: `working 1:42 · Bash 0:38: pytest -q · 3 tools`."""
    parts = [state.sentence or state.word]
    if (doing := state.doing) is not None:
        if not state.words and doing.turn_since is not None:
            parts = [f"{state.word} {text.clock(now - doing.turn_since)}"]
        parts.append(f"{doing.words} {text.clock(now - doing.since)}{doing.argument and f': {doing.argument}'}")
        parts += [text.plural(doing.calls, "tool")] if doing.calls else []
    if state.until is not None:
        at = text.ahead(state.until, now)
        parts.append(f"next message at {at}" if state.word == "idle" else f"until {at}")
    return " · ".join(parts)


def piped_detail(state: ShownState, now: float) -> str | None:
    """Return for programs what the state's word does not say: `Bash for 38s: pytest -q`; None if there is nothing."""
    parts = [state.why if state.since is None else f"since {text.iso_time(state.since)}"]
    if (doing := state.doing) is not None:
        lasts = text.duration(max(0.0, now - doing.since))
        parts.append(f"{doing.words} for {lasts}{doing.argument and f': {doing.argument}'}")
    if state.until is not None:
        parts.append(f"{'next message at' if state.word == 'idle' else 'until'} {text.iso_time(state.until)}")
    return ", ".join(filter(None, parts)) or None

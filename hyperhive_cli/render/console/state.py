"""What an agent does now, in words, and the standing facts: the rows above the typed line. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hyperhive_cli.core import text
from hyperhive_cli.core.budget import raised_limit
from hyperhive_cli.core.status import WITHOUT_ANSWER, Status
from hyperhive_cli.render.console.cells import Span, cut_spans, width_of_spans
from hyperhive_cli.transcript.activity import COMPACTING, Activity
from hyperhive_cli.transcript.state_words import silence_words, status_sentence
from hyperhive_cli.transcript.status_fields import StatusFields
from hyperhive_cli.transcript.status_words import status_words

DOT: Span = (" · ", "quiet")
WIDE, NARROW, NARROWEST = 100, 60, 40  # columns
_WORKING, _IDLE = ("● ", "accent"), ("○ ", "fine")


class _Standing(NamedTuple):
    """How a status other than `online` is shown: its sign, what to do about it, and in what words, if not its own."""

    sign: str
    advice: str = ""
    words: str = ""


_STANDINGS: Mapping[str, _Standing] = {
    Status.PAUSED: _Standing("‖", "/resume to continue"),
    Status.RETRYING: _Standing("↻"),
    Status.BACKING_OFF: _Standing("↻", "/resume"),
    Status.RATE_LIMITED: _Standing("‖"),
    Status.OVER_BUDGET: _Standing("‖"),
    Status.NEEDS_LOGIN_IDLE: _Standing("!", "/login"),
    Status.NEEDS_LOGIN_IN_PROGRESS: _Standing("!", "open the page above, then paste its code here", "log in"),
    Status.WAITS_FOR_ACCOUNT: _Standing("‖"),
    Status.BAD_MODEL: _Standing("✗", "/model NAME"),
    Status.STANDBY: _Standing("○", "another machine runs it", "standby"),
    Status.FAILED: _Standing("✗", "/doctor · /resume"),
    Status.INBOX_UNAVAILABLE: _Standing("✗"),
    Status.STOPPED: _Standing("✗", "messages are kept · hyperhive run"),
    Status.UNREACHABLE: _Standing("✗", "/doctor"),
}
_UNKNOWN = _Standing("!")  # of a newer release


def facts_row(status: StatusFields, width: int, *, is_console: bool = True) -> list[Span]:
    """Return a rule with the standing facts: agent, model and permission mode; context, today's dollars, consoles."""
    fields = status.fields
    agent: Span = (text.one_line(text.text_of(fields["agent"]), 24) or "agent", "head")
    words = [word for word in (_model(fields), _mode(fields)) if word] if width >= NARROW else []
    count = text.count(fields["consoles"]) - is_console
    others = [text.plural(count, "other console" if is_console else "console")] if count > 0 else []
    forms = [
        ([*words, *_place(fields)], [*_figures(fields, is_long=True), *others]) if width >= WIDE else None,
        ([*words, *_place(fields)], [*_figures(fields), *others]) if width >= WIDE else None,
        (words, [*_figures(fields), *others]) if width >= WIDE else None,
        (words, _figures(fields, is_long=width >= WIDE)) if width >= NARROW else None,
        (words, _figures(fields)) if width >= NARROW else None,
        ([], _figures(fields, is_short=True)) if width >= NARROWEST else None,
    ]
    for names, figures in filter(None, forms):
        right = " · ".join(figures)
        line: list[Span] = [("── ", "rule"), agent, *((f" · {name}", "") for name in names), (" ", "")]
        end: list[Span] = [(f" {right} ", ""), ("──", "rule")] if right else [("──", "rule")]
        gap = width - width_of_spans(line) - width_of_spans(end)
        if gap >= 1:
            return [*line, ("─" * gap, "rule"), *end]
    return cut_spans([("── ", "rule"), agent, (" ", ""), ("─" * width, "rule")], width)


def _model(fields: Mapping[str, Any]) -> str:
    return text.one_line(text.text_of(fields["model"]).removeprefix("claude-"), 24)


def _mode(fields: Mapping[str, Any]) -> str:
    mode = text.one_line(text.text_of(fields["permission_mode"]), 24)
    return "default mode" if mode == "default" else mode


def _place(fields: Mapping[str, Any]) -> list[str]:
    return [text.one_line(text.text_of(fields["workspace"]), 40)] if fields["workspace"] else []


def _figures(fields: Mapping[str, Any], *, is_long: bool = False, is_short: bool = False) -> list[str]:
    """Return how full the context is, and today's dollars; with `is_long` in tokens too, with `is_short` bare."""
    found = []
    used, window = text.number(fields["context_tokens"]), text.count(fields["context_window"])
    if used is not None:
        share = text.percent(text.share_of(used, window)) if window else text.tokens(used)
        sizes = f" ({text.tokens(used)} of {text.tokens(window)})" if window and is_long else ""
        found.append(share if is_short else f"context {share}{sizes}")
    today, budget = fields["today"] or {}, ((fields["budget"] or {}).get("today") or {})
    spent, limit = text.dollars(today.get("cost_usd") or budget.get("cost_usd")), text.dollars(budget.get("limit_usd"))
    if spent or limit:
        of_limit = f" of {limit.removesuffix('.00')}" if limit else ""
        found.append(spent or "$0" if is_short else f"{spent or '$0'}{of_limit} today")
    return found


def state_row(status: StatusFields, now: float, width: int, hint: str = "") -> list[Span]:
    """Return what happens now, and at the right how many messages wait."""
    right: list[Span] = [(" · ".join(_waiting(status.fields, now, width)), "")]
    left = _state(status, now, is_short=width < NARROW)
    if hint and width >= NARROW:
        left += [DOT, (hint, "quiet")]
    room = width - width_of_spans(right)
    if not right[0][0] or room < width // 2:
        return cut_spans(left, width)
    left = cut_spans(left, room - 2)
    return [*left, (" " * (room - width_of_spans(left)), ""), *right]


def _waiting(fields: Mapping[str, Any], now: float, width: int) -> list[str]:
    waiting, dead, held = (text.count(fields[name]) for name in ("unread", "dead", "held"))
    is_later = (text.number(fields["next_due"]) or 0) > now * 1000
    found = [f"{waiting} {'scheduled' if is_later else 'waiting'}"] if waiting else []
    if width >= NARROW:
        found += [f"{count} {word}" for count, word in ((held, "held"), (dead, "dead")) if count]
    return found


def _state(status: StatusFields, now: float, *, is_short: bool) -> list[Span]:
    fields = status.fields
    word = text.text_of(fields["status"])
    doing = None if word in WITHOUT_ANSWER else _doing(status, now, is_short=is_short)
    if word in {"", Status.ONLINE} and (silence := silence_words(fields, now)):
        return [("! ", "warn"), (silence, "")]
    if word in {"", Status.ONLINE}:
        return [_WORKING, *doing] if doing else [_IDLE, *_idle(fields, now)]
    standing = _STANDINGS.get(word, _UNKNOWN)
    spans: list[Span] = [
        (f"{standing.sign} ", status_words(word)[1]), (standing.words or _sentence(word, fields, now), "head"),
    ]  # fmt: skip
    until = text.number(fields["waits_until"]) or 0
    if until > now:
        spans += _ends(word, until, now)
    if advice := _raise(fields) if word == Status.OVER_BUDGET else standing.advice:
        spans += [DOT, (advice, "")]
    return [*spans, *([DOT, *doing] if doing else [])]


def _sentence(word: str, fields: Mapping[str, Any], now: float) -> str:
    agent = text.one_line(text.text_of(fields["agent"]), 24)
    return f"no harness runs for {agent}" if word == Status.STOPPED and agent else status_sentence(fields, now)


def _ends(word: str, until: float, now: float) -> list[Span]:
    if word == Status.RETRYING:
        return [(f" in {text.clock(until - now)}", "")]
    if word == Status.BACKING_OFF:
        return [DOT, (f"again in {text.clock(until - now)}", "")]
    at = text.moment(until, now) if word == Status.OVER_BUDGET else text.ahead(until, now)  # midnight says enough
    return [DOT, (f"resumes at {at}", "")]


def _raise(fields: Mapping[str, Any]) -> str:
    """Return what to type so that turns start again: a limit that is higher than what is spent."""
    today = (fields["budget"] or {}).get("today") or {}
    limit, spent = text.number(today.get("limit_usd")) or 0, text.number(today.get("cost_usd")) or 0
    if limit <= 0:
        return "/resume"
    raised = raised_limit(limit)
    return f"/budget raise {raised if raised > spent else raised_limit(spent):g}"


def _idle(fields: Mapping[str, Any], now: float) -> list[Span]:
    since = text.number(fields["since_unix"])
    spans: list[Span] = [("idle" if since is None else f"idle {text.clock(now - since)}", "")]
    due = (text.number(fields["next_due"]) or 0) / 1000
    if due > now:
        return [*spans, DOT, (f"next message at {text.ahead(due, now)}", "")]
    return spans if text.count(fields["unread"]) else [*spans, DOT, ("nothing waits", "")]


def _doing(status: StatusFields, now: float, *, is_short: bool) -> list[Span] | None:
    """Return what a turn is doing; None between turns."""
    activity, fields = status.activity, status.fields
    state, since = text.one_line(text.text_of(fields["state"]), 16), text.number(fields["since_unix"])
    is_working = state not in {"", "idle"}
    found = activity.to_dict() or (fields["activity"] if is_working else None)
    if not found and (not is_working or since is None):
        return None
    found = found or {"doing": state, "tool": None, "since": (since or 0) * 1000}
    if COMPACTING in {found["doing"], state}:
        at = since * 1000 if since is not None and state == COMPACTING else found["since"]
        size = f"{text.tokens(fields['context_tokens'])} tokens" if fields["context_tokens"] else ""
        return [(f"compacting {_since(at, now)}", ""), *([DOT, (size, "")] if size else [])]
    spans = _now(found, activity, now, is_short=is_short)
    calls = activity.tool_calls or text.count(found.get("tool_calls"))
    spans += [DOT, (text.plural(calls, "tool"), "")] if calls else []
    if not is_short and activity.started_ms:
        spans += [DOT, (f"turn {_since(activity.started_ms, now)}", "")]
    return spans


def _now(found: Mapping[str, Any], activity: Activity, now: float, *, is_short: bool) -> list[Span]:
    if found["tool"] is None:
        return [(f"{text.one_line(text.text_of(found['doing']), 40)} {_since(found['since'], now)}", "")]
    subagents = activity.subagents()
    if subagents and found["tool"] in {"Task", "Agent"}:
        named = ", ".join(f"{text.one_line(words, 24) or 'subagent'} {_since(at, now)}" for words, at in subagents[:3])
        return [(f"{text.plural(len(subagents), 'subagent')}: {named}", "")]
    tool, lasts = text.one_line(text.text_of(found["tool"]), 24), _since(found["since"], now)
    spans: list[Span] = [(tool, "head"), (f" {lasts}", "")]
    argument = "" if is_short else text.one_line(text.text_of(found.get("argument")), 40)
    more = text.count(found.get("tools_running")) - 1
    spans += [DOT, (argument, "")] if argument else []
    return [*spans, (f" (+{more})", "")] if more > 0 else spans


def _since(ms: object, now: float) -> str:
    return text.clock(max(0.0, now - (text.number(ms) or 0) / 1000))

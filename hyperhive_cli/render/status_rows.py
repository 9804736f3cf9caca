"""What `status` prints. Pure: no I/O, no rich.

Everything is said in words and signs; a style only repeats it. A row is a name and its spans, (text, style) each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.core.budget import TURN_LIMITS, WARN_AT, shown
from hyperhive_cli.core.outcomes import Tone, is_ok
from hyperhive_cli.core.status import Status, status_meaning
from hyperhive_cli.render.figures import money, tokens_in
from hyperhive_cli.render.table import cells, cut, meter
from hyperhive_cli.render.turn_words import ended_words
from hyperhive_cli.transcript.endings import STYLES, sign_of
from hyperhive_cli.transcript.limit_words import NEWS, limit_style, limit_words, open_limits
from hyperhive_cli.transcript.quota_words import open_quota, quota_words
from hyperhive_cli.transcript.state_words import silence_words, state_line, state_of
from hyperhive_cli.transcript.status_words import status_words

Span = tuple[str, str]
Row = tuple[str, list[Span]]
BAR_CELLS = 20
WHY_CELLS = 200
SHOWN_SCHEDULES = 3
_LOOK = " (hyperhive inbox)"


def status_to_rows(found: Mapping[str, Any], now: float, *, plain: bool = False) -> list[Row]:
    """Return `status --json` as rows; `now` is Unix seconds. Plain rows have words in place of bars and signs."""
    hive = found.get("hive")
    where = f" on {hive['machine']}" if hive else ""
    running = f"running{where}, pid {found['pid']}" if found["running"] else "not running"
    if found["status"] == Status.UNREACHABLE:
        running = f"does not answer; its lock is held by process {found['pid'] or 'unknown'}"
    rows: list[Row] = [
        ("agent", _now(found, now, plain=plain)),
        ("status", [advised_status_span(found, now)]),
        *(("problem", [(f"{problem} (hyperhive doctor)", "bad")]) for problem in found["problems"]),
        *([("history", [(found["replaced"], "warn")])] if found.get("replaced") else []),
        ("inbox", _inbox(found, now)),
        *_schedules(found["schedules"], now),
        ("context", _context(found, plain=plain)),
        *_compacted(found["last_compaction"], now),
        ("today", [("unknown" if found["unread"] is None else today_words(found["today"]), "")]),
        *_budget(found["budget"]),
        *_limits(found["limits"], found["quota"], now),
        *_plan(found["quota"], now),
        *_mcp(found["mcp"]),
        ("last turn", [_last_turn(found["last_turn"], now)]),
        ("outcomes", _outcomes(found["last_outcomes"], plain=plain)),
        ("model", [(found["model"], "")]),
        ("harness", [(running, "fine" if found["running"] and found["status"] != Status.UNREACHABLE else "quiet")]),
        *_prewarmed(found["prewarmed"], now),
        ("session", [(found["session_id"] or "none yet", "")]),
        ("last event", [(_last_event(found["last_event"]), "quiet")]),
        ("auth", [(found["auth_source"] or "unknown", "quiet")]),
        ("workspace", [(found["workspace"] or "none yet", "quiet")]),
        ("state in", [(found["state_dir"] or "none yet", "quiet")]),
        *_lease(hive),
    ]
    return [(name, [(text.clean(str(words)), style) for words, style in spans]) for name, spans in rows]


def _lease(hive: Mapping[str, Any] | None) -> list[Row]:
    if hive is None:
        return []
    holds = f"{hive['lease_s']:.0f} s left" if hive["lease_s"] is not None else "free"
    wanted = f", should run on {hive['wanted']}" if hive["wanted"] else ""
    return [("lease", [(f"{holds}, epoch {hive['epoch']}{wanted}", "quiet")])]


def _now(found: Mapping[str, Any], now: float, *, plain: bool) -> list[Span]:
    """Return the agent's name and what it does; why it waits, and until when, is in the next row."""
    state = state_of(found, now)
    if state.words:
        is_told = state.sentence.startswith(f"{state.words}: ")
        state = state._replace(until=None, sentence=state.words if is_told else state.sentence)
    words = " · ".join(filter(None, (state_line(state, now), silence_words(found, now))))
    sign = [] if plain else [(state.sign, state.style), (" ", "")]
    return [(found["agent"], "head"), ("  ", ""), *sign, (words, "")]


def fit(row: Row, name_cells: int, width: int) -> list[Span]:
    """Return a row as the spans of one line of at most `width` cells; paths, ids and addresses are never cut."""
    name, spans = row
    if name in {"status", "problem", "session", "workspace", "state in"}:
        return [(f"{name:<{name_cells}}  ", "quiet"), *spans]
    left = width - name_cells - 2
    shown: list[Span] = []
    for words, style in spans:
        piece = cut(words.replace("\n", " "), left)
        shown.append((piece, style))
        left -= cells(piece)
    return [(f"{name:<{name_cells}}  ", "quiet"), *shown]


def advised_status_span(found: Mapping[str, Any], now: float) -> Span:
    """Return the agent's status, why, until when, and what a person can do."""
    login, until = found["login"], found["waits_until"]
    (words, style), advice = status_span(found, now), status_meaning(found["status"]).advice
    if found["status"] == Status.NEEDS_LOGIN_IN_PROGRESS and login is not None:
        return f"{words}: {login['url'] or 'claude has named no page yet'}", style
    if advice:
        words += f", or {advice}" if until else f" ({advice})"
    return words, style


def status_span(found: Mapping[str, Any], now: float) -> Span:
    """Return the agent's status, until when it lasts, and why."""
    until, why = found["waits_until"], text.one_line(text.text_of(found.get("why")), WHY_CELLS)
    words, style = status_words(found["status"])
    if until:
        at = text.local_time(until)
        clock = f"{at:%H:%M:%S}" if at else "an unknown time"
        words += f", waits until {clock} ({text.duration(max(0.0, until - now))})"
    return f"{words}: {why}" if why else words, style


def _context(found: Mapping[str, Any], *, plain: bool) -> list[Span]:
    used, window = found["context_tokens"], found["context_window"]
    if used is None:
        return [("unknown", "")]
    share = text.share_of(used, window)
    if share is None:
        return [(text.tokens(used), "")]
    bar = [] if plain else meter(share, BAR_CELLS)
    return [*bar, (f"{text.tokens(used)} of {text.tokens(window)} ({text.percent(share)})", "")]


def today_words(today: Mapping[str, Any] | None) -> str:
    """Return the totals of today in words."""
    if not today or not today["turns"]:
        return "no turn yet"
    spent = f"{text.tokens(tokens_in(today))} in, {text.tokens(today['output_tokens'])} out"
    return f"{text.plural(today['turns'], 'turn')}, {today['ok']} ok · {spent} · {money(today['cost_usd'])}"


def budget_to_rows(budget: Mapping[str, Any]) -> list[Row]:
    """Return the `budget` field of `status --json` as rows."""
    limits, today, turn = budget["limits"], budget["today"], budget["turn"]
    rows: list[Row] = []
    if today["limit_usd"] is not None:
        rows.append(("today", _today_of_limit(today)))
    allowed = [amount_words(name, limits[name]) for name in TURN_LIMITS if limits[name] is not None]
    if allowed:
        rows.append(("a turn", [(f"at most {', '.join(allowed)}", "")]))
    if turn is not None and allowed:
        used = f"{turn['tokens']:,} tokens, {text.plural(turn['tool_calls'], 'tool call')}"
        rows.append(("this turn", [(f"{used} so far; dollars when it ends", "")]))
    for message, raised in budget["messages"].items():
        words = ", ".join(amount_words(name, limit) for name, limit in raised.items())
        rows.append((f"message {message}", [(f"at most {words}", "")]))
    return rows


def _today_of_limit(today: Mapping[str, Any]) -> list[Span]:
    spans: list[Span] = [_used_of(today)]
    if today["raised"]:
        spans.append((", raised for today", ""))
    if today["unpriced"]:
        spans.append((f"; {text.plural(today['unpriced'], 'turn')} ended without a figure", "quiet"))
    return spans


def _used_of(today: Mapping[str, Any]) -> Span:
    used, limit = today["cost_usd"], today["limit_usd"]
    style = "bad" if used >= limit else "warn" if used >= WARN_AT * limit else "fine"
    return f"{shown('day_cost', used)} of {shown('day_cost', limit)}", style


def amount_words(name: str, limit: float) -> str:
    """Return a limit of a turn in words: `$2.00`, `300 tool calls`."""
    return f"{shown(name, limit)}{'' if name == 'turn_cost' else ' ' + name.removeprefix('turn_').replace('_', ' ')}"


def _budget(budget: Mapping[str, Any] | None) -> list[Row]:
    """Return the row of the limits, if there are any. `hyperhive budget` says more."""
    if budget is None:
        return []
    limits, today, turn = budget["limits"], budget["today"], budget["turn"]
    spans = [] if today["limit_usd"] is None else [("today ", ""), _used_of(today)]
    allowed = [amount_words(name, limits[name]) for name in TURN_LIMITS if limits[name] is not None]
    if allowed:
        so_far = f", {text.tokens(turn['tokens'])} tokens and {turn['tool_calls']} calls so far" if turn else ""
        spans.append((f"{' · ' if spans else ''}a turn {', '.join(allowed)}{so_far}", ""))
    return [("budget", spans)]


def _limits(
    limits: Sequence[Mapping[str, Any]] | None, quota: Sequence[Mapping[str, Any]] | None, now: float
) -> list[Row]:
    """Return a row for each of the account's limits that has not reset yet, but for what the plan's row says."""
    told = {window["window"] for window in open_quota(quota, now)}
    news = [one for one in open_limits(limits, now) if one.get("type") not in told or one["status"] in NEWS]
    found = [(limit_words(limit, now), limit_style(limit)) for limit in news]
    return [("" if position else "limits", [span]) for position, span in enumerate(found)]


def _plan(quota: Sequence[Mapping[str, Any]] | None, now: float) -> list[Row]:
    """Return the row of the plan, if claude has reported it. `hyperhive quota` says more."""
    windows = open_quota(quota, now)
    return [("plan", [(quota_words(windows, now), "")])] if windows else []


def _mcp(troubles: Sequence[str] | None) -> list[Row]:
    """Return the row of the MCP servers that were missing in the last turn, if there were any."""
    return [("MCP", [("; ".join(troubles), "warn")])] if troubles else []


def _compacted(found: Mapping[str, Any] | None, now: float) -> list[Row]:
    if found is None:
        return []
    after = "an unknown size" if found["after"] is None else text.tokens(found["after"])
    sizes = f"{text.tokens(found['before'])} to {after}"
    ago = text.duration(max(0.0, now - (found["ended"] or 0) / 1000))
    return [("compacted", [(f"{sizes}, {ago} ago (turn {found['turn_id']})", "quiet")])]


def _inbox(found: Mapping[str, Any], now: float) -> list[Span]:
    if found["unread"] is None:
        return [("cannot be read (hyperhive doctor)", "bad")]
    held = f", {found['held']} held{'' if found['dead'] else _LOOK}" if found["held"] else ""
    dead = f", {found['dead']} dead{_LOOK}" if found["dead"] else ""
    paused = ", paused (hyperhive resume)" if found["paused"] else ""
    due_s = (found["next_due"] or 0) / 1000
    at = text.local_time(due_s)
    first = f", the first at {at:%H:%M} (in {text.duration(due_s - now)})" if at and due_s > now else ""
    until = found["idle_until"] or 0
    idle = f", idle ones not before {text.moment(until, now)}" if found["unread"] and now < until != due_s else ""
    return [(f"{found['unread']} waiting{first}{idle}", ""), (held, "warn"), (dead, "bad"), (paused, "warn")]


def _schedules(schedules: Sequence[Mapping[str, Any]], now: float) -> list[Row]:
    """Return the row of the schedules, if there are any."""
    return [("schedules", [(schedules_words(schedules, now), "")])] if schedules else []


def schedules_words(schedules: Sequence[Mapping[str, Any]], now: float) -> str:
    """Return which of the schedules send next, and how many more there are."""
    coming = sorted((one["next"], one["name"]) for one in schedules if one["next"] is not None)
    words = [f"{name} {text.ahead(at / 1000, now)}" for at, name in coming[:SHOWN_SCHEDULES]]
    words += [f"{len(coming) - SHOWN_SCHEDULES} more"] if len(coming) > SHOWN_SCHEDULES else []
    paused = sum(one["paused"] for one in schedules)
    words += [f"{paused} paused"] if paused else []
    return ", ".join(words) or "none sends again"


def _prewarmed(waiting: Mapping[str, Any] | None, now: float) -> list[Row]:
    if waiting is None:
        return []
    size = waiting["rss_bytes"]
    memory = f", {size / 1e6:.0f} MB" if size else ""
    return [("prewarmed", [(f"pid {waiting['pid']}, for {text.duration(now - waiting['since'])}{memory}", "quiet")])]


def _outcomes(outcomes: Sequence[str], *, plain: bool) -> list[Span]:
    if not outcomes:
        return [("none yet", "")]
    ok = sum(map(is_ok, outcomes))
    if plain:
        return [(f"{ok} ok of the last {len(outcomes)}: {', '.join(outcomes)}", "")]
    return [*map(sign_of, outcomes), (f"  {ok} ok of the last {len(outcomes)}", "")]


def _last_turn(turn: Mapping[str, Any] | None, now: float) -> Span:
    if turn is None:
        return "none yet", ""
    note = f": {text.one_line(turn['note'], 100)}" if turn["note"] else ""
    return f"{ended_words(turn, now)}{note}", STYLES[Tone.WARNING] if turn.get("denied") else ""


def _last_event(event: Mapping[str, Any] | None) -> str:
    return "none yet" if event is None else f"{event['kind']} #{event['seq']}, {text.ago(event['age_s'])}"

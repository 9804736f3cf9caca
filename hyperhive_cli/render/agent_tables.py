"""The tables of `agents` and `hive status`. Pure: no I/O, no rich."""

from collections.abc import Mapping, Sequence
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.core.outcomes import is_ok
from hyperhive_cli.core.status import WITHOUT_ANSWER
from hyperhive_cli.render.figures import money, percent
from hyperhive_cli.render.table import table
from hyperhive_cli.transcript.endings import sign_of
from hyperhive_cli.transcript.status_words import activity_words, status_words

_OPTIONAL = ("model", "active", "last", "today", "context")  # the first to be left out if there is no room


def agents_to_lines(
    found: Sequence[Mapping[str, Any]], now: float | None, width: int, *, plain: bool = False
) -> list[str]:
    """Return a table of agents; without `now` (Unix s) it has no column that changes with time alone."""
    if not found:
        return ["no agents yet"]
    heads = [
        "agent", "harness", "status", "turn", "model", "context", "waiting", "held", "dead", "today", "last", "active",
    ]  # fmt: skip
    return _table(heads, [_agent_row(one, now, plain=plain) for one in found], width, _OPTIONAL)


def _table(heads: list[str], rows: Sequence[Sequence[object]], width: int, optional: Sequence[str]) -> list[str]:
    """Return a table, without the column of held messages if there are none: they are rare, and the columns many."""
    shown = [[text.one_line(str(cell), 40) for cell in row] for row in rows]
    at = heads.index("held")
    if all(row[at] == "0" for row in shown):
        heads, shown = [*heads[:at], *heads[at + 1 :]], [[*row[:at], *row[at + 1 :]] for row in shown]
    return table(heads, shown, width, optional=optional)


def _harness(one: Mapping[str, Any]) -> str:
    if not one["running"]:
        return "-"
    hive = one.get("hive")
    return hive["machine"] if hive else f"pid {one['pid'] or '?'}"


def _turn_cell(one: Mapping[str, Any], lasts: str, now: float | None) -> str:
    if one["status"] in WITHOUT_ANSWER:
        return "-"
    doing = "" if now is None else activity_words(one.get("activity"), now)
    return doing or f"{one['state']}{lasts}"


def _agent_row(one: Mapping[str, Any], now: float | None, *, plain: bool) -> list[object]:
    used, window = one["context_tokens"], one["context_window"]
    since = one["since_unix"]
    busy = one["running"] and one["state"] != "idle"
    lasts = f" {text.duration(now - since)}" if busy and since and now is not None else ""
    until = one["waits_until"] if one["running"] else None
    left = f" {text.duration(max(0.0, until - now))}" if until and now is not None else ""
    return [
        one["agent"],
        _harness(one),
        f"{status_words(one['status'])[0]}{left}{', damaged' if one['problems'] else ''}",
        _turn_cell(one, lasts, now),
        one["model"],
        percent(min(1.0, used / window)) if used is not None and window else "-",
        *("?" if one[name] is None else f"{one[name]}" for name in ("unread", "held", "dead")),
        money(one["today"]["cost_usd"]) if one["today"] else "$0",
        _newest(one["last_outcomes"][-5:], plain=plain),
        text.ago(one["last_event"]["age_s"]) if one["last_event"] and now is not None else "-",
    ]


def _newest(outcomes: Sequence[str], *, plain: bool) -> str:
    if plain and outcomes:
        return f"{sum(map(is_ok, outcomes))} of {len(outcomes)} ok"
    return "".join(sign_of(outcome)[0] for outcome in outcomes) or "-"


def hive_to_lines(agents: Sequence[Mapping[str, Any]], machines: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Return a table of a hive's agents with their leases, and one of its machines."""
    if not agents and not machines:
        return ["the hive is empty"]
    heads = ["agent", "machine", "lease", "epoch", "status", "waiting", "leased", "held", "dead", "events", "changed"]
    optional = ("events", "epoch", "leased", "changed")
    lines = _table(heads, list(map(_hive_row, agents)), width, optional) if agents else ["no agents yet"]
    those = [[one["name"], str(one["agents"]), "draining" if one["draining"] else "-"] for one in machines]
    return [*lines, "", *table(["machine", "agents", "state"], those, width)] if machines else lines


def _hive_row(one: Mapping[str, Any]) -> list[object]:
    hive = one["hive"]
    wanted = f" → {hive['wanted']}" if hive["wanted"] and hive["wanted"] != hive["machine"] else ""
    age = hive["report_age_s"]
    return [
        one["agent"],
        f"{hive['machine'] or '-'}{wanted}",
        f"{hive['lease_s']:.0f} s" if hive["lease_s"] is not None else "free",
        hive["epoch"],
        status_words(one["status"])[0],
        one["unread"],
        hive["leased"],
        one["held"],
        one["dead"],
        one["seq"],
        "-" if age is None else text.duration(age),
    ]

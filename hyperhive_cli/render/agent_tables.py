"""The tables of `agents` and `hive status`. Pure: no I/O, no rich."""

from collections.abc import Mapping, Sequence
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.core.status import WITHOUT_ANSWER
from hyperhive_cli.render.figures import money, percent
from hyperhive_cli.render.table import table
from hyperhive_cli.transcript.endings import ok_count, sign_of
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
    heads, rows = _with_held_only_if_any(heads, [_agent_row(one, now, plain=plain) for one in found])
    return table(heads, rows, width, optional=_OPTIONAL)


def _with_held_only_if_any(heads: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Leave out the column of held messages if there are none: they are rare, and the columns are many."""
    at = heads.index("held")
    if any(row[at] != "0" for row in rows):
        return heads, rows
    return [*heads[:at], *heads[at + 1 :]], [[*row[:at], *row[at + 1 :]] for row in rows]


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


def _agent_row(one: Mapping[str, Any], now: float | None, *, plain: bool) -> list[str]:
    used, window = one["context_tokens"], one["context_window"]
    since = one["since_unix"]
    busy = one["running"] and one["state"] != "idle"
    lasts = f" {text.duration(now - since)}" if busy and since and now is not None else ""
    until = one["waits_until"] if one["running"] else None
    left = f" {text.duration(max(0.0, until - now))}" if until and now is not None else ""
    cells_of_row = [
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
    return [text.one_line(str(cell), 40) for cell in cells_of_row]


def _newest(outcomes: Sequence[str], *, plain: bool) -> str:
    if plain and outcomes:
        return f"{ok_count(outcomes)} of {len(outcomes)} ok"
    return "".join(sign_of(outcome)[0] for outcome in outcomes) or "-"


def hive_to_lines(agents: Sequence[Mapping[str, Any]], machines: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Return a table of a hive's agents with their leases, and one of its machines."""
    if not agents and not machines:
        return ["the hive is empty"]
    heads = ["agent", "machine", "lease", "epoch", "status", "waiting", "leased", "held", "dead", "events", "changed"]
    heads, rows = _with_held_only_if_any(
        heads, [[text.one_line(cell, 40) for cell in _hive_row(one)] for one in agents]
    )
    lines = (
        table(heads, rows, width, optional=("events", "epoch", "leased", "changed")) if agents else ["no agents yet"]
    )
    those = [[one["name"], str(one["agents"]), "draining" if one["draining"] else "-"] for one in machines]
    return [*lines, "", *table(["machine", "agents", "state"], those, width)] if machines else lines


def _hive_row(one: Mapping[str, Any]) -> list[str]:
    hive = one["hive"]
    wanted = f" → {hive['wanted']}" if hive["wanted"] and hive["wanted"] != hive["machine"] else ""
    age = hive["report_age_s"]
    return [
        one["agent"],
        f"{hive['machine'] or '-'}{wanted}",
        f"{hive['lease_s']:.0f} s" if hive["lease_s"] is not None else "free",
        str(hive["epoch"]),
        status_words(one["status"])[0],
        str(one["unread"]),
        str(hive["leased"]),
        str(one["held"]),
        str(one["dead"]),
        str(one["seq"]),
        "-" if age is None else text.duration(age),
    ]

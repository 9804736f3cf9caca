"""The tables of `agents` and `hive status`. Pure: no I/O, no rich."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hyperhive_cli.core import text
from hyperhive_cli.core.outcomes import is_ok
from hyperhive_cli.render.figures import money
from hyperhive_cli.render.table import Cell, Span, table, table_to_spans
from hyperhive_cli.transcript.endings import sign_of
from hyperhive_cli.transcript.state_words import column_forms, piped_detail, state_of
from hyperhive_cli.transcript.status_words import status_words

_LEFT = {"agent", "machine", "state", "model", "last 5", "active"}
# The first to be left out if there is no room. Dead and held messages have a column only if there are any.
_OPTIONAL = ("active", "model", "context", "last 5", "today", "held", "waiting", "machine", "dead")
_LEAST_STATE = 30  # cells
NAME_CELLS, _LEAST_NAME = 40, 8


def agents_to_spans(
    found: Sequence[Mapping[str, Any]], now: float, width: int, *, plain: bool = False
) -> list[list[Span]]:
    """Return a table of agents as the spans of its lines, headings first; `now` is Unix seconds."""
    name_cells = max(_LEAST_NAME, min(NAME_CELLS, width // 3))
    rows = [_agent_cells(one, now, name_cells, plain=plain) for one in found]
    always = {name for name in rows[0] if name not in {"machine", "held", "dead"}}
    heads = [name for name in rows[0] if name in always or any(row[name].forms[0] not in {"0", "-"} for row in rows)]
    return table_to_spans(
        heads, [[row[name] for name in heads] for row in rows], width, left=_LEFT, elastic="state",
        least=_LEAST_STATE, optional=[name for name in _OPTIONAL if name in heads],
    )  # fmt: skip


def _agent_cells(one: Mapping[str, Any], now: float, name_cells: int, *, plain: bool) -> dict[str, Cell]:
    """Return an agent's cells by column."""
    state, event = state_of(one, now), one["last_event"]
    remarks = f"{', damaged' if one['problems'] else ''}{', history replaced' if one.get('replaced') else ''}"
    forms = tuple(f"{form}{remarks}" for form in column_forms(state, now))
    dead, held = one["dead"], one["held"]
    return {
        "agent": Cell((_name(one["agent"], name_cells),)),
        "machine": Cell((_name((one.get("hive") or {}).get("machine") or "-", name_cells),)),
        "state": Cell(forms, "", None if plain else (state.sign, state.style)),
        "model": Cell((text.one_line(str(one["model"]), NAME_CELLS).removeprefix("claude-"),)),
        "context": Cell((_context(one),)),
        "waiting": Cell((_count(one["unread"]),)),
        "held": Cell((_count(held),), "warn" if held else ""),
        "dead": Cell((_count(dead),), "bad" if dead else ""),
        "today": Cell((_today(one),)),
        "last 5": Cell((_newest(one["last_outcomes"][-5:], plain=plain),)),
        "active": Cell((text.ago(event["age_s"]) if event else "-",)),
    }


def _name(name: str, limit: int) -> str:
    """Return a name in at most `limit` cells, with its tail: the names of many agents begin in the same way."""
    if len(name) <= limit:
        return text.clean(name)
    head = (limit - 1) // 3
    return text.clean(f"{name[:head]}…{name[head + 1 - limit :]}")


def _count(figure: int | None) -> str:
    return "?" if figure is None else f"{figure}"


def _context(one: Mapping[str, Any]) -> str:
    return text.percent(text.share_of(one["context_tokens"], one["context_window"]))


def _today(one: Mapping[str, Any]) -> str:
    spent = money(one["today"]["cost_usd"]) if one["today"] else "$0"
    limit = _limit_usd(one)
    return spent if limit is None else f"{spent}/{money(limit).removesuffix('.00')}"


def _limit_usd(one: Mapping[str, Any]) -> float | None:
    found: float | None = ((one["budget"] or {}).get("today") or {}).get("limit_usd")
    return found


def _newest(outcomes: Sequence[str], *, plain: bool) -> str:
    if plain and outcomes:
        return f"{sum(map(is_ok, outcomes))} of {len(outcomes)} ok"
    return "".join(sign_of(outcome)[0] for outcome in outcomes) or "-"


def summary_of(found: Sequence[Mapping[str, Any]], now: float) -> str:
    """Return how many agents are in which state, and what they have spent today."""
    states = Counter(state.words or state.word for state in (state_of(one, now) for one in found))
    words = ", ".join(f"{count} {word}" for word, count in states.most_common())
    spent = sum(one["today"]["cost_usd"] for one in found if one["today"])
    return f"{text.plural(len(found), 'agent')}: {words} · {money(spent)} today"


PIPED_AGENT = (
    "agent", "state", "detail", "model", "context", "waiting", "held", "dead", "today_usd", "limit_usd",
    "last", "active", "machine",
)  # fmt: skip


def agent_to_values(one: Mapping[str, Any], now: float) -> list[object]:
    """Return an agent's row for programs, in the columns of PIPED_AGENT."""
    state, event = state_of(one, now), one["last_event"]
    return [
        one["agent"],
        state.word,
        "; ".join(filter(None, [piped_detail(state, now), *one["problems"], one.get("replaced")])) or None,
        one["model"],
        _context(one),
        one["unread"],
        one["held"],
        one["dead"],
        one["today"]["cost_usd"] if one["today"] else 0,
        _limit_usd(one),
        " ".join(one["last_outcomes"][-5:]) or None,
        text.iso_time(event["ts"] / 1000) if event else None,
        (one.get("hive") or {}).get("machine"),
    ]


def hive_to_lines(agents: Sequence[Mapping[str, Any]], machines: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Return a table of a hive's agents with their leases, and one of its machines."""
    if not agents and not machines:
        return ["the hive is empty"]
    heads = [*HIVE_AGENT]
    rows = [[text.one_line(str(cell), NAME_CELLS) for cell in _hive_row(one)] for one in agents]
    at = heads.index("held")
    if all(row[at] == "0" for row in rows):  # rare, and the columns are many
        heads, rows = [*heads[:at], *heads[at + 1 :]], [[*row[:at], *row[at + 1 :]] for row in rows]
    optional = ("events", "epoch", "leased", "changed", "waiting", "dead", "lease", "machine")
    lines = table(heads, rows, width, optional=optional) if agents else ["no agents yet"]
    those = [[one["name"], str(one["agents"]), "draining" if one["draining"] else "-"] for one in machines]
    return [*lines, "", *table([*HIVE_MACHINE], those, width)] if machines else lines


def hive_history_words(history: Mapping[str, Any], now: float) -> str:
    """Return how much of its events a hive keeps, and how much it may."""
    days = max(0, int((now - history["since_ms"] / 1000) // 86_400))
    used, most = text.size(history["used_bytes"]), text.size(history["bytes"])
    return f"history: {days} of {text.plural(history['days'], 'day')}, {used} of {most}"


HIVE_AGENT = ("agent", "machine", "lease", "epoch", "status", "waiting", "leased", "held", "dead", "events", "changed")
HIVE_MACHINE = ("machine", "agents", "state")


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


PIPED_HIVE_AGENT = (
    "agent", "machine", "wanted", "lease_s", "epoch", "status", "waiting", "leased", "held", "dead", "events",
    "changed_s",
)  # fmt: skip


def hive_agent_to_values(one: Mapping[str, Any]) -> Iterator[object]:
    """Yield an agent's row for programs, in the columns of PIPED_HIVE_AGENT."""
    hive = one["hive"]
    yield from (one["agent"], *(hive[name] for name in ("machine", "wanted", "lease_s", "epoch")), one["status"])
    yield from (one["unread"], hive["leased"], one["held"], one["dead"], one["seq"], hive["report_age_s"])

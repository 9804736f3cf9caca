"""What an agent reports to the hive: kept whole where it is right, and whatever it is, no trouble of who looks."""

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from hyperhive_cli.core.agent_report import read_report
from hyperhive_cli.core.budget import Budget, Day, Overrides, budget_detail
from hyperhive_cli.harness.login_session import Login
from hyperhive_cli.render.agent_tables import agent_to_values, agents_to_spans, hive_to_lines
from hyperhive_cli.render.quota_rows import quota_to_rows, quota_to_values
from hyperhive_cli.render.status_rows import status_to_rows
from hyperhive_cli.store.report import empty_status
from hyperhive_cli.web.api import capabilities
from tests.conftest import wait_until
from tests.harness import TEXT
from tests.hive.conftest import Database

NOW = 1_700_000_000
TOKENS = dict.fromkeys(
    ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"), 1_000
)
# What the hive knows by itself, and the consoles: those of another machine are not asked for here.
LOOKED_AT = {"agent", "running", "unread", "held", "dead", "seq", "last_event", "consoles"}
RIGHT: dict[str, Any] = {
    **{name: value for name, value in empty_status("bee").items() if name not in LOOKED_AT},
    "status": "online", "waits_until": NOW + 60, "since_unix": NOW, "state": "thinking", "next_due": NOW * 1_000,
    "context_tokens": 1_000, "context_window": 200_000, "usage": TOKENS, "login": Login().to_dict(),
    "prewarmed": {"pid": 7, "since": NOW, "rss_bytes": None},
    "last_turn": {
        "turn_id": 1, "message_id": None, "attempt": 1, "model": None, "started": NOW * 1_000, "duration_ms": None,
        "outcome": "ok", "note": None, "cost_usd": 0.5, "tool_call_count": 3,
    },
    "last_outcomes": ["ok"], "today": {**TOKENS, "turns": 1, "ok": 1, "cost_usd": 0.5}, "problems": ["none"],
    "budget": budget_detail(
        Budget(1.0, 5.0, 100, 10), Overrides(messages={3: {"tool_calls": 20}}), Day("2026-11-25", 0.5, 5.0),
        {"tokens": 5, "tool_calls": 1},
    ),
    "last_compaction": {"turn_id": 1, "ended": NOW * 1_000, "before": 9, "after": 3},
    "limits": [{"type": "five_hour", "name": "5-hour limit", "status": None, "utilization": 0.2, "resets_at": NOW + 9,
                "of_model": False}],
    "quota": [{"window": "five_hour", "name": "5h", "used": 0.62, "resets_at": NOW + 9_000, "seen": NOW - 9,
               "reserved": 0.2, "forecast": {"low": 0.7, "high": 1.1, "full_from": NOW + 9, "full_until": None}}],
    "idle_until": NOW + 9_000,
    "mcp": ["gone: failed"], "why": "rate limited",
    "activity": {"doing": "tool", "tool": "Bash", "argument": "make", "since": NOW * 1_000, "tools_running": 1,
                 "tool_calls": 3, "tokens": 5},
}  # fmt: skip
WRONG: tuple[object, ...] = (5, -1, 1e300, math.nan, "x", "\x1b[31m", [], [1], [None], {}, {"a": 1}, True, None)


def altered(value: object, wrong: object) -> Iterator[Any]:
    """Yield the value with each of its parts, however deep, replaced."""
    yield wrong
    if isinstance(value, dict):
        for name in value:
            for part in altered(value[name], wrong):
                yield {**value, name: part}
            yield {other: copy.copy(value[other]) for other in value if other != name}


def test_a_report_is_kept_as_it_is() -> None:
    assert read_report(json.dumps(RIGHT)) == RIGHT
    for body in (None, "", "[]", "7", "{", "[" * 100_000):
        assert read_report(body) == {}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.few(6)
def test_whatever_is_reported_can_be_shown(name: str) -> None:
    hive = {"machine": "a", "lease_s": 30.0, "wanted": None, "epoch": 1, "leased": 0, "report_age_s": 1.0}
    for wrong in WRONG:
        for value in altered(RIGHT[name], wrong):
            found = {**empty_status("bee"), **read_report(json.dumps({**RIGHT, name: value}))}
            shown = {**found, "running": True, "hive": hive, "last_event": None}
            for plain in (False, True):
                status_to_rows(shown, NOW, plain=plain)
                agents_to_spans([shown], NOW, 200, plain=plain)
                quota_to_rows(shown["quota"], NOW, plain=plain)
            [*quota_to_values(shown["quota"])]
            [*agent_to_values(shown, NOW)]
            hive_to_lines([shown], [], 200)
            capabilities(shown, answers=True)


@pytest.mark.exhaustive
def test_nothing_of_a_real_report_is_dropped(database: Database) -> None:
    with database.machines("a", runs=TEXT) as (a,):
        limits = ("--max-day-cost", "5", "--max-turn-tokens", "1000000", "--max-turn-cost", "2")
        with a.run("bee", *limits, "--prewarm") as program:
            a.await_owner("bee")
            a.send("bee", "work")
            program.wait_for_kind("turn_end")

            def reported() -> str | None:
                ((body,),) = database.rows("SELECT body FROM hyperhive.report")
                return body if json.loads(body)["last_turn"] else None

            body = wait_until(reported)
            assert body is not None
            found = json.loads(body)
            assert found.keys() - read_report(body).keys() == LOOKED_AT

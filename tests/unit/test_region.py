"""The region: for any state and any size its rows fit, the typed line is there, and it says what happens in words."""

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.events import TurnStart
from hyperhive_cli.core.status import STATUSES, Status
from hyperhive_cli.render.console.cells import width_of_spans
from hyperhive_cli.render.console.editor import Editor
from hyperhive_cli.render.console.painter import Size
from hyperhive_cli.render.console.region import Menu, View, region
from hyperhive_cli.transcript.status_fields import StatusFields
from tests.unit.agreed import GOLDEN
from tests.unit.made_events import (
    NOW,
    TS,
    answer,
    assistant,
    call,
    record,
    same_world,  # noqa: F401 - a fixture, used by name
)

pytestmark = pytest.mark.usefixtures("same_world")
BEE: dict[str, Any] = {
    "agent": "bee", "model": "claude-opus-4-7", "state": "idle", "since_unix": NOW - 3, "status": "online",
    "context_tokens": 76_000, "context_window": 200_000, "workspace": "/home/anna/project", "unread": 2,
    "permission_mode": "acceptEdits", "consoles": 2,
    "today": {"cost_usd": 1.84}, "budget": {"today": {"limit_usd": 10.0, "cost_usd": 1.84}},
}  # fmt: skip
SPENT = {"today": {"limit_usd": 10.0, "cost_usd": 10.02}}
LIMIT = {"name": "5-hour limit", "status": "rejected", "resets_at": NOW + 4_320}
SILENCE = {"since": (NOW - 900) * 1000, "ends": (NOW + 900) * 1000}
BUSY = {
    "doing": "tool", "tool": "Bash", "argument": "make", "since": (NOW - 905) * 1000, "tools_running": 1,
    "tool_calls": 1, "tokens": 9,
}  # fmt: skip


def drawn(columns: int = 80, rows: int = 24, *, typed: str | None = "", at: float = NOW, **fields: object) -> list[str]:
    view = View(StatusFields(BEE | fields))
    if typed is not None:
        view.editor = Editor()
        view.editor.set(typed)
    return as_text(view, columns, rows, at)


def as_text(view: View, columns: int = 80, rows: int = 24, at: float = NOW) -> list[str]:
    return ["".join(text for text, _ in row) for row in region(view, at, Size(columns, rows)).rows]


@given(
    st.integers(24, 220), st.integers(4, 70), st.sampled_from([*Status, "of a newer release"]),
    st.text(max_size=300), st.text(max_size=300), st.integers(0, 40), st.booleans(),
)  # fmt: skip
def test_any_region_fits(
    columns: int, rows: int, status: str, typed: str, why: str, entries: int, has_draft: bool
) -> None:
    view = View(StatusFields(BEE | {"status": status, "why": why, "waits_until": NOW + 60}), Editor())
    assert view.editor is not None
    view.editor.set(typed)
    view.menu = Menu([(f"/{at}", why) for at in range(entries)], entries // 2) if entries else None
    view.draft = [[("x" * 20, "")]] * 8 if has_draft else []
    found = region(view, NOW, Size(columns, rows))
    assert len(found.rows) < rows
    assert all(width_of_spans(row) <= columns for row in found.rows)
    assert found.cursor is not None
    row, before = found.cursor
    assert "".join(text for text, _ in found.rows[row]).startswith("".join(text for text, _ in before))
    assert width_of_spans(before) < columns


def test_the_region_at_80_columns() -> None:
    assert drawn(typed="and add a test") == [
        "",
        "── bee · opus-4-7 · acceptEdits ──────────── context 38% · $1.84 of $10 today ──",
        "○ idle 0:03" + " " * 60 + "2 waiting",
        "› and add a test",
        "Enter send · Ctrl-J new line · Esc clear",
    ]


def test_the_region_at_40_columns_and_in_few_rows() -> None:
    assert drawn(40, 10)[0] == "── bee ────────────────── 38% · $1.84 ──"
    assert drawn(40, 6) == ["○ idle 0:03                    2 waiting", "› "]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"unread": 0}, "○ idle 0:03 · nothing waits"),
        ({"unread": 0, "next_due": TS + 60_000}, "○ idle 0:03 · next message at "),
        ({"unread": 1, "next_due": TS + 60_000}, "○ idle 0:03 · next message at 16:25 (in 1m 00s)"),
        ({"status": "paused"}, "‖ paused · /resume to continue"),
        ({"status": "paused", "paused_since": NOW - 3600}, "‖ paused since 15:24 · /resume to continue"),
        ({"status": "paused", "paused_since": NOW - 86_400}, "‖ paused since 21 Nov 16:24 · /resume to continue"),
        (
            {"status": "over_budget", "waits_until": NOW + 60, "budget": SPENT},
            "‖ today's $10 is spent · resumes at 16:25 · /budget raise 15",
        ),
        ({"status": "needs_login_idle"}, "! claude is logged out · /login"),
        ({"status": "failed", "why": "API key not valid"}, "✗ stopped: API key not valid · /doctor · /resume"),
        ({"status": "rate_limited", "waits_until": NOW + 4320}, "‖ rate limited · resumes at "),
        (
            {"status": "rate_limited", "waits_until": NOW + 4320, "limits": [LIMIT]},
            "‖ 5-hour limit reached · resumes at 17:36 (in 1h 12m)",
        ),
        (
            {"status": "retrying", "waits_until": NOW + 8, "why": "attempt 3 of 10: overloaded (529)"},
            "↻ API overloaded (529) · try 3 of 10 in 0:08",
        ),
        ({"status": "retrying", "why": "attempt 1 of 10: unknown"}, "↻ API error · try 1 of 10"),
        ({"status": "stopped"}, "✗ no harness runs for bee · messages are kept · hyperhive run"),
        (
            {"state": "thinking", "silence": SILENCE, "activity": BUSY},
            "! silent for 15:00 · Bash still busy · interrupts at 30:00",
        ),
        ({"state": "thinking", "silence": SILENCE}, "! silent for 15:00 · interrupts at 30:00"),
        ({"status": "unreachable", "state": "unreachable"}, "✗ unreachable · /doctor"),
    ],
)
def test_states_in_words(fields: dict[str, Any], words: str) -> None:
    assert drawn(**fields)[2].startswith(words)


def test_every_status_has_words_of_its_own() -> None:
    rows = {status: drawn(120, status=status)[2] for status in STATUSES}
    assert len(set(rows.values())) == len(rows)


def test_a_turn_says_which_tool_runs_and_since_when() -> None:
    view = View(StatusFields(BEE | {"state": "thinking"}), Editor())
    start = record(TurnStart(sender="operator", body="x", unread=2))
    line = record(assistant(call("a", "Bash", command="pytest -q tests/unit")))
    for found in (start, line):
        view.status.observe(found)
    later = TS / 1000 + 38
    assert as_text(view, at=later)[2].startswith("● Bash 0:38 · pytest -q tests/unit · 1 tool · turn 0:38 ")
    assert as_text(view, 40, 10, later)[-3].startswith("● Bash 0:38 · 1 tool ")
    view.status.observe(
        record(assistant(call("b", "Task", description="review"), call("c", "Task", description="docs")))
    )
    view.status.observe(record(answer("a", "ok")))
    assert as_text(view, at=later)[2].startswith("● 2 subagents: review 0:38, docs 0:38 · 3 tools")


STATES: dict[str, dict[str, Any]] = {
    "idle": {"unread": 0},
    "something is scheduled": {"unread": 1, "next_due": TS + 1_320_000},
    "messages wait, some dead": {"unread": 12, "held": 1, "dead": 2},
    "paused": {"status": "paused", "unread": 3, "paused_since": NOW - 3600},
    "silent": {"state": "thinking", "silence": SILENCE, "activity": BUSY},
    "claude tries again": {"status": "retrying", "why": "attempt 3 of 10: overloaded (529)", "waits_until": NOW + 8},
    "we try again": {"status": "backing_off", "why": "#12: the API is overloaded", "waits_until": NOW + 54},
    "a limit": {"status": "rate_limited", "limits": [LIMIT], "waits_until": NOW + 4_320},
    "over budget": {"status": "over_budget", "waits_until": NOW + 4_320, "budget": SPENT},
    "logged out": {"status": "needs_login_idle"},
    "a login": {"status": "needs_login_in_progress"},
    "bad model": {"status": "bad_model", "why": "there is no model opsu"},
    "failed": {"status": "failed", "why": "API key not valid"},
    "no harness": {"status": "stopped", "state": "idle"},
    "no answer": {"status": "unreachable", "state": "unreachable", "why": "process 4242 is stopped"},
    "compacting": {"state": "compacting", "context_tokens": 164_000, "since_unix": NOW - 21},
    "nothing is known": dict.fromkeys(BEE),
}
SIZES = [(40, 10), (80, 24), (120, 40), (200, 60)]


def test_text_that_is_being_written_is_not_thought() -> None:
    view = View(StatusFields(BEE | {"state": "thinking"}), Editor())
    view.status.observe(record(TurnStart(sender="operator", body="x", unread=2)))
    view.status.activity.observe_draft("text", TS + 30_000)
    assert as_text(view, at=TS / 1000 + 38)[2].startswith("● writing 0:08 · turn 0:38 ")


def test_golden_states() -> None:
    """Each state at each size, as agreed; GOLDEN_WRITE=1 writes it again."""
    found = []
    for columns, rows in SIZES:
        for name, fields in STATES.items():
            found += [f"=== {columns}x{rows}, {name}", *drawn(columns, rows, typed="add a test", **fields)]
    kept, shown = GOLDEN / "console_states.txt", "".join(f"{row.rstrip()}\n" for row in found)
    if os.environ.get("GOLDEN_WRITE"):
        kept.write_text(shown, encoding="utf-8")
    assert shown == kept.read_text(encoding="utf-8")

"""What `status` and the tables of agents print: every field in words, in any width, with hostile texts."""

from typing import Any

import pytest

from hyperhive_cli.render.agent_tables import (
    PIPED_AGENT,
    agent_to_values,
    agents_to_spans,
    hive_history_words,
    hive_to_lines,
    summary_of,
)
from hyperhive_cli.render.console.state import facts_row
from hyperhive_cli.render.piped import values_to_line
from hyperhive_cli.render.status_rows import Row, budget_to_rows, fit, status_to_rows, today_words
from hyperhive_cli.render.table import FULL, NEAR_FULL, bar, cells, cut, table
from hyperhive_cli.render.turn_words import moment
from hyperhive_cli.transcript.status_fields import StatusFields
from tests.harness import SOURCE
from tests.unit.made_events import same_world  # noqa: F401 - a fixture: the time zone

NOW = 1_795_364_671.0
FOUND: dict[str, Any] = {
    "agent": "tester", "workspace": "/some/space", "state_dir": "/state", "running": True, "pid": 12, "boot": "b",
    "status": "online", "waits_until": None, "state": "thinking", "since_unix": NOW - 65, "model": "haiku",
    "session_id": "s-1", "auth_source": "none", "context_tokens": 76_000, "context_window": 200_000, "usage": None,
    "unread": 2, "held": 0, "dead": 1, "login": None, "seq": 3, "paused": False, "prewarmed": None,
    "budget": None, "last_compaction": None, "limits": [], "quota": [], "idle_until": None, "mcp": None,
    "problems": [], "next_due": 0, "schedules": [],
    "last_event": {"seq": 3, "ts": 0, "kind": "note", "age_s": 2.5},
    "last_turn": {
        "outcome": "crashed", "started": (NOW - 199) * 1000, "duration_ms": 4_000,
        "tool_call_count": 2, "cost_usd": 0.5, "note": "it broke\nbadly",
    },
    "last_outcomes": ["ok", "rate_limited", "crashed"],
    "today": {
        "turns": 3, "ok": 1, "input_tokens": 1_000, "output_tokens": 84, "cache_read_input_tokens": 11_000,
        "cache_creation_input_tokens": 0, "cost_usd": 1.5, "tool_calls": 2,
    },
}  # fmt: skip


def lines(found: dict[str, Any], width: int = 80) -> list[str]:
    return ["".join(words for words, _ in fit(row, 10, width)).rstrip() for row in status_to_rows(found, NOW)]


def agent_lines(found: list[dict[str, Any]], width: int = 200, *, plain: bool = False) -> list[str]:
    rows = [*agents_to_spans(found, NOW, width, plain=plain), [(summary_of(found, NOW), "")]]
    return ["".join(words for words, _ in line).rstrip() for line in rows]


def words_of(found: dict[str, Any], name: str) -> str:
    rows: dict[str, Row] = {row[0]: row for row in status_to_rows(found, NOW)}
    return "".join(words for words, _ in rows[name][1])


def test_the_status_of_a_busy_agent() -> None:
    assert lines(FOUND) == [
        "agent       tester  ● working · thinking 1:05",
        "status      online",
        "inbox       2 waiting, 1 dead (hyperhive inbox)",
        "context     ▕████████░░░░░░░░░░░░▏ 76k of 200k (38%)",
        "today       3 turns, 1 ok · 12k in, 84 out · $1.50",
        "last turn   crashed, 4.0s, 2 tools, $0.50, 16:21 (3 min ago): it broke badly",
        "outcomes    ✓·✗  1 ok of the last 3",
        "model       haiku",
        "harness     running, pid 12",
        "session     s-1",
        "last event  note #3, just now",
        "auth        none",
        "workspace   /some/space",
        "state in    /state",
    ]


def test_a_wait_says_until_when_and_how_long() -> None:
    found = FOUND | {"status": "rate_limited", "waits_until": NOW + 184}
    assert words_of(found, "status").startswith("rate limited, waits until ")
    assert words_of(found, "status").endswith(" (3m 04s)")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "failed"}, "failed (hyperhive resume)"),
        ({"status": "failed", "why": "the disk is\n full"}, "failed: the disk is full (hyperhive resume)"),
        ({"status": "needs_login_idle"}, "needs login (hyperhive login)"),
        (
            {"status": "needs_login_in_progress", "login": {"finished": False, "url": "https://x"}},
            "login in progress: https://x",
        ),
        ({"status": "standby", "login": {"finished": False, "url": "https://x"}}, "standby"),
        ({"status": "over_budget", "waits_until": None}, "over budget (hyperhive budget raise)"),
        ({"status": None}, "unknown"),
    ],
)
def test_what_needs_a_person_is_said_with_what_to_do(fields: dict[str, Any], words: str) -> None:
    assert words_of(FOUND | fields, "status") == words


def test_the_first_two_rows_say_what_an_agent_does_and_what_it_waits_for() -> None:
    assert words_of(FOUND | {"activity": WORKING}, "agent") == (
        "tester  ● working 1:05 · Bash 0:38: pytest -q tests/unit · 3 tools"
    )
    limited = FOUND | {"status": "rate_limited", "waits_until": NOW + 60, "state": "idle", "limits": [LIMIT]}
    assert words_of(limited, "agent") == "tester  ‖ 5-hour limit reached"
    paused = FOUND | {"status": "paused", "paused_since": NOW - 3600}
    assert words_of(paused, "agent") == "tester  ‖ paused since 15:24 · thinking 1:05"
    silent = FOUND | {"silence": {"since": (NOW - 900) * 1000, "ends": (NOW + 900) * 1000}}
    assert words_of(silent, "agent").endswith(" · silent for 15:00 · interrupts at 30:00")
    idle = FOUND | {"state": "idle", "next_due": (NOW + 60) * 1000}
    assert words_of(idle, "agent") == "tester  ○ idle · next message at 16:25 (in 1m 00s)"
    sooner = {"name": "nightly", "next": (NOW + 30) * 1000, "paused": False}
    scheduled = idle | {"schedules": [sooner, sooner | {"next": None, "paused": True}]}
    assert words_of(scheduled, "agent").endswith("next message at 16:25 (in 30s)")
    assert words_of(scheduled, "schedules") == "nightly 16:25 (in 30s), 1 paused"
    many = [sooner | {"name": f"s{number}", "next": (NOW + number) * 1000} for number in range(60, 360, 60)]
    assert words_of(idle | {"schedules": many}, "schedules").endswith("s180 16:27 (in 3m 00s), 2 more")
    found = FOUND | {"running": False, "status": "stopped"}
    assert [name for name, _ in status_to_rows(found, NOW)][:2] == ["agent", "status"]
    assert words_of(found, "agent") == "tester  - stopped"
    assert (words_of(found, "harness"), words_of(found, "status")) == ("not running", "stopped (hyperhive run)")


def test_a_spent_day_says_until_when_and_how_to_go_on() -> None:
    found = FOUND | {"status": "over_budget", "waits_until": NOW + 184}
    assert words_of(found, "status").endswith(" (3m 04s), or hyperhive budget raise")


def test_what_cannot_be_read_is_said() -> None:
    found = FOUND | {"problems": ["the inbox /a cannot be read: no database"]}
    assert words_of(found, "problem") == "the inbox /a cannot be read: no database (hyperhive doctor)"
    assert "damaged" in agent_lines([found], 100)[1]


def test_messages_that_wait_for_their_time_say_when() -> None:
    assert words_of(FOUND | {"next_due": (NOW - 5) * 1000}, "inbox").startswith("2 waiting, 1 dead")
    found = words_of(FOUND | {"next_due": (NOW + 184) * 1000}, "inbox")
    assert found.startswith("2 waiting, the first at ")
    assert " (in 3m 04s), 1 dead" in found


def test_held_messages_are_counted_beside_dead_ones() -> None:
    assert words_of(FOUND | {"held": 3}, "inbox") == "2 waiting, 3 held, 1 dead (hyperhive inbox)"
    assert words_of(FOUND | {"held": 1, "dead": 0}, "inbox") == "2 waiting, 1 held (hyperhive inbox)"


def test_the_table_of_agents_has_a_column_for_held_messages_if_there_are_any() -> None:
    head, row, other, _ = agent_lines([FOUND | {"held": 3}, FOUND])
    at = head.split().index("HELD")
    assert (head.split()[at - 1 : at + 2], row.split()[-7:-3]) == (
        ["WAITING", "HELD", "DEAD"],
        ["2", "3", "1", "$1.50"],
    )
    assert other.split()[-7:-3] == ["2", "0", "1", "$1.50"]
    assert "HELD" not in agent_lines([FOUND])[0]
    hive = {"machine": "a", "lease_s": 30.0, "wanted": None, "epoch": 1, "leased": 0, "report_age_s": 1.0}
    for held, is_shown in ((0, False), (2, True)):
        head, *_ = hive_to_lines([FOUND | {"held": held, "hive": hive}], [], 200)
        assert ("HELD" in head.split()) is is_shown


def test_a_hive_says_how_much_history_it_keeps() -> None:
    history = {"days": 30, "bytes": 10 * 2**30, "used_bytes": 3 * 2**20, "since_ms": (NOW - 12.6 * 86_400) * 1000}
    assert hive_history_words(history, NOW) == "history: 12 of 30 days, 3 MiB of 10 GiB"
    assert hive_history_words(history, 0) == "history: 0 of 30 days, 3 MiB of 10 GiB"


def test_the_limits_and_the_newest_compaction_have_rows() -> None:
    budget: dict[str, Any] = {
        "limits": {"turn_cost": 2.0, "day_cost": 20.0, "turn_tokens": None, "tool_calls": 300},
        "today": {"day": "2026-11-25", "cost_usd": 16.5, "limit_usd": 20.0, "raised": False, "unpriced": 2},
        "messages": {"7": {"tool_calls": 600}},
        "turn": {"tokens": 297_650, "tool_calls": 50},
    }
    found = FOUND | {
        "budget": budget,
        "last_compaction": {"turn_id": 5, "ended": NOW * 1000 - 9e4, "before": 160_000, "after": 31_000},
    }
    expected = "today $16.50 of $20.00 · a turn $2.00, 300 tool calls, 298k tokens and 50 calls so far"
    assert words_of(found, "budget") == expected
    assert words_of(found, "compacted") == "160k to 31k, 1m 30s ago (turn 5)"
    rows = {name: "".join(words for words, _ in spans) for name, spans in budget_to_rows(budget)}
    assert rows == {
        "today": "$16.50 of $20.00; 2 turns ended without a figure",
        "a turn": "at most $2.00, 300 tool calls",
        "this turn": "297,650 tokens, 50 tool calls so far; dollars when it ends",
        "message 7": "at most 600 tool calls",
    }
    (span,) = dict(budget_to_rows(budget | {"limits": dict.fromkeys(budget["limits"]), "turn": None}))["today"][:1]
    assert span[1] == "warn"


@pytest.mark.parametrize(
    ("used", "style"), [(0, "fine"), (159_000, "fine"), (160_000, "warn"), (194_000, "bad"), (5 * 10**5, "bad")]
)
def test_the_bar_of_the_context_warns(used: int, style: str) -> None:
    rows = dict(status_to_rows(FOUND | {"context_tokens": used}, NOW))
    assert rows["context"][1][1] == style
    assert sum(cells(words) for words, _ in rows["context"][:3]) == 23


@pytest.mark.parametrize("width", [24, 40, 80, 120])
def test_every_line_fits_but_paths_and_ids_which_are_whole(width: int) -> None:
    found = FOUND | {
        "model": "m" * 300,
        "workspace": "/w" * 100,
        "last_turn": {**FOUND["last_turn"], "note": "日" * 99},
    }
    shown = lines(found, width)
    assert shown[-2].endswith("/w" * 100)
    whole = {"status", "session", "workspace", "state"}
    assert all(cells(line) <= width for line in shown if line.split()[0] not in whole)


def test_text_of_others_cannot_control_the_terminal() -> None:
    found = FOUND | {"model": "a\x1b[31m\nb", "workspace": "/w\x07", "auth_source": "\u202e"}
    assert not any(not c.isprintable() for line in lines(found) for c in line)


def test_the_limits_of_the_account_and_missing_servers_have_rows() -> None:
    limits = [
        {"name": "5-hour limit", "status": "allowed", "utilization": 0.2, "resets_at": NOW - 1},
        {"name": "weekly limit", "status": "allowed_warning", "utilization": 0.78, "resets_at": NOW + 3600},
        {"name": "weekly Opus limit", "status": "rejected", "utilization": None, "resets_at": NOW + 3600},
    ]
    found = FOUND | {"limits": limits, "mcp": ["gone: failed", "slow: not up yet"]}
    rows = status_to_rows(found, NOW)
    at = [name for name, _ in rows].index("limits")
    assert [(name, words.split(", ")[0], style) for name, [(words, style)] in rows[at : at + 3]] == [
        ("limits", "weekly limit 78% used", "warn"),
        ("", "weekly Opus limit reached", "bad"),
        ("MCP", "gone: failed; slow: not up yet", "warn"),
    ]
    assert {"limits", "MCP"}.isdisjoint(dict(status_to_rows(FOUND | {"mcp": []}, NOW)))


def test_a_paused_inbox_and_a_waiting_claude_are_said() -> None:
    waiting = {"pid": 7, "since": NOW - 12, "rss_bytes": 155_000_000}
    assert words_of(FOUND | {"paused": True, "dead": 0}, "inbox") == "2 waiting, paused (hyperhive resume)"
    assert words_of(FOUND | {"prewarmed": waiting}, "prewarmed") == "pid 7, for 12s, 155 MB"


def test_a_day_without_a_turn() -> None:
    assert today_words(None) == today_words({"turns": 0}) == "no turn yet"


def test_a_moment_is_local_and_relative() -> None:
    assert moment(NOW - 5, NOW) == "16:24 (just now)"
    assert moment(NOW - 3_600 * 17, NOW) == "21 Nov 23:24 (17 h ago)"
    assert moment(NOW - 86_400 * 3, NOW) == "19 Nov 16:24 (3 days ago)"


def test_plain_rows_have_words_in_place_of_bars() -> None:
    rows = {name: "".join(words for words, _ in spans) for name, spans in status_to_rows(FOUND, NOW, plain=True)}
    assert rows["context"] == "76k of 200k (38%)"
    assert rows["outcomes"] == "1 ok of the last 3: ok, rate_limited, crashed"
    assert all(c.isascii() or c == "·" for row in rows.values() for c in row)
    _, row, _ = agent_lines([FOUND], 120, plain=True)
    assert ("1 of 3 ok" in row, "●" in row) == (True, False)


# --- one state in words ---

WORKING = {
    "doing": "tool", "tool": "Bash", "argument": "pytest -q tests/unit", "since": (NOW - 38) * 1000,
    "tools_running": 1, "tool_calls": 3, "tokens": 5,
}  # fmt: skip
LIMIT = {"name": "5-hour limit", "status": "rejected", "resets_at": NOW + 60}
SPENT = {"limits": {}, "today": {"limit_usd": 10.0, "cost_usd": 11.0}, "turn": None, "messages": {}}


@pytest.mark.parametrize(
    ("fields", "long", "short", "piped"),
    [
        (
            {"activity": WORKING}, "● Bash 0:38: pytest -q tests/unit · turn 1:05", "● Bash 0:38",
            ("working", "Bash for 38s: pytest -q tests/unit"),
        ),
        ({}, "● thinking 1:05", "● thinking 1:05", ("working", "thinking for 1m 05s")),
        (
            {"activity": {**WORKING, "tools_running": 2}}, "● Bash (+1) 0:38: pytest -q tests/unit · turn 1:05",
            "● Bash (+1) 0:38", ("working", "Bash (+1) for 38s: pytest -q tests/unit"),
        ),
        (
            {"state": "compacting", "activity": None}, "● compacting 1:05", "● compacting 1:05",
            ("compacting", "compacting for 1m 05s"),
        ),
        ({"state": "idle"}, "○ idle", "○ idle", ("idle", None)),
        (
            {"state": "idle", "next_due": (NOW + 60) * 1000}, "○ idle, next message at 16:25", "○ idle",
            ("idle", "next message at 2026-11-22T16:25:31+00:00"),
        ),
        ({"state": "idle", "next_due": (NOW - 60) * 1000}, "○ idle", "○ idle", ("idle", None)),
        (
            {"status": "rate_limited", "waits_until": NOW + 60, "state": "idle", "limits": [LIMIT]},
            "‖ rate limited: 5-hour limit, until 16:25", "‖ rate limited",
            ("rate_limited", "5-hour limit, until 2026-11-22T16:25:31+00:00"),
        ),
        (
            {"status": "over_budget", "state": "idle", "budget": SPENT}, "‖ over budget: today's $10 is spent",
            "‖ over budget", ("over_budget", "today's $10 is spent"),
        ),
        (
            {"status": "paused", "activity": WORKING}, "‖ paused · Bash 0:38: pytest -q tests/unit · turn 1:05",
            "‖ paused · Bash 0:38", ("paused", "Bash for 38s: pytest -q tests/unit"),
        ),
        (
            {"status": "paused", "state": "idle", "paused_since": NOW - 3600}, "‖ paused since 15:24", "‖ paused",
            ("paused", "since 2026-11-22T15:24:31+00:00"),
        ),
        (
            {"status": "failed", "state": "idle", "why": "it\tcrashed"}, "✗ failed: it crashed", "✗ failed",
            ("failed", "it crashed"),
        ),
        ({"status": "stopped", "running": False}, "- stopped", "- stopped", ("stopped", None)),
        (
            {"status": "stopped", "running": False, "paused": True}, "- stopped: paused", "- stopped",
            ("stopped", "paused"),
        ),
        (
            {"status": "unreachable", "why": "it is stopped"}, "! unreachable: it is stopped", "! unreachable",
            ("unreachable", "it is stopped"),
        ),
    ],
)  # fmt: skip
def test_the_state_of_an_agent_is_one_column(
    fields: dict[str, Any], long: str, short: str, piped: tuple[str, str | None]
) -> None:
    found = FOUND | {"dead": 0} | fields
    head, row, *_ = agent_lines([found], 150)
    assert row[head.index("STATE") : head.index("MODEL")].rstrip() == long
    width = len("tester  ") + len(short)
    narrow = agent_lines([found], width)[1]
    assert narrow == f"tester  {short}"
    values = dict(zip(PIPED_AGENT, agent_to_values(found, NOW), strict=True))
    assert (values["state"], values["detail"]) == piped


def test_a_narrow_table_of_agents_keeps_the_state_and_leaves_out_the_rest() -> None:
    found = [FOUND | {"activity": WORKING}, FOUND | {"agent": "other", "budget": SPENT}]
    heads = {width: agent_lines(found, width)[0].split() for width in (20, 40, 56, 80, 120)}
    assert heads[20] == ["AGENT", "STATE"]
    assert heads[40] == ["AGENT", "STATE"]
    assert heads[80] == ["AGENT", "STATE", "WAITING", "DEAD", "TODAY", "LAST", "5"]
    assert heads[120][-3:] == ["LAST", "5", "ACTIVE"]
    for width in heads:
        assert all(cells(line) <= width for line in agent_lines(found, width)[:-1])
    assert "$1.50/$10" in agent_lines(found, 120)[2]


# --- in a pipe ---


def test_a_row_for_programs_is_one_line_whatever_its_values_are() -> None:
    values = ["a\tb\nc\r\\d\x1b[31m", None, 1.5, 0.000001, 10.0, 3, True, ""]
    assert values_to_line(values) == "a\\tb\\nc\\r\\\\d\\x1b[31m\t-\t1.5\t0.000001\t10\t3\tyes\t"


# --- tables ---


def test_a_bar_shows_any_share_above_zero() -> None:
    assert [bar(share, 4) for share in (0.0, 0.0001, 0.5, 0.53, 1.0, 7.0)] == ["", "▏", "██", "██▏", "████", "████"]


def test_a_wide_character_takes_two_cells() -> None:
    assert (cells("日本e\u0301"), cut("日本語", 5), cut("abc", 0)) == (5, "日本…", "")


def test_a_narrow_table_leaves_out_its_optional_columns() -> None:
    heads, rows = ["name", "one", "two"], [["a long name", "1", "22"], ["b", "333", ""]]
    assert table(heads, rows, 40) == ["NAME         ONE  TWO", "a long name    1   22", "b            333"]
    assert table(heads, rows, 16, optional=["one"]) == ["NAME         TWO", "a long name   22", "b"]
    assert table(heads, rows, 10, optional=["one"]) == ["NAME   TWO", "a lo…   22", "b"]
    assert table(heads, rows, 40, shares=[1.0, 0.5])[1:] == [
        "a long name    1   22  █████████████████", "b            333       ████████▌",
    ]  # fmt: skip


def test_the_last_turn_says_what_was_denied_in_the_colour_of_a_warning() -> None:
    turn = {**FOUND["last_turn"], "outcome": "ok", "denied": 2, "message_state": "done", "note": None}
    ((words, style),) = dict(status_to_rows(FOUND | {"last_turn": turn}, NOW))["last turn"]
    assert (words.startswith("ok, 2 denied, "), style) == (True, "warn")
    assert dict(status_to_rows(FOUND, NOW))["last turn"][0][1] == ""


@pytest.mark.parametrize(
    ("used", "share"),
    [(0, "0%"), (500, "1%"), (10**5, "50%"), (199_900, "99%"), (200_000, "100%"), (3 * 10**5, "100%")],
)
def test_everything_says_the_same_share_of_a_context(used: int, share: str) -> None:
    found = FOUND | {"context_tokens": used}
    assert words_of(found, "context").endswith(f"({share})")
    assert agent_to_values(found, NOW)[PIPED_AGENT.index("context")] == share
    facts = "".join(words for words, _ in facts_row(StatusFields(found), 80))
    assert f"context {share} " in facts
    script = (SOURCE / "hyperhive_cli/web/static/js/agent_state.js").read_text(encoding="utf-8")
    assert "Math.min(99, Math.max(1, Math.round(share * 100)))" in script


def test_the_page_warns_of_a_full_context_at_the_same_shares() -> None:
    script = (SOURCE / "hyperhive_cli/web/static/js/agent_state.js").read_text(encoding="utf-8")
    assert f"const NEARLY_FULL = {NEAR_FULL};\nconst FULL = {FULL};\n" in script

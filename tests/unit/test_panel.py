"""The panel of `status`: every field in words, in any width, with hostile texts."""

from typing import Any

import pytest

from hyperhive_cli.render.panel import Row, fit, sign_of, status_to_rows, today_words
from hyperhive_cli.render.table import bar, cells, cut, table

NOW = 1_795_364_671.0
FOUND: dict[str, Any] = {
    "agent": "tester", "workspace": "/some/space", "state_dir": "/state", "running": True, "pid": 12, "boot": "b",
    "status": "online", "waits_until": None, "state": "thinking", "since_unix": NOW - 65, "model": "haiku",
    "session_id": "s-1", "auth_source": "none", "context_tokens": 76_000, "context_window": 200_000, "usage": None,
    "unread": 2, "dead": 1, "login": None, "seq": 3, "paused": False, "prewarmed": None,
    "budget": None, "last_compaction": None,
    "last_event": {"seq": 3, "ts": 0, "kind": "note", "age_s": 2.5},
    "last_turn": {
        "outcome": "crashed", "duration_ms": 4_000, "tool_call_count": 2, "cost_usd": 0.5, "note": "it broke\nbadly",
    },
    "last_outcomes": ["ok", "rate_limited", "crashed"],
    "today": {
        "turns": 3, "ok": 1, "input_tokens": 1_000, "output_tokens": 84, "cache_read_input_tokens": 11_000,
        "cache_creation_input_tokens": 0, "cost_usd": 1.5, "tool_calls": 2,
    },
}  # fmt: skip


def lines(found: dict[str, Any], width: int = 80) -> list[str]:
    return ["".join(words for words, _ in fit(row, 10, width)).rstrip() for row in status_to_rows(found, NOW)]


def words_of(found: dict[str, Any], name: str) -> str:
    rows: dict[str, Row] = {row[0]: row for row in status_to_rows(found, NOW)}
    return "".join(words for words, _ in rows[name][1])


def test_the_panel_of_a_busy_agent() -> None:
    assert lines(FOUND) == [
        "agent       tester",
        "harness     running, pid 12",
        "status      online",
        "turn        thinking for 1m 05s",
        "model       haiku",
        "session     s-1",
        "context     ▕████████░░░░░░░░░░░░▏ 76k of 200k (38%)",
        "today       3 turns, 1 ok · 12k in, 84 out · $1.50",
        "inbox       2 waiting, 1 dead (hyperhive inbox)",
        "outcomes    ✓·✗  1 ok of the last 3",
        "last turn   crashed, 4.0s, 2 tools, $0.50: it broke badly",
        "last event  note #3, 2.5s ago",
        "auth        none",
        "workspace   /some/space",
        "state in    /state",
    ]


def test_a_wait_says_until_when_and_how_long() -> None:
    found = FOUND | {"status": "rate_limited", "waits_until": NOW + 184}
    assert words_of(found, "status").startswith("rate_limited, waits until ")
    assert words_of(found, "status").endswith(" (3m 04s)")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "failed"}, "failed (hyperhive resume)"),
        ({"status": "needs_login_idle"}, "needs_login_idle (hyperhive login)"),
        ({"login": {"finished": False, "url": "https://x"}}, "login in progress: https://x"),
        ({"status": "failed", "running": False}, "failed"),
        ({"status": None, "running": False}, "unknown"),
    ],
)
def test_what_needs_a_person_is_said_with_what_to_do(fields: dict[str, Any], words: str) -> None:
    assert words_of(FOUND | fields, "status") == words


@pytest.mark.parametrize(("used", "style"), [(0, "fine"), (140_000, "warn"), (180_000, "bad"), (500_000, "bad")])
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
    assert all(cells(line) <= width for line in [*shown[:2], *shown[3:5], *shown[6:-2]])


def test_what_others_have_written_steers_no_terminal() -> None:
    found = FOUND | {"model": "a\x1b[31m\nb", "workspace": "/w\x07", "auth_source": "\u202e"}
    assert not any(not c.isprintable() for line in lines(found) for c in line)


def test_a_paused_inbox_and_a_waiting_claude_are_said() -> None:
    waiting = {"pid": 7, "since": NOW - 12, "rss_bytes": 155_000_000}
    assert words_of(FOUND | {"paused": True, "dead": 0}, "inbox") == "2 waiting, paused (hyperhive resume)"
    assert words_of(FOUND | {"prewarmed": waiting}, "prewarmed") == "pid 7, for 12s, 155 MB"


def test_signs() -> None:
    assert [sign_of(word)[0] for word in ("ok", "billing", "cancelled", "stalled", "new_one")] == [
        "✓",
        "·",
        "·",
        "✗",
        "✗",
    ]


def test_a_day_without_a_turn() -> None:
    assert today_words(None) == today_words({"turns": 0}) == "no turn yet"


# --- tables ---


def test_a_bar_shows_whatever_is_more_than_nothing() -> None:
    assert [bar(share, 4) for share in (0.0, 0.0001, 0.5, 0.53, 1.0, 7.0)] == ["", "▏", "██", "██▏", "████", "████"]


def test_a_wide_character_takes_two_cells() -> None:
    assert (cells("日本e\u0301"), cut("日本語", 5), cut("abc", 0)) == (5, "日本…", "")


def test_a_table_gives_up_what_it_can_do_without() -> None:
    heads, rows = ["name", "one", "two"], [["a long name", "1", "22"], ["b", "333", ""]]
    assert table(heads, rows, 40) == ["name         one  two", "a long name    1   22", "b            333"]
    assert table(heads, rows, 16, optional=["one"]) == ["name         two", "a long name   22", "b"]
    assert table(heads, rows, 10, optional=["one"]) == ["name   two", "a lo…   22", "b"]
    assert table(heads, rows, 40, shares=[1.0, 0.5])[1:] == [
        "a long name    1   22  █████████████████", "b            333       ████████▌",
    ]  # fmt: skip

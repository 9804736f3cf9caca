"""The table of `agents --watch` in which a person moves: its order, its keys, and its rows."""

import os
from typing import Any

import pytest

from hyperhive_cli.render.agent_list import STILL_S, Act, AgentList, Asked
from hyperhive_cli.render.console.cells import width_of_spans
from hyperhive_cli.render.console.keys import Key
from hyperhive_cli.render.console.painter import Size
from hyperhive_cli.transcript.triage import Triage, by_triage, triage_of
from tests.unit.agreed import GOLDEN
from tests.unit.made_events import NOW, same_world  # noqa: F401 - a fixture: the time zone
from tests.unit.test_status_rows import FOUND, LIMIT, WORKING

pytestmark = pytest.mark.usefixtures("same_world")
IDLE: dict[str, Any] = FOUND | {"state": "idle", "unread": 0, "dead": 0, "since_unix": NOW - 10, "last_event": None}
DOWN, UP = Key("down"), Key("up")
USUAL = Size(80, 24)


def agent(name: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    return IDLE | {"agent": name} | fields


def listed(*agents: dict[str, Any], now_s: float = 0.0) -> AgentList:
    found = AgentList()
    found.show(agents, NOW, now_s)
    return found


def rows(shown: AgentList, size: Size = USUAL) -> list[str]:
    found = shown.region(NOW, size).rows
    assert len(found) < size.rows
    assert max(map(width_of_spans, found)) <= size.columns
    return ["".join(words for words, _ in spans).rstrip() for spans in found]


def names(shown: AgentList, size: Size = USUAL) -> list[str]:
    """Return the agents of the rows, the chosen one with its mark."""
    shown_rows = [row for row in rows(shown, size) if row]
    at = next(at for at, row in enumerate(shown_rows) if row.startswith("  AGENT"))
    until = next(at for at, row in enumerate(shown_rows) if "agents:" in row or "agent:" in row) - 1
    return [f"{row[:2].strip()}{row[2:].split()[0]}" for row in shown_rows[at + 1 : until]]


# --- the order ---


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "failed"}, Triage.NEEDS_PERSON),
        ({"status": "needs_login_idle"}, Triage.NEEDS_PERSON),
        ({"status": "over_budget", "waits_until": NOW + 9}, Triage.NEEDS_PERSON),
        ({"status": "unreachable"}, Triage.NEEDS_PERSON),
        ({"problems": ["the inbox cannot be read"], "status": "stopped"}, Triage.NEEDS_PERSON),
        ({"state": "thinking"}, Triage.RUNNING),
        ({"state": "thinking", "status": "paused"}, Triage.RUNNING),
        ({"state": "compacting", "status": "retrying"}, Triage.RUNNING),
        ({"status": "paused"}, Triage.WAITING),
        ({"status": "rate_limited", "waits_until": NOW + 9}, Triage.WAITING),
        ({"status": "stopped", "unread": 1}, Triage.WAITING),
        ({"unread": 1}, Triage.WAITING),
        ({}, Triage.QUIET),
        ({"status": "stopped"}, Triage.QUIET),
        ({"status": "standby"}, Triage.QUIET),
        ({"status": "of a newer release"}, Triage.WAITING),
    ],
)
def test_who_needs_a_person_comes_first(fields: dict[str, Any], expected: Triage) -> None:
    assert triage_of(IDLE | fields, NOW) is expected


def test_of_the_same_kind_the_longest_comes_first_and_then_the_name() -> None:
    found = [
        agent("c"), agent("b"), agent("a", since_unix=None), agent("old", since_unix=NOW - 100),
        agent("limited", status="rate_limited", since_unix=NOW - 5), agent("paused", status="paused"),
        agent("works", state="thinking"), agent("broken", status="failed"),
        agent("stopped", since_unix=None, last_event={"seq": 1, "ts": (NOW - 50) * 1000, "kind": "note", "age_s": 50}),
    ]  # fmt: skip
    expected = ["broken", "works", "paused", "limited", "old", "stopped", "b", "c", "a"]
    assert [one["agent"] for one in by_triage(found, NOW)] == expected
    assert names(listed(*found)) == [f"›{expected[0]}", *expected[1:]]


# --- the keys ---


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        ([], "a"),
        ([DOWN], "b"), ([Key("text", "j")], "b"), ([Key("ctrl-n")], "b"),
        ([DOWN, DOWN, UP], "b"), ([DOWN, DOWN, Key("text", "k")], "b"), ([DOWN, Key("ctrl-p")], "a"),
        ([UP], "a"), ([DOWN] * 9, "d"),
        ([Key("end")], "d"), ([Key("text", "G")], "d"), ([DOWN, Key("home")], "a"), ([DOWN, Key("text", "g")], "a"),
        ([Key("page-down")], "c"), ([Key("page-down"), Key("page-up")], "a"),
        ([Key("paste", "jjj")], "a"), ([Key("text", "x")], "a"), ([Key("escape")], "a"),
    ],
)  # fmt: skip
def test_keys_move_the_mark(keys: list[Key], chosen: str) -> None:
    shown = listed(*map(agent, "abcd"))
    assert rows(shown, Size(80, 5))  # a page of two rows
    for key in keys:
        assert shown.press(key, 0.0) is None
    assert f"›{chosen}" in names(shown)


@pytest.mark.parametrize(
    ("key", "act"),
    [("enter", Act.ATTACH), ("p", Act.PAUSE), ("r", Act.RESUME)],
)
def test_a_key_acts_on_the_chosen_agent(key: str, act: Act) -> None:
    shown = listed(agent("a"), agent("b"))
    shown.press(DOWN, 0.0)
    assert shown.press(Key(key) if key == "enter" else Key("text", key), 0.0) == Asked(act, agent("b"))
    assert AgentList().press(Key(key), 0.0) is None, "there is none"


@pytest.mark.parametrize("key", [Key("text", "q"), Key("ctrl-c"), Key("ctrl-d")])
def test_leaving_needs_no_agent(key: Key) -> None:
    assert AgentList().press(key, 0.0) == Asked(Act.LEAVE)


# --- rows that move ---


def test_rows_keep_their_places_for_a_while_after_a_key() -> None:
    shown = listed(agent("a"), agent("b"), agent("c"))
    shown.press(DOWN, 10.0)
    changed = [agent("a"), agent("b"), agent("c", status="failed"), agent("new", status="failed")]
    shown.show(changed, NOW, 10.0 + STILL_S - 0.1)
    assert names(shown) == ["a", "›b", "c", "new"]
    shown.show(changed, NOW, 10.0 + STILL_S)
    assert names(shown) == ["c", "new", "a", "›b"], "the chosen agent stays chosen"


def test_when_the_chosen_agent_is_gone_its_neighbour_is_chosen() -> None:
    shown = listed(*map(agent, "abcd"))
    shown.press(DOWN, 0.0)
    shown.show([*map(agent, "acd")], NOW, 1.0)
    assert names(shown) == ["a", "›c", "d"]
    shown.show([agent("a")], NOW, 2.0)
    assert names(shown) == ["›a"]
    shown.show([], NOW, 3.0)
    assert rows(shown) == ["no agents yet", "q leave"]
    shown.show([agent("z")], NOW, 4.0)
    assert names(shown) == ["›z"]


def test_a_long_list_scrolls_with_the_mark() -> None:
    shown = listed(*(agent(f"a{number:02}") for number in range(20)))
    small = Size(80, 10)
    assert names(shown, small) == ["›a00", "a01", "a02", "a03", "a04"]
    for _ in range(6):
        shown.press(DOWN, 0.0)
    assert names(shown, small) == ["a02", "a03", "a04", "a05", "›a06"]
    assert "3-7 of 20 agents: 20 idle" in "\n".join(rows(shown, small))
    shown.press(Key("home"), 0.0)
    assert names(shown, small)[0] == "›a00"
    assert len(names(shown, Size(80, 40))) == 20


# --- what is shown ---


@pytest.mark.parametrize("size", [Size(24, 4), Size(40, 5), Size(40, 10), Size(200, 60)])
def test_the_rows_fit_any_terminal(size: Size) -> None:
    shown = listed(*(agent(f"team-research-{number:050}", activity=WORKING) for number in range(9)))
    assert any(row.startswith("› ") for row in rows(shown, size))


def test_of_a_long_name_the_tail_is_seen_too() -> None:
    one, other = (f"team-research-on-the-same-question-worker-{number}" for number in (11, 12))
    shown = names(listed(agent(one), agent(other)), Size(60, 24))
    assert [name[-9:] for name in shown] == ["worker-11", "worker-12"]
    assert all("…" in name for name in shown)


def test_the_chosen_agent_is_described_whole_and_a_remark_stands_in_place_of_the_keys() -> None:
    shown = listed(agent("bee", state="thinking", since_unix=NOW - 65, activity=WORKING))
    assert "bee · working 1:05 · Bash 0:38: pytest -q tests/unit · 3 tools" in rows(shown)
    assert rows(shown)[-1] == "Enter attach · q leave · p pause · r resume · ↑ ↓ choose"
    shown.remark = "bee: paused\x1b[31m"
    assert rows(shown)[-1] == "bee: paused\\x1b[31m"
    shown.press(DOWN, 0.0)
    assert rows(shown)[-1].startswith("Enter attach")


def test_golden_tables_of_agents_to_move_in() -> None:
    sizes = [Size(40, 10), Size(80, 24), Size(120, 40)]
    shown = listed(
        agent("bee", state="thinking", since_unix=NOW - 65, activity=WORKING, unread=2),
        agent("wasp", status="rate_limited", waits_until=NOW + 60, limits=[LIMIT], unread=1),
        agent("hornet", status="needs_login_idle", why="the session has expired", dead=1),
        agent("ant", next_due=(NOW + 600) * 1000),
        agent("team-research-on-the-same-question-worker-12", status="stopped", running=False, paused=True),
        agent("moth", problems=["the history cannot be read"], replaced="the history was replaced"),
    )
    shown.press(DOWN, 0.0)
    found = [line for size in sizes for line in (f"=== {size.columns} x {size.rows}", *rows(shown, size))]
    kept, text = GOLDEN / "agents_watched.txt", "".join(f"{row}\n" for row in found)
    if os.environ.get("GOLDEN_WRITE"):
        kept.write_text(text, encoding="utf-8")
    assert text == kept.read_text(encoding="utf-8")

"""The report from the files of an agent: which turns it looks at, and what it does without a history."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hyperhive_cli.core.events import TurnEnd, TurnStart
from hyperhive_cli.core.settings import AgentPaths, resolve_paths
from hyperhive_cli.core.work_report import Span
from hyperhive_cli.harness.work_report import work_report
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.store.report import stored_status
from tests.store.made_messages import lease, put, settle
from tests.unit.made_events import answer, assistant, call, numbered

MINUTE_MS = 60_000
TURNS = 6


@pytest.fixture
def paths(tmp_path: Path) -> AgentPaths:
    """Return an agent with a turn each minute, each of which wrote a file of its name."""
    paths = resolve_paths("bee", tmp_path, tmp_path, {})
    with open_inbox(paths.inbox_db) as inbox:
        for number in range(1, TURNS + 1):
            put(inbox, f"do {number}")
            settle(inbox, lease(inbox, now_ms=number * MINUTE_MS))
    return paths


def record_turns(paths: AgentPaths, *turns: int) -> None:
    """Put these turns into the history."""
    with open_event_store(paths.events_db) as store:
        for turn in turns:
            written = [assistant(call("w", "Write", file_path=f"/f{turn}")), answer("w", "ok")]
            bounds = TurnStart(sender="operator", body="", unread=0, turn_id=turn), TurnEnd(ok=True, turn_id=turn)
            assert store.append(list(numbered([bounds[0], *written, bounds[1]], store.last_seq()))) is None


def report(paths: AgentPaths, first: int = 1, last: int = TURNS) -> dict[str, Any]:
    span = Span(first * MINUTE_MS, last * MINUTE_MS + 30_000)
    return work_report(paths, span, stored_status(paths, now_ms=span.until), ZoneInfo("UTC"), now_ms=span.until)


def files(found: dict[str, Any]) -> list[str]:
    return [one["path"] for one in found["files"]]


def test_the_turns_of_the_span_are_looked_at_and_no_others(paths: AgentPaths) -> None:
    record_turns(paths, *range(1, TURNS + 1))
    found = report(paths, 2, 4)
    assert ([one["id"] for one in found["messages"]], files(found), found["unseen"]) == (
        [2, 3, 4],
        ["/f2", "/f3", "/f4"],
        [],
    )


@pytest.mark.parametrize("first", range(2, TURNS + 1))
def test_turns_that_are_gone_from_the_history_are_named(paths: AgentPaths, first: int) -> None:
    record_turns(paths, *range(first, TURNS + 1))
    found = report(paths)
    assert files(found) == [f"/f{turn}" for turn in range(first, TURNS + 1)]
    assert (found["unseen"], len(found["messages"])) == ([*range(1, first)], TURNS)


def test_without_a_readable_history_the_statistics_are_reported(paths: AgentPaths) -> None:
    found = report(paths)
    assert (found["unseen"], found["now"]["problems"]) == ([*range(1, TURNS + 1)], [])
    paths.events_db.write_bytes(b"no database" * 500)
    found = report(paths)
    assert (found["unseen"], found["turns"]["ok"]) == ([*range(1, TURNS + 1)], TURNS)
    assert "history" in found["now"]["problems"][0]


def test_a_new_agent_has_an_empty_report(tmp_path: Path) -> None:
    found = report(resolve_paths("bee", tmp_path / "none", tmp_path, {}))
    assert (found["turns"]["total"], found["messages"], found["unseen"]) == (0, [], [])

"""`status` from an agent's files alone: of one that is empty, one that was used, one that is damaged."""

from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, StatusChanged
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.store.model import write_model
from hyperhive_cli.store.report import stored_status
from hyperhive_cli.store.stats import TurnRecord

NOW_MS = 1_795_364_671_046


@pytest.fixture
def paths(tmp_path: Path) -> AgentPaths:
    return AgentPaths(
        agent="tester",
        state_dir=tmp_path,
        events_db=tmp_path / "hyperhive-events.sqlite",
        model_file=tmp_path / "hyperhive-model",
        socket=tmp_path / "control.sock",
    )


def empty_report(paths: AgentPaths) -> dict[str, Any]:
    return {
        "agent": "tester",
        "workspace": None,
        "state_dir": str(paths.state_dir),
        "running": False,
        "pid": None,
        "boot": None,
        "status": "stopped",
        "why": None,
        "waits_until": None,
        "login": None,
        "paused": False,
        "paused_since": None,
        "prewarmed": None,
        "state": "idle",
        "activity": None,
        "silence": None,
        "since_unix": None,
        "model": "haiku",
        "permission_mode": None,
        "consoles": 0,
        "session_id": None,
        "auth_source": None,
        "context_tokens": None,
        "context_window": None,
        "usage": None,
        "unread": 0,
        "next_due": None,
        "schedules": [],
        "problems": [],
        "held": 0,
        "dead": 0,
        "seq": 0,
        "last_event": None,
        "last_turn": None,
        "last_outcomes": [],
        "today": None,
        "budget": None,
        "last_compaction": None,
        "limits": [],
        "quota": [],
        "idle_until": None,
        "mcp": None,
    }


def use(paths: AgentPaths) -> None:
    """Leave what an agent leaves behind: a turn that was ok, a dead message, a held one, and two that wait."""
    write_model(paths.model_file, "opus")
    with open_inbox(paths.inbox_db) as inbox:
        inbox.put_facts(workspace="/some/space")
        for _ in range(5):
            inbox.send("operator", "do it", now_ms=1)
        ends = ((OutcomeKind.BAD_REQUEST, "dead"), (OutcomeKind.DEFERRED, "held"), (OutcomeKind.OK, "done"))
        for kind, state in ends:
            lease = inbox.lease("boot", "sonnet", now_ms=NOW_MS - 9_000)
            assert lease is not None
            record = TurnRecord(
                turn_id=lease.turn_id,
                outcome=Outcome(kind),
                duration_ms=4_000,
                usage=TokenUsage(1, 2, 3, 4),
                cost_usd=0.5,
                tool_calls={"Bash": 2},
            )
            facts = {"session_id": "s-1", "auth_source": "none", "context_tokens": "300", "context_window": "200000"}
            inbox.settle(record, lease.message, state=state, now_ms=NOW_MS - 5_000, facts=facts)
    events: list[LiveEvent] = [StatusChanged(status="rate_limited"), StatusChanged(status="online"), Note(text="x")]
    with open_event_store(paths.events_db) as store:
        store.append([BusEvent.make(seq, NOW_MS - 2_500, event) for seq, event in enumerate(events, 1)])


def history_of_use() -> dict[str, Any]:
    last = {"seq": 3, "ts": NOW_MS - 2_500, "kind": "note", "age_s": 2.5}
    return {"seq": 3, "last_event": last}


def inbox_of_use() -> dict[str, Any]:
    return {
        "workspace": "/some/space",
        "session_id": "s-1",
        "auth_source": "none",
        "context_tokens": 300,
        "context_window": 200_000,
        "usage": TokenUsage(1, 2, 3, 4).to_dict(),
        "unread": 2,
        "next_due": 0,
        "held": 1,
        "dead": 1,
        "last_turn": {
            "turn_id": 3,
            "message_id": 3,
            "attempt": 1,
            "model": "sonnet",
            "started": NOW_MS - 9_000,
            "duration_ms": 4_000,
            "outcome": "ok",
            "note": None,
            "cost_usd": 0.5,
            "tool_call_count": 2,
            "denied": 0,
            "message_state": "done",
        },
        "last_outcomes": ["bad_request", "deferred", "ok"],
        "budget": None,
        "last_compaction": None,
        "today": {
            "turns": 3,
            "ok": 1,
            **TokenUsage(3, 6, 9, 12).to_dict(),
            "cost_usd": 1.5,
            "tool_calls": 6,
        },
    }


def test_an_agent_that_never_ran_has_a_report_and_gets_no_files(paths: AgentPaths) -> None:
    assert stored_status(paths, now_ms=NOW_MS) == empty_report(paths)
    assert list(paths.state_dir.iterdir()) == []


def test_an_agent_whose_folder_is_missing_has_a_report(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    paths = AgentPaths("tester", nowhere, nowhere / "events", nowhere / "model", nowhere / "socket")
    assert stored_status(paths, now_ms=NOW_MS) == empty_report(paths)
    assert not nowhere.exists()


def test_an_agent_that_was_used_is_reported_from_its_files(paths: AgentPaths) -> None:
    use(paths)
    assert stored_status(paths, now_ms=NOW_MS) == {
        **empty_report(paths),
        **inbox_of_use(),
        **history_of_use(),
        "model": "opus",
    }


def test_an_event_from_the_future_is_not_older_than_now(paths: AgentPaths) -> None:
    use(paths)
    assert stored_status(paths, now_ms=0)["last_event"]["age_s"] == 0.0


def test_a_session_that_was_dropped_on_purpose_is_none(paths: AgentPaths) -> None:
    with open_inbox(paths.inbox_db) as inbox:
        inbox.put_facts(session_id="", context_tokens="")
    report = stored_status(paths, now_ms=NOW_MS)
    assert (report["session_id"], report["context_tokens"]) == (None, None)


def check_only_the_history_is_reported(paths: AgentPaths) -> None:
    report = stored_status(paths, now_ms=NOW_MS)
    (problem,) = report.pop("problems")
    assert problem.startswith("the inbox ")
    assert "cannot be read: " in problem
    assert report | {"problems": []} == {
        **empty_report(paths),
        **history_of_use(),
        "model": "opus",
        "unread": None,
        "held": None,
        "dead": None,
    }


GARBAGE = {"empty": b"", "no database": b"no database" * 500}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_damaged_inbox_leaves_the_history_in_the_report(paths: AgentPaths, content: bytes) -> None:
    use(paths)
    paths.inbox_db.write_bytes(content)
    check_only_the_history_is_reported(paths)


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_damaged_history_leaves_the_inbox_in_the_report(paths: AgentPaths, content: bytes) -> None:
    use(paths)
    paths.events_db.write_bytes(content)
    report = stored_status(paths, now_ms=NOW_MS)
    (problem,) = report.pop("problems")
    assert problem.startswith(f"the history {paths.events_db} cannot be read: ")
    assert report | {"problems": []} == {**empty_report(paths), **inbox_of_use(), "model": "opus"}


def test_an_inbox_that_is_damaged_in_the_middle_is_no_error(paths: AgentPaths) -> None:
    use(paths)
    content = paths.inbox_db.read_bytes()
    paths.inbox_db.write_bytes(content[:4096] + b"\xab" * (len(content) - 4096))
    check_only_the_history_is_reported(paths)

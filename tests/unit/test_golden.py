"""Each view of an agent as agreed: at 80 and 120 columns, with colours and without. The time stands still."""

import sys
import time
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.cli import displays
from hyperhive_cli.cli.doctor import show_findings
from hyperhive_cli.cli.invocation import Invocation
from hyperhive_cli.cli.program import hyperhive
from hyperhive_cli.cli.status import show_status
from hyperhive_cli.cli.tables import print_piped, print_spans
from hyperhive_cli.core.events import LiveEvent, TurnEnd, TurnStart
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.settings import resolve_paths
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.doctor.findings import fine, warning, wrong
from hyperhive_cli.render.agent_tables import PIPED_AGENT, agent_to_values, agents_to_spans, summary_of
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.inbox import Inbox, open_inbox
from hyperhive_cli.store.report import stored_status
from hyperhive_cli.store.stats import TurnRecord
from tests.unit.agreed import Output, check
from tests.unit.made_events import (
    NOW,
    record,
    recorded_turn,
    same_world,  # noqa: F401 - a fixture, used by name
)

pytestmark = pytest.mark.usefixtures("same_world")
NOW_MS = int(NOW * 1000)
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def bee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the state folder of a stopped agent that worked for two days."""
    folder = tmp_path_factory.mktemp("golden") / "bee"
    folder.mkdir(mode=0o700)
    with open_inbox(folder / "hyperhive-inbox.sqlite") as inbox:
        inbox.put_facts(workspace="/home/me/project", session_id="6b3a1f52-7d1e-4f7d-9c39-2f1d8a1c77aa")
        inbox.send("operator", "look at the tests that fail since Monday", now_ms=NOW_MS - 30 * HOUR_MS)
        inbox.send("reviewer", "fix them, one commit each, and say in each why", now_ms=NOW_MS - 4 * HOUR_MS)
        inbox.send("operator", "use the model that is not there", now_ms=NOW_MS - 2 * HOUR_MS)
        _turn(inbox, "sonnet", NOW_MS - 30 * HOUR_MS, OutcomeKind.OK, 184_000, 0.4312, Bash=3, Read=12)
        _turn(inbox, "opus", NOW_MS - 4 * HOUR_MS, OutcomeKind.OK, 3_730_000, 2.718, Bash=41, Edit=17, Task=2)
        _turn(inbox, "opsu", NOW_MS - 2 * HOUR_MS, OutcomeKind.BAD_REQUEST, 1_200, None)
        inbox.send("cron", "the nightly report", now_ms=NOW_MS - 200_000)
        inbox.send("operator", "and clean up", now_ms=NOW_MS - 4_000, not_before=NOW_MS + HOUR_MS)
    with open_event_store(folder / "hyperhive-events.sqlite") as history:
        turn = [_of_turn(event) for event in recorded_turn("tools")]
        assert history.append([record(event, seq) for seq, event in enumerate(turn, 1)]) is None
    return folder


def _of_turn(event: LiveEvent | dict[str, Any]) -> LiveEvent | dict[str, Any]:
    """Make a recording the agent's second turn, the only one left in its history."""
    return replace(event, turn_id=2, message_id=2) if isinstance(event, TurnStart | TurnEnd) else event


def _turn(
    inbox: Inbox, model: str, at_ms: int, kind: OutcomeKind, took_ms: int, cost: float | None, **calls: int
) -> None:
    lease = inbox.lease("boot", model, now_ms=at_ms)
    assert lease is not None
    note = None if kind is OutcomeKind.OK else "There's an issue with the selected model (opsu). It may not exist."
    usage = TokenUsage(1_200, 8_450, 910_000, 44_000) if cost else TokenUsage()
    context, said = (152_000, "Done: both are green.") if cost else (None, note)
    turn = TurnRecord(
        lease.turn_id, Outcome(kind, note), took_ms, usage=usage, cost_usd=cost, context_tokens=context,
        context_window=200_000, tool_calls=calls, result_text=said,
    )  # fmt: skip
    state = "done" if kind is OutcomeKind.OK else "dead"
    inbox.settle(turn, lease.message, state=state, now_ms=at_ms + took_ms)


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for name in ("HYPERHIVE_AGENT", "HYPERHIVE_STATE_DIR", "HYPERHIVE_TURN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def check_command(name: str, *words: str, state_dir: Path) -> None:
    """Run a command in this process and compare what it says, its own talk on stderr included."""

    def show(file: Output, width: int) -> None:
        with pytest.MonkeyPatch.context() as patch, redirect_stderr(file):
            patch.setattr(sys, "stdout", file)
            patch.setattr(displays, "display_file", lambda: file)  # it has no descriptor
            patch.setenv("COLUMNS", str(width))
            options = ["-a", "bee", "--state-dir", str(state_dir)]
            hyperhive.main([*options, *words], prog_name="hyperhive", standalone_mode=False, obj=Invocation())
        shown = file.text.replace(str(state_dir), "/state/bee").replace(str(Path.cwd()), "/home/me")
        file.seek(0)
        file.truncate()
        file.write(shown)

    check(name, show)


@pytest.mark.parametrize("words", [("status",), ("show", "2")], ids=" ".join)
def test_no_color_takes_the_colours_away(words: tuple[str, ...], bee: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, is_coloured in (("", True), ("1", False)):
        file = Output(is_terminal=True)
        monkeypatch.setenv("NO_COLOR", value)
        monkeypatch.setattr(sys, "stdout", file)
        monkeypatch.setattr(displays, "display_file", lambda file=file: file)
        call = ["-a", "bee", "--state-dir", str(bee), *words]
        hyperhive.main(call, prog_name="hyperhive", standalone_mode=False, obj=Invocation())
        assert ("\x1b[3" in file.text) == is_coloured


VIEWS: dict[str, tuple[str, ...]] = {
    "status_stopped": ("status",),
    "status_plain": ("--plain", "status"),
    "stats_by_day": ("stats",),
    "stats_by_model": ("stats", "--by", "model"),
    "stats_by_outcome": ("stats", "--by", "outcome"),
    "stats_by_tool": ("stats", "--by", "tool"),
    "stats_plain": ("--plain", "stats", "--by", "model"),
    "inbox": ("inbox",),
    "inbox_all": ("inbox", "--all"),
    "inbox_show": ("inbox", "show", "3"),
    "show_turn": ("show", "2"),
    "show_row": ("show", "1"),
    "show_plain": ("--plain", "show", "2"),
    "tail": ("tail", "--no-follow", "-n", "8"),
    "tail_tools": ("tail", "--no-follow", "--tools"),
    "report": ("report", "--since", "12h"),
    "report_plain": ("--plain", "report", "--since", "12h"),
    "report_markdown": ("report", "--since", "12h", "--markdown"),
    "config_show": ("config", "show"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_golden_views_of_an_agent_that_has_worked(name: str, bee: Path) -> None:
    check_command(name, *VIEWS[name], state_dir=bee)


@pytest.mark.parametrize("words", [("status",), ("stats",), ("inbox",)], ids=" ".join)
def test_golden_views_of_an_agent_that_never_ran(words: tuple[str, ...], tmp_path: Path) -> None:
    check_command(f"{words[0]}_empty", *words, state_dir=tmp_path / "none")


def test_golden_status_of_a_damaged_agent(tmp_path: Path) -> None:
    for name in ("inbox", "events"):
        (tmp_path / f"hyperhive-{name}.sqlite").write_bytes(b"no database" * 500)
    check_command("status_damaged", "status", state_dir=tmp_path)


def live(bee: Path) -> dict[str, Any]:
    """Return what a harness in the middle of a turn would report."""
    paths = resolve_paths("bee", Path("/state/bee"), Path("/home/me/project"), {"HOME": "/home/me"})
    found = stored_status(paths._replace(state_dir=bee, events_db=bee / "hyperhive-events.sqlite"), now_ms=NOW_MS)
    return found | {
        "state_dir": "/state/bee", "running": True, "pid": 4242, "status": "online", "state": "thinking",
        "since_unix": NOW - 65, "model": "opus", "auth_source": "none", "context_tokens": 152_000,
        "context_window": 200_000,
    }  # fmt: skip


def waiting(bee: Path) -> dict[str, Any]:
    limited = {"status": "rate_limited", "waits_until": NOW + 5_400, "state": "idle", "paused": True}
    return live(bee) | limited | {"prewarmed": {"pid": 4243, "since": NOW - 12, "rss_bytes": 155_000_000}}


@pytest.mark.parametrize("name", ["running", "waiting"])
def test_golden_status_of_a_running_agent(name: str, bee: Path) -> None:
    found = live(bee) if name == "running" else waiting(bee)

    def show(file: Output, width: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", file)
            patch.setattr(displays, "display_file", lambda: file)  # it has no descriptor
            patch.setenv("COLUMNS", str(width))
            show_status(found)

    check(f"status_{name}", show)


def test_golden_table_of_agents(bee: Path) -> None:
    stopped = live(bee) | {
        "agent": "wasp",
        "running": False,
        "status": "stopped",
        "last_outcomes": [],
        "last_event": None,
        "today": None,
    }
    found = [live(bee), waiting(bee) | {"agent": "a-hive-with-a-long-name"}, stopped]

    def show(file: Output, width: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", file)
            patch.setattr(displays, "display_file", lambda: file)  # it has no descriptor
            if file.isatty():
                print_spans([*agents_to_spans(found, NOW, width), [(summary_of(found, NOW), "quiet")]])
            else:
                print_piped(PIPED_AGENT, (agent_to_values(one, NOW) for one in found))

    check("agents", show)


def test_golden_findings_of_the_doctor() -> None:
    findings = [
        fine("claude", "/usr/local/bin/claude"),
        fine("version", "2.1.330"),
        warning("disk", "1.2 GiB free", "make room: a full disk stops the inbox"),
        wrong(
            "login",
            "not logged in: claude auth status says that there is no login, and no key is in the environment of claude",
            "hyperhive login while the harness runs, or claude auth login",
        ),
    ]

    def show(file: Output, width: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", file)
            patch.setattr(displays, "display_file", lambda: file)  # it has no descriptor
            patch.setenv("COLUMNS", str(width))
            show_findings(findings)

    check("doctor", show)

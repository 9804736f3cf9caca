"""The history over several lives of a harness: what the table no longer holds is in the folder of segments."""

import signal
from pathlib import Path

from hyperhive_cli.store.events import open_event_reader
from tests.conftest import FakeClaude, wait_until
from tests.harness import TEXT, Event, Hive, of_kind
from tests.store.made_archive import archived

SMALL = {"feed.archiver.HISTORY_CAPACITY": 3, "agent.maintenance.SWEEP_EVERY_S": 0.05}


def live(hive: Hive, body: str, history: Path) -> list[Event]:
    """Run a turn, wait until it is archived, kill the harness and return what it showed."""
    with hive.run("--message", body) as program:
        end = program.wait_for_kind("turn_end")
        wait_until(lambda: archived(history)[-1:] and (archived(history)[-1].seq or 0) >= end["seq"])
        program.send(signal.SIGKILL)
        program.wait()
        return program.events()


def test_events_outlive_the_table_and_their_numbers_go_on_without_it(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.constants = SMALL
    history, table = hive.state_dir / "history", hive.state_dir / "hyperhive-events.sqlite"
    shown = [*live(hive, "one", history), *live(hive, "two", history)]
    kept = [row.to_json().decode() for row in archived(history)]
    assert [event["seq"] for event in shown] == list(range(1, shown[-1]["seq"] + 1))
    last = of_kind(shown, "turn_end")[-1]["seq"]
    assert len(kept) == last
    table.unlink()
    third = live(hive, "three", history)
    assert third[0]["seq"] > shown[-1]["seq"] > last  # also beyond what was shown and is nowhere any more
    (note,) = [event["text"] for event in third if "they are gone" in event.get("text", "")]
    assert note.endswith(f"at least up to number {last}; they are gone, and numbers go on at {third[0]['seq']}")
    numbers = [*range(1, last + 1), *range(third[0]["seq"], of_kind(third, "turn_end")[-1]["seq"] + 1)]
    assert [row.seq for row in archived(history)] == numbers
    assert [row.to_json().decode() for row in archived(history)][:last] == kept


def test_numbers_go_on_without_an_archive_too(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    before = hive.drain("--message", "one", "--history-days", "0").json_lines()
    for path in hive.state_dir.glob("hyperhive-events.sqlite*"):
        path.unlink()
    after = hive.drain("--message", "two", "--history-days", "0").json_lines()
    assert after[0]["seq"] > before[-1]["seq"]
    assert any("they are gone" in event.get("text", "") for event in after)
    assert not any("they are gone" in str(event) for event in hive.drain("--message", "three").json_lines())


def test_with_no_days_nothing_is_archived(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.constants = SMALL
    with hive.run("--message", "one", "--history-days", "0") as program:
        program.wait_for_kind("turn_end")
        with open_event_reader(hive.state_dir / "hyperhive-events.sqlite") as table:
            wait_until(lambda: len(table.newest(100)) == SMALL["feed.archiver.HISTORY_CAPACITY"])
        assert program.interrupt() == 130
    assert not (hive.state_dir / "history").exists()


def test_an_agent_that_only_drains_archives_and_sweeps_too(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.constants = SMALL | {"agent.maintenance.SWEEP_EVERY_S": 600.0}
    for body in ("one", "two"):
        assert hive.drain("--message", body).status == 0
        with open_event_reader(hive.state_dir / "hyperhive-events.sqlite") as table:
            left = table.newest(100)
            assert [event.kind for event in left if event.kind == "stream"] == []
            assert archived(hive.state_dir / "history")[-1].kind == "turn_end"


def test_a_size_that_is_none_is_refused(hive: Hive) -> None:
    assert "not a valid size: '1': 1GB," in hive.call("run", "--history-bytes", "1").refusal(2)

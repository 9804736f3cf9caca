"""A month of work, from its first event to its last: kept, searched, shown, reported, backed up, restored, expired."""

import time
from pathlib import Path

from hyperhive_cli.core.settings import paths_by_name
from tests.benchmarks.month import FAILURE, Month
from tests.conftest import FakeClaude, wait_until
from tests.harness import ANSWER, TEXT, Event, Hive

DAYS, EVENTS_A_DAY = 30, 40
TURN = 2  # of the first day; the harness gives its own first turn the number 1


def listed(hive: Hive, *words: str) -> list[Event]:
    done = hive.call(*words, "--json")
    assert (done.status, done.stderr) == (0, ""), words
    return done.json_lines()


def last_seq(hive: Hive) -> int:
    last: int = listed(hive, "history")[-1]["last_seq"]
    return last


def check_month(hive: Hive, last: int) -> None:
    """Check that everything of the month is found and shown."""
    days = listed(hive, "history")
    archived = sum(day["events"] for day in days if day["day"] != "newest")
    assert last - archived < 20, "only what came after the last turn is not yet archived"
    assert len(days) > DAYS
    assert days[-1]["first_seq"] > 1, "the first events are archived alone"
    (found,) = listed(hive, "search", f"turn{TURN}word", "--turn", str(TURN))
    newest = hive.call("search", f'"{FAILURE}"', "-n", "5", "--json")
    assert (newest.status, "for older ones add --before" in newest.stderr) == (0, True)
    assert len(newest.json_lines()) >= 5
    exported = hive.call("export", "--turn", str(TURN)).json_lines()
    assert [event["kind"] for event in (exported[0], exported[-1])] == ["turn_start", "turn_end"]
    assert found["seq"] in [event["seq"] for event in exported]
    assert f"turn{TURN}word" in hive.call("show", str(TURN)).stdout
    followed = hive.call("tail", "--json", "--no-follow", "--since", "0").json_lines()
    assert [event["seq"] for event in followed] == list(range(1, last + 1))


def test_a_month_is_kept_searched_shown_reported_backed_up_restored_and_expired(
    hive: Hive, fake_claude: FakeClaude, tmp_path: Path
) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "one")
    paths = paths_by_name("workspace", hive.state_dir, {})
    Month(int(time.time() * 1000), DAYS, EVENTS_A_DAY).write(paths)
    assert hive.drain().status == 0
    last = last_seq(hive)
    check_month(hive, last)

    (report,) = listed(hive, "report", "--since", "7d")
    assert ANSWER in str(report)

    assert hive.call("backup", str(tmp_path / "month.tar.gz")).status == 0
    restored = Hive(hive.workspace, tmp_path / "restored", hive.claude, hive.environment, hive.forkserver)
    assert restored.call("restore", str(tmp_path / "month.tar.gz")).status == 0
    check_month(restored, last)

    with hive.run("--history-days", "3", "--message", "two") as program:
        program.wait_for_kind("turn_end", outcome="ok")
        wait_until(lambda: len(listed(hive, "history")) <= 5)  # the sweep goes on in a thread
        assert program.interrupt() == 130
    assert hive.call("search", f"turn{TURN}word").stderr == "nothing found\n"
    assert last_seq(hive) > last
    assert len(listed(restored, "search", f"turn{TURN}word")) == 1

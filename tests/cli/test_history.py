"""`hyperhive history` as a process: the days that are archived, their sizes, and what is damaged."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from hyperhive_cli.core.settings import AgentPaths, paths_by_name
from hyperhive_cli.store.segment import find_segments
from tests.conftest import FakeClaude
from tests.harness import ANSWER, TEXT, Hive, for_a_person, piped_rows
from tests.store.made_archive import archive_days


@pytest.fixture
def paths(hive: Hive) -> AgentPaths:
    hive.call("send", "one")
    return paths_by_name("workspace", hive.state_dir, {})


def damage(path: Path) -> None:
    """Change the body of the first chunk, which no check of the database itself notices."""
    content = path.read_bytes()
    at = content.rindex(b"\x28\xb5\x2f\xfd") + 20  # a frame of zstd
    path.write_bytes(content[:at] + bytes(byte ^ 0xFF for byte in content[at : at + 8]) + content[at + 8 :])


def test_the_days_and_the_newest_events_are_listed(hive: Hive, paths: AgentPaths) -> None:
    last = archive_days(paths, days=3, turns=2)
    done = hive.call("history", "--json")
    found = done.json_lines()
    assert (done.status, done.stderr, last) == (0, "", 18)
    assert [(day["day"], day["events"], day["first_seq"], day["last_seq"]) for day in found] == [
        ("2026-11-28", 6, 1, 6),
        ("2026-11-29", 6, 7, 12),
        ("2026-11-30", 6, 13, 18),
        ("newest", 18, 1, 18),
    ]
    assert all(day["size_bytes"] > 0 and day["raw_bytes"] > 0 and day["damage"] == [] for day in found)
    rows = piped_rows(hive.call("history").stdout)
    assert [(row["day"], row["first"][:10], row["damage"]) for row in rows] == [
        ("2026-11-28", "2026-11-28", "-"), ("2026-11-29", "2026-11-29", "-"), ("2026-11-30", "2026-11-30", "-"),
        ("newest", "2026-11-28", "-"),
    ]  # fmt: skip
    head, first, *_, last_line = for_a_person(hive, "history")
    assert head.split() == ["DAY", "EVENTS", "NUMBERS", "SIZE", "OF"]
    assert first.split()[:5] == ["2026-11-28", "6", "1", "to", "6"]
    assert last_line.startswith("archived: 3 days, 18 events, ")


def test_an_agent_without_a_history_has_none(hive: Hive, paths: AgentPaths) -> None:
    assert not paths.history.exists()
    done = hive.call("history")
    assert (done.status, done.stderr) == (0, "nothing is recorded yet\n")


def test_a_check_reads_every_chunk_and_names_what_is_damaged(hive: Hive, paths: AgentPaths) -> None:
    archive_days(paths)
    _, middle, newest = find_segments(paths.history)
    damage(middle.path)
    newest.path.rename(newest.path.with_name(f"{newest.path.name}.corrupt-20261121T000000-000000001"))
    assert hive.call("history").status == 0, "the list alone reads no chunk"
    done = hive.call("history", "list", "--check", "--json")
    assert (done.status, [bool(day["damage"]) for day in done.json_lines()]) == (1, [False, True, False])
    assert f"{middle.path.name}: the events 7 to 9 cannot be read" in done.stdout
    assert "damaged, moved aside: " in done.stderr
    assert done.stderr.endswith("Error: a part of the history is damaged\nTry: hyperhive doctor\n")


def test_what_is_left_of_a_damaged_history_is_exported_with_a_remark(hive: Hive, paths: AgentPaths) -> None:
    archive_days(paths, days=3, turns=2)
    damage(find_segments(paths.history)[1].path)
    paths.events_db.write_bytes(b"no database at all, but long enough for one " * 50)
    done = hive.call("export")
    numbers = [event["seq"] for event in done.json_lines()]
    assert (numbers[:6], numbers[-6:], len(numbers) < 18) == ([*range(1, 7)], [*range(13, 19)], True)
    table, segment = done.stderr.splitlines()
    assert f"the history {paths.events_db} cannot be read" in table
    assert segment.startswith("a part of the history cannot be read: ")
    assert segment.endswith("; see hyperhive doctor")


def test_doctor_checks_the_archive(hive: Hive, paths: AgentPaths) -> None:
    def archive() -> tuple[str, str]:
        found = json.loads(hive.call("doctor", "--json").stdout)["findings"]
        (one,) = [finding for finding in found if finding["what"] == "archive"]
        return one["level"], one["finding"]

    assert archive() == ("ok", "nothing is archived yet")
    archive_days(paths)
    assert archive()[1].startswith("3 segments intact, ")
    damage(find_segments(paths.history)[0].path)
    level, words = archive()
    assert (level, "is damaged: the events 1 to 3 cannot be read" in words) == ("warning", True)


@pytest.mark.parametrize("runs", [False, True], ids=["alone", "through the harness"])
def test_a_turn_is_forgotten(runs: bool, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "one", "--message", "two")
    with hive.run() if runs else nullcontext():
        refused = hive.call("history", "forget", "--turn", "1")
        assert refused.refusal(2) == "this needs a confirmation"
        done = hive.call("history", "forget", "--turn", "1", "--yes")
        assert (done.status, done.stdout[:8], done.stdout[-9:]) == (0, "turn 1: ", " removed\n")
        assert hive.call("history", "forget", "--turn", "9", "--yes").refusal().startswith("turn 9 has nothing")
    (first, second) = (hive.call("export", "--turn", turn).json_lines() for turn in ("1", "2"))
    assert [event["kind"] for event in first] == ["turn_start", "turn_end"]
    assert ANSWER in json.dumps(second)
    shown = [hive.call("show", turn, "--json").json_lines()[0]["result_text"] for turn in ("1", "2")]
    assert [text is None or ANSWER in text for text in shown] == [True, True]
    assert shown[0] is None

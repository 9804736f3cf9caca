"""`show`, `export` and the filters of `tail` as processes."""

import json
import re
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import CHROMIUM, FakeClaude
from tests.harness import BAD_REQUEST, LIMIT_S, TEXT, Event, Hive, gated, of_kind


@pytest.fixture
def history(hive: Hive, fake_claude: FakeClaude) -> list[Event]:
    """Return the events of an agent with two turns: tools, then text."""
    fake_claude.script([{"replay": "v2.1.330/tools.jsonl"}], TEXT)
    return hive.drain("--message", "look around", "--message", "say hello").json_lines()


def swept(hive: Hive, *, upto: int) -> None:
    with closing(sqlite3.connect(hive.state_dir / "hyperhive-events.sqlite")) as db, db:
        db.execute("DELETE FROM events WHERE id <= ?", (upto,))
    shutil.rmtree(hive.state_dir / "history", ignore_errors=True)


def of_turn(events: list[Event], turn: int) -> list[Event]:
    first = next(at for at, event in enumerate(events) if event["kind"] == "turn_start" and event["turn_id"] == turn)
    last = next(at for at, event in enumerate(events) if event["kind"] == "turn_end" and event["turn_id"] == turn)
    return events[first : last + 1]


# --- show ---


def test_a_turn_is_shown_again_as_it_was(hive: Hive, history: list[Event]) -> None:
    assert history
    live = hive.call("tail", "--no-follow", "--since", "0").stdout
    first, last = hive.call("show", "1"), hive.call("show", "last")
    assert (first.status, last.status) == (0, 0)
    assert re.fullmatch(r"started \d\d:\d\d \(.+\)\n", first.stderr)
    assert first.stdout in live
    # Live, the second turn does not say again which session it is in.
    assert [line for line in last.stdout.splitlines() if "\tsession " not in line and line not in live] == []
    assert ("echo hello" in first.stdout, "Hello! I am ready." in last.stdout) == (True, True)
    assert last.stdout == hive.call("show", "2").stdout


def test_a_turn_that_was_swept_is_shown_from_the_statistics(hive: Hive, history: list[Event]) -> None:
    swept(hive, upto=of_turn(history, 2)[0]["seq"])
    partial = hive.call("show", "2")
    assert ("start of this turn" in partial.stderr, "Hello! I am ready." in partial.stdout) == (True, True)
    gone = hive.call("show", "1")
    assert "no longer in the history" in gone.stderr
    for word in ("look around", "ok", "Bash 3", "34.5k cached"):
        assert word in gone.stdout
    found = [hive.call("show", turn, "--json").json_lines()[0] for turn in ("1", "2")]
    assert [row["history"] for row in found] == ["none", "partial"]
    assert (found[0]["body"], found[0]["tools"]["Bash"], found[0]["events"]) == ("look around", 3, 0)
    assert "no longer" in hive.call("export", "--turn", "1").refusal()


def test_a_turn_that_runs_is_shown_so_far(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        program.wait_for_kind("stream")
        assert "one" in hive.call("show", "last").stdout
        assert hive.call("show", "last", "--json").json_lines()[0]["outcome"] is None
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end")


def test_without_an_inbox_the_history_is_shown(hive: Hive, history: list[Event]) -> None:
    assert history
    for path in hive.state_dir.glob("hyperhive-inbox*"):
        path.unlink()
    assert "Hello! I am ready." in hive.call("show", "last").stdout


@pytest.mark.parametrize("turn", ["last", "7", "0"])
def test_there_is_no_such_turn(turn: str, hive: Hive) -> None:
    assert "there is no turn" in hive.call("show", turn).refusal()
    assert list(hive.state_dir.iterdir()) == []


# --- one call, and everything ---


def test_one_tool_call_is_shown_whole(hive: Hive, history: list[Event]) -> None:
    (number,) = re.findall(r"\t(1\.\d)\tcall\tBash seq", hive.call("show", "1").stdout)
    done = hive.call("show", number)
    whole = done.stdout.splitlines()
    assert (done.status, done.stderr, whole[0]) == (0, "", f"▸ Bash ({number})")
    assert (whole[1], whole[2][:17]) == ("# count and print colours", "seq 1 40; printf ")
    told = whole[whole.index(f"✓ answer ({number})") + 1 :]
    assert told[:41] == [*map(str, range(1, 41)), r"red \x1b]0;title\x07"]
    (found,) = hive.call("show", number, "--json").json_lines()
    assert (found["turn"], found["name"], found["failed"], found["output"].count("\n")) == (1, "Bash", False, 40)
    assert found["input"]["command"] == whole[2]
    assert history
    assert "there is no tool call 1.6" in hive.call("show", "1.6").refusal()


def test_a_turn_is_shown_whole(hive: Hive, history: list[Event]) -> None:
    assert history
    whole = hive.call("show", "1", "--full").stdout.splitlines()
    assert [*map(str, range(1, 41))] == [line for line in whole if line.isdigit()]
    assert [line[-6:] for line in whole if line.startswith("▸")] == [f" (1.{number})"[-6:] for number in range(1, 6)]
    assert whole[-1].startswith("✓ ok · ")


def test_a_call_of_a_turn_that_was_swept_is_gone(hive: Hive, history: list[Event]) -> None:
    swept(hive, upto=of_turn(history, 1)[-1]["seq"])
    assert "no longer in the history" in hive.call("show", "1.1").refusal()


@pytest.mark.parametrize("turn", ["first", "-1", "1.", "1.x", "1.5.2", "1.0", "٣", "9" * 40, ""])
def test_what_is_no_turn_is_refused(turn: str, hive: Hive) -> None:
    assert hive.call("show", "--", turn).refusal(2)


# --- tail ---


def tail(hive: Hive, *arguments: str) -> list[Event]:
    done = hive.call("tail", "--no-follow", "--json", *arguments)
    assert (done.status, done.stderr) == (0, "")
    return done.json_lines()


def test_the_filters_of_tail(hive: Hive, history: list[Event]) -> None:
    turns = [of_turn(history, number) for number in (1, 2)]
    assert [tail(hive, "--turn", str(number)) for number in (1, 2)] == turns
    assert tail(hive, "--turn", "1", "-n", "2") == turns[0][-2:]
    assert tail(hive, "--turn", "1", "--since", str(turns[0][3]["seq"])) == turns[0][4:]
    assert tail(hive, "--turn", "2", "--kind", "turn_end") == turns[1][-1:]
    assert tail(hive, "--turn", "9") == []
    tools = tail(hive, "--tools", "--since", "0")
    assert sorted(event["type"] for event in tools) == ["assistant"] * 5 + ["user"] * 5
    assert tail(hive, "--tools", "-n", "3") == tools[-3:]
    found = tail(hive, "--grep", "SAY hello")
    assert found == [event for event in history if "say hello" in json.dumps(event).lower()]
    assert "turn_start" in {event["kind"] for event in found}
    assert tail(hive, "--grep", "no such text") == []


def test_tail_of_a_turn_follows_it_and_ends_with_it(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with hive.run("--message", "one", "--message", "two") as harness:
        fake_claude.wait_for("before go on")
        with hive.start("tail", "--turn", "1", "--json") as program:
            program.wait_for_kind("turn_start", turn_id=1)
            fake_claude.touch("go on")
            assert program.wait() == 0
        harness.wait_for_kind("turn_end", turn_id=2)
        assert program.events() == of_turn(harness.events(), 1)
    with hive.start("tail", "--turn", "2", "--json") as program:  # one that is over
        assert program.wait() == 0
        assert len(of_kind(program.events(), "turn_end")) == 1


# --- export ---


def test_json_lines_are_those_of_the_feed(hive: Hive, history: list[Event], tmp_path: Path) -> None:
    assert hive.call("export").json_lines() == history
    assert hive.call("export", "--turn", "1").json_lines() == of_turn(history, 1)
    path = tmp_path / "turn.jsonl"
    done = hive.call("export", "--turn", "last", "-o", str(path))
    assert (done.status, done.stdout, done.stderr) == (0, "", "")
    assert [json.loads(line) for line in path.read_bytes().splitlines()] == of_turn(history, 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "sign"), [("a.md", "# workspace"), ("a.html", "<!doctype html>"), ("a.txt", '{"seq"')]
)
def test_the_name_of_the_file_chooses_the_form(
    name: str, sign: str, hive: Hive, history: list[Event], tmp_path: Path
) -> None:
    assert history
    path = tmp_path / name
    assert hive.call("export", "-o", str(path)).status == 0
    assert path.read_text(encoding="utf-8").startswith(sign)
    assert "already exists" in hive.call("export", "-o", str(path)).refusal()
    path.chmod(0o644)
    assert hive.call("export", "--force", "--format", "md", "-o", str(path)).status == 0
    assert path.read_text(encoding="utf-8").startswith("# workspace")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_an_error(hive: Hive, tmp_path: Path) -> None:
    assert "cannot be written" in hive.call("export", "-o", str(tmp_path / "none" / "a.md")).refusal()


def test_an_agent_that_never_ran_has_an_empty_transcript(hive: Hive) -> None:
    done = hive.call("export")
    assert (done.status, done.stdout, "is new" in done.stderr) == (0, "", True)
    assert hive.call("export", "--format", "html").stdout.endswith("</body></html>\n")
    assert "no turn" in hive.call("export", "--turn", "last").refusal()


def test_a_damaged_history_is_an_empty_one_and_no_transcript(
    hive: Hive, fake_claude: FakeClaude, tmp_path: Path
) -> None:
    fake_claude.script(BAD_REQUEST)
    hive.drain("--message", "one")
    for path in hive.state_dir.glob("hyperhive-events*"):
        path.unlink()
    shutil.rmtree(hive.state_dir / "history")
    (hive.state_dir / "hyperhive-events.sqlite").write_bytes(b"no database" * 500)
    for words in (["tail", "--no-follow"], ["show", "last"]):
        done = hive.call(*words)
        assert (done.status, "cannot be read" in done.stderr, "hyperhive doctor" in done.stderr) == (0, True, True)
        assert ("bad_request" in done.stdout) is (words[0] == "show")
    path = tmp_path / "a.md"
    path.write_text("an earlier transcript")
    for words in (["export"], ["export", "--turn", "1"], ["export", "--force", "-o", str(path)]):
        done = hive.call(*words)
        assert "cannot be read" in done.refusal()
        assert (done.stdout, "Try: hyperhive doctor" in done.stderr) == ("", True)
    assert path.read_text() == "an earlier transcript"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; the page is parsed in tests/unit/test_document.py")
def test_a_browser_shows_the_page(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> None:
    evil = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    fake_claude.script([{"replay": "v2.1.330/tools.jsonl"}])
    hive.drain("--message", evil)
    path = tmp_path / "a.html"
    hive.call("export", "-o", str(path))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom"]
    shown = subprocess.run(
        [str(CHROMIUM), *options, path.as_uri()],
        capture_output=True,
        text=True,
        timeout=2 * LIMIT_S,
        check=True,
        env={**hive.environment, "HOME": str(tmp_path)},
    ).stdout
    assert "<title>workspace</title>" in shown
    assert "&lt;script&gt;" in shown
    assert "echo hello" in shown

"""`hyperhive stats` as a process: the account of recorded turns, its forms, and agents without any."""

import csv
import io
import os
import pty
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hyperhive_cli.core.statistics import day_of
from hyperhive_cli.render.table import cells
from tests.conftest import FakeClaude, Step
from tests.harness import BAD_REQUEST, LIMIT_S, Event, Hive, for_a_person, gated


def replay(noun: str) -> list[Step]:
    return [{"replay": f"v2.1.330/{noun}.jsonl"}]


def today() -> str:
    return day_of(int(time.time() * 1000)).isoformat()


@pytest.fixture
def used(hive: Hive, fake_claude: FakeClaude) -> Hive:
    """Return an agent with three turns: text, then on in the same session, then an unknown model."""
    fake_claude.script(replay("text"), replay("continue"), BAD_REQUEST)
    hive.drain("--message", "one", "--message", "two", "--message", "three")
    return hive


def stats(hive: Hive, *arguments: str) -> Event:
    done = hive.call("stats", "--json", *arguments)
    assert (done.status, done.stderr) == (0, "")
    (found,) = done.json_lines()
    return found


def test_the_account_of_a_few_turns(used: Hive) -> None:
    found = stats(used)
    assert (found["agent"], found["by"], len(found["rows"])) == ("workspace", "day", 7)
    expected = {
        "turns": 3, "ok": 2, "input_tokens": 24, "output_tokens": 84, "cache_read_input_tokens": 11_200,
        "cache_creation_input_tokens": 680, "cache_share": 0.9409, "cost_usd": 0.0002414, "unpriced": 1,
        "tool_calls": 0,
    }  # fmt: skip
    assert {name: found["total"][name] for name in expected} == expected
    assert (found["outcomes"], found["tools"]) == ({"ok": 2, "bad_request": 1}, {})
    assert found["rows"][-1] == {"day": today(), **found["total"]}
    assert [row["turns"] for row in found["rows"][:-1]] == [0] * 6
    assert used.status()["today"] == {name: found["total"][name] for name in used.status()["today"]}


def test_rows_by_model_outcome_and_tool(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(replay("tools"), BAD_REQUEST)
    hive.drain("--message", "one")
    hive.drain("--model", "opus", "--message", "two")
    assert [(row["model"], row["turns"]) for row in stats(hive, "--by", "model")["rows"]] == [
        ("claude-haiku-5-5", 1), ("opus", 1),  # the model that answered; the one that was asked for where none did
    ]  # fmt: skip
    outcomes = stats(hive, "--by", "outcome", "--days", "1d")["rows"]
    assert [(row["outcome"], row["turns"]) for row in outcomes] == [("ok", 1), ("bad_request", 1)]
    found = stats(hive, "--by", "tool")
    assert found["rows"][0] == {"tool": "Bash", "calls": 3, "turns": 1}
    assert found["tools"] == {row["tool"]: row["calls"] for row in found["rows"]}


def test_csv_has_the_fields_of_the_rows(used: Hive) -> None:
    for by in ("day", "model", "outcome", "tool"):
        text = used.call("stats", "--csv", "--by", by).stdout
        rows = stats(used, "--by", by)["rows"]
        found = list(csv.DictReader(io.StringIO(text)))
        assert [list(row.values()) for row in found] == [
            ["" if value is None else str(value) for value in row.values()] for row in rows
        ]
        assert text.startswith(f"{by},")


def test_the_lines_for_a_person_fit(used: Hive) -> None:
    for columns, by in product((40, 80, 120), ("day", "model", "outcome", "tool")):
        lines = for_a_person(used, "stats", "--by", by, columns=columns)
        assert max(map(cells, lines)) <= columns, (by, lines)
        assert lines[1].startswith("turns   3, 2 ok; bad_request 1")
        has_room = by == "day" or (by == "model" and columns > 40)  # for bars
        assert not has_room or any("█" in line for line in lines)


def test_an_output_that_is_no_utf_8_gets_what_it_can_take(used: Hive) -> None:
    leader, follower = pty.openpty()
    variables = used.variables(PYTHONIOENCODING="ascii", COLUMNS="80")
    done = subprocess.run(used.command("stats"), env=variables, cwd=used.workspace, stdout=follower, check=True)
    os.close(follower)
    shown = os.read(leader, 1 << 16)
    os.close(leader)
    assert (done.returncode, b"###" in shown) == (0, True)


def test_in_a_pipe_the_rows_have_the_fields_of_csv(used: Hive) -> None:
    for by in ("day", "model", "outcome", "tool"):
        done = used.call("stats", "--by", by, variables={"COLUMNS": "40"})
        heads, *rows = (line.split("\t") for line in done.stdout.splitlines())
        found = stats(used, "--by", by)["rows"]
        assert not found or heads == [*found[0]]
        assert [row[0] for row in rows] == [str(row[by]) for row in found]
        assert used.call("stats", "--by", by, "--no-header").stdout == done.stdout.partition("\n")[2]


def test_stats_of_an_agent_that_never_ran(hive: Hive) -> None:
    found = stats(hive)
    assert (found["total"]["turns"], found["outcomes"], found["tools"]) == (0, {}, {})
    for form in ([], ["--csv"], ["--by", "tool"]):
        assert hive.call("stats", *form).status == 0
    assert list(hive.state_dir.iterdir()) == []
    first, last = for_a_person(hive, "stats", "--days", "36500")[0].removeprefix("workspace: ").split(" to ")
    assert int(last.split()[-1]) - int(first.split()[-1]) in {99, 100}  # the years, as they differ


def test_stats_of_an_agent_that_runs_count_what_has_ended(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(replay("text"), gated())
    with hive.run("--message", "one", "--message", "two") as program:
        fake_claude.wait_for("before go on")
        assert stats(hive)["total"]["turns"] == 1
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end", message_id=2)
        assert stats(hive)["total"]["turns"] == 2


def test_stats_of_a_damaged_agent_say_so(used: Hive) -> None:
    path = used.state_dir / "hyperhive-inbox.sqlite"
    path.write_bytes(b"no database" * 500)
    assert "cannot be read" in used.call("stats").refusal()
    for command in (["stats"], ["inbox"], ["show", "last"], ["backup", "x"]):
        assert used.call(*command).stderr.endswith("Try: hyperhive doctor\n")


@pytest.mark.parametrize(
    "arguments", [["--json", "--csv"], ["--days", "0"], ["--days", "12h"], ["--by", "moon"], ["--plot", "a.pdf"]]
)
def test_what_cannot_be_asked_for_is_refused(arguments: list[str], hive: Hive) -> None:
    hive.call("stats", *arguments).refusal(2)


# --- the picture ---


@pytest.mark.exhaustive
def test_a_picture_is_drawn(used: Hive, tmp_path: Path) -> None:
    for name in ("a.svg", "b.png"):
        done = used.call("stats", "--plot", str(tmp_path / name), "--json")
        assert (done.status, len(done.json_lines())) == (0, 1), done.stderr
    picture = (tmp_path / "a.svg").read_text(encoding="utf-8")
    texts = [element.text or "" for element in ET.fromstring(picture).iter() if element.tag.endswith("}text")]  # noqa: S314
    for word in ("US dollars", "tokens", "context, tokens", "read from the cache"):
        assert word in texts
    assert any(text.startswith("workspace: ") for text in texts)
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.exhaustive
def test_an_agent_without_turns_gives_an_empty_picture(hive: Hive, tmp_path: Path) -> None:
    assert hive.call("stats", "--plot", str(tmp_path / "a.svg")).status == 0


@pytest.mark.exhaustive
def test_a_picture_that_cannot_be_written_is_an_error(hive: Hive, tmp_path: Path) -> None:
    assert "cannot be written" in hive.call("stats", "--plot", str(tmp_path / "none" / "a.png")).refusal()


def test_without_the_extra_only_the_picture_is_missing(used: Hive, tmp_path: Path) -> None:
    program = "import sys; sys.modules['matplotlib'] = None; from hyperhive_cli.cli.main import main; main()"
    command = [sys.executable, "-c", program, "--state-dir", str(used.state_dir), "stats"]

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            env=used.variables(),
            cwd=used.workspace,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    assert call().returncode == 0
    done = call("--plot", str(tmp_path / "a.svg"))
    assert (done.returncode, "needs matplotlib" in done.stderr, "hyperhive[plot]" in done.stderr) == (1, True, True)
    assert not (tmp_path / "a.svg").exists()

"""`hyperhive search` as a process."""

import shutil
from datetime import datetime
from pathlib import Path

import pytest

from tests.conftest import FakeClaude
from tests.harness import Event, Hive, on_a_terminal


@pytest.fixture
def history(hive: Hive, fake_claude: FakeClaude) -> list[Event]:
    """Return the events of an agent that has had a turn with tools."""
    fake_claude.script([{"replay": "v2.1.330/tools.jsonl"}])
    return hive.drain("--message", "please look around").json_lines()


def search(hive: Hive, *arguments: str) -> list[Event]:
    done = hive.call("search", "--json", *arguments)
    assert done.status == 0
    return done.json_lines()


def test_search_finds_what_it_is_asked_for(hive: Hive, history: list[Event]) -> None:
    (message,) = search(hive, "look", "please", "--kind", "turn_start")
    assert (message["seq"], message["turn"], message["part"]) == (history[0]["seq"], 1, "message")
    assert message["text"][slice(*message["marks"][0])] == "please"
    assert search(hive, '"look please"') == []
    calls = search(hive, "--tool", "bash")
    assert {(found["tool"], found["part"]) for found in calls} == {("Bash", "call"), ("Bash", "output")}
    assert [found["seq"] for found in calls] == sorted((found["seq"] for found in calls), reverse=True)
    assert search(hive, "--tool", "Bash", "--before", str(calls[0]["seq"]), "-n", "1") == calls[1:2]
    assert [found["marks"] for found in search(hive, "--grep", "LEASE loo")] == [[[1, 10]]]
    assert [found["marks"] for found in search(hive, "--regex", "[pl]*ease look")] == [[[0, 11]]]
    assert search(hive, "please", "--since", "1h", "--until", "1h") == []
    assert search(hive, "please", "--since", "1h", "--turn", "1")[-1]["seq"] == message["seq"]


def test_in_a_pipe_a_place_is_a_row_with_tabs(hive: Hive, history: list[Event]) -> None:
    done = hive.call("search", "please", "--kind", "turn_start")
    head, row = (line.split("\t") for line in done.stdout.splitlines())
    assert head == ["agent", "seq", "time", "turn", "part", "tool", "failed", "text"]
    assert (row[1], row[3:]) == (str(history[0]["seq"]), ["1", "message", "", "no", "please look around"])
    assert datetime.fromisoformat(row[2]).tzinfo is not None
    assert hive.call("search", "please", "--kind", "turn_start", "--no-header").stdout.splitlines() == [
        done.stdout.splitlines()[1]
    ]


def test_for_a_person_each_place_has_a_head_and_its_line(hive: Hive, history: list[Event]) -> None:
    assert history != []
    shown = on_a_terminal(hive, "search", "please", "--kind", "turn_start")
    assert "turn 1" in shown
    assert "\x1b[33mplease\x1b[0m look around" in shown


def test_what_was_not_shown_can_be_gone_on_with(hive: Hive, history: list[Event]) -> None:
    assert history != []
    first = hive.call("search", "--tools", "--json", "-n", "2")
    assert first.stderr == f"the newest 2; for older ones add --before {first.json_lines()[-1]['seq']}\n"
    assert hive.call("search", "nothing-of-it", "--json").stderr == "nothing found\n"


def test_a_search_that_takes_long_shows_what_it_has(hive: Hive, history: list[Event]) -> None:
    done = hive.call("search", "please", "--json", "--timeout", "0.000001")
    assert done.json_lines() != []  # the newest part is always searched
    assert history[0]["seq"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to search for"),
        (['"open'], "a quoted phrase does not end"),
        (["--regex", "("], "not a valid regular expression"),
        (["a", "--grep", "b"], "cannot be used together"),
        (["a", "--since", "yesteryear"], "not a valid time"),
        (["a", "--all-agents", "--turn", "1"], "of one agent"),
        (["a", "--kind", "nonsense"], "'nonsense' is not one of"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_with_a_hint(words: list[str], message: str, hive: Hive) -> None:
    assert message in hive.call("search", *words).refusal(2)
    assert list(hive.state_dir.iterdir()) == []


def test_all_agents_of_the_machine_are_searched(hive: Hive, history: list[Event], tmp_path: Path) -> None:
    home = tmp_path / "home" / "hyperhive"
    home.mkdir(parents=True)
    for name in ("bee", "wasp"):
        (home / name).symlink_to(hive.state_dir)
    done = hive.call(
        "search",
        "please",
        "--kind",
        "turn_start",
        "--all-agents",
        "--json",
        variables={"XDG_STATE_HOME": str(home.parent)},
    )
    assert [(found["agent"], found["seq"]) for found in done.json_lines()] == [("bee", 1), ("wasp", 1)]
    assert history[0]["seq"] == 1


def test_a_history_that_cannot_be_read_is_named(hive: Hive, history: list[Event]) -> None:
    assert history != []
    shutil.rmtree(hive.state_dir / "history", ignore_errors=True)
    (hive.state_dir / "hyperhive-events.sqlite").write_bytes(b"x" * 8192)
    done = hive.call("search", "please")
    assert (done.status, "cannot be read" in done.stderr, "nothing found" in done.stderr) == (0, True, True)

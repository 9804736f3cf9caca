"""`hyperhive tail` as a process."""

import os
import signal
import subprocess
from datetime import datetime

import pytest

from hyperhive_cli.core.events import Note, StatusChanged
from tests.conftest import FakeClaude, wait_until
from tests.harness import LIMIT_S, TEXT, Hive, read_once
from tests.web.site import telling


@pytest.fixture
def history(hive: Hive, fake_claude: FakeClaude) -> list[str]:
    """Return the events of an agent that has had a turn, a line each."""
    fake_claude.script([{"replay": "v2.1.330/tools.jsonl"}])
    return hive.drain("--message", "look around").stdout.splitlines()


def tail(hive: Hive, *arguments: str) -> list[str]:
    done = hive.call("tail", "--no-follow", *arguments)
    assert (done.status, done.stderr[:15]) == (0, "" if done.stdout or "--json" in arguments else "no such events\n")
    return done.stdout.splitlines()


def test_tail_shows_what_it_is_asked_for(hive: Hive, history: list[str]) -> None:
    assert len(history) == 22
    assert tail(hive, "--json") == history[-20:]
    assert tail(hive, "--json", "-n", "3") == history[-3:]
    assert tail(hive, "--json", "-n", "0") == []
    assert tail(hive, "--json", "--since", "5") == history[5:]
    assert tail(hive, "--json", "--since", "0") == history
    assert tail(hive, "--json", "--since", "999") == []
    assert tail(hive, "--json", "--kind", "turn_end") == [history[-2]]
    ends = tail(hive, "--json", "--kind", "turn_start", "--kind", "turn_end", "--since", "0")
    assert ends == [history[0], history[-2]]
    assert "'nonsense' is not one of" in hive.call("tail", "--no-follow", "--kind", "nonsense").refusal(2)


def test_tail_in_a_pipe_is_a_line_for_each_row_with_nothing_cut(hive: Hive, history: list[str]) -> None:
    lines = [line.split("\t") for line in tail(hive, "-n", str(len(history)))]
    assert {len(line) for line in lines} == {4}
    assert all(datetime.fromisoformat(time).tzinfo is not None for time, *_ in lines)
    assert lines[0][1:] == ["1", "turn", "operator #1: look around"]
    assert lines[-1][1:3] == ["1", "end"]
    (seen,) = [text for _, number, kind, text in lines if (number, kind) == ("1.4", "answer")]
    assert seen.startswith("Bash: 1\\n2\\n3")
    assert seen.count("\\n") == 40


@pytest.mark.parametrize("words", [("-n", "3"), ("--tools",), ("--grep", "echo hello"), ("--since", "9")])
def test_for_people_what_is_shown_begins_with_the_head_of_its_turn(
    words: tuple[str, ...], hive: Hive, history: list[str], fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "once more")
    text = "\n".join(tail(hive, *words))
    is_first = words[0] in {"--tools", "--grep", "--since"}
    assert (text.count("look around"), text.count("once more")) == (int(is_first), int(words[0] in {"-n", "--since"}))
    heads = [line for line in text.splitlines() if "operator" in line]
    assert text.splitlines()[1 if not text.splitlines()[0] else 0] == heads[0]
    assert len(tail(hive, *words, "--json")) <= len(history) * 2


def test_tail_of_an_agent_that_never_ran_is_empty(hive: Hive) -> None:
    assert tail(hive, "--json") == []
    assert tail(hive) == []
    assert list(hive.state_dir.iterdir()) == []


def test_what_is_received_with_events_that_are_not_wanted_is_not_held_back(hive: Hive) -> None:
    with (
        telling(hive.state_dir, "hyperhive-events.sqlite") as (harness, handler),
        hive.start("tail", "--json", "--kind", "note") as program,
    ):
        wait_until(lambda: handler.followers == 1)
        harness.do(harness.bus.publish, Note(text="a"), Note(text="b"), StatusChanged(status="online"))
        assert [program.wait_for_kind("note", text=text)["seq"] for text in "ab"] == [1, 2]
        assert program.interrupt() == 130


def test_a_filter_keeps_the_head_of_a_turn_that_begins_while_tail_follows(
    hive: Hive, history: list[str], fake_claude: FakeClaude
) -> None:
    assert history
    with hive.start("tail", "--tools", "-n", "0") as program:
        fake_claude.script(TEXT)
        hive.drain("--message", "without a tool")
        fake_claude.script([{"replay": "v2.1.330/tools.jsonl"}])
        hive.drain("--message", "look again")
        wait_until(lambda: any("\tanswer\t" in line for line in program.stdout))
        assert program.interrupt() == 130
    kinds = [line.split("\t")[2] for line in program.stdout]
    assert kinds[0] == "turn"
    assert kinds.count("turn") == 1
    assert "operator #3: look again" in program.stdout[0]


def test_tail_follows_from_before_the_first_run(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.start("tail", "--json", "--kind", "turn_end") as program:
        hive.drain("--message", "one")
        program.wait_for_kind("turn_end", outcome="ok")
        hive.drain("--message", "two")
        program.wait_for_kind("turn_end", message_id=2)
        assert program.interrupt() == 130
    assert ("".join(program.stderr), len(program.stdout)) == ("", 2)


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "plain"])
def test_tail_ends_at_ctrl_c(form: list[str], hive: Hive) -> None:
    with hive.run() as harness:
        with hive.start("tail", *form) as program:
            wait_until(lambda: program.stdout)
            assert program.interrupt() == 130
            assert "".join(program.stderr) == ""
        assert harness.interrupt() == 130


@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "plain"])
def test_tail_ends_when_its_reader_goes_away(
    form: list[str], hive: Hive, history: list[str], fake_claude: FakeClaude
) -> None:
    assert history
    fake_claude.script([{"replay": "v2.1.330/tools.jsonl"}])
    with read_once(hive, "tail", *form) as process:
        process.send_signal(signal.SIGSTOP)  # so that it has something to write when it looks again
        hive.drain("--message", "again")
        process.send_signal(signal.SIGCONT)
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(LIMIT_S)) == (b"", 0)


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "plain"])
def test_a_reader_that_is_gone_at_the_first_event_is_no_failure(form: list[str], hive: Hive) -> None:
    """The write itself fails: no look at the pipe comes before it."""
    reads, writes = os.pipe()
    os.close(reads)
    command = hive.command("tail", "--no-follow", *form)
    done = subprocess.run(
        command, env=hive.variables(), cwd=hive.workspace, stdout=writes, stderr=subprocess.PIPE, check=False
    )
    os.close(writes)
    assert (done.stderr, done.returncode) == (b"", 0)

"""Commands that follow an agent whose history is replaced by an older one: they say so, and show it from its start."""

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import FakeClaude, wait_until
from tests.harness import TEXT, Event, Hive, Program, of_kind, unpack

NAME = "hyperhive-events.sqlite"
REPLACED = "the history was replaced by an older one"


def run(hive: Hive, *bodies: str) -> None:
    assert hive.drain(*(word for body in bodies for word in ("--message", body))).status == 0


def begin_again(hive: Hive) -> None:
    shutil.rmtree(hive.state_dir)
    hive.state_dir.mkdir(mode=0o700)


def put_back(hive: Hive, archive: Path) -> None:
    """Restore a backup in place, as an operator does while no harness runs."""
    begin_again(hive)
    unpack(archive, hive.state_dir)


def stored(hive: Hive) -> list[Event]:
    return hive.call("tail", "--no-follow", "--json", "--since", "0").json_lines()


def remark_in(program: Program) -> int:
    """Wait for the remark and return its place among the events."""
    program.wait_for(lambda event: event["kind"] == "note" and REPLACED in event["text"])
    (found,) = (at for at, event in enumerate(program.events()) if REPLACED in str(event.get("text")))
    return found


def after(program: Program, count: int) -> Sequence[Event]:
    """Return the events behind the remark, once there are so many."""
    at = remark_in(program)
    wait_until(lambda: len(program.events()) - at - 1 >= count)
    return program.events()[at + 1 :]


def test_tail_goes_on_from_the_start_of_a_restored_backup(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> None:
    fake_claude.script(TEXT)
    run(hive, "one")
    archive = tmp_path / "agent.tar.gz"
    assert hive.call("backup", str(archive)).status == 0
    with hive.start("tail", "--json", "-n", "1") as program:
        run(hive, "two")
        wait_until(lambda: len(of_kind(program.events(), "turn_end")) == 1)
        newest = stored(hive)[-1]["seq"]
        program.wait_for(lambda event: event["seq"] == newest)
        put_back(hive, archive)
        run(hive, "three", "four")  # which passes the numbers that it has seen
        expected = stored(hive)
        assert expected[-1]["seq"] > newest
        assert after(program, len(expected)) == expected
        remark = program.events()[remark_in(program)]
        assert (remark["seq"], remark["level"], remark["since"]) == (None, "warning", 0)
        assert program.interrupt() == 130
    assert [event["body"] for event in of_kind(expected, "turn_start")] == ["one", "three", "four"]


@pytest.mark.parametrize("filters", [["--kind", "turn_end"], ["--grep", "no such text"]], ids=["kind", "text"])
def test_the_remark_is_shown_whatever_is_asked_for(filters: list[str], hive: Hive, fake_claude: FakeClaude) -> None:
    """A script that keeps numbers has to know, and here it has kept one from another history."""
    fake_claude.script(TEXT)
    run(hive, "one")
    with hive.start("tail", "--json", "--since", "500", *filters) as program:
        remark_in(program)
        run(hive, "two")
        if "--kind" in filters:
            assert [event["turn_id"] for event in after(program, 2)] == [1, 2]
        assert program.interrupt() == 130


def test_tail_for_people_says_it_in_words(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    run(hive, "one")
    with hive.start("tail", "-n", "5") as program:
        wait_until(lambda: program.stdout)
        begin_again(hive)
        run(hive, "two")
        wait_until(lambda: REPLACED in "".join(program.stdout))
        wait_until(lambda: "two" in "".join(program.stdout).partition(REPLACED)[2])
        assert program.interrupt() == 130


def test_tail_goes_on_with_numbers_above_those_of_a_lost_table(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    run(hive, "one")
    with hive.start("tail", "--json", "-n", "1") as program:
        newest = program.wait_for(lambda event: event["seq"])["seq"]
        for found in hive.state_dir.glob(f"{NAME}*"):
            found.unlink()
        run(hive, "two")
        program.wait_for(lambda event: "they are gone" in event.get("text", "") and event["seq"] > newest)
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["seq"] > newest)
        assert program.interrupt() == 130


def test_status_says_it_while_it_is_watched(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> None:
    hive.constants = {"cli.watching.REDRAW_S": 0.05}
    fake_claude.script(TEXT)
    run(hive, "one")
    copy = Path(shutil.copy(hive.state_dir / NAME, tmp_path / "backup"))
    run(hive, "two")
    newest = stored(hive)[-1]["seq"]
    with hive.start("status", "--watch", "--json") as program, hive.start("status", "--watch") as plain:
        program.wait_for(lambda found: found["seq"] == newest and found["replaced"] is None)
        wait_until(lambda: any(line.startswith("state in") for line in plain.stdout))
        shutil.copy(copy, hive.state_dir / NAME)
        said = f"{REPLACED} (event {newest} is not in it)"
        program.wait_for(lambda found: found["replaced"] == said and found["seq"] < newest)
        wait_until(lambda: any(line.split(maxsplit=1) == ["history", said] for line in plain.stdout))
        run(hive, "three", "four")
        program.wait_for(lambda found: found["replaced"] == said and found["seq"] > newest)
        for one in (program, plain):
            assert one.interrupt() == 130
            assert "".join(one.stderr) == ""
    assert [found["seq"] for found in program.events()].count(newest) == 1  # nothing is said twice


def test_status_says_it_of_a_new_history_that_has_passed_the_number_between_two_looks(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    hive.constants = {"cli.watching.REDRAW_S": 0.05}
    fake_claude.script(TEXT)
    run(hive, "one")
    with hive.start("status", "--watch", "--json") as program:
        newest = program.wait_for(lambda found: found["last_event"])["seq"]
        program.send(signal.SIGSTOP)
        begin_again(hive)
        run(hive, "two", "three")
        program.send(signal.SIGCONT)
        found = program.wait_for(lambda found: found["replaced"])
        assert (found["seq"] > newest, f"event {newest} " in found["replaced"]) == (True, True)
        assert program.interrupt() == 130

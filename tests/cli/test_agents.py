"""`hyperhive agents`: every agent of a machine, found by its folder; once, and again each second."""

import errno
import os
import pty
import select
import signal
import subprocess
from datetime import datetime
from pathlib import Path

from hyperhive_cli.store.inbox import open_inbox
from tests.conftest import FakeClaude, wait_until
from tests.harness import (
    LIMIT_S,
    Event,
    Hive,
    for_a_person,
    gated,
    on_a_terminal,
    piped_rows,
    read_once,
)


def agents(hive: Hive, home: Path) -> dict[str, Event]:
    done = hive.call("agents", "--home", str(home), "--json")
    assert (done.status, done.stderr) == (0, "")
    return {agent["agent"]: agent for agent in done.json_lines()}


def test_all_agents_are_found_with_what_status_says_of_them(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    found = agents(hive, home)
    assert list(found) == ["first", "second"]
    assert [found[name]["last_outcomes"] for name in two] == [["ok"], ["bad_request"]]
    assert found["second"]["dead"] == 1
    expected = two["first"].status() | {"agent": "first", "last_event": None}
    assert found["first"] | {"last_event": None} == expected
    lines = for_a_person(hive, "agents", "--home", str(home), columns=80)
    assert [line.split()[:3] for line in lines[1:3]] == [["first", "-", "stopped"], ["second", "-", "stopped"]]
    assert ("✓" in lines[1], "✗" in lines[2], lines[0].split()[:2]) == (True, True, ["AGENT", "STATE"])
    assert lines[3].startswith("2 agents: 2 stopped · $")
    assert "\x1b[31m1\x1b[0m" in on_a_terminal(hive, "agents", "--home", str(home)), "a dead message is red"


def test_in_a_pipe_a_line_for_each_agent_is_whole_and_has_no_signs(
    two: dict[str, Hive], hive: Hive, home: Path
) -> None:
    long = "w" * 64
    (home / "first").rename(home / long)
    done = hive.call("agents", "--home", str(home), variables={"COLUMNS": "40"})
    rows = {row["agent"]: row for row in piped_rows(done.stdout)}
    assert [*rows] == ["second", long]
    row = rows["second"]
    assert (row["state"], row["detail"], row["dead"], row["last"], row["limit_usd"]) == (
        "stopped", "-", "1", "bad_request", "-",
    )  # fmt: skip
    newest = two["second"].status()["last_event"]["ts"] // 1000
    assert datetime.fromisoformat(row["active"]).timestamp() == newest
    assert done.stdout.isascii()
    without = hive.call("agents", "--home", str(home), "--no-header")
    assert without.stdout == done.stdout.partition("\n")[2]


def test_a_narrow_terminal_still_shows_what_each_agent_does(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    assert two
    for columns in (20, 30, 40, 56):
        head, first, second, *_ = for_a_person(hive, "agents", "--home", str(home), columns=columns)
        assert [line.split()[0] for line in (head, first, second)] == ["AGENT", "first", "second"]
        assert "stopped" in first
        assert max(map(len, (head, first, second))) <= columns


def test_the_usual_place_is_below_the_home_folder(hive: Hive) -> None:
    none = hive.call("agents")
    assert (piped_rows(none.stdout), none.stderr) == ([], "no agents yet\n")
    for variables, place in (({}, Path(hive.environment["HOME"], ".local/state")), ({"X": ""}, hive.workspace / "s")):
        folder = place / "hyperhive" / "helper"
        folder.mkdir(parents=True)
        with open_inbox(folder / "hyperhive-inbox.sqlite") as inbox:
            inbox.send("operator", "hello", now_ms=1)
        given = {"XDG_STATE_HOME": str(place)} if variables else {}
        # What names one agent's files is nobody else's.
        done = hive.call("agents", "--json", variables={**given, "HYPERHIVE_EVENTS_DB": "/nowhere"})
        (found,) = done.json_lines()
        assert (found["agent"], found["unread"], found["state_dir"]) == ("helper", 1, str(folder))


def test_what_is_no_agent_is_passed_over(hive: Hive, home: Path) -> None:
    for name in ("No Name", "empty", "damaged"):
        (home / name).mkdir(parents=True)
    (home / "a file").touch()
    for name in ("No Name", "damaged"):
        (home / name / "hyperhive-inbox.sqlite").write_bytes(b"no database" * 500)
    found = agents(hive, home)
    assert list(found) == ["damaged"]
    assert [found["damaged"][name] for name in ("today", "unread", "held", "dead")] == [None] * 4
    assert "damaged" in hive.call("agents", "--home", str(home)).stdout


def test_a_place_that_is_no_folder_is_an_error(hive: Hive, home: Path) -> None:
    home.touch()
    assert "is a file" in hive.call("agents", "--home", str(home)).refusal(2)
    assert "does not exist" in hive.call("agents", "--home", f"{home}-none").refusal(2)


def test_watched_in_a_pipe_it_says_what_changes(
    two: dict[str, Hive], hive: Hive, home: Path, fake_claude: FakeClaude
) -> None:
    hive.constants = {"cli.watching.REDRAW_S": 0.1}
    with (
        hive.start("agents", "--home", str(home), "--watch") as plain,
        hive.start("agents", "--home", str(home), "--watch", "--json") as lines,
    ):
        wait_until(lambda: len(plain.stdout) >= 3)
        fake_claude.script(gated())
        with two["first"].run("--message", "two") as harness:
            fake_claude.wait_for("before go on")
            wait_until(lambda: any(line.startswith("first\tworking\tthinking for ") for line in plain.stdout))
            wait_until(lambda: any(agent["running"] and agent["state"] == "thinking" for agent in lines.events()))
            fake_claude.touch("go on")
            harness.wait_for_kind("turn_end")
        wait_until(lambda: any(agent["last_outcomes"] == ["ok", "ok"] for agent in lines.events()))
        for program in (plain, lines):
            assert program.interrupt() == 130
            assert "".join(program.stderr) == ""
    assert [agent["agent"] for agent in lines.events()].count("second") == 1


def test_it_ends_when_its_reader_goes_away(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    assert two
    with read_once(hive, "agents", "--home", str(home), "--watch") as process:
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(LIMIT_S)) == (b"", 0)


def test_a_harness_that_is_stopped_holds_nobody_up(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    with two["first"].run() as harness:
        harness.send(signal.SIGSTOP)
        try:
            found = agents(hive, home)
        finally:
            harness.send(signal.SIGCONT)
        assert (found["first"]["state"], found["second"]["running"]) == ("unreachable", False)


def test_without_keys_the_table_is_drawn_in_place_until_ctrl_c(two: dict[str, Hive], hive: Hive, home: Path) -> None:
    assert two
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        hive.command("agents", "--home", str(home), "--watch"),
        env=hive.variables(COLUMNS="80", LINES="24", TERM="xterm"),
        cwd=hive.workspace,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    shown = bytearray()

    def drawn_twice() -> bool:
        if select.select([leader], [], [], 0.05)[0]:
            shown.extend(os.read(leader, 1 << 16))
        return shown.count(b"\x1b[H") >= 3 and shown.endswith(b"\x1b[J")

    try:
        wait_until(drawn_twice, LIMIT_S)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
        try:
            while data := os.read(leader, 1 << 16):
                shown += data
        except OSError as error:
            assert error.errno == errno.EIO  # noqa: PT017 - how Linux says that the other end is closed
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    assert b"\x1b[?" not in shown, "no mode that would have to be undone"
    assert b"second" in shown
    assert b"Traceback" not in shown

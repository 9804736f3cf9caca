"""`doctor` on agents that are well, new, running, stopped, damaged, and where nothing is installed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hyperhive_cli.core.settings import resolve_paths
from hyperhive_cli.doctor import agent
from hyperhive_cli.doctor.agent import Subject, check_claude
from hyperhive_cli.doctor.findings import Finding
from tests.conftest import FakeClaude, process_state, wait_until
from tests.harness import BAD_REQUEST, LIMIT_S, TEXT, Event, Hive

trio = pytest.importorskip("trio")
SANDBOX = {"IS_SANDBOX": "1"}  # whoever runs the tests


def examine(hive: Hive, *arguments: str, status: int = 0, **variables: str) -> dict[str, Event]:
    """Return the findings by what they are about; `status` is how it exits."""
    own = {**SANDBOX, "HYPERHIVE_RUN_CLAUDE": str(hive.claude), **variables}
    done = hive.call("doctor", "--json", *arguments, variables=own)
    assert (done.status, done.stderr) == (status, "")
    (report,) = done.json_lines()
    assert report["ok"] == (status == 0)
    assert all((one["advice"] is None) == (one["level"] == "ok") for one in report["findings"])
    return {one["what"]: one for one in report["findings"]}


def levels(found: Mapping[str, Event]) -> set[str]:
    return {f"{what}: {one['level']}" for what, one in found.items() if one["level"] != "ok"}


def test_a_new_agent_is_well_and_stays_untouched(hive: Hive, fake_claude: FakeClaude) -> None:
    hive.state_dir /= "new"
    found = examine(hive)
    assert levels(found) == set()
    assert found["version"]["finding"].startswith("2.1.330 (tested: 2.1.197 to 2.1.332)")
    assert "does not exist yet" in found["state"]["finding"]
    assert not hive.state_dir.exists()
    assert fake_claude.started() == []


def test_a_running_and_a_stopped_agent_are_well(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run("--message", "hello") as program:
        program.wait_for_kind("turn_end")
        found = examine(hive)
        assert (levels(found), found["harness"]["finding"]) == (set(), f"runs, pid {program.pid}, and answers")
        assert next(iter(found.values()))["finding"] == "online"  # how the agent stands comes first
        program.interrupt()
    found = examine(hive)
    assert (levels(found), found["harness"]["finding"]) == (set(), "not running")
    assert "are of known types" in found["stream"]["finding"]


def test_a_harness_that_hangs_is_found(hive: Hive) -> None:
    hive.constants = {"cli.doctor.ANSWER_LIMIT_S": 0.2}
    with hive.run() as program:
        program.send(signal.SIGSTOP)
        found = examine(hive, status=1)
        assert levels(found) == {"agent: warning", "harness: wrong"}
        assert found["agent"]["finding"] == "unreachable"
        assert str(program.pid) in found["harness"]["finding"]
        program.send(signal.SIGCONT)
        program.interrupt()


def test_it_begins_with_how_the_agent_stands_and_what_waits_for_a_person(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(BAD_REQUEST)
    hive.drain("--message", "hello")
    agent = examine(hive)["agent"]
    assert (agent["finding"], agent["level"], agent["advice"]) == ("stopped, 1 dead", "warning", "hyperhive inbox")


def test_a_key_that_the_shell_has_and_the_harness_has_not_is_told(hive: Hive, fake_claude: FakeClaude) -> None:
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "Done."}
    fake_claude.script([{"line": {"type": "system", "subtype": "init", "apiKeySource": "none"}}, {"line": result}])
    with hive.run("--message", "hello") as program:
        program.wait_for_kind("turn_end")
        assert "key" not in examine(hive, ANTHROPIC_API_KEY="")
        assert "claude's own login" in examine(hive, ANTHROPIC_API_KEY="sk-ant-x")["key"]["finding"]
        program.interrupt()


@pytest.mark.parametrize("name", ["hyperhive-inbox.sqlite", "hyperhive-events.sqlite"])
@pytest.mark.parametrize("damage", ["garbage", "a page", "cut"])
@pytest.mark.few(2)
def test_a_damaged_database_is_found_and_left(name: str, damage: str, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "hello")
    path = hive.state_dir / name
    content = bytearray(path.read_bytes())
    match damage:
        case "garbage":
            content[:100] = b"x" * 100
        case "a page":
            content[4096 : 2 * 4096] = b"\xff" * 4096
        case _:
            del content[3 * 4096 :]
    path.write_bytes(content)
    found = examine(hive, status=1)
    what = "inbox" if "inbox" in name else "history"
    assert f"{what}: wrong" in levels(found)
    assert path.read_bytes() == bytes(content)


def test_lines_of_an_unknown_type_are_a_warning(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"line": {"type": "novel", "x": "\x1b[31m"}}, *TEXT])
    hive.drain("--message", "hello")
    found = examine(hive)
    assert (levels(found), "novel" in found["stream"]["finding"]) == ({"stream: warning"}, True)


def test_a_missing_login_is_wrong(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, logged_in=False)
    found = examine(hive, status=1)
    assert (levels(found), "hyperhive login" in found["login"]["advice"]) == ({"login: wrong"}, True)


def test_a_login_that_is_a_link_is_a_warning(hive: Hive, tmp_path: Path) -> None:
    shared, folder = tmp_path / "shared.json", Path(hive.environment["HOME"], ".claude")
    shared.write_text('{"claudeAiOauth": {"refreshToken": "sk-ant-ort01-dummy", "expiresAt": 4102444800000}}')
    folder.mkdir()
    (folder / ".credentials.json").symlink_to(shared)
    found = examine(hive)
    assert (levels(found), "is a link" in found["login"]["finding"]) == ({"login: warning"}, True)


def test_folders_that_others_can_reach(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "hello")
    (hive.state_dir / "hyperhive-inbox.sqlite").chmod(0o644)
    assert levels(examine(hive)) == {"state: warning"}
    hive.state_dir.chmod(0o777)
    found = examine(hive, status=1)
    assert (levels(found), found["state"]["advice"]) == ({"state: wrong"}, f"chmod 700 {hive.state_dir}")
    hive.state_dir.chmod(0o700)


def test_what_surrounds_the_agent(hive: Hive) -> None:
    claude = Path(hive.environment["HOME"], ".claude")
    claude.mkdir()
    (claude / "settings.json").write_text('{"cleanupPeriodDays": 3}')
    # A PATH on which there is no bubblewrap.
    empty = hive.workspace / "empty"
    empty.mkdir()
    variables = {"CLAUDE_CODE_SUBPROCESS_ENV_SCRUB": "1", "PATH": str(empty)}
    assert levels(examine(hive, status=1, **variables)) == {"scrub: wrong", "transcripts: warning"}
    (hive.workspace / ".claude").mkdir()
    (hive.workspace / ".claude" / "settings.json").write_text('{"cleanupPeriodDays": 99}')
    assert levels(examine(hive)) == set()
    (claude / "settings.json").write_text("{")
    assert levels(examine(hive, status=1)) == {"transcripts: wrong"}


def test_an_agent_of_another_folder_and_one_beside_it(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> None:
    fake_claude.script(TEXT)
    hive.environment = {**hive.environment, "XDG_STATE_HOME": str(hive.state_dir)}
    base = hive.state_dir / "hyperhive"
    hive.state_dir = base / "one"
    with hive.run():
        hive.state_dir = base / "two"
        found = examine(hive)
        assert (levels(found), "one" in found["neighbours"]["finding"]) == ({"neighbours: warning"}, True)
        hive.state_dir = base / "one"
        found = examine(hive, "--workspace", str(tmp_path), status=1)
        assert levels(found) == {"workspace: wrong"}


def test_nothing_installed_and_settings_that_are_wrong(hive: Hive) -> None:
    found = examine(hive, status=1, HYPERHIVE_RUN_CLAUDE="no-such-claude")
    assert (levels(found), "npm install" in found["claude"]["advice"]) == ({"claude: wrong"}, True)
    (hive.workspace / "hyperhive.toml").write_text("[run]\nmodle = 'x'\n")
    found = examine(hive, status=1)
    assert (levels(found), "modle" in found["settings"]["finding"]) == ({"settings: wrong"}, True)
    assert levels(examine(hive, status=1, HYPERHIVE_RUN_DRAIN_WAIT="soon")) == {"settings: wrong"}


def test_without_a_home_it_says_so(hive: Hive) -> None:
    kept = {name: value for name, value in hive.variables().items() if name != "HOME"}
    done = subprocess.run(
        [*hive.command()[:3], "doctor"],
        env=kept,
        cwd=hive.workspace,
        capture_output=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert (done.returncode, b"Traceback" in done.stderr, b"HOME is not set" in done.stdout) == (1, False, True)


def test_a_person_gets_a_line_each_in_whatever_their_terminal_can_show(hive: Hive) -> None:
    variables = {**SANDBOX, "HYPERHIVE_RUN_CLAUDE": "no-such-claude"}
    done = hive.call("doctor", variables=variables)
    lines = done.stdout.splitlines()
    assert (done.status, done.stderr) == (1, "")
    at = next(number for number, line in enumerate(lines) if line.startswith("✗"))
    assert lines[at].split()[:2] == ["✗", "claude"]
    assert lines[at + 1].split()[:3] == ["→", "npm", "install"]
    ascii_only = hive.call("doctor", variables={**variables, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}).stdout
    assert (ascii_only.isascii(), "NO claude" in ascii_only) == (True, True)


def test_a_claude_that_never_answers_holds_nothing_up(
    hive: Hive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "ASK_LIMIT_S", 1.0)
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\ntrap '' INT TERM\necho $$ > {tmp_path}/pid\nsleep 600\n")
    program.chmod(0o700)
    paths = resolve_paths("bee", hive.state_dir, hive.workspace, hive.environment)

    async def look() -> list[Finding]:
        subject = Subject(paths, hive.workspace, str(program), "", hive.environment)
        return [finding async for finding in check_claude(subject)]

    (finding,) = trio.run(look)
    assert (finding.level, "does not answer within 1 s" in finding.finding) == ("wrong", True)
    assert process_state(int((tmp_path / "pid").read_text())) is None


def test_ctrl_c_ends_the_look_without_a_traceback(hive: Hive, tmp_path: Path) -> None:
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexec sleep 600\n")
    program.chmod(0o700)
    looking = replace(hive, environment={**hive.environment, "HYPERHIVE_RUN_CLAUDE": str(program)})
    with looking.start("doctor") as doctor:
        wait_until((tmp_path / "asked").exists)
        assert (doctor.interrupt(), doctor.stderr) == (130, [""])


def test_a_database_that_takes_too_long_is_a_warning(hive: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "CHECK_LIMIT_S", 0.0)
    with sqlite3.connect(hive.state_dir / "hyperhive-inbox.sqlite") as db:
        db.execute("CREATE TABLE numbers (x)")
        db.executemany("INSERT INTO numbers VALUES (?)", ((number,) for number in range(100_000)))
    db.close()
    paths = resolve_paths("bee", hive.state_dir, hive.workspace, hive.environment)
    subject = Subject(paths, hive.workspace, None, "", hive.environment)
    found = {one.what: one for one in agent.check_files(subject, {}, by_login=False)}
    assert (found["inbox"].level, "takes longer" in found["inbox"].finding) == ("warning", True)


def test_a_file_that_may_not_be_read_is_no_traceback(hive: Hive) -> None:
    (hive.state_dir / "hyperhive-inbox.sqlite").mkdir()
    (hive.state_dir / "hyperhive-events.sqlite").symlink_to("nowhere")
    os.mkfifo(hive.state_dir / "harness.lock")
    found = examine(hive, status=1)
    assert "inbox: wrong" in levels(found)
    assert json.dumps(found)


# --- claude's own folder ---


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".claude", "is not a folder"),
        (".claude/projects", "is not a folder"),
        (".claude.json/x", ".claude.json is not a file"),
    ],
)
def test_something_else_in_the_place_of_claudes_own_files_is_wrong(name: str, said: str, hive: Hive) -> None:
    place = Path(hive.environment["HOME"]) / name
    place.parent.mkdir(exist_ok=True)
    place.touch()
    found = examine(hive, status=1)["claude's folder"]
    assert (found["level"], said in found["finding"]) == ("wrong", True)


def test_a_folder_of_claudes_that_is_named_and_missing_is_made_by_claude(hive: Hive, tmp_path: Path) -> None:
    found = examine(hive, CLAUDE_CONFIG_DIR=str(tmp_path / "a" / "b"))["claude's folder"]
    assert (found["level"], found["finding"]) == ("ok", f"{tmp_path / 'a' / 'b'} is writable")
    assert not (tmp_path / "a").exists()


LOOK = """
import os, sys
from pathlib import Path
from hyperhive_cli.doctor.agent import why_not_written
if os.geteuid() == 0:
    os.setgroups([])
    os.setuid(int(sys.argv[1]))
for name in sys.argv[2:]:
    print(why_not_written(Path(name), is_folder=not name.endswith(".json")))
"""


def test_who_may_not_write_to_claudes_folder_is_told_why(hive: Hive) -> None:
    """As another user where root runs the tests, whom nothing stops."""
    with tempfile.TemporaryDirectory(prefix="hh-") as root:
        own, others, file = (Path(root) / name for name in ("own", "others", "own/.claude.json"))
        own.mkdir()
        others.mkdir(mode=0o755)
        file.touch()
        user = 65_534 if os.geteuid() == 0 else os.geteuid()
        Path(root).chmod(0o755)
        for path in (own, file):
            os.chown(path, user, -1)
        file.chmod(0o400)
        others.chmod(0o555)
        words = [sys.executable, "-c", LOOK, str(user), str(own), str(file), str(others), str(others / "new")]
        variables = hive.variables()
        done = subprocess.run(words, env=variables, capture_output=True, text=True, check=True, timeout=LIMIT_S)
        whose = " and belongs to user 0" if os.geteuid() == 0 else ""
        assert done.stdout.splitlines() == [
            "None",
            f"{file} is not writable",
            f"{others} is not writable{whose}",
            f"{others / 'new'} cannot be created: {others} is not writable",
        ]


def test_it_says_how_the_processes_of_a_turn_are_found(hive: Hive) -> None:
    assert examine(hive)["processes"]["finding"] == "a turn's processes are found by the kernel's lists of children"
    elsewhere = replace(hive, prelude="from hyperhive_cli.claude import guard; guard.WAY = guard.BY_TABLE")
    assert "CONFIG_PROC_CHILDREN" in examine(elsewhere)["processes"]["finding"]

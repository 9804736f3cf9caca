"""`hyperhive login` and `logout` as an operator meets them: real commands, a real harness, a fake claude."""

import io
import json
import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hyperhive_cli.cli.login import Conversation, HarnessLogin
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.settings import resolve_paths
from tests.conftest import FakeClaude, process_state, wait_until
from tests.control.serving import scripted_server
from tests.harness import LIMIT_S, TEXT, Event, Hive, Program, gated, of_kind, outcomes, piped

PAGE = "https://claude.ai/oauth/authorize?fake"
PROMPT = "Paste code here if prompted > "
NOT_LOGGED_IN = [{"replay": "v2.1.330/not_logged_in.jsonl"}]
CODE = "the-code#its-state"


@pytest.fixture
def hive(hive: Hive, fake_claude: FakeClaude) -> Hive:
    """Set up an agent whose claude is not logged in until somebody logs it in."""
    fake_claude.script(NOT_LOGGED_IN, TEXT, logged_in="file")
    return hive


@contextmanager
def login(hive: Hive, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start `hyperhive login`, its stdin a pipe that stays open; wait until claude has named its page, and it shows."""
    with piped(hive, "login", *arguments) as process:
        wait_until(lambda: (status_of(hive)["login"] or {}).get("url") and has_said_something(process))
        yield process


def has_said_something(process: subprocess.Popen[bytes]) -> bool:
    """Whether there is something to read: one that joins a login shows at once what claude has said."""
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
    return bool(select.select(pipes, [], [], 0)[0])


def status_of(hive: Hive) -> Event:
    status: Event = json.loads(hive.call("status", "--json").stdout)
    return status


def statuses(program: Program) -> list[str]:
    return [event["status"] for event in of_kind(program.events(), "status_changed")]


def wait_for_need(program: Program) -> None:
    program.wait_for_kind("status_changed", status="needs_login_idle")


def test_a_login_is_shown_and_the_waiting_message_then_runs(hive: Hive, fake_claude: FakeClaude) -> None:
    with hive.run("--message", "hi") as program:
        wait_for_need(program)
        with login(hive) as process:
            during = status_of(hive)
            assert (during["status"], during["state"]) == ("needs_login_in_progress", "idle")
            assert during["login"]["url"] == PAGE
            assert (during["login"]["finished"], during["login"]["ok"]) == (False, None)
            assert f"login in progress: {PAGE}" in hive.call("status").stdout
            assert process.stdin is not None
            process.stdin.write(b"half\n")
            process.stdin.flush()
            wait_until(lambda: "full code" in status_of(hive)["login"]["output"])
            stdout, stderr = process.communicate(f"{CODE}\n".encode(), LIMIT_S)
        program.wait_for_kind("turn_end", outcome="ok")
        after = status_of(hive)
        assert program.interrupt() == 130
    assert (process.returncode, stderr) == (0, b"")
    shown = stdout.decode()
    assert (PAGE in shown, shown.splitlines()[-1]) == (True, "logged in")
    assert f"{PROMPT}\nThat doesn't look like the full code.\n" in shown
    assert statuses(program) == ["needs_login_idle", "needs_login_in_progress", "online"]
    assert (after["status"], after["login"]["ok"], after["login"]["note"]) == ("online", True, None)
    assert outcomes(program.events()) == ["needs_login", "ok"]
    assert [message["attempts"] for message in hive.messages("--all")] == [1]
    kept = b"".join(path.read_bytes() for path in hive.state_dir.iterdir() if path.is_file())
    assert b"needs_login_in_progress" in kept, "nor would a code be found"
    assert CODE.encode() not in kept
    assert CODE not in "".join(program.stdout)
    assert CODE not in json.dumps(after)
    assert all(map(is_gone, fake_claude.started()))


def is_gone(pid: int) -> bool:
    return process_state(pid) is None


def test_a_login_that_fails_says_what_claude_said(hive: Hive) -> None:
    with hive.run("--message", "hi") as program:
        wait_for_need(program)
        done = hive.call("login", stdin=b"wrong\n")
        assert status_of(hive)["status"] == "needs_login_idle"
    assert (done.status, done.stderr) == (
        1,
        "Error: not logged in: Couldn't log in: that code is not known\nTry: hyperhive login\n",
    )
    assert statuses(program) == ["needs_login_idle", "needs_login_in_progress", "needs_login_idle"]
    assert [message["state"] for message in hive.messages()] == ["ready"]


def test_how_a_login_ended_as_json(hive: Hive) -> None:
    with hive.run():
        with login(hive, "--json") as process:
            stdout, stderr = process.communicate(b"wrong\n", LIMIT_S)
        done = hive.call("login", "--json", stdin=CODE.encode())  # a last line without its end
    detail = json.loads(stdout)
    output, _ = detail.pop("output"), detail.pop("clients")  # this one is, or was, a client
    assert (process.returncode, detail) == (
        1,
        {"url": PAGE, "finished": True, "ok": False, "note": "Couldn't log in: that code is not known"},
    )
    assert output.startswith("Opening browser to sign in…\n")
    assert stderr.decode() == output
    assert (done.status, done.json_lines()[0]["ok"]) == (0, True)


def test_a_login_is_cancelled_from_elsewhere(hive: Hive, fake_claude: FakeClaude) -> None:
    with hive.run("--message", "hi") as program:
        wait_for_need(program)
        with login(hive) as process:
            done = hive.call("login", "--cancel")
            _, stderr = process.communicate(timeout=LIMIT_S)
        assert (done.status, done.stdout) == (0, "the login was cancelled\n")
        assert (process.returncode, stderr.splitlines()[0]) == (1, b"Error: not logged in: the login was cancelled")
        assert status_of(hive)["status"] == "needs_login_idle"
        assert hive.call("login", "--cancel").refusal() == "no login is under way"
        assert all(map(is_gone, fake_claude.started()))


def test_ctrl_c_cancels(hive: Hive, fake_claude: FakeClaude) -> None:
    with hive.run():
        with login(hive) as process:
            process.send_signal(signal.SIGINT)
            assert process.wait(LIMIT_S) == 130
        found = status_of(hive)
        assert (found["status"], found["login"]["note"]) == ("online", "the login was cancelled")
        assert all(map(is_gone, fake_claude.started()))


def clients(hive: Hive) -> int:
    number: int = status_of(hive)["login"]["clients"]
    return number


def test_a_login_outlives_its_command_and_is_joined(hive: Hive, fake_claude: FakeClaude) -> None:
    with hive.run():
        with login(hive) as process:
            process.kill()
            wait_until(lambda: clients(hive) == 0)
        assert not status_of(hive)["login"]["finished"]
        with login(hive) as one, login(hive) as other:
            assert clients(hive) == 2
            assert other.stdin is not None
            other.stdin.write(f"{CODE}\n".encode())
            other.stdin.flush()
            shown = [process.communicate(timeout=LIMIT_S)[0].decode() for process in (one, other)]
        assert (one.returncode, other.returncode) == (0, 0)
        assert shown[0] == shown[1]
        assert PAGE in shown[0]
        assert len(fake_claude.started()) == 1


def test_a_login_ends_when_its_last_client_was_killed_and_what_waits_runs(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, logged_in="file")
    hive.constants = {"harness.login_session.CLIENT_GRACE_S": 0.2}
    with hive.run() as program:
        with login(hive) as process, login(hive) as other:
            hive.call("send", "one")
            process.kill()
            wait_until(lambda: clients(hive) == 1)
            other.kill()
            program.wait_for_kind("turn_end", outcome="ok")
        found = status_of(hive)["login"]
        assert (found["finished"], found["note"]) == (True, "no one followed the login for 0.2 s")
        assert all(map(is_gone, fake_claude.started()))


def test_a_login_that_has_a_client_left_goes_on(hive: Hive) -> None:
    hive.constants = {"harness.login_session.CLIENT_GRACE_S": 0.0}
    with hive.run(), login(hive) as process, login(hive) as other:
        process.kill()
        wait_until(lambda: clients(hive) == 1)
        stdout, _ = other.communicate(f"{CODE}\n".encode(), LIMIT_S)
    assert stdout.decode().splitlines()[-1] == "logged in"


@pytest.mark.parametrize(
    ("variables", "auth", "key"),
    [
        ({"ANTHROPIC_API_KEY": "sk-ant-x"}, {}, "ANTHROPIC_API_KEY"),
        ({}, {"apiKeySource": "apiKeyHelper"}, "apiKeyHelper"),
        ({}, {"apiKeySource": "/login managed key"}, None),
    ],
    ids=["a variable", "a helper", "none"],
)
def test_a_key_that_claude_will_use_instead_is_told_first(
    hive: Hive, fake_claude: FakeClaude, variables: dict[str, str], auth: dict[str, str], key: str | None
) -> None:
    fake_claude.script(TEXT, logged_in="file", auth=auth)
    hive.environment = {**hive.environment, **variables}
    with hive.run():
        done = hive.call("login", stdin=CODE.encode())
    first = "Opening browser" if key is None else f"Note: claude uses {key}, which takes precedence over a login."
    assert done.stdout.startswith(first)
    assert done.stdout.endswith("Login successful.\nlogged in\n")
    assert "sk-ant-x" not in done.stdout


def test_no_turn_starts_during_a_login(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, logged_in="file")
    with hive.run() as program:
        with login(hive):
            hive.call("send", "one")
            # Whatever the ring has set off is done when the harness has answered twice more.
            assert [status_of(hive)["state"] for _ in range(2)] == ["idle", "idle"]
            assert of_kind(program.events(), "turn_start") == []
            hive.call("login", "--cancel")
        program.wait_for_kind("turn_end", outcome="ok")


def test_no_login_and_no_logout_during_a_turn(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), logged_in="file")
    with hive.run("--message", "hi") as program:
        fake_claude.wait_for("before go on")
        for command in ("login", "logout"):
            assert hive.call(command).refusal() == "a turn is running"
        assert status_of(hive)["status"] == "online"
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end", outcome="ok")


def test_a_harness_that_stops_ends_the_login(hive: Hive, fake_claude: FakeClaude) -> None:
    with hive.run() as program:
        with login(hive) as process:
            assert program.interrupt() == 130
            _, stderr = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 1
        assert stderr.splitlines()[0] in {
            b"Error: the harness stopped during the login",
            b"Error: not logged in: the harness stopped",  # it looked once more before the socket closed
        }
    assert all(map(is_gone, fake_claude.started()))
    assert statuses(program) == ["needs_login_in_progress", "online"]


def test_a_harness_that_was_started_anew_knows_of_no_login(state_dir: Path) -> None:
    paths = resolve_paths("bee", state_dir, state_dir, {"HOME": "/"})
    client = HarnessLogin(paths)
    with (
        scripted_server(paths.socket, b'{"ok":true,"login":null}\n'),
        pytest.raises(HyperhiveError, match="restarted"),
    ):
        Conversation(client.fetch, client.enter, io.StringIO()).follow({"output": "", "finished": False})


def test_a_killed_harness_leaves_no_login_behind(hive: Hive, fake_claude: FakeClaude) -> None:
    with hive.run() as program, login(hive):
        program.send(signal.SIGKILL)
        wait_until(lambda: all(map(is_gone, fake_claude.started())))


def test_a_logout_is_followed_by_the_wait_for_a_login(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, logged_in="file")
    fake_claude.touch("logged_in")
    with hive.run() as program:
        done = hive.call("logout")
        assert (done.status, done.stderr) == (0, "")
        assert done.stdout == "Successfully logged out from your Anthropic account.\n"
        assert "needs login (hyperhive login)" in hive.call("status").stdout
        hive.call("send", "one")
        assert hive.call("login", stdin=b"a-code\n").status == 0
        program.wait_for_kind("turn_end", outcome="ok")
    assert statuses(program) == ["needs_login_idle", "needs_login_in_progress", "online"]


def test_a_logout_that_leaves_claude_logged_in_says_so(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, logged_in=True)
    with hive.run():
        done = hive.call("logout")
        assert (done.status, status_of(hive)["status"]) == (1, "online")
    assert done.stderr.startswith("Error: not logged out: claude is still logged in, by a variable")


def test_a_terminal_shows_each_line_once(hive: Hive) -> None:
    """The terminal shows the Enter after a code; what claude says next follows without a blank line."""
    with hive.run():
        master, slave = pty.openpty()
        with subprocess.Popen(
            hive.command("login"),
            env=hive.variables(),
            cwd=hive.workspace,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        ) as process:
            os.close(slave)
            screen = read_until(master, b"prompted > ")
            os.write(master, b"half\n")
            screen += read_until(master, b"full code.")
            os.write(master, b"a-code\n")
            screen += read_until(master, None)
            os.close(master)
            assert process.wait(LIMIT_S) == 0
    shown = screen.decode().replace("\r\n", "\n").partition(PROMPT)[2]
    assert shown == "half\nThat doesn't look like the full code.\na-code\nLogin successful.\nlogged in\n"


def read_until(master: int, end: bytes | None) -> bytes:
    """Read a terminal until these bytes come, or to its end."""
    screen = b""
    with suppress(OSError):  # how Linux says that nobody holds the other side any more
        while (end is None or end not in screen) and (chunk := os.read(master, 4096)):
            screen += chunk
    return screen


def test_what_claude_says_steers_no_terminal(hive: Hive) -> None:
    hive.claude.write_text("#!/bin/sh\nprintf 'a\\033]0;title\\007b\\r\\nc\\n'; printf '\\033[2Jno\\n' >&2; exit 1\n")
    with hive.run():
        done = hive.call("login")
    assert done.status == 1
    assert "a\\x1b]0;title\\x07b\nc\n" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "not logged in: \\x1b[2Jno" in done.stderr

"""`hyperhive send` once its message is stored: nothing that fails after that makes it fail."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hyperhive_cli.store.inbox import open_inbox
from tests.conftest import FakeClaude
from tests.harness import BAD_REQUEST, LIMIT_S, TEXT, Hive, gated
from tests.store.made_messages import lease, settle

REFUSAL = b'{"ok": false, "error": "a turn may not steer its own harness", "hint": null, "exit_code": 1}\n'


@contextmanager
def answering(path: Path, reply: bytes) -> Iterator[None]:
    """Listen on a control socket and give each peer that asks this reply."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                peer, _ = server.accept()
                with peer:
                    if not (asked := peer.recv(4096)):
                        return
                    if asked != b"stop":
                        peer.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
                last.connect(str(path))
            thread.join(LIMIT_S)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (REFUSAL, "a turn may not steer its own harness"),
        (b"what?\n", "the control socket sent something other than a JSON object"),
    ],
    ids=["refused", "nonsense"],
)
def test_a_refused_wake_up_is_a_remark(hive: Hive, reply: bytes, why: str) -> None:
    hive.state_dir.mkdir(mode=0o700, exist_ok=True)
    with answering(hive.state_dir / "control.sock", reply):
        done = hive.call("send", "one")
    assert (done.status, done.stdout) == (0, "1\n")
    assert done.stderr == f"the message is stored, but the harness could not be told of it: {why}\n"
    assert [message["body"] for message in hive.messages()] == ["one"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a socket away")
def test_another_users_socket_is_a_remark(hive: Hive) -> None:
    path = hive.state_dir / "control.sock"
    hive.state_dir.mkdir(mode=0o700, exist_ok=True)
    with answering(path, b'{"ok": true}\n'):
        os.chown(path, 12345, 12345)
        done = hive.call("send", "one")
    assert (done.status, done.stdout) == (0, "1\n")
    assert f"the control socket {path} belongs to another user" in done.stderr


def shell(hive: Hive, redirection: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with outputs that a shell has redirected."""
    return hive.program("sh", "-c", f'"$@" {redirection}', "sh", *hive.command(*words))


@pytest.mark.parametrize("words", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">/dev/full", "No space left on device"), (">&-", "stdout is closed")],
    ids=["full", "closed"],
)
@pytest.mark.few(1)
def test_a_stdout_that_takes_nothing_is_a_remark(hive: Hive, words: list[str], redirection: str, why: str) -> None:
    done = shell(hive, redirection, "send", "one", *words)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"message 1 is stored, but its id could not be printed: {why}\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(hive.messages()) == 1


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"], ids=["full", "closed"])
def test_a_stderr_that_takes_nothing_changes_nothing(hive: Hive, redirection: str) -> None:
    done = shell(hive, redirection, "send", "one", "--key", "k")
    again = shell(hive, redirection, "send", "one", "--key", "k")
    assert (done.returncode, done.stdout, again.returncode, again.stdout) == (0, "1\n", 0, "1\n")


def test_both_outputs_may_be_full(hive: Hive) -> None:
    assert shell(hive, ">/dev/full 2>/dev/full", "send", "one").returncode == 0
    assert len(hive.messages()) == 1


def test_a_result_that_cannot_be_printed_is_said_with_its_message(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run():
        done = shell(hive, ">/dev/full", "send", "one", "--wait")
    assert (done.returncode, done.stderr.splitlines()) == (1, [
        "Error: message 1 is done, but its result could not be printed: No space left on device",
        "Try: hyperhive inbox show 1",
    ])  # fmt: skip


# --- moments ---


def test_a_message_for_later_is_said_to_run_at_a_moment_of_the_local_zone(hive: Hive) -> None:
    later = datetime(2098, 10, 26, 6, 30, tzinfo=ZoneInfo("Europe/Berlin"))  # the day after a change
    berlin = {"TZ": "Europe/Berlin"}
    done = hive.call("send", "one", "--at", "2098-10-26 6:30", "--json", variables=berlin)
    (found,) = done.json_lines()
    assert done.stderr.splitlines()[0] == "runs at Sun 26 Oct 2098 06:30 CET"
    assert found == {"id": 1, "state": "ready", "not_before": later.timestamp() * 1000, "sent_before": False}
    text = hive.call("send", "two", "--at", "2098-07-01 6:30", variables=berlin)
    assert (text.stdout, text.stderr.splitlines()[0]) == ("2\n", "runs at Tue 1 Jul 2098 06:30 CEST")


def test_a_time_that_is_none_is_refused_with_examples(hive: Hive) -> None:
    done = hive.call("send", "one", "--at", "noon")
    assert done.refusal(2) == "not a valid time: 'noon'"
    assert done.stderr.splitlines()[1] == "Try: 14:30, +2h30m, tomorrow 9:00, or 2026-11-23T09:00"
    assert hive.messages() == []


# --- keys ---


def test_a_key_says_what_became_of_its_message(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    hive.call("send", "one", "--key", "k")
    waits = hive.call("send", "one", "--key", "k")
    assert waits.stderr.splitlines()[0] == "message 1 was sent before and waits"
    with hive.run() as program:
        program.wait_for_kind("turn_start")
        runs = hive.call("send", "one", "--key", "k")
        assert (runs.status, runs.stdout, runs.stderr) == (0, "1\n", "message 1 was sent before and is running\n")
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end")
        done = hive.call("send", "one", "--key", "k")
    assert (done.status, done.stdout, done.stderr) == (0, "1\n", "message 1 was sent before and is done\n")
    (found,) = hive.call("send", "one", "--key", "k", "--json").json_lines()
    assert found == {"id": 1, "state": "done", "not_before": 0, "sent_before": True}


def test_a_held_message_is_not_said_to_wait_for_a_harness(hive: Hive) -> None:
    hive.call("send", "one", "--key", "k")
    with open_inbox(hive.state_dir / "hyperhive-inbox.sqlite") as inbox:
        settle(inbox, lease(inbox, now_ms=10**13), "held")
    again = hive.call("send", "one", "--key", "k")
    assert (again.status, again.stdout, again.stderr) == (0, "1\n", "message 1 was sent before and is held\n")


def test_the_key_of_a_dead_message_is_refused_until_it_is_retried(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(BAD_REQUEST)
    hive.call("send", "one", "--key", "k")
    hive.drain()
    again = hive.call("send", "one", "--key", "k")
    assert again.refusal() == "message 1 has the key 'k' and is dead: it will not run"
    assert again.stderr.splitlines()[1] == "Try: hyperhive inbox retry 1"
    assert hive.call("inbox", "retry", "1").status == 0
    assert hive.call("send", "one", "--key", "k").stdout == "1\n"


@pytest.mark.parametrize("option", [("--raw",), ("--from", "bob"), ("--at", "+2h")], ids=lambda option: option[0])
def test_a_key_with_another_option_is_refused(hive: Hive, option: tuple[str, ...]) -> None:
    hive.call("send", "one", "--key", "k")
    again = hive.call("send", "one", "--key", "k", *option)
    assert again.refusal() == f"the key 'k' was used for message 1 with a different {option[0]}"

"""Who has connected, from whom a process descends, and what is refused to whom."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperhive_cli.control.client import call, open_events
from hyperhive_cli.control.peer import Peer, child_towards, is_below, peer_of
from hyperhive_cli.core.errors import HyperhiveError, RefusedError
from hyperhive_cli.harness.operations import OPEN_TO_TURNS, refuse_turns
from tests.control.serving import LIMIT_S, serving

NOBODY = 65_534
# Says its own id, and works on when its stdin has ended.
TALKER = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
# Leaves a child behind, says the child's id once that is an orphan, and both wait for the end of stdin.
FORKER = """
import os, sys, time
if os.fork() == 0:
    me = os.getpid()
    if os.fork() == 0:
        os.setsid()
        while os.getppid() == me:
            time.sleep(0.005)
        print(os.getpid(), flush=True)
        sys.stdin.read()
    os._exit(0)
os.wait()
sys.stdin.read()
"""
# Connects as another user and prints what it got: a reply, or the name of the error.
STRANGER = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(sys.argv[1])
        connection.sendall(b'{"op":"echo"}\\n')
        print(connection.recv(1000))
except OSError as error:
    print(type(error).__name__)
"""


@contextmanager
def running(code: str) -> Iterator[tuple[int, int]]:
    """Run a program that says a process id; yield its own and that one."""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())


def refused(op: str, peer: Peer | None) -> bool:
    try:
        refuse_turns(op, peer)
    except RefusedError:
        return True
    return False


def test_a_child_descends_and_its_parent_does_not() -> None:
    with running(TALKER) as (pid, _):
        assert child_towards(pid, os.getpid())
        assert child_towards(pid, os.getppid())
        assert child_towards(os.getpid(), pid) == 0
        assert child_towards(os.getpid(), os.getpid()) == 0
    assert child_towards(pid, os.getpid()) is None  # it has ended
    assert child_towards(0, os.getpid()) == 0
    assert is_below(os.getppid())
    assert not is_below(os.getpid())


def test_a_name_with_a_bracket_confuses_nobody() -> None:
    code = "open('/proc/self/comm', 'w').write(') S 1 1 (')\n" + TALKER
    with running(code) as (pid, _):
        assert ") S 1 1" in Path(f"/proc/{pid}/stat").read_text()
        assert child_towards(pid, os.getpid())


def test_an_orphan_descends_from_the_subreaper_above_it() -> None:
    subreaper = "import ctypes\nctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
    with running(subreaper + FORKER) as (parent, orphan):
        assert child_towards(orphan, parent)
        assert child_towards(orphan, os.getpid())


@pytest.mark.parametrize("op", ["send", "cancel", "ring", "may_steer", "of a later release", ""])
def test_what_we_have_started_may_look_and_not_steer(op: str) -> None:
    with running(TALKER) as (pid, _):
        child = Peer(pid, os.getuid())
        assert refused(op, child)
        assert [refused(open_op, child) for open_op in sorted(OPEN_TO_TURNS)] == [False, False]
    assert refused(op, child)  # it has ended, and who knows whom it left its connection
    assert not refused("status", child)
    for other in (Peer(os.getpid(), os.getuid()), Peer(os.getppid(), os.getuid()), Peer(0, 0), None):
        assert not refused(op, other)


def test_the_kernel_says_who_has_connected() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_of(ours) == Peer(os.getpid(), os.getuid())


def test_the_server_asks_before_each_operation(path: Path) -> None:
    asked: list[tuple[str, Peer | None]] = []

    def admit(op: str, peer: Peer | None) -> None:
        asked.append((op, peer))
        if op != "echo":
            raise RefusedError("not you", "another user")

    with serving(path, admit=admit):
        assert call(path, "echo", limit_s=LIMIT_S)["echo"] == {}
        with pytest.raises(HyperhiveError, match="not you"):
            call(path, "hang", limit_s=LIMIT_S)
        with pytest.raises(HyperhiveError, match="not you"), open_events(path, None):
            pass
    me = Peer(os.getpid(), os.getuid())
    assert asked == [("echo", me), ("hang", me), ("events", me)]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_gets_no_answer_even_where_the_modes_were_opened(path: Path) -> None:
    def as_stranger() -> str:
        command = [sys.executable, "-c", STRANGER, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S).stdout.strip()

    with serving(path):
        assert as_stranger() == "PermissionError"
        path.parent.chmod(0o755)
        path.chmod(0o666)
        assert as_stranger() in {"b''", "ConnectionResetError", "BrokenPipeError"}
        assert call(path, "echo", limit_s=LIMIT_S)["echo"] == {}

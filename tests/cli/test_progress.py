"""The line that a waiting command draws on stderr: on a terminal alone, and gone in the end."""

import os
import pty
import subprocess
from contextlib import suppress

import pytest

from tests.conftest import FakeClaude, wait_until
from tests.harness import ANSWER, LIMIT_S, Hive, gated
from tests.unit.screen import Screen


@pytest.mark.parametrize("words", [["send", "hello", "--wait"], ["--plain", "send", "hello", "--wait"]], ids=" ".join)
def test_a_wait_is_shown_on_a_terminal_and_leaves_nothing(
    words: list[str], hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(gated())
    leader, follower = pty.openpty()
    shown = bytearray()
    with hive.run():
        process = subprocess.Popen(
            hive.command(*words), env=hive.variables(TERM="xterm"), cwd=hive.workspace, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=follower, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        try:
            fake_claude.wait_for("before go on")
            if "--plain" not in words:
                wait_until(lambda: _read(leader, shown) and b"message 1 runs, 0:0" in shown, LIMIT_S)
            fake_claude.touch("go on")
            answer = process.communicate(timeout=LIMIT_S)[0].decode()
            _read(leader, shown)
        finally:
            process.kill()
            process.wait()
            os.close(leader)
    assert (answer.startswith(ANSWER), process.returncode) == (True, 0)
    assert ("\x1b" in shown.decode(), _left(shown)) == ("--plain" not in words, "")


def _left(shown: bytearray) -> str:
    """Return what is left on the screen; `erase to the end` is this test's own."""
    return Screen().feed(shown.decode().replace("\r\x1b[K", "\r\x1b[2K").replace("\x1b[K", "")).text


def _read(leader: int, shown: bytearray) -> bool:
    """Take what there is; the end of a terminal is an error on Linux."""
    os.set_blocking(leader, False)
    with suppress(OSError):
        shown += os.read(leader, 1 << 16)
    return True


def test_in_a_pipe_a_wait_says_nothing(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    with hive.run(), hive.start("send", "hello", "--wait") as waits:
        fake_claude.wait_for("before go on")
        fake_claude.touch("go on")
        assert waits.wait() == 0
    assert waits.stderr == []

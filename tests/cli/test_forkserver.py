"""The commands that the tests fork are as those that a shell starts."""

import signal
from dataclasses import replace

import pytest

from tests.harness import Hive


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["--version"], b""),
        (["status"], b""),
        (["status", "--json"], b""),
        (["send", "-", "--key", "one"], b"once \xff\n"),
        (["inbox", "show", "99"], b""),
        (["run", "--drain", "--claude", "nowhere"], b""),
        (["no such command"], b""),
        ([], b""),
    ],
)
@pytest.mark.few(3)
def test_a_forked_command_says_and_ends_as_one_that_was_started(words: list[str], stdin: bytes, hive: Hive) -> None:
    hive.call("send", "hello")
    started = replace(hive, forkserver=None)
    assert hive.call(*words, stdin=stdin) == started.call(*words, stdin=stdin)


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_signal_reaches_it_and_its_end_is_known(signum: int, status: int, hive: Hive) -> None:
    with hive.run() as program:
        assert program.process.poll() is None
        program.send(signum)
        assert (program.wait(), program.process.poll()) == (status, status)


def test_it_has_its_own_environment_and_folder(hive: Hive) -> None:
    name = {"HYPERHIVE_AGENT": "queen"}
    assert hive.call("status", "--json", variables=name).json_lines()[0]["agent"] == "queen"
    assert hive.status()["agent"] == hive.workspace.name


def test_a_constant_that_is_none_is_no_silent_wish(hive: Hive) -> None:
    hive.constants = {"harness.hook.NO_LIMIT_S": 1.0}
    with pytest.raises(AssertionError):
        hive.call("--version")

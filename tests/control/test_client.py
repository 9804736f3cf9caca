"""The control socket's client: it returns the whole reply, or reports in time that no harness answers."""

import json
import socket
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from hyperhive_cli.control import client
from hyperhive_cli.control.client import GoneError, call, open_events
from hyperhive_cli.core.errors import HyperhiveError
from tests.control.serving import LIMIT_S, EchoHandler, scripted_server, serving

SNAPSHOT = b'{"ok":true,"seq":7}\n'


def leave_stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))


ABSENT: dict[str, Callable[[Path], None]] = {
    "nothing": lambda _: None,
    "a stale socket": leave_stale_socket,
    "a file": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("leave", ABSENT.values(), ids=ABSENT.keys())
def test_where_nobody_listens_the_client_says_so(path: Path, leave: Callable[[Path], None]) -> None:
    leave(path)
    with pytest.raises(GoneError):
        call(path, "status")
    with pytest.raises(GoneError), open_events(path, None):
        pass


def test_a_path_too_long_for_a_socket_is_one_where_nobody_listens(state_dir: Path) -> None:
    for path in (state_dir / ("x" * 200), state_dir / ("x" * 200) / "control.sock"):
        with pytest.raises(GoneError):
            call(path, "status")


@pytest.mark.parametrize("said", [b"", b'{"ok":tr', b'{"ok":true}'])
def test_a_server_that_dies_before_the_end_of_its_reply_is_gone(path: Path, said: bytes) -> None:
    with scripted_server(path, said), pytest.raises(GoneError, match="went away"):
        call(path, "status", limit_s=LIMIT_S)


def test_a_server_that_ends_during_an_operation_is_gone(path: Path) -> None:
    with serving(path) as served:

        def stop() -> None:
            assert isinstance(served.handler, EchoHandler)
            served.handler.hanging.wait(LIMIT_S)
            served.stop()

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(GoneError, match="went away"):
            call(path, "hang", limit_s=None)
        stopper.join()


def test_a_reply_that_does_not_come_is_waited_for_no_longer_than_was_said(path: Path) -> None:
    over = threading.Event()
    with scripted_server(path, over):
        began = time.monotonic()
        with pytest.raises(GoneError, match="timed out"):
            call(path, "status", limit_s=0.05)
        assert time.monotonic() - began < LIMIT_S / 2
        over.set()


def test_an_operation_without_a_limit_is_waited_for(path: Path) -> None:
    gate = threading.Event()
    with scripted_server(path, gate, b'{"ok":true,"outcome":"ok"}\n'):
        release = threading.Timer(0.05, gate.set)
        release.start()
        assert call(path, "compact", limit_s=None) == {"ok": True, "outcome": "ok"}
        release.join()


def test_a_large_reply_comes_whole_however_it_is_cut(path: Path) -> None:
    reply = {"ok": True, "text": "é\n" * 100_000}
    line = json.dumps(reply).encode() + b"\n"
    with scripted_server(path, *(line[at : at + 7_777] for at in range(0, len(line), 7_777))):
        assert call(path, "status", limit_s=LIMIT_S) == reply


@pytest.mark.parametrize("line", [b"hello\n", b"[]\n", b"\xff\n", b"\n"])
def test_a_reply_that_is_none_is_a_clear_error(path: Path, line: bytes) -> None:
    with scripted_server(path, line), pytest.raises(HyperhiveError, match="something other than a JSON object"):
        call(path, "status", limit_s=LIMIT_S)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (b'{"ok":false,"error":"no","hint":"yes","exit_code":2}\n', ("no", "yes", 2)),
        (b'{"ok":false}\n', ("the harness refused", None, 1)),
        (b"{}\n", ("the harness refused", None, 1)),
    ],
)
def test_a_refusal_is_raised_as_the_error_that_it_reports(
    path: Path, reply: bytes, found: tuple[str, str | None, int]
) -> None:
    with scripted_server(path, reply), pytest.raises(HyperhiveError) as caught:
        call(path, "status", limit_s=LIMIT_S)
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == found


def test_events_that_are_refused_are_an_error_at_the_opening(path: Path) -> None:
    refusal = b'{"ok":false,"error":"no","hint":null,"exit_code":1}\n'
    with scripted_server(path, refusal), pytest.raises(HyperhiveError, match="no"), open_events(path, None):
        pass


@pytest.mark.parametrize("said", [b"", SNAPSHOT[:-1]])
def test_a_server_that_dies_before_its_snapshot_is_gone(path: Path, said: bytes) -> None:
    with scripted_server(path, said), pytest.raises(GoneError), open_events(path, None):
        pass


def test_a_snapshot_that_does_not_come_is_not_waited_for_without_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CALL_LIMIT_S", 0.05)
    over = threading.Event()
    with scripted_server(path, over):
        with pytest.raises(GoneError), open_events(path, None):
            pass
        over.set()


def test_events_are_cut_at_newlines_alone_and_the_torn_last_one_is_dropped(path: Path) -> None:
    feed = SNAPSHOT + b'{"a":"\xe2\x80\xa8\r"}\n{"b":1}\n{"c":'
    with (
        scripted_server(path, *(feed[at : at + 1] for at in range(len(feed)))),
        open_events(path, 3) as (snapshot, lines),
    ):
        assert snapshot == {"ok": True, "seq": 7}
        assert list(lines) == [b'{"a":"\xe2\x80\xa8\r"}', b'{"b":1}']


def test_events_that_come_with_the_snapshot_are_not_lost(path: Path) -> None:
    with scripted_server(path, SNAPSHOT + b'{"a":1}\n{"b":1}\n'), open_events(path, None) as (_, lines):
        assert list(lines) == [b'{"a":1}', b'{"b":1}']


def test_silence_gives_empty_lines_and_tears_no_event(path: Path) -> None:
    half, rest = threading.Event(), threading.Event()
    with (
        scripted_server(path, SNAPSHOT, half, b'{"a":', rest, b"1}\n"),
        open_events(path, None, tick_s=0.01) as (_, lines),
    ):
        assert list(islice(lines, 3)) == [b"", b"", b""]
        half.set()
        assert list(islice(lines, 3)) == [b"", b"", b""]
        rest.set()
        assert [line for line in lines if line] == [b'{"a":1}']


def test_a_request_says_what_was_asked(path: Path) -> None:
    with serving(path):
        assert call(path, "echo", limit_s=None, model="opus", key=None)["echo"] == {"model": "opus", "key": None}

"""The control socket's server, over a real socket: what it answers, whom it turns away, and who cannot hold it up."""

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.loop import AgentLoop
from hyperhive_cli.claude.argv import Launch
from hyperhive_cli.control import server
from hyperhive_cli.control.client import call, open_call, open_events
from hyperhive_cli.control.server import Consoles
from hyperhive_cli.control.wire import REQUEST_LIMIT_BYTES
from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.core.events import Stream
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.harness.login import LoginService
from hyperhive_cli.harness.operations import ControlHandler
from hyperhive_cli.store.inbox import open_inbox
from tests.conftest import wait_until
from tests.control.serving import LIMIT_S, EchoHandler, Served, read_all, serving, talking


@pytest.fixture
def served(path: Path) -> Iterator[Served]:
    with serving(path) as running:
        yield running


@pytest.fixture
def recorded(path: Path, tmp_path: Path) -> Iterator[Served]:
    """Serve with a history."""
    with serving(path, tmp_path / "events.sqlite") as running:
        yield running


def assert_answers(path: Path) -> None:
    assert call(path, "echo", limit_s=LIMIT_S)["echo"] == {}


def seqs(lines: Iterator[bytes], count: int) -> list[int | None]:
    return [json.loads(line)["seq"] for line in islice(lines, count)]


def echo_followers(served: Served) -> int:
    assert isinstance(served.handler, EchoHandler)
    return served.handler.followers


# --- requests ---


@pytest.mark.usefixtures("served")
def test_a_request_gets_its_reply(path: Path) -> None:
    arguments: dict[str, Any] = {
        "text": "a\nb\u2028é\U0001f600\x00",
        "number": 7,
        "nothing": None,
        "list": [1, {"a": True}],
    }
    assert call(path, "echo", **arguments) == {"ok": True, "echo": arguments}


@pytest.mark.usefixtures("served")
def test_a_refusal_carries_its_hint_and_exit_code(path: Path) -> None:
    found = []
    for op in ("refuse", "misuse", "fly"):
        with pytest.raises(HyperhiveError) as caught:
            call(path, op)
        found.append((caught.value.message, caught.value.hint, caught.value.exit_code))
    assert found == [
        ("not now", "try later", 1),
        ("what is this", None, 2),
        ("no operation 'fly'", "ask for another", 2),
    ]


JUNK = {
    "not JSON": b"hello\n",
    "nothing": b"\n",
    "a list": b"[1]\n",
    "no text": b"\xff\xfe\x00\n",
    "deep": b"[" * 50_000 + b"\n",
    "a huge number": b'{"op":' + b"9" * 50_000 + b"}\n",
}


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("line", JUNK.values(), ids=JUNK.keys())
def test_a_line_that_is_no_request_is_refused(path: Path, line: bytes) -> None:
    with talking(path) as connection:
        connection.sendall(line)
        reply = json.loads(read_all(connection))
    assert (reply["ok"], reply["exit_code"]) == (False, 1)
    assert "something other than a JSON object" in reply["error"]
    assert_answers(path)


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("op", [b"{}", b'{"op":null}', b'{"op":{"a":1}}', b'{"op":["events"]}', b'{"op":"\\ud800"}'])
def test_a_request_without_a_known_operation_is_refused(path: Path, op: bytes) -> None:
    with talking(path) as connection:
        connection.sendall(op + b"\n")
        reply = json.loads(read_all(connection))
    assert (reply["ok"], reply["hint"]) == (False, "ask for another")
    assert_answers(path)


@pytest.mark.usefixtures("served")
def test_a_fault_of_the_handler_ends_one_talk_and_neither_the_harness_nor_its_turn(path: Path) -> None:
    assert call(path, "stumble", number=1) == {"ok": True, "sum": 2}
    with pytest.raises(HyperhiveError, match=r"the harness failed at 'stumble': TypeError: unsupported operand"):
        call(path, "stumble", number="x")
    assert_answers(path)


@pytest.mark.usefixtures("served")
def test_a_request_in_pieces_is_put_together_and_what_follows_it_is_ignored(path: Path) -> None:
    with talking(path) as connection:
        for piece in (b'{"op":"ec', b'ho","a"', b':1}\n{"op":"refuse"}\n'):
            connection.sendall(piece)
        assert json.loads(read_all(connection)) == {"ok": True, "echo": {"a": 1}}


@pytest.mark.usefixtures("served")
def test_a_request_within_the_limit_is_taken_and_a_larger_one_turned_away(path: Path) -> None:
    text = "x" * (REQUEST_LIMIT_BYTES - 100)
    assert call(path, "echo", text=text)["echo"] == {"text": text}
    with talking(path) as connection:
        with pytest.raises(OSError, match=r"pipe|reset"):  # noqa: PT012 - it depends on when the other side closes
            for _ in range(1_000):
                connection.sendall(b"x" * 10_000)
        assert not read_all(connection).startswith(b'{"ok":true')
    assert_answers(path)


@pytest.mark.usefixtures("served")
def test_a_request_without_its_newline_is_no_request(path: Path) -> None:
    with talking(path) as connection:
        connection.sendall(b'{"op":"echo"}')
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""
    assert_answers(path)


@pytest.mark.parametrize("said", [b"", b'{"op":', b'{"op":"hang"}\n', b'{"op":"events"}\n'])
def test_a_peer_that_hangs_up_ends_its_own_talk_alone(path: Path, served: Served, said: bytes) -> None:
    for _ in range(5):
        with talking(path) as connection:
            connection.sendall(said)
    assert_answers(path)
    wait_until(lambda: echo_followers(served) == 0)


def test_a_peer_that_stays_is_known_until_it_goes(path: Path, served: Served) -> None:
    handler = served.handler
    assert isinstance(handler, EchoHandler)
    with open_call(path, "echo") as one, open_call(path, "echo"):
        assert one["echo"] == {}
        wait_until(lambda: handler.staying == ["echo", "echo"])
        assert_answers(path)
    wait_until(lambda: handler.staying == [])


def test_a_peer_that_stays_is_let_go_when_there_is_nothing_left_to_stay_for(path: Path, served: Served) -> None:
    handler = served.handler
    assert isinstance(handler, EchoHandler)
    with talking(path) as connection:
        connection.sendall(b'{"op":"echo","stay":true}\n')
        wait_until(lambda: handler.staying == ["echo"])
        served.do(handler.let_go.set)
        assert read_all(connection) == b'{"ok":true,"echo":{}}\n'


@pytest.mark.parametrize("op", ["refuse", "stumble"])
def test_nobody_stays_for_what_was_refused(path: Path, served: Served, op: str) -> None:
    handler = served.handler
    assert isinstance(handler, EchoHandler)
    with pytest.raises(HyperhiveError), open_call(path, op):
        pass
    assert_answers(path)
    assert handler.staying == []


def test_an_operation_that_takes_long_holds_up_nobody_else(path: Path, served: Served) -> None:
    with talking(path) as connection:
        connection.sendall(b'{"op":"hang"}\n')
        assert isinstance(served.handler, EchoHandler)
        assert served.handler.hanging.wait(LIMIT_S)
        assert_answers(path)


@pytest.mark.usefixtures("served")
def test_fifty_peers_at_once_each_get_their_own_answer(path: Path) -> None:
    gate, answers = threading.Barrier(50), dict[int, object]()

    def ask(number: int) -> None:
        gate.wait()
        answers[number] = call(path, "echo", number=number)["echo"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: {"number": number} for number in range(50)}


# --- events ---


def test_the_events_begin_with_a_snapshot_and_go_on_live(path: Path, recorded: Served) -> None:
    recorded.note("before")
    with open_events(path, None) as (snapshot, lines):
        assert snapshot == {"ok": True, **recorded.do(recorded.bus.snapshot)}
        assert snapshot["seq"] == 1
        recorded.note("one", "two")
        found = [json.loads(line) for line in islice(lines, 2)]
    assert [(event["seq"], event["kind"], event["text"]) for event in found] == [(2, "note", "one"), (3, "note", "two")]


def test_the_events_since_a_number_come_without_gap_or_double(path: Path, recorded: Served) -> None:
    recorded.do(recorded.bus.publish, *[Stream.from_line({"type": "x"})] * 600)
    over = threading.Event()

    def publish() -> None:
        while not over.is_set():
            recorded.note("x")

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        for since in (0, 599, 300):
            with open_events(path, since) as (_, lines):
                assert seqs(lines, 700) == list(range(since + 1, since + 701))
    finally:
        over.set()
        publisher.join()


@pytest.mark.parametrize("since", [10**6, 10**30, "3", None, 1.5, [1]])
def test_a_since_from_beyond_the_feed_or_of_no_sense_begins_now(path: Path, recorded: Served, since: Any) -> None:  # noqa: ANN401 - a peer may send anything
    recorded.note("a", "b")
    with open_events(path, since) as (_, lines):
        recorded.note("c")
        assert seqs(lines, 1) == [3]


@pytest.mark.parametrize("partial", [True, False])
def test_partial_lines_are_sent_to_those_alone_who_ask(path: Path, served: Served, partial: bool) -> None:
    delta = Stream.from_line({"type": "stream_event"})
    with open_events(path, None, partial=partial) as (_, lines):
        wait_until(lambda: echo_followers(served) == 1)
        served.do(served.bus.publish, delta, Stream.from_line({"type": "x"}), delta)
        served.note("last")
        assert seqs(lines, 4 if partial else 2) == ([None, 1, None, 2] if partial else [1, 2])


def test_a_line_is_sent_as_claude_wrote_it(path: Path, served: Served) -> None:
    with open_events(path, None) as (_, lines):
        wait_until(lambda: echo_followers(served) == 1)
        served.do(served.bus.publish, Stream.from_line({"a": 1.0}, b'{"a" :  1.0e0}'))
        assert next(lines).endswith(b'"kind":"stream","a" :  1.0e0}')


def test_fifty_followers_all_get_everything(path: Path, served: Served) -> None:
    found = dict[int, list[int | None]]()

    def follow(number: int) -> None:
        with open_events(path, 0) as (_, lines):
            found[number] = seqs(lines, 100)

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    wait_until(lambda: echo_followers(served) == 50)
    served.note(*["x"] * 100)
    for thread in threads:
        thread.join()
    assert found == {number: list(range(1, 101)) for number in range(50)}


def test_a_follower_that_takes_nothing_is_dropped_and_holds_up_nobody(
    path: Path, recorded: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WRITE_LIMIT_S", 0.3)
    with talking(path) as idle, open_events(path, None) as (_, lines):
        idle.sendall(b'{"op":"events"}\n')
        wait_until(lambda: echo_followers(recorded) == 2)
        big = Stream.from_line({"type": "x", "text": "x" * 100_000})
        for number in range(1, 31):  # more than a socket holds
            recorded.do(recorded.bus.publish, big)
            assert seqs(lines, 1) == [number]
        wait_until(lambda: echo_followers(recorded) == 1)
        assert read_all(idle).count(b"\n") < 30  # and it is told by the end of the stream
        recorded.note("on")
        assert seqs(lines, 1) == [31]
    assert_answers(path)


def test_a_follower_that_hangs_up_while_nothing_happens_is_forgotten(path: Path, served: Served) -> None:
    with open_events(path, None):
        wait_until(lambda: echo_followers(served) == 1)
    wait_until(lambda: echo_followers(served) == 0)


def test_a_follower_is_told_by_the_end_of_the_stream_that_the_server_ends(path: Path, served: Served) -> None:
    with open_events(path, 0) as (_, lines):
        served.note("one")
        assert seqs(lines, 1) == [1]
        served.stop()
        assert list(lines) == []


def test_the_feed_ends_for_followers_when_the_bus_is_closed(path: Path, served: Served) -> None:
    with open_events(path, 0) as (_, lines):
        served.note("one", "two")
        served.do(served.bus.close)
        assert seqs(lines, 9) == [1, 2]
    assert_answers(path)


# --- the socket ---


def test_the_socket_is_for_its_owner_alone_and_goes_with_the_server(path: Path) -> None:
    before = os.umask(0)
    try:
        with serving(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert not path.exists()


def test_a_socket_may_lie_deeper_than_an_address_is_long(state_dir: Path) -> None:
    path = state_dir / ("x" * 120) / ("y" * 120) / "control.sock"
    before = os.umask(0)
    try:
        with serving(path):
            assert_answers(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parents[1])] == [0o700] * 2
    finally:
        os.umask(before)
    assert not path.exists()


def test_a_stale_socket_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    with serving(path):
        assert_answers(path)


def test_a_folder_that_was_made_for_the_socket_alone_goes_with_it(state_dir: Path) -> None:
    folder = state_dir / "hyperhive-0123"
    with serving(folder / "control.sock"):
        assert_answers(folder / "control.sock")
    assert not folder.exists()


MAKE: dict[str, Callable[[Path], None]] = {
    "a file": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to("elsewhere"),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_what_is_no_socket_is_not_removed(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    before = path.lstat()
    with pytest.raises(StoreError, match="exists and is not a socket"), serving(path):
        pass
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_where_others_may_write_is_refused(state_dir: Path, mode: int) -> None:
    folder = state_dir / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(StoreError, match="other users can write") as caught, serving(folder / "control.sock"):
        pass
    assert caught.value.hint == f"chmod 700 {folder}"
    assert list(folder.iterdir()) == []


def test_a_link_to_a_folder_is_refused(state_dir: Path) -> None:
    (state_dir / "real").mkdir(mode=0o700)
    (state_dir / "link").symlink_to(state_dir / "real")
    with pytest.raises(StoreError), serving(state_dir / "link" / "control.sock"):
        pass


def test_a_missing_folder_is_created_for_its_owner_alone(state_dir: Path) -> None:
    before = os.umask(0)
    try:
        with serving(state_dir / "new" / "control.sock"):
            assert stat.S_IMODE((state_dir / "new").stat().st_mode) == 0o700
    finally:
        os.umask(before)


# --- the harness's own operations ---


@pytest.fixture
def harness(path: Path, tmp_path: Path) -> Iterator[Path]:
    """Serve what a harness serves, with no turn running, and yield the file of the model."""
    file = tmp_path / "choice" / "model"
    file.parent.mkdir()

    def make(_: Bus, stack: ExitStack) -> ControlHandler:
        inbox = stack.enter_context(open_inbox(tmp_path / "inbox.sqlite"))
        bus = Bus(model_file=file)
        config = AgentConfig(launch=Launch(("claude",)), workspace=tmp_path, environment={})
        control = AgentLoop(config, inbox, bus).control
        return ControlHandler(bus, control, inbox, LoginService(config, control), Consoles())

    with serving(path, make_handler=make):
        yield file


def refusal(path: Path, op: str, **arguments: Any) -> tuple[str, str | None, int]:  # noqa: ANN401 - JSON values
    with pytest.raises(HyperhiveError) as caught:
        call(path, op, **arguments)
    return caught.value.message, caught.value.hint, caught.value.exit_code


@pytest.mark.usefixtures("harness")
def test_a_harness_refuses_operations_that_it_does_not_know(path: Path) -> None:
    message = "this harness does not know the operation 'fly'"
    assert refusal(path, "fly") == (message, "restart it after an upgrade", 2)


@pytest.mark.usefixtures("harness")
def test_a_harness_without_a_turn_or_a_session_refuses_to_cancel_and_to_compact(path: Path) -> None:
    assert refusal(path, "cancel") == ("no turn is running", None, 1)
    for op in ("login_code", "login_cancel"):
        assert refusal(path, op) == ("no login is under way", "hyperhive login", 1)
    assert refusal(path, "compact") == ("there is no session yet to compact", "hyperhive send 'what to do'", 1)


def test_a_harness_stores_a_model_and_reports_it(path: Path, harness: Path) -> None:
    assert call(path, "set_model", model=" opus ") == {"ok": True, "model": "opus"}
    assert harness.read_text() == "opus\n"
    status = call(path, "status")
    assert (status["model"], status["running"], status["pid"], status["unread"]) == ("opus", True, os.getpid(), 0)


@pytest.mark.parametrize("name", ["", "-x", "a b", "\ud800", "x" * 201, [1, 2]])
def test_a_harness_refuses_what_is_no_model(path: Path, harness: Path, name: object) -> None:
    assert refusal(path, "set_model", model=name)[2] == 2
    assert not harness.exists()


@pytest.mark.usefixtures("harness")
def test_a_harness_refuses_what_is_no_raise_and_goes_on(path: Path) -> None:
    unfit: list[dict[str, Any]] = [
        *({"day_cost": limit} for limit in ("5", [5], True, -1, float("nan"), float("inf"), 10**400)),
        *({"message_id": number, "tool_calls": 5} for number in ("1", [1], True)),
        {"message_id": 1, "turn_tokens": {}},
        {"message_id": 1},
        {"tool_calls": 5},
    ]
    assert [refusal(path, "budget_raise", **arguments)[2] for arguments in unfit] == [2] * len(unfit)
    assert refusal(path, "budget_raise", day_cost=5)[0] == "no day-cost limit is set, so there is nothing to raise"


def test_a_model_that_cannot_be_stored_is_refused_and_the_harness_goes_on(path: Path, harness: Path) -> None:
    harness.parent.rmdir()
    message, _, exit_code = refusal(path, "set_model", model="opus")
    assert message.startswith("the choice of model cannot be stored")
    assert exit_code == 1
    assert call(path, "status")["model"] == "haiku"

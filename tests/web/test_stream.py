"""The live feed of a real gateway: complete and in order over restarts of either side, slow clients, many clients."""

import random
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.core.events import Stream as Line
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.web.streams import MAX_STREAMS
from tests.conftest import wait_until
from tests.forkserver import Forkserver
from tests.harness import LIMIT_S, Hive
from tests.web.site import Site, Stream, open_site, plain_environment, telling, web_words

EVENTS = "hyperhive-events.sqlite"
MIB = 1024 * 1024
DELTA = Line.from_line({"type": "stream_event"})


def write(folder: Path, first: int, last: int, *, keep: int | None = None) -> None:
    """Write notes to the history as a harness without followers; `keep`: delete older ones."""
    with open_event_store(folder / EVENTS) as store:
        store.append([BusEvent.make(seq, seq, Note(text=f"note {seq}")) for seq in range(first, last + 1)])
        while keep is not None and store.sweep(keep):
            pass


def upto(last: int, first: int = 1) -> list[int]:
    return list(range(first, last + 1))


# --- where a client starts ---


def test_the_snapshot_comes_first_and_then_new_events(site: Site, state_dir: Path) -> None:
    write(state_dir, 1, 5)
    with telling(state_dir, EVENTS) as (harness, _), site.stream() as stream:
        snapshot = stream.named("snapshot").data
        assert (snapshot["seq"], snapshot["running"], snapshot["agent"]) == (5, True, "bee")
        assert snapshot["capabilities"]["steer"] is True
        assert snapshot["boot"] == harness.bus.boot
        harness.note("6")
        told = stream.next()
        assert (told.id, told.event, told.data["text"]) == (6, "message", "6")


def test_a_harness_that_stops_answering_is_reported_although_it_sends_nothing(
    hive: Hive, forkserver: Forkserver, tmp_path: Path
) -> None:
    constants = {"web.local.ASK_AGAIN_S": 0.1, "web.local.ANSWER_LIMIT_S": 0.3}
    words, environment = web_words(hive.state_dir), plain_environment(tmp_path)
    with (
        hive.run() as harness,
        open_site(forkserver, words, environment, tmp_path, constants) as site,
        site.stream() as stream,
    ):
        assert stream.named("snapshot").data["status"] == "online"
        for signum, status in ((signal.SIGSTOP, "unreachable"), (signal.SIGCONT, "online")):
            harness.send(signum)
            assert stream.named("state").data["status"] == status


def test_a_client_that_names_its_position_is_sent_what_follows(site: Site, state_dir: Path) -> None:
    write(state_dir, 1, 500)
    with telling(state_dir, EVENTS) as (harness, _):
        harness.note("501")
        with site.stream("since=3") as stream, site.stream("since=3", Last_Event_ID="499") as other:
            assert stream.numbers(498) == upto(501, 4)
            assert other.numbers(2) == [500, 501]
            harness.note("502")
            assert (stream.numbers(1), other.numbers(1)) == ([502], [502])


def test_pieces_of_texts_are_sent_only_on_request_and_without_a_number(site: Site, state_dir: Path) -> None:
    with telling(state_dir) as (harness, _), site.stream() as stream, site.stream("partial=1") as partial:
        assert (stream.named("snapshot").data["seq"], partial.named("snapshot").data["seq"]) == (0, 0)
        harness.do(harness.bus.publish, DELTA, Note(text="x"), DELTA, Note(text="y"))
        assert [told.id for told in partial.events(4)] == [None, 1, None, 2]
        assert [told.id for told in stream.events(2)] == [1, 2]


def test_deleted_events_are_reported_and_the_rest_is_sent(site: Site, state_dir: Path) -> None:
    write(state_dir, 1, 300, keep=250)
    with site.stream("since=10") as stream:
        assert stream.named("snapshot").data["running"] is False
        assert stream.named("reset").data == {"since": 50}
        assert stream.numbers(250) == upto(300, 51)


def test_a_number_of_another_history_starts_again(site: Site, state_dir: Path) -> None:
    write(state_dir, 1, 3)
    with site.stream("since=77") as stream:
        stream.named("snapshot")
        assert stream.named("reset").data == {"since": 0}
        assert stream.next().data["kind"] == "note"
        assert stream.numbers(3) == [1, 2, 3]
    assert site.get("/api/events?since=77")["reset"] is True
    assert site.get("/api/events?since=2") | {"events": None} == {
        "events": None,
        "last": 3,
        "oldest": 1,
        "reset": False,
        "head": None,
    }


def test_pages_of_the_history(site: Site, state_dir: Path) -> None:
    assert site.get("/api/events") == {"events": [], "last": 0, "oldest": None, "reset": False, "head": None}
    write(state_dir, 1, 20, keep=15)
    page = site.get("/api/events?limit=3")
    assert ([event["seq"] for event in page["events"]], page["last"], page["oldest"]) == ([18, 19, 20], 20, 6)
    page = site.get("/api/events?since=7&limit=2")
    assert ([event["seq"] for event in page["events"]], page["last"], page["reset"]) == ([8, 9], 9, False)
    assert site.get("/api/events?since=4")["reset"] is True
    assert site.get("/api/events?since=5")["reset"] is False


# --- over restarts ---


def test_a_stream_stays_open_while_no_harness_runs_and_goes_live_by_itself(site: Site, state_dir: Path) -> None:
    with site.stream("since=0") as stream:
        assert stream.named("snapshot").data["running"] is False
        with telling(state_dir, EVENTS) as (harness, _):
            while not (state := stream.named("state").data)["running"]:
                pass  # a snapshot that was made while the harness began
            assert state["boot"] == harness.bus.boot
            harness.note("1", "2", "3")
            assert stream.numbers(3) == [1, 2, 3]
        state = stream.named("state").data
        assert (state["running"], state["capabilities"]["steer"]) == (False, False)
        write(state_dir, 4, 6)  # by a life that it never saw
        assert stream.numbers(3) == [4, 5, 6]
        write(state_dir, 7, 7)
        with telling(state_dir, EVENTS) as (harness, _):
            harness.note("8")
            assert stream.numbers(2) == [7, 8]


@pytest.mark.parametrize("seed", range(2))
def test_a_stream_is_complete_however_often_the_harness_restarts(site: Site, state_dir: Path, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    newest, given = 0, list[int | None]()
    with site.stream("since=0") as stream:
        for _ in range(4):
            with telling(state_dir, EVENTS) as (harness, _told):
                for _ in range(dice.randint(1, 4)):
                    burst = dice.choice([1, 3, 300, 1500])
                    harness.do(harness.bus.publish, *[Note(text="x")] * burst)
                    newest += burst
                    given += stream.numbers(dice.randint(0, newest - len(given)))
        given += stream.numbers(newest - len(given))
    assert given == upto(newest)


def test_a_client_continues_at_another_gateway_where_it_was(
    site: Site, state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    with telling(state_dir, EVENTS) as (harness, _):
        with site.stream("since=0") as stream:
            harness.note("1", "2")
            assert stream.numbers(2) == [1, 2]
            site.program.send(signal.SIGTERM)
            assert site.program.wait() == 128 + signal.SIGTERM
            with pytest.raises(EOFError):
                stream.next()
        harness.note("3")
        with open_site(forkserver, web_words(state_dir), plain_environment(tmp_path), tmp_path) as other:
            assert other.token == site.token
            with other.stream(Last_Event_ID=str(stream.last_id)) as stream:
                harness.note("4")
                assert stream.numbers(2) == [3, 4]


def test_a_restart_without_a_history_starts_again(site: Site, state_dir: Path) -> None:
    (state_dir / EVENTS).mkdir()  # it cannot be opened
    with site.stream("since=0") as stream:
        stream.named("snapshot")
        with telling(state_dir, EVENTS) as (harness, _):
            harness.note("1", "2")
            assert stream.numbers(2) == [1, 2]
        with telling(state_dir, EVENTS) as (harness, _):
            harness.note("1", "2", "3")
            while (told := stream.next()).event != "reset":
                assert told.event == "state"
            assert told.data == {"since": 0}
            assert stream.numbers(3) == [1, 2, 3]


def test_a_run_without_a_history_after_one_with_a_history(site: Site, state_dir: Path) -> None:
    write(state_dir, 1, 50)
    (state_dir / EVENTS).rename(state_dir / "kept")
    (state_dir / EVENTS).mkdir()
    with telling(state_dir, EVENTS) as (harness, _):
        harness.note("1", "2", "3")
        with site.stream("since=0") as stream:
            assert stream.named("snapshot").data["stored"] is False
            assert stream.numbers(3) == [1, 2, 3]


# --- slow clients, and many ---


def connect_deaf(site: Site, query: str) -> socket.socket:
    """Open a stream without reading it, with a small buffer in the kernel."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(LIMIT_S)
    client.connect(("127.0.0.1", site.port))
    head = f"GET /api/stream?{query} HTTP/1.1\r\nHost: {site.host}\r\nAuthorization: Bearer {site.token}\r\n\r\n"
    client.sendall(head.encode())
    assert client.recv(12) == b"HTTP/1.1 200"
    return client


def test_a_client_that_stops_reading_costs_bounded_memory_and_delays_no_one(site: Site, state_dir: Path) -> None:
    text = "x" * 64 * 1024
    with telling(state_dir, EVENTS) as (harness, _), ExitStack() as deaf, site.stream("since=0") as stream:
        stream.named("snapshot")
        for _ in range(10):
            deaf.enter_context(connect_deaf(site, "since=0"))
        before = site.memory_bytes()
        for n in range(100):
            harness.note(*[text] * 16)
            assert stream.numbers(16) == upto(16 * n + 16, 16 * n + 1)
        assert site.memory_bytes() - before < 64 * MIB  # of the 1,000 MiB that were to be written


@pytest.mark.exhaustive
def test_a_hundred_clients_see_every_event_in_order_and_the_harness_has_one_follower(
    site: Site, state_dir: Path
) -> None:
    before = site.idle_files()
    with telling(state_dir, EVENTS) as (harness, follower):
        with ExitStack() as stack:
            streams = [stack.enter_context(site.stream("since=0")) for _ in range(100)]
            for stream in streams:
                stream.named("snapshot")
            found: dict[int, list[int | None]] = {}

            def read(n: int, stream: Stream) -> None:
                found[n] = stream.numbers(600)

            readers = [Thread(target=read, args=(n, stream)) for n, stream in enumerate(streams)]
            for reader in readers:
                reader.start()
            for _ in range(200):
                harness.note("a", "b", "c")
            for reader in readers:
                reader.join()
            assert follower.followers == 1
            assert [found[n] for n in range(100)] == [upto(600)] * 100
        wait_until(lambda: follower.followers == 0)
        wait_until(lambda: site.open_files() == before)
        with site.stream("since=598") as stream:  # and it goes on for the next client
            assert stream.numbers(2) == [599, 600]


@contextmanager
def many(site: Site, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(connect_deaf(site, ""))
        yield


def test_the_number_of_streams_is_limited_and_the_error_says_so(site: Site) -> None:
    with many(site, MAX_STREAMS):
        answer = site.ask("GET", "/api/stream")
        assert answer.status == 503
        assert answer.json()["error"] == f"{MAX_STREAMS} streams are open already"
        assert site.get("/api/state")["running"] is False
    wait_until(lambda: site.open_files() < MAX_STREAMS)
    with site.stream() as stream:
        stream.named("snapshot")

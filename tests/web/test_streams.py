"""One response with the feeds of several agents, what it says of their states and inboxes, and the overview."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.file_watch import FileWatch
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.web.sse import Form, Frame, named_frame
from hyperhive_cli.web.streams import StreamStart, read_starts
from tests.conftest import FakeClaude
from tests.forkserver import Forkserver
from tests.harness import TEXT, Hive
from tests.web.site import Site, Stream, Told, open_site, plain_environment, telling

EVENTS, INBOX = "hyperhive-events.sqlite", "hyperhive-inbox.sqlite"
QUICK = {"web.local.LOOK_EVERY_S": 0.02, "web.overview.LOOK_EVERY_S": 0.02, "web.overview.ASK_AGAIN_S": 0.2}


@pytest.fixture
def home(state_dir: Path) -> Path:
    """Return the folder with the state folders of three agents without a harness."""
    home = state_dir / "hyperhive"
    for name in ("ant", "bee", "wasp"):
        (home / name).mkdir(parents=True, mode=0o700)
        send(home / name, f"to {name}")
    return home


@pytest.fixture
def hives(home: Path, tmp_path: Path, state_dir: Path, forkserver: Forkserver) -> Iterator[Site]:
    """Serve them all."""
    environment = {**plain_environment(tmp_path), "XDG_STATE_HOME": str(state_dir)}
    assert home.is_dir()
    with open_site(forkserver, ["web", "--bind", "127.0.0.1:0", "--json"], environment, tmp_path, QUICK) as site:
        yield site


def send(folder: Path, body: str) -> None:
    """Put a message into an inbox, as a command does."""
    with open_inbox(folder / INBOX) as inbox:
        inbox.send("ann", body, now_ms=1)


def write(folder: Path, *seqs: int) -> None:
    with open_event_store(folder / EVENTS) as store:
        assert store.append([BusEvent.make(seq, seq, Note(text=f"note {seq}")) for seq in seqs]) is None


@contextmanager
def opened(site: Site, agents: str) -> Iterator["Many"]:
    with site.stream(f"agents={agents}&view=rows&partial=1") as stream:
        yield Many(stream)


class Many:
    """A stream of several agents: what was read of each, in order."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._read: dict[str, list[Told]] = {}

    def next(self, agent: str, name: str) -> Any:  # noqa: ANN401 - as JSON
        """Return the data of the next event of an agent with this name; other events of it are passed over."""
        (data,) = self.next_of_each(agent, name)
        return data

    def next_of_each(self, agent: str, *names: str) -> list[Any]:
        """Return the data of an agent's next events with these names, in whatever order they come, as `next` does."""
        found: dict[str, Any] = {}
        while found.keys() != {*names}:
            while not self._read.get(agent):
                told = self._stream.next()
                self._read.setdefault(told.data.get("agent", ""), []).append(told)
            told = self._read[agent].pop(0)
            if told.event in names:
                found.setdefault(told.event, told.data)
        return [found[name] for name in names]

    def await_state(self, agent: str, **fields: object) -> dict[str, Any]:
        """Return the next state of an agent with these fields."""
        state: dict[str, Any] = self.next(agent, "state")
        while any(state[name] != value for name, value in fields.items()):
            state = self.next(agent, "state")
        return state

    def numbers(self, agent: str, count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count:
            found += [event["seq"] for event in self.next(agent, "records")["events"]]
        return found

    def bodies(self, agent: str) -> list[str]:
        return [message["body"] for message in self.next(agent, "inbox")["messages"]]


def test_each_agent_begins_with_its_state_and_inbox_and_goes_on_where_its_reader_was(hives: Site, home: Path) -> None:
    write(home / "ant", *range(1, 11))
    write(home / "bee", *range(1, 301))
    with opened(hives, "ant:7,bee:299:299,wasp,nobody") as stream:
        assert stream.next("ant", "snapshot")["seq"] == 10
        assert stream.numbers("ant", 3) == [8, 9, 10]
        assert stream.numbers("bee", 1) == [300]
        assert stream.next("wasp", "snapshot")["running"] is False
        assert stream.bodies("wasp") == ["to wasp"]
        assert stream.next("nobody", "gone")["error"] == "there is no agent 'nobody'"
        with telling(home / "wasp", EVENTS) as (harness, _):
            stream.await_state("wasp", running=True)
            harness.note("one", "two")
            assert stream.numbers("wasp", 2) == [1, 2]
            assert harness.bus.current_seq == 2
        stream.await_state("wasp", running=False)


def test_an_agent_that_is_deleted_is_told_of_in_the_stream_of_several(hives: Site, home: Path) -> None:
    with opened(hives, "ant,bee") as stream:
        for agent in ("ant", "bee"):
            assert stream.next(agent, "snapshot")["agent"] == agent
        rmtree(home / "bee")
        assert stream.next("bee", "gone")["error"] == "there is no agent 'bee'"
        send(home / "ant", "more")
        while stream.bodies("ant") != ["to ant", "more"]:
            pass


def test_a_history_that_was_replaced_is_sent_again_for_its_agent_alone(hives: Site, home: Path) -> None:
    write(home / "ant", 1, 2)
    with opened(hives, "ant:2:99,bee") as stream:
        assert stream.next("ant", "reset")["since"] == 0
        remark, *rest = stream.next("ant", "records")["events"]
        assert (remark["seq"], remark["kind"], remark["rows"][0]["kind"]) == (None, "note", "note")
        assert [event["seq"] for event in rest] + stream.numbers("ant", 2 - len(rest)) == [1, 2]


def test_an_inbox_is_pushed_when_a_command_changes_it_with_a_harness_and_without(
    hives: Site, hive: Hive, home: Path, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    with opened(hives, "ant,bee") as stream:
        assert stream.bodies("bee") == ["to bee"]
        send(home / "bee", "from a shell")
        state, inbox = stream.next_of_each("bee", "state", "inbox")
        assert (state["unread"], [message["body"] for message in inbox["messages"]]) == (2, ["to bee", "from a shell"])
        with replace(hive, state_dir=home / "bee").run():
            while stream.bodies("bee"):  # both are read
                pass
        stream.await_state("bee", running=False)
        answer = hives.ask("POST", "/agents/bee/api/messages", {"Content-Type": "application/json"},
                           b'{"body": "kept", "key": "k"}')  # fmt: skip
        assert (answer.status, answer.json()["state"]) == (200, "ready")
        assert "no harness is running" in answer.json()["note"]
        assert stream.bodies("bee") == ["kept"]
        again = hives.ask("POST", "/agents/bee/api/messages", {"Content-Type": "application/json"},
                          b'{"body": "kept", "key": "k"}').json()  # fmt: skip
        assert (again["id"], again["sent_before"]) == (answer.json()["id"], True)


def await_change(stream: Stream, agent: str, *, running: bool) -> None:
    """Wait until the overview says so of this agent, and of no other."""
    (state,) = stream.named("overview").data["agents"]
    assert state["agent"] == agent
    if state["running"] is not running:  # files of it have changed before
        await_change(stream, agent, running=running)


def test_the_overview_says_which_agents_have_changed(hives: Site, hive: Hive, home: Path) -> None:
    with hives.stream("agents=*") as stream:
        first = stream.named("overview").data
        assert ([one["agent"] for one in first["agents"]], first["hive"]) == (["ant", "bee", "wasp"], None)
        send(home / "ant", "more")
        (ant,) = stream.named("overview").data["agents"]
        assert (ant["agent"], ant["unread"]) == ("ant", 2)
        with telling(home / "wasp", EVENTS):
            await_change(stream, "wasp", running=True)
        await_change(stream, "wasp", running=False)
        replace(hive, state_dir=home / "new").call("send", "hello")
        seen = stream.named("overview").data["agents"]
        assert [one["agent"] for one in seen] == ["new"]
        for path in (home / "bee").iterdir():
            path.unlink()
        (home / "bee").rmdir()
        told = stream.named("overview").data
        while not told["gone"]:
            told = stream.named("overview").data
        assert told["gone"] == ["bee"]


def test_a_frozen_harness_is_told_of_and_the_others_go_on(
    hives: Site, hive: Hive, home: Path, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    with replace(hive, state_dir=home / "bee").run() as harness, opened(hives, "ant,bee") as stream:
        stream.next("bee", "snapshot")
        harness.send(signal.SIGSTOP)
        send(home / "ant", "still here")
        assert stream.bodies("ant") == ["to ant"]
        assert stream.bodies("ant") == ["to ant", "still here"]
        state = stream.await_state("bee", status="unreachable")
        assert "is stopped; try: kill -CONT" in state["why"]
        harness.send(signal.SIGCONT)
        stream.await_state("bee", status="online")


def test_a_reader_of_many_agents_that_is_deaf_costs_bounded_memory_and_delays_no_one(hives: Site, home: Path) -> None:
    text = "x" * 64 * 1024
    head = (
        f"GET /api/stream?agents=ant,bee HTTP/1.1\r\nHost: {hives.host}\r\nAuthorization: Bearer {hives.token}\r\n\r\n"
    )
    with (
        telling(home / "ant", EVENTS) as (ant, _),
        telling(home / "bee", EVENTS) as (bee, _),
        opened(hives, "ant:0,bee:0") as stream,
        ExitStack() as deaf,
    ):
        for _ in range(10):
            client = deaf.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", hives.port))
            client.sendall(head.encode())
        before = hives.memory_bytes()
        for n in range(50):
            for harness, name in ((ant, "ant"), (bee, "bee")):
                harness.note(*[text] * 16)
                assert stream.numbers(name, 16) == list(range(16 * n + 1, 16 * n + 17))
        assert hives.memory_bytes() - before < 64 * 1024 * 1024  # of the 1,000 MiB that were to be written


# --- the pieces ---


def test_the_list_of_agents_is_checked() -> None:
    assert read_starts("bee:17:1795364671046,wasp:3,*") == [
        StreamStart("bee", 17, 1795364671046), StreamStart("wasp", 3), StreamStart("*")
    ]  # fmt: skip
    for wrong in ("", ",", "bee:", "bee:x", "bee:1:2:3", "bee,bee", ",".join(map(str, range(65)))):
        with pytest.raises(UsageError):
            read_starts(wrong)


def test_records_of_an_agent_are_joined_to_one_event_and_named_ones_stay_between() -> None:
    frames = [Frame(1, b'{"seq":1}'), Frame(None, b'{"x":1}', is_partial=True), named_frame("state", {"agent": "bee"}),
              Frame(2, b'{"seq":2}')]  # fmt: skip
    found = Form(agent="bee").join(frames).decode().split("\n\n")
    assert found == [
        'event: records\ndata: {"agent":"bee","events":[{"seq":1}]}',
        'event: state\ndata: {"agent":"bee"}',
        'event: records\ndata: {"agent":"bee","events":[{"seq":2}]}',
        "",
    ]
    whole = Form(partial=True, agent="bee").join(frames[:2]).decode()
    assert json.loads(whole.partition("data: ")[2])["events"] == [{"seq": 1}, {"x": 1}]
    assert Form(agent="bee").join([frames[1]]) == b""


def test_a_watch_notices_each_commit_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / INBOX
    watch = FileWatch(path)
    assert watch.has_changed()  # it may have been written since, in the same tick
    assert not watch.has_changed()
    with open_inbox(path) as inbox:
        assert watch.has_changed()
        inbox.send("ann", "one", now_ms=1)
        assert watch.has_changed()
        assert watch.has_changed()  # it was just written
        monkeypatch.setattr("hyperhive_cli.store.file_watch.TICK_NS", -1)
        watch.has_changed()
        inbox.messages()
        assert not watch.has_changed()
        inbox.send("ann", "two", now_ms=1)
        assert watch.has_changed()
    path.unlink()
    assert watch.has_changed()
    assert not watch.has_changed()

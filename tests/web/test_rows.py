"""`?view=rows`: pages and the stream give the same records as the whole transcript, wherever they start."""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.core.settings import resolve_paths
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.transcript.view import RowsView
from hyperhive_cli.web import pages
from hyperhive_cli.web.channel import Channel
from hyperhive_cli.web.local import LocalAgent
from hyperhive_cli.web.reader import Reader
from hyperhive_cli.web.rows import RowsChannel, open_view
from hyperhive_cli.web.sse import Form
from hyperhive_cli.web.stream import ClientWriter
from tests.conftest import LIMIT_S
from tests.control.serving import Served
from tests.unit.made_events import record, recorded_turn
from tests.web.site import Site, telling

EVENTS = "hyperhive-events.sqlite"


@pytest.fixture
def history(state_dir: Path) -> list[BusEvent]:
    """Return the events of some recorded turns, which are in the history."""
    turns = [*recorded_turn("tools"), *recorded_turn("subagent"), *recorded_turn("compact")]
    events = [record(event, seq) for seq, event in enumerate(turns, 1)]
    with open_event_store(state_dir / EVENTS) as store:
        assert store.append(events) is None
    return events


def whole(events: list[BusEvent]) -> list[dict[str, Any]]:
    view = RowsView()
    return [json.loads(json.dumps(view.to_record(event))) for event in events]


@pytest.mark.parametrize("limit", [1, 7, 200])
def test_pages_have_the_records_of_the_whole(site: Site, history: list[BusEvent], limit: int) -> None:
    found: list[dict[str, Any]] = []
    while len(found) < len(history):
        page = site.get(f"/api/events?view=rows&since={len(found)}&limit={limit}")
        found += page["events"]
    assert strip(found) == strip(whole(history))


def test_a_page_goes_on_with_the_view_of_the_one_before_if_it_names_its_last_event(
    site: Site, history: list[BusEvent]
) -> None:
    first = site.get("/api/events?view=rows&since=0&limit=20")["events"]
    after = f"since=20&ts={first[-1]['ts']}&limit=20"
    second = site.get(f"/api/events?view=rows&{after}")["events"]
    assert first + second == whole(history)[:40]  # the activity too, which another view would repeat
    assert strip(site.get(f"/api/events?view=rows&{after}")["events"]) == strip(second)


def strip(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what a page repeats because its reader may not have it: the activity as of its first event."""
    return [one | {"facts": {k: v for k, v in one["facts"].items() if k != "activity"}} for one in records]


def test_the_newest_page_has_rows_too(site: Site, history: list[BusEvent]) -> None:
    found = site.get("/api/events?view=rows&limit=5")["events"]
    assert strip(found) == strip(whole(history)[-5:])


def test_without_the_view_events_are_what_they_were(site: Site, history: list[BusEvent]) -> None:
    assert site.get("/api/events?limit=3&since=0")["events"] == [json.loads(one.to_json()) for one in history[:3]]
    assert site.ask("GET", "/api/events?view=columns").status == 400


@pytest.mark.parametrize("since", [0, 6, 40])
def test_the_stream_has_them_from_wherever_it_starts(
    site: Site, state_dir: Path, history: list[BusEvent], since: int
) -> None:
    with (
        telling(state_dir, EVENTS) as (harness, _),
        site.stream(f"view=rows&partial=1&since={since}") as stream,
    ):
        assert stream.named("snapshot").data["seq"] == len(history)
        found = [stream.next() for _ in history[since:]]
        assert [one.id for one in found] == [one.seq for one in history[since:]]
        assert strip([one.data for one in found]) == strip(whole(history)[since:])
        partial = Stream.from_line({"type": "stream_event", "event": {"type": "message_stop"}})
        harness.do(harness.bus.publish, partial)
        assert stream.next().data["event"] == {"type": "message_stop"}
        harness.note("goes on")
        (row,) = stream.next().data["rows"]
        assert (row["kind"], row["text"]["text"]) == ("note", "goes on")


class Browser:
    """A reader without a socket, which has to be waited for after each third write."""

    def __init__(self) -> None:
        self.received = b""
        self.changed = anyio.Event()
        self._writes = 0

    async def read(self, channel: Channel, since: int) -> None:
        writer = ClientWriter(Form(), self._write_now)
        async for chunk in Reader(channel, since, None, writer).chunks():
            self._take(chunk)

    async def wait_for(self, seq: int) -> None:
        while b"id: %d\n" % seq not in self.received:
            self.changed = anyio.Event()
            await self.changed.wait()

    def _write_now(self, chunk: bytes) -> bool:
        self._take(_body(chunk))
        self._writes += 1
        return self._writes % 3 > 0

    def _take(self, body: bytes) -> None:
        self.received += body
        self.changed.set()


def test_an_event_is_translated_once_for_all_browsers_and_each_has_every_row(
    state_dir: Path, history: list[BusEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    translated, last = list[int](), len(history)

    class CountedView(RowsView):
        def to_record(self, record: BusEvent) -> dict[str, Any]:
            translated.append(record.seq or 0)
            return super().to_record(record)

    monkeypatch.setattr(pages, "RowsView", CountedView)
    agent = LocalAgent(resolve_paths("bee", state_dir, state_dir, {}))
    starts = (last, last - 3, 0)

    async def main(harness: Served) -> list[Browser]:
        browsers = [Browser() for _ in starts]
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                source = agent.channel()
                channel = RowsChannel(source, agent.read)
                tasks.start_soon(source.run)
                tasks.start_soon(channel.run)
                for browser, since in zip(browsers, starts, strict=True):
                    tasks.start_soon(browser.read, channel, since)
                for seq in range(last + 1, last + 21):
                    await run_sync(harness.note, f"note {seq}")
                    for browser in browsers:
                        await browser.wait_for(seq)
                tasks.cancel_scope.cancel()
        return browsers

    with telling(state_dir, EVENTS) as (harness, _):
        browsers = anyio.run(main, harness)
    for browser, since in zip(browsers, starts, strict=True):
        found = [int(seq) for seq in re.findall(rb"^id: (\d+)$", browser.received, re.MULTILINE)]
        assert found == list(range(since + 1, last + 21))
        assert browser.received.count(b'"rows":[') == len(found)
    live = range(last + 2, last + 21)  # the first one may have been read from the history
    assert [seq for seq in translated if seq in live] == list(live)


def _body(chunk: bytes) -> bytes:
    size, _, body = chunk.partition(b"\r\n")
    assert (int(size, 16), body[-2:]) == (len(body) - 2, b"\r\n")
    return body[:-2]


async def _no_events(_: object) -> RowsView:
    raise HyperhiveError("the history cannot be read")


@pytest.mark.anyio
async def test_a_history_that_cannot_be_read_costs_only_what_came_before() -> None:
    view = await open_view(_no_events, 5)
    assert view.to_record(record({"type": "system", "subtype": "init", "session_id": "abc"}))["rows"]

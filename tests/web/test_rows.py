"""`?view=rows`: pages and the stream give the same records as the whole transcript, wherever they start."""

import json
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.feed.follower import Page
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.transcript.view import RowsView
from hyperhive_cli.web.rows import open_view
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


async def _no_page(*_: object) -> Page[BusEvent]:
    raise HyperhiveError("the history cannot be read")


@pytest.mark.anyio
async def test_a_history_that_cannot_be_read_costs_only_what_came_before() -> None:
    view = await open_view(_no_page, 5)
    assert view.to_record(record({"type": "system", "subtype": "init", "session_id": "abc"}))["rows"]

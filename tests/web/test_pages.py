"""The newest page of a history, the pages before it, a turn, one event whole and its images."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.events import BusEvent, Note, TurnEnd, TurnStart
from hyperhive_cli.store.events import open_event_reader, open_event_store
from hyperhive_cli.store.history import HistoryReader
from hyperhive_cli.store.segments import Segments
from hyperhive_cli.transcript.raw_text import OUTPUT_CHARS
from hyperhive_cli.web import pages
from tests.unit.made_events import answer, assistant, call, record, said
from tests.web.site import Site, telling
from tests.web.test_rows import EVENTS, strip, whole

PIXEL = base64.b64encode(b"not really a picture").decode()


def made_turn(turn: int, calls: int, output: str = "done") -> list[Any]:
    """Return the events of a turn that starts with a line of init and runs so many commands."""
    found: list[Any] = [
        TurnStart(turn_id=turn, sender="ann", body=f"turn {turn}", unread=0),
        {"type": "system", "subtype": "init", "session_id": "s", "cwd": "/work"},
    ]
    for number in range(calls):
        name = f"{turn}-{number}"
        found += [assistant(call(name, "Read", file_path=f"/work/{name}.txt")), answer(name, [said(output)])]
    return [*found, TurnEnd(turn_id=turn, ok=True)]


def write(state_dir: Path, events: list[Any], first: int = 1) -> list[BusEvent]:
    """Store all events from number `first` on."""
    records = [record(event, seq) for seq, event in enumerate(events, 1)][first - 1 :]
    with open_event_store(state_dir / EVENTS) as store:
        assert store.append(records) is None
    return records


TURNS = [Note(text="start"), *made_turn(1, 3), *made_turn(2, 30), *made_turn(3, 2)]


@pytest.fixture
def history(state_dir: Path) -> list[BusEvent]:
    return write(state_dir, TURNS)


def rows_at(state_dir: Path, seq: int) -> list[dict[str, Any]]:
    """Return the rows of one event as a page that starts with it has them."""
    with open_event_reader(state_dir / EVENTS) as store:
        reader = HistoryReader(store, Segments(state_dir / "history"))
        found: list[dict[str, Any]] = pages.warm_view(reader, seq).to_record(pages.event_at(reader, seq))["rows"]
        return found


def test_a_page_opens_with_state_inbox_and_newest_rows_in_one_answer(site: Site, history: list[BusEvent]) -> None:
    found = site.get("/api/open?view=rows&limit=5")
    assert (found["last"], found["oldest"], found["trouble"]) == (len(history), 1, None)
    assert found["state"]["agent"] == "bee"
    assert found["state"]["seq"] == len(history)
    assert found["inbox"] == {"messages": [], "more": False, "schedules": []}
    assert strip(found["events"]) == strip(whole(history)[-5:])
    assert len(site.get("/api/open")["events"]) == len(history)  # fewer than 100


@pytest.mark.parametrize("limit", [7, 40])
def test_the_pages_before_have_the_records_of_the_whole_to_the_first(
    site: Site, history: list[BusEvent], limit: int
) -> None:
    found = site.get(f"/api/open?view=rows&limit={limit}")["events"]
    while found[0]["seq"] > 1:
        page = site.get(f"/api/events?view=rows&before={found[0]['seq']}&limit={limit}")
        assert (page["last"], page["oldest"]) == (found[0]["seq"] - 1, 1)
        found = page["events"] + found
    assert strip(found) == strip(whole(history))
    assert site.get("/api/events?view=rows&before=1")["events"] == []


def test_a_page_within_a_turn_knows_it_however_far_its_start_is(
    state_dir: Path, history: list[BusEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "WARM_UP_EVENTS", 2)
    (row,) = rows_at(state_dir, 41)
    (wanted,) = whole(history)[40]["rows"]
    assert (row["turn"], row["kind"], row["subject"]) == (2, "call", wanted["subject"])
    assert row["subject"] == "2-14.txt"  # below the folder that the start of the turn names
    assert (row["number"], wanted["number"]) == (0, 15)  # calls in between were not read


def test_calls_are_not_numbered_if_the_start_of_their_turn_is_gone(state_dir: Path) -> None:
    write(state_dir, TURNS, first=21)
    (row,) = rows_at(state_dir, 31)
    assert (row["kind"], row["number"], row["turn"]) == ("call", 0, None)


def test_a_page_within_a_turn_has_the_head_of_it(site: Site, history: list[BusEvent]) -> None:
    def head(path: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = site.get(path)["head"]
        return found

    assert head("/api/open?limit=3") == json.loads(history[73].to_json())
    (wanted,) = whole(history)[73]["rows"]
    for path in ("open?view=rows&limit=3", "events?view=rows&limit=3"):
        found = head(f"/api/{path}")
        assert found is not None
        assert (found["seq"], found["rows"]) == (74, [wanted])
    (row,) = (head("/api/events?view=rows&before=60&limit=7") or {})["rows"]
    assert (row["kind"], row["turn"], row["seq"]) == ("head", 2, 11)
    for first in (74, 11, 1):  # the start of a turn, and what is before them all
        assert head(f"/api/events?before={first + 1}&limit=1") is None
    assert head("/api/events?before=11&limit=1") == json.loads(history[1].to_json()), "the end is within its turn"


@pytest.mark.usefixtures("history")
def test_a_turn_is_found_with_its_bounds(site: Site) -> None:
    found = site.get("/api/events?view=rows&turn=1&limit=100")
    assert [event["seq"] for event in found["events"]] == list(range(2, 11))
    assert found["turn"] == {"first": 2, "last": 10, "is_whole": True}
    start = site.get("/api/events?turn=2&limit=4")
    assert [event["seq"] for event in start["events"]] == [11, 12, 13, 14]
    assert (start["turn"]["last"], start["last"]) == (73, 14)
    missing = site.ask("GET", "/api/events?turn=9")
    assert (missing.status, missing.json()["error"]) == (404, "there is no turn 9 in the history")
    assert site.ask("GET", "/api/events?turn=1&before=3").status == 400


def test_long_texts_are_cut_in_pages_and_whole_in_their_event(site: Site, state_dir: Path) -> None:
    output = "\n".join(f"line {number}" for number in range(3_000))
    write(state_dir, made_turn(1, 1, output))
    (cut,) = site.get("/api/events?view=rows&since=3&limit=1")["events"][0]["rows"]
    assert len(cut["output"]["text"]) + len(cut["output"]["tail"]["text"]) <= OUTPUT_CHARS
    assert cut["output"]["bytes"] == len(output)
    (found,) = site.get("/api/events/4?view=rows")["rows"]
    assert found["output"] == {"text": output, "spans": None, "cut": 0}
    assert {**found, "output": 0} == {**cut, "output": 0}
    assert site.get("/api/events/4")["message"]["content"][0]["content"][0]["text"] == output
    assert site.ask("GET", "/api/events/999").status == 404


def test_images_are_named_in_rows_and_fetched_by_their_number(site: Site, state_dir: Path) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    read = assistant(call("a", "Read", file_path="/work/shots/first.png"))
    write(
        state_dir,
        [TurnStart(turn_id=1, sender="ann", body="look", unread=0), read, answer("a", [said("two"), picture, picture])],
    )
    (row,) = site.get("/api/events/3?view=rows")["rows"]
    assert row["images"] == [
        {"type": "image/png", "bytes": 20, "name": "first.png", "number": number} for number in (0, 1)
    ]
    found = site.ask("GET", "/agents/bee/api/events/3/images/1")
    assert (found.header("content-type"), found.body) == ("image/png", b"not really a picture")
    assert site.ask("GET", "/api/events/3/images/2").status == 404
    assert site.ask("GET", "/api/events/2/images/0").status == 404


@pytest.mark.usefixtures("history")
def test_pages_are_compressed_for_those_who_accept_it(site: Site, state_dir: Path) -> None:
    packed = site.ask("GET", "/api/events?view=rows", {"Accept-Encoding": "br;q=1.0, gzip;q=0.8"})
    assert (packed.header("content-encoding"), packed.header("vary")) == ("gzip", "Accept-Encoding")
    plain = site.ask("GET", "/api/events?view=rows")
    assert json.loads(gzip.decompress(packed.body)) == plain.json()
    assert len(packed.body) * 5 < len(plain.body)
    assert "content-encoding" not in dict(site.ask("GET", "/api/hive", {"Accept-Encoding": "gzip"}).headers)
    with telling(state_dir, EVENTS), site.stream("view=rows", Accept_Encoding="gzip") as stream:
        assert stream.named("snapshot")  # as it is

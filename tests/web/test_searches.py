"""The route that searches: of one agent, of all that are served, and how it is gone on with."""

from pathlib import Path

import pytest

from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, Stream, TurnEnd, TurnStart
from hyperhive_cli.store.events import open_event_store
from tests.forkserver import Forkserver
from tests.unit.made_events import TS, answer, assistant, call
from tests.web.site import Site, open_site, plain_environment

EVENTS: list[LiveEvent] = [
    TurnStart(turn_id=1, sender="ann", body="look for the claim", unread=0),
    Stream.from_line(assistant(call("t1", "Bash", command="pytest -q"))),
    Stream.from_line(answer("t1", "fine\nFAILED test_claim", is_error=True)),
    TurnEnd(turn_id=1, ok=True),
    Note(text="no claim any more"),
]


@pytest.fixture
def history(state_dir: Path) -> None:
    write(state_dir)


def write(state_dir: Path) -> None:
    with open_event_store(state_dir / "hyperhive-events.sqlite") as store:
        assert store.append([BusEvent.make(seq, TS + seq, event) for seq, event in enumerate(EVENTS, 1)]) is None


@pytest.mark.usefixtures("history")
def test_a_search_answers_with_places_the_newest_first(site: Site) -> None:
    found = site.get("/api/search?q=claim")
    assert [(one["seq"], one["part"], one["turn"]) for one in found["found"]] == [
        (5, "note", None), (3, "output", 1), (1, "message", 1),
    ]  # fmt: skip
    assert found["next"] is None
    (output,) = site.get("/api/search?q=%22failed+test_claim%22&failed=1&tool=bash&turn=1")["found"]
    assert (output["subject"], output["call"], output["text"]) == ("pytest -q", "t1", "FAILED test_claim")
    assert (output["line"], output["lines"], output["before"], output["marks"]) == (2, 2, ["fine"], [[0, 17]])
    assert [one["seq"] for one in site.get("/api/search?grep=AIM")["found"]] == [5, 3, 1]
    assert [one["seq"] for one in site.get(f"/api/search?q=claim&since_ms={TS + 2}&until_ms={TS + 4}")["found"]] == [3]


@pytest.mark.usefixtures("history")
def test_a_search_goes_on_where_it_was_left(site: Site) -> None:
    first = site.get("/api/search?q=claim&limit=2")
    assert first["next"] == {"before": 3}
    assert [one["seq"] for one in site.get("/api/search?q=claim&before=3")["found"]] == [1]


@pytest.mark.usefixtures("history")
def test_without_a_word_nothing_is_found_and_a_wrong_query_is_refused(site: Site) -> None:
    assert site.get("/api/search?q=+") == {"found": [], "next": None}
    refused = site.ask("GET", "/api/search?q=%22open")
    assert (refused.status, refused.json()["error"]) == (400, "a quoted phrase does not end")
    assert site.ask("GET", "/api/search?q=claim&limit=0").status == 400


def test_all_agents_that_are_served_are_searched_as_one(forkserver: Forkserver, tmp_path: Path) -> None:
    home = tmp_path / "state" / "hyperhive"
    for name in ("bee", "wasp"):
        (home / name).mkdir(parents=True)
        (home / name / "hyperhive-inbox.sqlite").touch()
        write(home / name)
    (home / "wasp" / "hyperhive-events.sqlite").write_bytes(b"x" * 9000)  # one that cannot be read hides no other
    environment = {**plain_environment(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    with open_site(
        forkserver, ["web", "bee", "wasp", "--bind", "127.0.0.1:0", "--json"], environment, tmp_path
    ) as site:
        found = site.get("/api/search?q=claim&all=1&limit=2")
    assert [(one["agent"], one["seq"]) for one in found["found"]] == [("bee", 5), ("bee", 3)]
    assert found["next"] == {"until_ms": TS + 3}

"""Searching a history: what is found, in which turn and of which tool, in which order, and how a search goes on."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, Stream, TurnEnd, TurnStart
from hyperhive_cli.core.settings import AgentPaths, paths_by_name
from hyperhive_cli.store.events import PAGE_ROWS, open_event_store
from hyperhive_cli.store.history import open_history
from hyperhive_cli.store.search import Hit, Search, Wanted, newest_hits, where_to_go_on
from hyperhive_cli.store.words import ANYTHING, Query
from hyperhive_cli.transcript.hits import EXCERPT_CHARS, hit_to_dict
from tests.unit.made_events import answer, assistant, call, said

ALL = 10**6


def start(turn: int) -> TurnStart:
    return TurnStart(sender="ci", body=f"look for the claim, please: {turn}", unread=0, turn_id=turn)


def end(turn: int, **fields: Any) -> TurnEnd:  # noqa: ANN401 - fields of the event
    return TurnEnd(turn_id=turn, **{"ok": True, **fields})


RUN = call("t1", "Bash", command="pytest -q")
EDIT = call("t2", "Edit", file_path="a.py", new_string="claim = 1")
FAILED = "one\ntwo\nFAILED test_claim_is_atomic\nthree\n"
EVENTS: list[LiveEvent | dict[str, Any]] = [
    Note(text="the harness starts"),
    start(1),  # 2
    assistant(RUN),
    answer("t1", FAILED, is_error=True),  # 4
    end(1, ok=False, note="a claim failed"),
    Note(text="connection refused"),  # 6
    start(2),
    assistant(said("The claim is refused by the connection.")),  # 8
    assistant(EDIT),
    answer("t2", "updated"),  # 10
    {"type": "result", "subtype": "success", "result": "The claim is refused by the connection."},
    end(2),  # 12
]


def made(
    folder: Path, events: Iterable[LiveEvent | dict[str, Any]], agent: str = "bee", step_ms: int = 10
) -> AgentPaths:
    folder.mkdir()
    paths = paths_by_name(agent, folder, {})
    lines = (Stream.from_line(event) if isinstance(event, dict) else event for event in events)
    with open_event_store(paths.events_db) as store:
        assert store.append([BusEvent.make(seq, seq * step_ms, event) for seq, event in enumerate(lines, 1)]) is None
    return paths


@pytest.fixture
def paths(tmp_path: Path) -> AgentPaths:
    return made(tmp_path / "bee", EVENTS)


def found(paths: AgentPaths, words: str = "", count: int = ALL, **fields: Any) -> list[Hit]:  # noqa: ANN401 - of a Wanted
    wanted = Wanted(query=Query.from_text(words) if words else ANYTHING, **fields)
    with open_history(paths) as history:
        return list(newest_hits([Search(paths.agent, history, wanted)], count))


def seqs(hits: Iterable[Hit]) -> list[int]:
    return [hit.seq for hit in hits]


@pytest.mark.parametrize(
    ("words", "fields", "expected"),
    [
        ("claim", {}, [9, 8, 7, 5, 4, 2]),
        ("claim", {"count": 2}, [9, 8]),
        ("claim", {"before": 8}, [7, 5, 4, 2]),
        ("claim", {"since_ms": 50, "until_ms": 80}, [8, 7, 5]),
        ("claim", {"turn": 1}, [5, 4, 2]),
        ("claim", {"turn": 3}, []),
        ("claim", {"kinds": ("turn_start",)}, [7, 2]),
        ("claim", {"tools": True}, [9, 4]),
        ("claim", {"tool": "bash"}, [4]),
        ("claim", {"failed": True}, [5, 4]),
        ("", {"failed": True}, [5, 4]),
        ("", {"tool": "Edit"}, [10, 9]),
        ("connection refused", {}, [8, 6]),
        ('"connection refused"', {}, [6]),
        ("clai*", {"tool": "Edit"}, [9]),
        ("nothing-of-it", {}, []),
    ],
)
def test_what_is_found_is_the_newest_first(
    words: str, fields: dict[str, Any], expected: list[int], paths: AgentPaths
) -> None:
    assert seqs(found(paths, words, **fields)) == expected


def test_a_search_for_everything_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to search for"):
        Wanted(since_ms=1)


def test_a_hit_says_its_turn_and_an_output_what_its_tool_was_asked(paths: AgentPaths) -> None:
    hits = {hit.seq: hit for hit in [*found(paths, "claim"), *found(paths, "connection")]}
    assert {seq: hit.turn_id for seq, hit in hits.items()} == {2: 1, 4: 1, 5: 1, 6: None, 7: 2, 8: 2, 9: 2}
    assert (hits[4].text.tool, hits[4].text.given) == ("Bash", {"command": "pytest -q"})


def test_in_a_turn_whose_start_was_deleted_its_end_says_which_it_is(tmp_path: Path) -> None:
    paths = made(tmp_path / "bee", [assistant(said("claim")), end(7), assistant(said("claim"))])
    assert [hit.turn_id for hit in found(paths, "claim")] == [None, 7]


def test_turn_and_call_may_be_on_an_earlier_page(tmp_path: Path) -> None:
    filler = [Note(text="filler")] * (PAGE_ROWS - 3)
    paths = made(tmp_path / "bee", [start(1), *filler, assistant(RUN), *filler, answer("t1", "claim")])
    (hit,) = found(paths, "claim", tool="Bash")
    assert (hit.turn_id, hit.text.tool) == (1, "Bash")


def test_a_search_that_is_over_says_from_where_to_go_on(tmp_path: Path) -> None:
    paths = made(tmp_path / "bee", [Note(text="a claim")] * (3 * PAGE_ROWS))
    with open_history(paths) as history:
        first = Search("bee", history, Wanted(query=Query.from_text("claim")), is_over=lambda: True)
        hits = seqs(newest_hits([first], ALL))
        assert len(hits) == PAGE_ROWS  # one part of the history is always searched, so that it goes on
        assert where_to_go_on([first], None) == (hits[-1], hits[-1] * 10)
        rest = Search("bee", history, Wanted(query=Query.from_text("claim"), before=first.reached))
        assert [*hits, *seqs(newest_hits([rest], ALL))] == list(range(3 * PAGE_ROWS, 0, -1))
        assert where_to_go_on([rest], None) is None


def test_several_agents_are_searched_as_one(tmp_path: Path) -> None:
    every = [made(tmp_path / name, [Note(text="claim")] * 3, name, step) for name, step in (("bee", 10), ("wasp", 15))]
    with ExitStack() as stack:
        wanted = Wanted(query=Query.from_text("claim"))
        searches = [Search(paths.agent, stack.enter_context(open_history(paths)), wanted) for paths in every]
        hits = list(newest_hits(searches, 4))
    assert [(hit.agent, hit.ts) for hit in hits] == [("wasp", 45), ("bee", 30), ("wasp", 30), ("bee", 20)]


def test_an_event_with_several_texts_is_not_split(tmp_path: Path) -> None:
    paths = made(tmp_path / "bee", [assistant(said("a claim"), said("no claim"), said("none"))])
    assert [hit.text.text for hit in found(paths, "claim", count=1)] == ["a claim", "no claim"]


def test_without_a_history_nothing_is_found(tmp_path: Path) -> None:
    assert found(paths_by_name("bee", tmp_path / "none", {}), "claim") == []


# --- as a person sees it ---


def shown(paths: AgentPaths, words: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of a Wanted
    return hit_to_dict(found(paths, words, **fields)[0], Query.from_text(words))


def test_a_hit_shows_its_line_those_around_it_and_what_was_asked(paths: AgentPaths) -> None:
    assert shown(paths, "claim atomic") == {
        "agent": "bee", "seq": 4, "ts": 40, "turn": 1, "kind": "stream", "part": "output", "failed": True,
        "tool": "Bash", "subject": "pytest -q", "call": "t1", "line": 3, "lines": 4,
        "before": ["two"], "text": "FAILED test_claim_is_atomic", "marks": [(12, 17), (21, 27)], "after": ["three"],
    }  # fmt: skip


def test_of_a_long_line_the_part_with_the_words_is_shown_and_it_is_safe(tmp_path: Path) -> None:
    line = "x " * EXCERPT_CHARS + "the \x1b]0;claim\x07" + " y" * EXCERPT_CHARS
    hit = shown(made(tmp_path / "bee", [Note(text=line)]), "claim")
    ((first, last),) = hit["marks"]
    assert hit["text"][first:last] == "claim"
    assert (hit["text"][0], hit["text"][-1], "\x1b" in hit["text"]) == ("…", "…", False)
    assert len(hit["text"]) < EXCERPT_CHARS + 20


def test_a_failure_that_no_word_was_searched_in_shows_its_last_line(paths: AgentPaths) -> None:
    failure = found(paths, failed=True)[-1]
    assert hit_to_dict(failure, Wanted(failed=True).query)["text"] == "three"

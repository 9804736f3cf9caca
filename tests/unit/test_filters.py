"""Choosing events: by turn, kind, text and tools."""

from collections.abc import Iterator, Sequence

import pytest

from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, Stream, TurnEnd, TurnStart, replaced_remark
from hyperhive_cli.feed.filters import EventFilter, Heads, contains, has_tools
from hyperhive_cli.store.spans import BOUNDS, Span, last_turn_id, span_of_turn


def start(turn: int) -> TurnStart:
    return TurnStart(sender="operator", body=f"do {turn}", unread=0, turn_id=turn)


def end(turn: int) -> TurnEnd:
    return TurnEnd(ok=True, turn_id=turn)


def records(*events: LiveEvent) -> list[BusEvent]:
    return [BusEvent.make(seq, 1, event) for seq, event in enumerate(events, 1)]


def seqs(found: list[BusEvent]) -> list[int | None]:
    return [record.seq for record in found]


def chosen(wanted: EventFilter, found: list[BusEvent]) -> list[BusEvent]:
    return [record for record in found if wanted.passes(record.event)]


NOTE = Note(text="Some Words")
CALL = Stream.from_line({"type": "assistant", "message": {"content": [{"type": "tool_use", "input": {"a": "Ünder"}}]}})
ANSWER = Stream.from_line({"type": "user", "message": {"content": [{"type": "tool_result"}]}})
TALK = Stream.from_line({"type": "assistant", "message": {"content": [{"type": "text", "text": "tool_use"}]}})
TWO_TURNS = records(NOTE, start(1), CALL, end(1), NOTE, start(2), ANSWER, TALK, end(2), NOTE)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(), list(range(1, 11))),
        (EventFilter(kinds=("note", "turn_end")), [1, 4, 5, 9, 10]),
        (EventFilter(turn=1), [2, 3, 4]),
        (EventFilter(turn=2), [6, 7, 8, 9]),
        (EventFilter(turn=3), []),
        (EventFilter(tools=True), [3, 7]),
        (EventFilter(grep="some WORDS"), [1, 5, 10]),
        (EventFilter(grep="ÜNDER"), [3]),
        (EventFilter(grep="do 2"), [6]),
        (EventFilter(turn=2, tools=True), [7]),
        (EventFilter(turn=2, kinds=("turn_start",)), [6]),
    ],
)
def test_what_goes_through(wanted: EventFilter, expected: list[int]) -> None:
    assert seqs(chosen(wanted, TWO_TURNS)) == expected
    assert wanted.over == (wanted.turn in {1, 2})


class Shelf:
    """A feed of earlier events, each of which has a name; it remembers what was read."""

    def __init__(self, found: list[BusEvent]) -> None:
        self._found = found
        self.asked: list[int] = []  # the numbers
        self.has_more = False

    def newest(self, limit: int, kinds: Sequence[str] = ()) -> list[tuple[str, BusEvent]]:
        fitting = [record for record in self._found if not kinds or record.event.kind in kinds]
        return [("bee", record) for record in (fitting[-limit:] if limit else [])]

    def stored(self, since: int = 0) -> Iterator[tuple[str, BusEvent]]:
        return (self._given(record) for record in self._found if (record.seq or 0) > since)

    def of_turn(self, turn: int) -> Iterator[tuple[str, BusEvent]]:
        span = span_of_turn([one for one in self._found if one.kind in BOUNDS], turn)
        found = [] if span is None else self._found[span.first - 1 : span.last]
        return (self._given(record) for record in found)

    def newest_first(self) -> Iterator[tuple[str, BusEvent]]:
        return (self._given(record) for record in reversed(self._found))

    def turn_start(self, agent: str, seq: int) -> tuple[str, BusEvent] | None:
        before = [record for record in self._found if record.kind in BOUNDS and (record.seq or 0) < seq][-1:]
        return next(((agent, record) for record in before if record.kind == TurnStart.kind), None)

    def _given(self, record: BusEvent) -> tuple[str, BusEvent]:
        self.asked.append(record.seq or 0)
        return ("bee", record)

    def follow(self) -> Iterator[tuple[str, BusEvent] | None]:
        return iter(())


@pytest.mark.parametrize(
    ("wanted", "expected", "asked"),
    [
        (EventFilter(count=2), [9, 10], []),
        (EventFilter(kinds=("note",)), [1, 5, 10], []),
        (EventFilter(tools=True, count=1), [7], [10, 9, 8, 7]),
        (EventFilter(tools=True, since=3), [7], [4, 5, 6, 7, 8, 9, 10]),
        (EventFilter(since=8), [9, 10], [9, 10]),
        (EventFilter(grep="Ünder"), [3], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (EventFilter(turn=2), [6, 7, 8, 9], [6, 7, 8, 9]),
        (EventFilter(turn=2, count=1), [9], [6, 7, 8, 9]),
        (EventFilter(turn=2, since=7), [8, 9], [6, 7, 8, 9]),
    ],
)
def test_what_a_feed_holds_of_what_is_wanted(wanted: EventFilter, expected: list[int], asked: list[int]) -> None:
    shelf = Shelf(TWO_TURNS)
    found = list(wanted.earlier(shelf, lambda named: named[1]))
    assert ([record.seq for _, record in found], shelf.asked) == (expected, asked)


THIRD: list[LiveEvent] = [start(3), TALK, CALL, ANSWER, end(3), NOTE]
NEXT = [BusEvent.make(seq, 1, event) for seq, event in enumerate(THIRD, 11)]


@pytest.mark.parametrize(
    ("wanted", "earlier", "following"),
    [
        (EventFilter(count=2), [6, 9, 10], [11, 12, 13, 14, 15, 16]),
        (EventFilter(tools=True), [2, 3, 6, 7], [11, 13, 14]),
        (EventFilter(tools=True, count=1), [6, 7], [11, 13, 14]),
        (EventFilter(since=6), [6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16]),
        (EventFilter(since=2, tools=True), [2, 3, 6, 7], [11, 13, 14]),
        (EventFilter(turn=2, count=1), [6, 9], []),
        (EventFilter(grep="Ünder"), [2, 3], [11, 13]),
        (EventFilter(grep="some words"), [1, 5, 10], [16]),
        (EventFilter(kinds=("turn_end",)), [4, 9], [15]),
        (EventFilter(turn=3, tools=True), [], [11, 13, 14]),
        (EventFilter(count=0), [], [11, 12, 13, 14, 15, 16]),
    ],
)
def test_a_person_sees_the_head_of_each_turn_of_which_something_is_shown(
    wanted: EventFilter, earlier: list[int], following: list[int]
) -> None:
    heads = Heads[tuple[str, BusEvent]](wanted, lambda named: named[1])
    found = [record.seq for _, record in heads.earlier(Shelf(TWO_TURNS))]
    later = [record.seq for one in NEXT for _, record in heads.following(("bee", one))]
    assert (found, later) == (earlier, following)


def test_the_head_of_a_turn_that_runs_already_is_shown_when_something_of_it_comes() -> None:
    heads = Heads[tuple[str, BusEvent]](EventFilter(tools=True), lambda named: named[1])
    assert list(heads.earlier(Shelf(TWO_TURNS + NEXT[:2]))) != []
    later = [record.seq for one in NEXT[2:] for _, record in heads.following(("bee", one))]
    assert later == [11, 13, 14]
    assert list(heads.following(("bee", replaced_remark(last=2, now_ms=5)))) != []


def test_each_agent_has_heads_of_its_own() -> None:
    heads = Heads[tuple[str, BusEvent]](EventFilter(tools=True), lambda named: named[1], lambda named: named[0])
    coming = [("a", NEXT[0]), ("b", NEXT[0]), ("a", NEXT[2]), ("b", NEXT[5]), ("a", NEXT[3]), ("b", NEXT[2])]
    shown = [(name, record.seq) for one in coming for name, record in heads.following(one)]
    assert shown == [("a", 11), ("a", 13), ("a", 14), ("b", 11), ("b", 13)]


def test_a_turn_without_an_end_is_over_when_the_next_one_begins() -> None:
    wanted = EventFilter(turn=1)
    assert seqs(chosen(wanted, records(start(1), CALL, start(2), CALL))) == [1, 2]
    assert wanted.over


def test_a_turn_whose_number_comes_again_is_not_over() -> None:
    wanted = EventFilter(turn=1)
    assert seqs(chosen(wanted, records(start(1), end(1), NOTE, start(1), CALL))) == [1, 2, 4, 5]
    assert not wanted.over


def test_a_turn_is_looked_for_again_in_a_history_that_replaced_the_one_it_had_begun_in() -> None:
    wanted = EventFilter(turn=2)
    assert seqs(chosen(wanted, records(start(2), CALL))) == [1, 2]
    assert wanted.shows(replaced_remark(last=2, now_ms=5))
    assert seqs(chosen(wanted, records(start(1), CALL, end(1), start(2), CALL, end(2)))) == [4, 5, 6]
    assert wanted.over


@pytest.mark.parametrize("text", ["tool_use", 'so "quoted"', "a/b", "back\\slash", "two\nlines", "ﬁsh", "STRASSE", "é"])
def test_a_text_is_found_however_it_was_written(text: str) -> None:
    for payload in (
        b'{"kind":"x","text":"tool_use so \\"quoted\\" a\\/b back\\\\slash two\\nlines"}',
        b'{"text":"\\u0074ool_use so \\u0022quoted\\u0022 a/b back\\u005cslash two\\u000alines"}',
        '{"text":"fish stra\u00dfe \u00c9"}'.encode(),
    ):
        record = BusEvent(1, 1, "note", payload)
        wanted = contains(record.event.to_fields(), text.casefold())
        assert EventFilter(grep=text).passes_record(record) == wanted


def test_names_of_fields_are_no_text() -> None:
    assert not contains({"text": ["x", {"text": 1}], "n": None}, "text")
    assert contains({"a": [{"b": ["deep"]}]}, "dee")


@pytest.mark.parametrize("message", [None, 1, "x", {"content": "x"}, {"content": [None, 1, {"type": None}]}])
def test_odd_shapes_have_no_tools(message: object) -> None:
    assert not has_tools(Stream.from_line({"type": "assistant", "message": message}))


def span(found: list[BusEvent], turn: int) -> Span | None:
    return span_of_turn([one for one in found if one.event.kind in BOUNDS], turn)


@pytest.mark.parametrize(
    ("turn", "expected"), [(1, Span(2, 4, is_whole=True)), (2, Span(6, 9, is_whole=True)), (3, None)]
)
def test_where_a_turn_stands(turn: int, expected: Span | None) -> None:
    assert span(TWO_TURNS, turn) == expected


@pytest.mark.parametrize("at", [2, 3])
def test_a_turn_whose_beginning_was_swept_has_what_is_left(at: int) -> None:
    assert span(TWO_TURNS[at:], 1) == Span(1, 4, is_whole=False)


def test_of_a_turn_that_was_swept_nothing_is_left() -> None:
    assert span(TWO_TURNS[4:], 1) is None


def test_a_turn_whose_beginning_is_missing_begins_behind_the_turn_before() -> None:
    assert span(records(start(1), end(1), NOTE, end(2)), 2) == Span(3, 4, is_whole=False)
    assert span(records(start(1), CALL, end(1), end(2)), 2) == Span(4, 4, is_whole=False)


def test_a_turn_that_runs_or_was_cut_off_ends_with_the_next_one() -> None:
    found = records(start(1), CALL, start(2), CALL)
    assert [span(found, turn) for turn in (1, 2)] == [Span(1, 2, is_whole=True), Span(3, None, is_whole=True)]


def test_of_two_turns_with_one_number_the_newer_counts() -> None:
    assert span(records(start(1), end(1), start(1), NOTE, end(1)), 1) == Span(3, 5, is_whole=True)


def test_the_last_turn() -> None:
    assert (last_turn_id(TWO_TURNS), last_turn_id(records(NOTE))) == (2, None)

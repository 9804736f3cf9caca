"""What is searched of an event, what a query means, and that the index never misses what a query finds."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import BusEvent, DailyReport, LiveEvent, Note, Stream, TurnEnd, TurnStart
from hyperhive_cli.store.schema import WORDS_TABLE
from hyperhive_cli.store.texts import Text, texts_of
from hyperhive_cli.store.words import INDEXED_BYTES, MOST_TOKENS, Query, words_of
from tests.unit.made_events import answer, assistant, call, record, said


def line(fields: dict[str, object]) -> BusEvent:
    return record(Stream.from_line(fields))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (TurnStart(sender="ci", body="fix it", unread=0), [Text("message", "fix it", given="ci")]),
        (Note(text="low", level="error"), [Text("note", "low", failed=True)]),
        (TurnEnd(ok=False, note="no credit"), [Text("note", "no credit", failed=True)]),
        (TurnEnd(ok=True), []),
        (DailyReport(since=1, until=2, text="3 turns", markdown="# 3 turns"), [Text("note", "3 turns")]),
        (assistant(said("so be it")), [Text("text", "so be it")]),
        (assistant({"type": "thinking", "thinking": "hm", "signature": "x" * 99}), [Text("thought", "hm")]),
        (
            assistant(call("t1", "Bash", command="ls", type="kept")),
            [Text("call", "Bash\nls\nkept", "Bash", "t1", {"command": "ls", "type": "kept"})],
        ),
        (answer("t1", "a\nb", is_error=True), [Text("output", "a\nb", call="t1", failed=True)]),
        (
            {**answer("t1", [said("twice")]), "tool_use_result": {"stdout": "twice"}, "uuid": "u"},
            [Text("output", "twice", call="t1")],
        ),
        (answer("t1", [{"type": "image", "source": {"type": "base64", "data": "AAAA"}}]), []),
        ({"type": "system", "subtype": "init", "tools": ["Bash"]}, []),
        ({"type": "system", "subtype": "new", "uuid": "u", "words": ["new words"]}, [Text("note", "new words")]),
        ({"type": "result", "subtype": "success", "result": "so be it"}, []),
        (
            {"type": "result", "subtype": "error", "is_error": True, "errors": ["worse"]},
            [Text("note", "worse", failed=True)],
        ),
        ({"type": "user", "message": {"content": "a summary"}}, [Text("note", "a summary")]),
        ({"type": "assistant", "message": 3}, []),
        (answer("t1", "\x1b[31mred\x1b[0m"), [Text("output", "red", call="t1")]),
        (TurnEnd(ok=False, outcome="crashed"), [Text("note", "crashed", failed=True)]),
    ],
)
def test_the_texts_of_an_event_are_those_that_a_person_reads(
    event: LiveEvent | dict[str, object], expected: list[Text]
) -> None:
    assert texts_of(record(event)) == expected


def test_an_event_that_cannot_be_read_has_no_texts_and_breaks_nothing() -> None:
    assert texts_of(BusEvent(1, 1, "stream", b'{"broken')) == []
    assert words_of([BusEvent(1, 1, "stream", b'{"broken'), record(Note(text="sound"))]) == "sound"


def test_a_chunk_that_is_too_long_has_no_words() -> None:
    assert words_of([record(Note(text="x" * INDEXED_BYTES))]) is None


@pytest.mark.parametrize(
    ("query", "text", "is_found"),
    [
        ("claim", "test_claim_is_atomic", True),
        ("claim", "Claim!", True),
        ("claim", "reclaimed claims", False),
        ("claim*", "claims", True),
        ("claim*", "reclaim", False),
        ("connection refused", "refused: the connection", True),
        ("connection refused", "the connection", False),
        ('"connection refused"', "refused: the connection", False),
        ('"connection refused"', "CONNECTION\n  REFUSED (61)", True),
        ("store/words.py", "hyperhive/store/words.py:3", True),
        ("store/words.py", "store words py", False),
        ("--flag", "use --flag=3", True),
        ("->", "a -> b", True),
        ("*", "2 * 3", True),
        ("größe", "GRÖSSE: Größe", True),
        ("ПРИВЕТ", "привет, мир", True),
        ("連接", "数据庫連接被拒絕", True),  # scripts without spaces have no ends of words
        ("cafe", "cafe\u0301", False),
        ("icon", "\ue0b0 icon", True),
    ],
)
def test_words_match_whole_words(query: str, text: str, is_found: bool) -> None:
    assert Query.from_text(query).matches(text) is is_found


@pytest.mark.parametrize("query", ["", "  ", '""', '"unfinished', 'a "b'])
def test_a_query_without_a_word_is_refused(query: str) -> None:
    with pytest.raises(UsageError):
        Query.from_text(query)


def test_a_part_matches_within_words_and_a_pattern_as_it_says() -> None:
    assert Query.from_part("LAIM").matches("reclaimed")
    assert Query.from_part("é").matches("CAFÉ")
    assert Query.from_pattern(r"^ex.t \d$").matches("first\nexit 3")
    assert not Query.from_pattern("EXIT").matches("exit")
    with pytest.raises(UsageError, match="not a valid regular expression"):
        Query.from_pattern("(")


def test_a_row_without_the_words_is_not_worth_parsing() -> None:
    query = Query.from_text("connection refus*")
    assert query.may_match(b'{"text":"\\nconnection\\trefused"}')
    assert not query.may_match(b'{"text":"connection"}')
    assert query.may_match(record(Note(text="connection re\x1b[1mfused\x1b[m")).payload)


def indexed(text: str, expression: str) -> bool:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(WORDS_TABLE)
        db.execute("INSERT INTO words(rowid, x) VALUES (1, ?)", (text,))
        return bool(db.execute("SELECT rowid FROM words WHERE words MATCH ?", (expression,)).fetchall())


LETTERS = st.sampled_from(
    "abkKsSiI1_ .-*\n\tàÀßẞµ\u03bc\u03a3ς\u03c3ИийÆﬁ\u0301\u0345\u212a\u017f\u0130\u0131²½\ue0b0連\u0903Ⴀა\x00"
)
ASSIGNED = st.characters(exclude_categories=["Cs", "Cn"])  # of other numbers SQLite takes some for letters
COLOURED = st.lists(LETTERS | st.just("\x1b[1m"), max_size=12).map("".join)
TEXTS = COLOURED | st.text(ASSIGNED, max_size=12)


@given(TEXTS, TEXTS, TEXTS, st.integers(0, 11), st.integers(1, 6), st.booleans())
def test_the_index_and_the_bytes_never_miss_what_a_query_finds(
    before: str, text: str, after: str, start: int, length: int, is_phrase: bool
) -> None:
    part = text[start % (len(text) or 1) :][:length].replace('"', "")
    try:
        query = Query.from_text(f'"{part}"' if is_phrase else part)
    except UsageError:
        return
    for whole in (before + text + after, f"{before} {text.upper()} {after}", f"{text.lower()}"):
        row = record(Note(text=whole))
        if any(query.matches(one.text) for one in texts_of(row)):
            assert query.fts is None or indexed(words_of([row]) or "", query.fts)
            assert query.may_match(row.payload)


def test_a_query_of_many_words_asks_the_index_for_some_of_them() -> None:
    words = [f"word{number}" for number in range(MOST_TOKENS * 20)]
    query = Query.from_text(" ".join(words))
    assert indexed(" ".join(words), query.fts or "")
    assert query.matches(" ".join(words))
    assert not query.matches(" ".join(words[:-1]))

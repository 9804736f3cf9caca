"""A transcript as Markdown and HTML: everything that was said is in it, and none of it is markup."""

import json
from html.parser import HTMLParser

import pytest

from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, Stream, TurnEnd, TurnStart
from hyperhive_cli.render.document import row_to_entry, rows_to_html, rows_to_markdown
from hyperhive_cli.transcript.rows import Row, TextRow
from hyperhive_cli.transcript.translate import Translator
from tests.conftest import recording, recording_index

EVIL = '<script>alert(1)</script><img src=x onerror="x">"\'&\x1b[31m\u202e```\n````'
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "section", "div", "pre", "details", "summary",
}  # fmt: skip


class Page(HTMLParser):
    """Reads a page: its tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self.depth = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.depth += tag != "meta"

    def handle_endtag(self, _tag: str) -> None:
        self.depth -= 1

    def handle_data(self, data: str) -> None:
        self.words += data


def rows_of(*events: LiveEvent) -> list[Row]:
    translator = Translator()
    return [row for seq, event in enumerate(events, 1) for row in translator.rows(BusEvent.make(seq, 1, event))]


def turn_of(name: str) -> list[Row]:
    lines = [Stream.from_line(json.loads(line)) for line in recording(name)]
    start = TurnStart(sender="operator", body="look around", unread=0, turn_id=7)
    return rows_of(start, *lines, TurnEnd(ok=True, outcome="ok", turn_id=7, duration_ms=4_000, tool_calls=5))


def evil_turn() -> list[Row]:
    blocks = [
        {"type": "text", "text": EVIL},
        {"type": "thinking", "thinking": EVIL},
        {"type": "tool_use", "name": EVIL, "input": {EVIL: EVIL}},
    ]
    answer = {"type": "tool_result", "content": [{"type": "text", "text": EVIL * 20}, {"type": EVIL}], "is_error": True}
    return rows_of(
        TurnStart(sender=EVIL, body=EVIL, unread=0, turn_id=1),
        Stream.from_line({"type": "assistant", "message": {"content": blocks}}),
        Stream.from_line({"type": "user", "message": {"content": [answer]}}),
        Note(text=EVIL, source=EVIL, level=EVIL),
        TurnEnd(ok=False, note=EVIL, outcome=EVIL),
    )


@pytest.mark.parametrize("name", sorted(recording_index()))
def test_every_recording_is_a_document(name: str) -> None:
    rows = turn_of(name)
    page = Page("".join(rows_to_html("tester", rows)))
    markdown = "".join(rows_to_markdown("tester", rows))
    assert page.depth == 0
    for entry in filter(None, map(row_to_entry, rows)):
        assert entry.body in page.words
        assert entry.body in markdown


def test_a_turn_with_tools_is_told_in_order() -> None:
    kinds = [row.kind for row in turn_of("v2.1.330/tools.jsonl")]
    assert kinds[0] == "head"
    assert kinds[-2:] == ["text", "foot"], "the result, which repeats the last text, is left out"
    assert (kinds.count("call"), kinds.count("answer")) == (5, 5)


def test_an_edit_is_shown_as_a_diff_with_the_name_of_its_file() -> None:
    edit = {"type": "tool_use", "id": "a", "name": "Edit",
            "input": {"file_path": "/a/b.py", "old_string": "x = 1\ny", "new_string": "x = 2\ny"}}  # fmt: skip
    rows = rows_of(Stream.from_line({"type": "assistant", "message": {"content": [edit]}}))
    assert "**Edit /a/b.py**\n\n```text\n@@ -0 +0 @@\n-x = 1\n+x = 2\n y\n```" in "".join(rows_to_markdown("x", rows))


def test_the_reason_of_a_failure_is_in_it() -> None:
    markdown = "".join(rows_to_markdown("x", turn_of("v2.1.330/model_missing.jsonl")))
    assert "There's an issue with the selected model" in markdown


def test_nothing_of_what_others_wrote_is_markup() -> None:
    page = Page("".join(rows_to_html(EVIL, evil_turn())))
    assert page.tags <= ALLOWED
    assert page.attributes <= {"lang", "charset", "name", "content", "http-equiv", "class"}
    assert page.words.count("<script>alert(1)</script>") > 6
    assert "\x1b" not in page.words
    assert "\u202e" not in page.words


def test_the_page_forbids_scripts_and_the_network_itself() -> None:
    page = "".join(rows_to_html("x", []))
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page


def test_no_text_breaks_out_of_its_fence() -> None:
    """But the model's own words, which are Markdown."""
    rows = [row for row in evil_turn() if not isinstance(row, TextRow)]
    fence = ""
    for line in "".join(rows_to_markdown("x", rows)).splitlines():
        if fence:
            closes = len(line) >= len(fence) and not line.strip("`")  # as Markdown has it: as many, or more
            fence = "" if closes else fence
        elif line.startswith("```"):
            assert line.endswith("text")
            fence = line.removesuffix("text")
        else:
            assert "<script" not in line.replace("\\<", "")
    assert fence == ""


@pytest.mark.parametrize("line", [{}, {"type": "assistant"}, {"type": "user", "message": {"content": [1, None, "x"]}}])
def test_odd_lines_are_left_out_or_harmless(line: dict[str, object]) -> None:
    rows_of(Stream.from_line(line))

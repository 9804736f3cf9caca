"""Tools that run at the API: their calls are counted, their answers are shown."""

from typing import Any

import pytest

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.server_tools import ServerResult, is_server_result, server_result
from hyperhive_cli.claude.stream import tool_calls, tool_names
from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.render.document import row_to_entry
from hyperhive_cli.transcript.translate import Translator
from tests.unit.made_events import TS, assistant, plain
from tests.unit.served_blocks import PAGE, SERVED

SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "hyperhive release"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [PAGE]}
CONNECTOR = {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "lookup", "server_name": "s", "input": {}}


@pytest.mark.parametrize(("block", "wanted"), SERVED)
def test_what_such_a_tool_answered(block: dict[str, Any], wanted: tuple[str, str, bool]) -> None:
    assert is_server_result(block)
    assert server_result(block) == ServerResult(*wanted)


@pytest.mark.parametrize("block", [{}, {"type": "tool_result"}, {"type": ["tool_result"]}, {"type": "text"}])
def test_other_blocks_are_none_of_theirs(block: dict[str, Any]) -> None:
    assert not is_server_result(block)


def test_their_calls_count() -> None:
    lines = [
        assistant(SEARCH),
        assistant(FOUND),
        assistant(CONNECTOR),
        {"type": "user", "message": {"content": [SEARCH]}},
    ]
    assert [name for line in lines for name in tool_names(line)] == ["web_search", "lookup"]
    assert tool_calls(lines[0]) == [SEARCH]
    seen = Evidence()
    for line in lines:
        seen.observe_stream(line)
    assert (seen.tool_calls, seen.own.tool_calls) == (2, 2)
    assert not seen.running_tools, "nothing of it runs here: the watchdog need not wait for it"


def test_their_answers_stand_under_their_calls() -> None:
    shown = plain(assistant(SEARCH), assistant(FOUND), assistant({"type": "text", "text": "I found one page."}))
    assert shown.splitlines() == [
        "▸ web_search hyperhive release",
        "         1 page",
        "         Hyperhive — https://example.org/h",
        "",
        "  I found one page.",
    ]


def test_a_document_has_both() -> None:
    lines = [Stream.from_line(assistant(block)) for block in (SEARCH, FOUND, {"type": "poem", "text": "a rose"})]
    records = [BusEvent.make(seq, TS, line) for seq, line in enumerate(lines, 1)]
    translator = Translator()
    entries = [row_to_entry(row) for record in records for row in translator.rows(record)]
    assert [(entry.kind, entry.title, entry.body) for entry in entries if entry is not None] == [
        ("call", "web_search", "hyperhive release"),
        ("answer", "1 page", "Hyperhive — https://example.org/h"),
        ("note", "claude", "assistant/poem: a rose"),
    ]


def test_a_block_of_a_new_type_shows_its_words() -> None:
    assert plain(assistant({"type": "poem", "text": "a rose\nis a rose"})) == "· assistant/poem: a rose\n  is a rose\n"
    user = {"type": "user", "message": {"content": [{"type": "riddle", "content": [{"type": "text", "text": "what"}]}]}}
    assert plain(user) == "> what\n"


def test_what_a_stop_hook_said_is_shown_whole() -> None:
    words = "Stop hook feedback:\n[check.sh]: go on\nand run the tests"
    shown = plain({"type": "user", "message": {"content": [{"type": "text", "text": words}]}, "isSynthetic": True})
    assert shown.splitlines() == ["! Stop hook feedback:", "  [check.sh]: go on", "  and run the tests"]


def test_a_compaction_that_failed_says_why_once() -> None:
    error = "Error during compaction: API Error: 400 the summary was refused"
    text = {"type": "assistant", "message": {"model": "<synthetic>", "content": [{"type": "text", "text": error}]}}
    status = {"type": "system", "subtype": "status", "status": None, "compact_result": "failed", "compact_error": error}
    shown = plain(status, text, {"type": "result", "is_error": False, "result": error})
    assert shown == f"✗ {error}\n"

"""What the real binary says beside its answer, as an operator reads it: `show`, the notes, `status`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.claude.test_field import FINE, HiveOf, hook, says
from tests.claude.test_field import Case as Given
from tests.claude.test_field import hive_of as hive_of  # noqa: PLC0414 - a fixture
from tests.harness import of_kind

Rule = dict[str, Any]
DONE: Rule = {"when": "tool_result", "reply": [{"text": "It is done."}]}
WRITE: Rule = {"reply": [{"tool": "Write", "input": {"file_path": "@CWD@/a.txt", "content": "A\n"}}]}
CURL: Rule = {"reply": [{"tool": "Bash", "input": {"command": "curl -s http://127.0.0.1:1/", "description": "x"}}]}
SEARCH: Rule = {
    "reply": [
        {
            "raw": {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            "deltas": [{"type": "input_json_delta", "partial_json": '{"query":"hyperhive release"}'}],
        },
        {
            "raw": {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": [
                    {
                        "type": "web_search_result",
                        "title": "Hyperhive",
                        "url": "https://example.org/h",
                        "encrypted_content": "eA==",
                    }
                ],
            }
        },
        {"text": "I found one page."},
    ]
}
OVERLOADED: Rule = {"status": 529, "error": "overloaded_error", "message": "Overloaded", "times": 3}
SKIP = "--dangerously-skip-permissions"
STOP_ONCE = "if [ -e stopped ]; then exit 0; fi; touch stopped; echo run the tests too >&2; exit 2"
RESETS_AT = str(int(time.time()) + 3600)
NEAR: Mapping[str, str] = {
    "anthropic-ratelimit-unified-status": "allowed_warning",
    "anthropic-ratelimit-unified-representative-claim": "five_hour",
    "anthropic-ratelimit-unified-reset": RESETS_AT,
    "anthropic-ratelimit-unified-5h-utilization": "0.93",
    "anthropic-ratelimit-unified-5h-reset": RESETS_AT,
    "anthropic-ratelimit-unified-5h-surpassed-threshold": "0.9",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What an agent is given, the notes that it must leave (each by how it begins and ends), and what `show` shows."""

    rules: Sequence[Rule]
    notes: Sequence[tuple[str, str]] = ()
    shown: Sequence[str] = ()
    options: Sequence[str] = (SKIP,)
    claude_options: Sequence[str] = ()
    settings: Mapping[str, Any] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    denied: int = 0
    tool_calls: int = 1

    @property
    def given(self) -> Given:
        return Given(["ok"], ["done"], self.rules, settings=self.settings, variables=self.variables)


CASES = {
    "a call that no one can allow": Case(
        [DONE, WRITE],
        [("1 tool call was denied (Write) because no one can answer", "--permission-mode acceptEdits` allows it")],
        options=(),
        denied=1,
    ),
    "a command that no one can allow": Case(
        [DONE, CURL],
        [("1 tool call was denied (Bash) because", "`hyperhive run -- --allowedTools 'Bash(curl:*)'` allows it")],
        options=("--permission-mode", "acceptEdits"),
        denied=1,
    ),
    "a mode that asks no one": Case(
        [DONE, WRITE],
        [("1 tool call was denied (Write) by the permission mode dontAsk;", "acceptEdits` allows it")],
        options=("--permission-mode", "dontAsk"),
        denied=1,
    ),
    "a rule": Case(
        [DONE, CURL],
        [("1 tool call was denied (Bash) by a `deny` rule", "")],
        settings={"permissions": {"deny": ["Bash(curl:*)"]}},
        denied=1,
    ),
    "a hook that denies": Case(
        [DONE, WRITE],
        [("1 tool call was denied (Write) by a hook: ", "policy says no")],
        ["policy says no"],
        settings=hook("PreToolUse", "echo policy says no >&2; exit 2"),
        denied=1,
    ),
    "a hook that tells claude to go on": Case(
        [{"when": "run the tests too", "reply": [{"text": "They pass."}]}, FINE],
        shown=["! Stop hook feedback:", "]: run the tests too", "They pass."],
        settings=hook("Stop", STOP_ONCE),
        tool_calls=0,
    ),
    "a hook that fails": Case(
        [DONE, WRITE],
        shown=["! hook PostToolUse:Write failed: broken", "It is done."],
        settings=hook("PostToolUse", "echo broken >&2; exit 1"),
    ),
    "a hook that has a word for the operator": Case(
        [FINE],
        shown=["hook Stop: remember to push"],
        settings=hook("Stop", says(systemMessage="remember to push")),
        tool_calls=0,
    ),
    "another model": Case(
        [OVERLOADED, {"reply": [{"text": "Answered by the other one."}]}],
        [("claude-sonnet-", "answered, though haiku was asked for")],
        shown=["is overloaded: sonnet-", "Answered by the other one."],
        claude_options=("--fallback-model", "sonnet"),
        tool_calls=0,
    ),
    "a tool of the API": Case(
        [SEARCH],
        shown=["▸ web_search hyperhive release", "1 page", "Hyperhive — https://example.org/h", "I found one page."],
    ),
    "a server that is missing": Case(
        [FINE],
        [("MCP servers are missing: gone: failed", "")],
        claude_options=("--mcp-config", '{"mcpServers":{"gone":{"command":"/nonexistent"}}}'),
        tool_calls=0,
    ),
    "a limit that is near": Case(
        [{"headers": NEAR, **FINE}],
        shown=["↻ 5-hour limit 93% used, resets "],
        variables={"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-dummy", "ANTHROPIC_API_KEY": ""},
        tool_calls=0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_reads_what_claude_says(name: str, hive_of: HiveOf) -> None:
    case = CASES[name]
    hive = hive_of(case.given)
    done = hive.drain("--message", "do it", *case.options, claude_arguments=case.claude_options)
    events = done.json_lines()
    [end] = of_kind(events, "turn_end")
    assert (end["ok"], end["denied"], end["tool_calls"]) == (True, case.denied, case.tool_calls), end
    notes = [event["text"] for event in of_kind(events, "note")]
    for start, ending in case.notes:
        assert [note for note in notes if note.startswith(start) and note.endswith(ending)], notes
    shown = hive.call("--plain", "show", "1").stdout
    at = 0
    for words in case.shown:
        at = shown.find(words.replace("▸", "*").replace("↻", "@"), at)
        assert at >= 0, (words, shown)


def test_status_has_the_limits_and_the_missing_servers(hive_of: HiveOf) -> None:
    limit, server = CASES["a limit that is near"], CASES["a server that is missing"]
    hive = hive_of(limit.given)
    hive.drain("--message", "do it", SKIP, claude_arguments=server.claude_options)
    found = hive.status()
    [window] = found["limits"]
    assert (window["name"], window["status"], window["utilization"]) == ("5-hour limit", "allowed_warning", 0.93)
    assert found["mcp"] == ["gone: failed"]
    text = hive.call("status").stdout
    assert "5-hour limit 93% used, resets " in text
    assert "gone: failed" in text


def test_a_compaction_that_came_to_nothing_is_none_that_was_ok(hive_of: HiveOf) -> None:
    """An error of the API in 2.1.332, too few messages in 2.1.197: exit status 0 and no error in the result, both."""
    refused = {"when": "summary", "status": 400, "error": "invalid_request_error", "message": "no summary of that"}
    hive = hive_of(Given(["ok"], ["done"], [refused, FINE]))
    with hive.run("--message", "hello", SKIP) as program:
        program.wait_for_kind("turn_end")
        done = hive.call("compact")
        end = program.wait_for_kind("turn_end", ok=False)
    assert done.refusal().startswith("nothing was compacted: ")
    assert end["outcome"] == "failed"
    assert "no summary of that" in end["note"] or "Not enough messages" in end["note"]
    assert hive.status()["last_outcomes"] == ["ok", "failed"]

"""Turns that end in other ways than well, with the real binary: what becomes of each message, and what is said."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.claude.conftest import MessagesApi
from tests.conftest import wait_until
from tests.forkserver import Forkserver
from tests.harness import Done, Event, Hive, of_kind, outcomes

Rule = dict[str, Any]
SKIP_PERMISSIONS = "--dangerously-skip-permissions"
SCHEMA = '{"type":"object","required":["colour"],"properties":{"colour":{"type":"string"}}}'
NOW = {"agent.backoff.BACKOFF_FIRST_S": 0.01}
ONE_RETRY = {"CLAUDE_CODE_MAX_RETRIES": "1"}  # of claude's own, so that a failing turn takes seconds

FINE: Rule = {"reply": [{"text": "fine."}]}
CALL: Rule = {
    "reply": [{"text": "Starting."}, {"tool": "Bash", "input": {"command": "echo hi >> made", "description": "x"}}]
}
AFTER_CALL: Rule = {"when": "tool_result", "reply": [{"text": "It is done."}]}
LOOP: Rule = {"reply": [{"tool": "Bash", "input": {"command": "echo again", "description": "x"}}]}


def error(status: int, kind: str, message: str, **fields: object) -> Rule:
    """Return a rule that answers with an error that claude does not try again."""
    return {"status": status, "error": kind, "message": message, "headers": {"x-should-retry": "false"}, **fields}


def hook(event: str, command: str) -> dict[str, Any]:
    """Return claude's settings with one hook."""
    return {"hooks": {event: [{"hooks": [{"type": "command", "command": command}]}]}}


def says(**fields: object) -> str:
    """Return a hook's command that prints this as JSON."""
    return f"echo '{json.dumps(fields)}'"


FORBIDDEN = hook("UserPromptSubmit", "if grep -q FORBIDDEN; then echo 'policy: not this one' >&2; exit 2; fi")
DEFER = hook("PreToolUse", says(hookSpecificOutput={"hookEventName": "PreToolUse", "permissionDecision": "defer"}))


@dataclass(frozen=True, slots=True)
class Case:
    """One agent that is drained: what it is given, and what must come of it.

    `rules` is what the Messages API plays, or the name of a scenario. `turns` are the outcomes in order, those of
    compactions too; `states` what has become of each message; `note` is in the note of the last turn that failed.
    """

    turns: Sequence[str]
    states: Sequence[str]
    rules: Sequence[Rule] | str = (FINE,)
    note: str = ""
    messages: Sequence[str] = ("do it",)
    settings: Mapping[str, Any] | None = None
    claude_options: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    status: int = 1
    attempts: int | None = None  # that count, of the last message
    requests: int | None = None  # how many there may be: what is paid for
    constants: Mapping[str, float] = field(default_factory=dict)


CASES = {
    # Hooks.
    "a prompt that a hook blocks": Case(
        ["ok", "blocked", "ok"],
        ["done", "dead", "done"],
        "field/hook_block",
        "policy: not this one",
        ("hello", "a FORBIDDEN thing", "hello again"),
        FORBIDDEN,
        requests=2,
    ),
    "a prompt that a hook blocks in JSON": Case(
        ["blocked"],
        ["dead"],
        note="not on Sundays",
        settings=hook("UserPromptSubmit", says(decision="block", reason="not on Sundays")),
        requests=0,
    ),
    "a prompt that a hook stops": Case(
        ["blocked"],
        ["dead"],
        note="maintenance window",
        settings=hook("UserPromptSubmit", says(**{"continue": False, "stopReason": "maintenance window"})),
        requests=0,
    ),
    "a stop hook that prevents": Case(
        ["blocked"],
        ["dead"],
        note="a hook stopped it: enough",
        settings=hook("Stop", says(**{"continue": False, "stopReason": "enough"})),
        requests=1,
    ),
    "a hook that stops before a tool": Case(
        ["blocked"],
        ["dead"],
        [AFTER_CALL, CALL],
        "a hook stopped it: enough",
        settings=hook("PreToolUse", says(**{"continue": False, "stopReason": "enough"})),
        requests=1,
    ),
    "a hook that stops after a tool": Case(
        ["blocked", "ok"],
        ["dead", "done"],
        [{"when": "SECOND", **FINE}, AFTER_CALL, CALL],
        "a hook stopped it: enough",
        ("do it", "the SECOND one"),
        hook("PostToolUse", says(**{"continue": False, "stopReason": "enough"})),
        requests=2,
    ),
    "a failing hook at the start": Case(
        ["ok"], ["done"], settings=hook("SessionStart", "echo broken >&2; exit 2"), status=0
    ),
    # Deferred calls.
    "a tool call that a hook defers": Case(
        ["deferred"], ["held"], "field/tool_defer", "echo hi > deployed", settings=DEFER, requests=1
    ),
    "a message after a deferred call": Case(
        ["deferred", "ok"],
        ["held", "done"],
        [{"when": "SECOND", **FINE}, AFTER_CALL, CALL],
        "echo hi >> made",
        ("do it", "the SECOND one"),
        DEFER,
    ),
    # Caps.
    "an answer that is too long": Case(["capped"], ["dead"], "field/max_output", "output token maximum", requests=4),
    "a schema that no answer fits": Case(
        ["capped"],
        ["dead"],
        "field/json_schema_retries",
        "structured output",
        claude_options=["--json-schema", SCHEMA],
        requests=5,
    ),
    "too many turns of claude's": Case(
        ["capped"], ["dead"], [LOOP], "maximum number of turns", claude_options=["--max-turns", "2"], requests=2
    ),
    "claude's own budget": Case(
        ["capped"], ["dead"], [LOOP], "maximum budget", claude_options=["--max-budget-usd", "0.000001"], requests=1
    ),
    # Refusals.
    "a refusal in a conversation": Case(
        ["ok", "declined", "declined", "ok", "ok", "ok"],
        ["done", "dead", "done", "done", "done"],
        "field/refusal_poison",
        messages=("innocent", "look at this FLAGGED thing", "innocent A", "innocent B", "innocent C"),
    ),
    "a refusal of the first message": Case(
        ["declined", "ok"],
        ["dead", "done"],
        "field/refusal_poison",
        messages=("look at this FLAGGED thing", "innocent"),
    ),
    "a bad request in a conversation": Case(
        ["ok", "bad_request", "bad_request", "ok"],
        ["done", "dead", "done"],
        [error(400, "invalid_request_error", "tool_use ids without tool_result", when="BAD"), FINE],
        "tool_use ids without tool_result",
        ("hello", "a BAD one", "hello again"),
    ),
    "a conversation that has gone bad": Case(
        ["ok", "bad_request", "ok"],
        ["done", "done"],
        [
            {"when": "first", "times": 1, **FINE},
            error(400, "invalid_request_error", "thinking blocks cannot be modified", times=1),
            FINE,
        ],
        "thinking blocks",
        ("the first", "the next"),
    ),
    "a bad request of the first message": Case(
        ["bad_request", "ok"],
        ["dead", "done"],
        [error(400, "invalid_request_error", "messages: nope", when="BAD"), FINE],
        "messages: nope",
        ("a BAD one", "hello"),
    ),
    # The API, the account, the connection: the message is not to blame.
    "a model that is not there": Case(
        ["bad_model"],
        ["ready", "ready"],
        [error(404, "not_found_error", "model: haiku")],
        "issue with the selected model",
        ("one", "two"),
        attempts=0,
        requests=2,  # claude asks once more, without streaming
    ),
    "an account without permission": Case(
        ["refused"], ["held"], "field/forbidden_403", "Your organization does not have access", variables=ONE_RETRY
    ),
    "a proxy that forbids it": Case(
        ["refused"],
        ["held"],
        [{"status": 403, "page": "<html><h1>Blocked by the proxy</h1></html>"}],
        "403",
        variables=ONE_RETRY,
    ),
    "an unpaid account": Case(
        ["billing"], ["ready"], [error(402, "billing_error", "Payment required")], "Payment required", attempts=0
    ),
    "an invalid key": Case(
        ["needs_login"], ["ready"], [error(401, "authentication_error", "invalid x-api-key")], attempts=0
    ),
    "a limit": Case(
        ["rate_limited"], ["ready"], [error(429, "rate_limit_error", "slow down")], "slow down", attempts=0
    ),
    "a conflict": Case(["failed"] * 2, ["dead"], [error(409, "conflict_error", "a conflict")], "409", constants=NOW),
    "an unreachable port": Case(
        ["no_connection"],
        ["ready"],
        note="efused",
        variables={**ONE_RETRY, "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"},
        attempts=0,
    ),
    "an unknown host": Case(
        ["no_connection"],
        ["ready"],
        note="API",
        variables={**ONE_RETRY, "ANTHROPIC_BASE_URL": "http://no-such-host.invalid"},
        attempts=0,
    ),
}


@pytest.fixture
def hive_of(claude_binary: Path, messages_api: MessagesApi, state_dir: Path, forkserver: Forkserver) -> "HiveOf":
    return HiveOf(claude_binary, messages_api, state_dir, forkserver)


@dataclass(frozen=True, slots=True)
class HiveOf:
    """Sets up the agent of a case."""

    claude: Path
    api: MessagesApi
    state_dir: Path
    forkserver: Forkserver

    def __call__(self, case: Case) -> Hive:
        rules = case.rules
        environment = self.api.start(rules) if isinstance(rules, str) else self.api.play(*rules)
        if case.settings is not None:
            folder = self.api.workspace / ".claude"
            folder.mkdir()
            (folder / "settings.json").write_text(json.dumps(case.settings))
        variables = {**environment, **case.variables}
        return Hive(
            self.api.workspace, self.state_dir, self.claude, variables, self.forkserver, constants=case.constants
        )


def drain(hive: Hive, case: Case, *options: str) -> Done:
    messages = [word for message in case.messages for word in ("--message", message)]
    return hive.drain(*messages, SKIP_PERMISSIONS, "--drain-wait", "2", *options, claude_arguments=case.claude_options)


def check(case: Case, done: Done, hive: Hive, api: MessagesApi) -> list[Event]:
    """Check what has come of a case, and return its events."""
    events = done.json_lines()
    assert outcomes(events) == list(case.turns), of_kind(events, "turn_end")
    found = hive.messages("--all")
    assert [message["state"] for message in found] == list(case.states)
    notes = [event["note"] for event in of_kind(events, "turn_end") if not event["ok"]]
    assert [note for note in notes if not note] == []
    assert case.note in (notes or [""])[-1]
    assert (done.status, done.stderr) == (case.status, "")
    if case.attempts is not None:
        assert found[-1]["attempts"] == case.attempts
    if case.requests is not None:
        assert len(api.requests()) <= case.requests
    return events


BELOW = {"a refusal in a conversation", "a tool call that a hook defers"}  # with more that there is to see


# How the older release ends is replayed in tests/unit/test_recorded_endings.py.
@pytest.mark.newest_release
@pytest.mark.parametrize("name", [name for name in CASES if name not in BELOW])
def test_a_turn_ends_as_the_table_of_outcomes_says(name: str, hive_of: HiveOf, messages_api: MessagesApi) -> None:
    case = CASES[name]
    hive = hive_of(case)
    check(case, drain(hive, case), hive, messages_api)


@pytest.mark.newest_release
@pytest.mark.parametrize("name", ["a prompt that a hook blocks", "a tool call that a hook defers"])
def test_a_prewarmed_turn_ends_as_any_other(name: str, hive_of: HiveOf, messages_api: MessagesApi) -> None:
    case = CASES[name]
    hive = hive_of(case)
    check(case, drain(hive, case, "--prewarm"), hive, messages_api)


# --- what more there is to see ---


def test_a_deferred_call_has_not_run_and_is_named(hive_of: HiveOf, messages_api: MessagesApi) -> None:
    case = CASES["a tool call that a hook defers"]
    hive = hive_of(case)
    (end,) = of_kind(check(case, drain(hive, case), hive, messages_api), "turn_end")
    assert not (hive.workspace / "deployed").exists()
    assert "Bash" in end["note"]
    assert hive.call("inbox", "retry", "1").status == 0
    assert [message["state"] for message in hive.messages()] == ["ready"]


def test_the_answer_after_a_deferred_call_is_that_of_the_message(hive_of: HiveOf) -> None:
    case = CASES["a message after a deferred call"]
    hive = hive_of(case)
    with hive.run(SKIP_PERMISSIONS):
        assert hive.call("send", "do it", "--wait").status == 1
        assert hive.call("send", "the SECOND one", "--wait").stdout.strip() == "fine."
    assert not (hive.workspace / "made").exists()


def test_what_was_refused_is_in_no_later_request(hive_of: HiveOf, messages_api: MessagesApi) -> None:
    case = CASES["a refusal in a conversation"]
    hive = hive_of(case)
    check(case, drain(hive, case), hive, messages_api)
    asked = [json.dumps(request["messages"]) for request in messages_api.requests()]
    first_later = next(n for n, text in enumerate(asked) if "innocent A" in text)
    assert [text for text in asked[first_later:] if "FLAGGED" in text] == []
    assert "innocent A" in asked[-1]  # these go on in one conversation


@pytest.mark.parametrize("prewarm", [(), ("--prewarm",)], ids=["cold", "prewarmed"])
def test_a_later_failure_takes_no_answer_back(
    prewarm: tuple[str, ...], hive_of: HiveOf, messages_api: MessagesApi
) -> None:
    case = Case(
        ["ok"], ["done"], "field/bg_then_500_once", messages=("deploy, then tell me",), variables=ONE_RETRY, status=0
    )
    hive = hive_of(case)
    events = check(case, drain(hive, case, *prewarm), hive, messages_api)
    assert (hive.workspace / "deployed.log").read_text() == "deployed\n"
    notes = " ".join(event["text"] for event in of_kind(events, "note"))
    assert "500" in notes
    (turn,) = hive.call("show", "last", "--json").json_lines()
    assert turn["result_text"] == "Deployed. The tests run in the background."


@pytest.mark.parametrize("prewarm", [(), ("--prewarm",)], ids=["cold", "prewarmed"])
def test_the_end_of_a_lost_background_task_decides_nothing_of_the_next_message(
    prewarm: tuple[str, ...], hive_of: HiveOf
) -> None:
    background = {"command": "sleep 600", "description": "long", "run_in_background": True}
    bad = error(400, "invalid_request_error", "not this one", when="SECOND")
    rules = [bad, AFTER_CALL, {"reply": [{"tool": "Bash", "input": background}]}]
    hive = hive_of(Case([], [], rules))
    with hive.run(SKIP_PERMISSIONS, "--message", "do it") as program:
        program.wait_for_kind("stream", type="result")
        assert program.interrupt() == 130
    assert [message["state"] for message in hive.messages("--all")] == ["done"]
    with hive.run(SKIP_PERMISSIONS, *prewarm):
        if prewarm:
            wait_until(lambda: hive.status()["prewarmed"])
        sent = hive.call("send", "the SECOND one", "--wait")
        assert (sent.status, "not this one" in sent.stderr) == (1, True)


def test_without_a_last_text_the_answer_is_the_one_before(hive_of: HiveOf) -> None:
    silent = {"when": "tool_result", "reply": [{"thinking": "hm"}]}
    hive = hive_of(Case(["ok"], ["done"], [silent, {"when": "no visible output", "reply": [{"thinking": "hm"}]}, CALL]))
    with hive.run(SKIP_PERMISSIONS):
        sent = hive.call("send", "do it", "--wait", "--json")
        assert (sent.status, sent.json_lines()[-1]["result"]) == (0, "Starting.")


def test_a_missing_model_is_waited_for_and_its_change_goes_on(hive_of: HiveOf) -> None:
    hive = hive_of(Case([], [], [error(404, "not_found_error", "model", model="haiku"), FINE]))
    with hive.run(SKIP_PERMISSIONS, "--message", "one", "--message", "two") as program:
        program.wait_for_kind("turn_end", outcome="bad_model")
        assert hive.call("model", "set", "opus").status == 0
        wait_until(lambda: [one["state"] for one in hive.messages("--all")] == ["done", "done"])
        assert program.interrupt() == 130
    assert outcomes(program.events()) == ["bad_model", "ok", "ok"]


BIG = {
    "by its size": error(413, "request_too_large", "Request exceeds the maximum size", when="BIG"),
    "by its tokens": error(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000", when="BIG"),
    "by an image": error(400, "invalid_request_error", "image exceeds 5 MB maximum: 6 bytes > 5 bytes", when="BIG"),
    "by the window": {"when": "BIG", "reply": [{"text": "cut"}], "stop": "model_context_window_exceeded"},
}


@pytest.mark.newest_release
@pytest.mark.parametrize("name", BIG)
def test_a_message_that_fits_nowhere_is_dead_alone(name: str, hive_of: HiveOf) -> None:
    # Of the window: claude asks to go on where it was cut off, and that is cut off too.
    cut_again = {"when": "Output token limit hit", "reply": [{"text": "cut"}], "stop": "model_context_window_exceeded"}
    rules = [BIG[name], *([cut_again] if name == "by the window" else []), FINE]
    case = Case([], [], rules, messages=("hello", "a BIG one", "hello again"))
    hive = hive_of(case)
    events = drain(hive, case).json_lines()
    assert [message["state"] for message in hive.messages("--all")] == ["done", "dead", "done"]
    ends = [(event["outcome"], event["message_id"]) for event in of_kind(events, "turn_end")]
    assert [kind for kind, message in ends if message == 2] in (["context_full"] * 2, ["context_full"] * 3)
    assert ends[-1] == ("ok", 3)


NOT_STARTED = {
    "an MCP file that is not there": (["--mcp-config", "/nope.json"], "MCP config file not found: /nope.json"),
    "an unknown option": (["--no-such-option"], "unknown option '--no-such-option'"),
    "an impossible schema": (["--json-schema", "{"], "--json-schema is not valid JSON"),
}


@pytest.mark.parametrize("name", NOT_STARTED)
def test_a_claude_that_does_not_start_ends_the_run_with_its_words(
    name: str, hive_of: HiveOf, messages_api: MessagesApi
) -> None:
    options, words = NOT_STARTED[name]
    hive = hive_of(Case([], []))
    done = hive.call(
        "run", "--claude", str(hive.claude), "--json", "--message", "one", SKIP_PERMISSIONS, "--", *options
    )
    assert done.status == 2
    assert words in done.stderr
    assert outcomes(done.json_lines()) == ["not_started"]
    (message,) = hive.messages()
    assert (message["state"], message["attempts"]) == ("ready", 0)
    assert messages_api.requests() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_without_a_sandbox_ends_the_run_with_claudes_words(hive_of: HiveOf) -> None:
    hive = hive_of(Case([], []))
    hive.environment = {name: value for name, value in hive.environment.items() if name != "IS_SANDBOX"}
    done = hive.call("run", "--claude", str(hive.claude), "--json", "--message", "one", SKIP_PERMISSIONS)
    assert (done.status, outcomes(done.json_lines())) == (2, ["not_started"])
    assert "root" in done.stderr


@pytest.mark.parametrize("first", ["opus", "claude-haiku-4-5"], ids=["smaller", "larger"])
def test_the_window_is_that_of_the_model_that_answers_now(first: str, hive_of: HiveOf) -> None:
    """After a change of the model claude still names the windows of those before (2.1.277 and later)."""
    hive = hive_of(Case([], [], "field/ctx_switch_compact"))
    for model in (first, "claude-haiku-4-5" if first == "opus" else "opus"):
        assert hive.call("model", "set", model).status == 0
        events = hive.drain("--message", "one", "--message", "two", "--compact-at", "70").json_lines()
        windows = windows_by_model(events)
        (window,) = {size for name, size in windows.items() if model in name}
        assert {usage["context_window"] for usage in of_kind(events, "token_usage_changed")} == {window}
        compactions = [event for event in of_kind(events, "turn_start") if event["message_id"] is None]
        assert bool(compactions) is (0.7 * window < 152_000)  # what the scenario says of the context


def windows_by_model(events: Sequence[Event]) -> dict[str, int]:
    """Return the context window of each model that a result has named."""
    results = [event for event in of_kind(events, "stream") if event["type"] == "result"]
    return {name: usage["contextWindow"] for result in results for name, usage in result["modelUsage"].items()}

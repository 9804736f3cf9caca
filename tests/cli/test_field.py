"""Turns that end in other ways than well, as claude writes them, through the commands: what becomes of each message."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from tests.conftest import FakeClaude, Step, wait_until
from tests.harness import TEXT, Event, Hive, of_kind, outcomes

SESSION = "11111111-2222-4333-8444-555555555555"
NOW = {
    "agent.backoff.BACKOFF_FIRST_S": 0.01,
    "agent.backoff.LIMIT_FLOOR_S": 0.01,
    "agent.backoff.CRASH_FIRST_S": 0.01,
}  # back-offs that would only be waited for
MODEL = "claude-opus-5"


def line(kind: str, **fields: object) -> Step:
    return {"line": {"type": kind, "session_id": SESSION, **fields}}


def init(release: str = "2.1.332", **fields: object) -> Step:
    own = {"claude_code_version": release, "model": MODEL, "apiKeySource": "none", "mcp_servers": []}
    return line("system", subtype="init", **own | fields)


def said(*blocks: object, **fields: object) -> Step:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 14_707, "output_tokens": 2}
    return line("assistant", message={"model": MODEL, "id": "msg_1", "content": blocks, "usage": usage}, **fields)


def text(words: str) -> Step:
    return said({"type": "text", "text": words})


def synthetic(error: str | None, **fields: object) -> Step:
    message = {"model": "<synthetic>", "id": "m9", "content": [{"type": "text", "text": "API Error"}], "usage": {}}
    return line("assistant", message=message, error=error, **fields)


def result(words: object = "The work is done.", **fields: object) -> Step:
    common = {"subtype": "success", "is_error": False, "num_turns": 1, "stop_reason": "end_turn"}
    return line("result", **common | {"result": words, "terminal_reason": "completed"} | fields)


def failed(words: str, status: int | None = None, **fields: object) -> Step:
    how = {"is_error": True, "stop_reason": "stop_sequence", "api_error_status": status, "terminal_reason": "api_error"}
    return result(words, **how | fields)


def limited(resets_in_s: int, kind: str = "five_hour") -> list[Step]:
    info = {"status": "rejected", "resetsAt": int(time.time()) + resets_in_s, "rateLimitType": kind}
    refusal = failed("You have hit your limit", 429)
    return [init(), line("rate_limit_event", rate_limit_info=info), synthetic("rate_limit"), refusal, {"exit": 1}]


CALL = said({"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "deploy"}})
CALLED = line("user", message={"content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "deployed"}]})
ANSWER = [text("The work is done."), result()]
WELL = [init(), *ANSWER]
LATE_500 = [init(), synthetic("server_error"), failed("API Error: 500", 500)]


def states(hive: Hive) -> list[str]:
    return [message["state"] for message in hive.messages("--all")]


def notes(events: Sequence[Event]) -> str:
    return "\n".join(event["text"] for event in of_kind(events, "note"))


# --- what the message's own stretch ends in ---


@dataclass(frozen=True, slots=True)
class Ending:
    """One way to end, in every run: the outcomes in order, and what becomes of the message."""

    run: Sequence[Step]
    turns: Sequence[str]
    state: str
    attempts: int
    note: str = ""
    status: int = 1
    logged_in: bool = True
    constants: Mapping[str, float] = field(default_factory=lambda: NOW)


def blocked(**fields: object) -> Step:
    return line("system", subtype="informational", content="blocked by hook: policy\n\nOriginal prompt: one", **fields)


ENDINGS = {
    "ok": Ending(WELL, ["ok"], "done", 1, status=0),
    "ok without a terminal_reason": Ending(
        [init(), text("Hi."), result(terminal_reason=None)], ["ok"], "done", 1, status=0
    ),
    "blocked": Ending(
        [init(), blocked(prevent_continuation=True), result("blocked", num_turns=0, terminal_reason=None)],
        ["blocked"], "dead", 1, "policy",
    ),
    "blocked, by the newer field alone": Ending(
        [init(), blocked(prompt_submit_outcome={"kind": "blocked_by_hook", "prompt_kept": False, "reason": "policy"}),
         result("blocked", num_turns=0, terminal_reason=None)],
        ["blocked"], "dead", 1, "policy",
    ),
    "blocked, in another release's words": Ending(
        [init(), blocked(prevent_continuation=True, prompt_submit_outcome={"kind": "no_verdict", "reason": "late"}),
         result("", num_turns=0, terminal_reason=None)],
        ["blocked"], "dead", 1, "late",
    ),
    "hook stopped": Ending(
        [init(), CALL, CALLED, result("", stop_reason="tool_use", terminal_reason="hook_stopped")],
        ["blocked"], "dead", 1, "hook_stopped",
    ),
    "deferred": Ending(
        [init(), CALL,
         result("", stop_reason="tool_deferred", terminal_reason="tool_deferred",
                deferred_tool_use={"id": "toolu_1", "name": "Bash", "input": {"command": "deploy"}})],
        ["deferred"], "held", 1, "deploy",
    ),
    "deferred, not to be had": Ending(
        [init(), CALL, result("", stop_reason="tool_use", terminal_reason="tool_deferred_unavailable")],
        ["deferred"], "held", 1,
    ),
    "capped, in the newer words": Ending(
        [init(), text("x"), synthetic("max_output_tokens", api_error="max_output_tokens"), failed("too long")],
        ["capped"], "dead", 1, "too long",
    ),
    "capped, in the older words": Ending(
        [init("2.1.197"), text("x"), synthetic("max_output_tokens"), failed("too long", terminal_reason="completed")],
        ["capped"], "dead", 1, "too long",
    ),
    "capped, the tool calls malformed": Ending(
        [init(), text("x"), synthetic(None, api_error="malformed_tool_use_exhausted"),
         failed("could not be parsed", terminal_reason="malformed_tool_use_exhausted")],
        ["capped"], "dead", 1, "could not be parsed",
    ),
    "refused by the model": Ending(
        [init(), synthetic("invalid_request"), failed("flagged", stop_reason="refusal")],
        ["declined"], "dead", 1, "flagged",
    ),
    "a bad request": Ending([init(), synthetic("unknown"), failed("API Error: 400", 400)], ["bad_request"], "dead", 1),
    "forbidden": Ending(
        [init(), synthetic("authentication_failed"), failed("API Error: 403 no access", 403)],
        ["refused"], "held", 1, "no access",
    ),
    "forbidden, and not logged in": Ending(
        [init(), synthetic("authentication_failed"), failed("API Error: 403 no access", 403)],
        ["needs_login"], "ready", 0, logged_in=False,
    ),
    "forbidden for an account to be verified": Ending(
        [init(), synthetic("verification_required"), failed("verify your account", 403)], ["billing"], "ready", 0
    ),
    "no such model": Ending([init(), synthetic("model_not_found"), failed("no model", 404)], ["bad_model"], "ready", 0),
    "no such model, without a status": Ending(
        [init(), synthetic("model_not_found"), failed("no model")], ["bad_model"], "ready", 0
    ),
    "no connection": Ending(
        [init(), synthetic("server_error", api_error="connection_failed"), failed("Connection refused")],
        ["no_connection"], "ready", 0, "Connection refused", constants={},
    ),
    "no connection, after tools": Ending(
        [init(), CALL, CALLED, synthetic("server_error", api_error="tls_untrusted_ca"), failed("Self-signed")],
        ["no_connection"], "ready", 0, "Self-signed", constants={},
    ),
    "an error that no release knows": Ending(
        [init(), synthetic("brand_new"), failed("Something new")], ["failed"] * 2, "dead", 2, "brand_new"
    ),
    "a terminal_reason that no release knows": Ending(
        [init(), text("x"), result(terminal_reason="brand_new")], ["failed"] * 2, "dead", 2, "brand_new"
    ),
    "a subtype that no release knows": Ending(
        [init(), text("x"), result(subtype="error_brand_new", terminal_reason=None)],
        ["failed"] * 2, "dead", 2, "error_brand_new",
    ),
    "a stop in the middle of a step": Ending(
        [init(), CALL, CALLED, result("", stop_reason="tool_use")], ["failed"] * 2, "dead", 2
    ),
    "interrupted from outside": Ending(
        [init(), CALL, CALLED, result("", stop_reason="tool_use", terminal_reason="aborted_tools")],
        ["failed"] * 2, "dead", 2,
    ),
    "a setup that failed without an error": Ending(
        [result("Claude Code didn't start. No policy.", terminal_reason="turn_setup_failed", num_turns=0)],
        ["failed"] * 2, "dead", 2, "No policy",
    ),
    "no result": Ending([init(), text("x"), {"exit": 1}], ["crashed"] * 3, "dead", 3),
    "no result, and exit 0": Ending([init(), text("x")], ["crashed"] * 3, "dead", 3),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.few(8)
def test_a_way_to_end_decides_the_message(name: str, hive: Hive, fake_claude: FakeClaude) -> None:
    ending = ENDINGS[name]
    fake_claude.script([{"wait_for_prompt": True}, *ending.run], logged_in=ending.logged_in)
    hive.constants = ending.constants
    done = hive.drain("--message", "one", "--drain-wait", "2" if ending.constants else "0")
    ends = of_kind(done.json_lines(), "turn_end")
    assert [end["outcome"] for end in ends] == list(ending.turns)
    (message,) = hive.messages("--all")
    assert (message["state"], message["attempts"]) == (ending.state, ending.attempts)
    assert ending.note in (ends[-1]["note"] or "")
    assert done.status == ending.status


# --- what follows the answer in the same process ---


LATER = {
    "a server error": (LATE_500, "500"),
    "a crash": ([init(), text("looking"), {"exit": 1}], ""),
    "a model that is gone": ([init(), synthetic("model_not_found"), failed("no such model", 404)], "no such model"),
    "a refusal": ([init(), synthetic("invalid_request"), failed("flagged", stop_reason="refusal")], "flagged"),
    "a full context": (
        [init(), synthetic("invalid_request"), failed("full", 400, terminal_reason="prompt_too_long")], "full",
    ),
    "a deferred call": (
        [init(), CALL, result("", terminal_reason="tool_deferred", stop_reason="tool_deferred",
                              deferred_tool_use={"id": "toolu_1", "name": "Bash", "input": {"command": "deploy"}})],
        "deploy",
    ),
    "a hook": (
        [init(), CALL, CALLED, result("", terminal_reason="hook_stopped", stop_reason="tool_use")], "hook_stopped",
    ),
    "a word that no release knows": ([init(), text("x"), result(terminal_reason="brand_new")], "brand_new"),
}  # fmt: skip


@pytest.mark.parametrize("name", LATER)
@pytest.mark.few(3)
def test_what_fails_after_the_answer_is_a_note(name: str, hive: Hive, fake_claude: FakeClaude) -> None:
    later, words = LATER[name]
    fake_claude.script([{"wait_for_prompt": True}, *WELL, *later], TEXT)
    done = hive.drain("--message", "one")
    assert (outcomes(done.json_lines()), states(hive), done.status) == (["ok"], ["done"], 0)
    assert "after the answer: " in notes(done.json_lines())
    assert words in notes(done.json_lines())
    assert len(fake_claude.calls()) == 1
    assert hive.call("show", "last", "--json").json_lines()[0]["result_text"] == "The work is done."


def test_the_answer_is_that_of_the_last_stretch_that_ended_well(hive: Hive, fake_claude: FakeClaude) -> None:
    second = [init(), text("The tests pass too."), result("The tests pass too.", result_index=1)]
    fake_claude.script([{"wait_for_prompt": True}, *WELL, *second, *LATE_500])
    with hive.run():
        assert hive.call("send", "one", "--wait").stdout == "The tests pass too.\n"


def test_a_later_limit_rests_the_agent_and_not_the_message(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"wait_for_prompt": True}, *WELL, *limited(3_600)], TEXT)
    with hive.run() as program:
        assert hive.call("send", "one", "--wait").stdout == "The work is done.\n"
        program.wait_for_kind("status_changed", status="rate_limited")
        hive.call("send", "two")
        assert (hive.status()["status"], states(hive)) == ("rate_limited", ["done", "ready"])
        assert hive.call("resume").status == 0
        wait_until(lambda: states(hive) == ["done", "done"])
        assert program.interrupt() == 130
    assert outcomes(program.events()) == ["ok", "ok"]


def test_a_login_lost_after_the_answer_rests_the_agent_and_not_the_message(hive: Hive, fake_claude: FakeClaude) -> None:
    lost = [init(), synthetic("authentication_failed"), failed("Not logged in", 401), {"exit": 1}]
    fake_claude.script([{"wait_for_prompt": True}, *WELL, *lost], TEXT, logged_in=False)
    with hive.run() as program:
        assert hive.call("send", "one", "--wait").stdout == "The work is done.\n"
        program.wait_for_kind("status_changed", status="needs_login_idle")
        assert program.interrupt() == 130
    assert (outcomes(program.events()), states(hive)) == (["ok"], ["done"])


def test_lines_that_go_on_do_not_hold_an_answered_turn(hive: Hive, fake_claude: FakeClaude) -> None:
    beat = line("system", subtype="status", status=None)
    beats: Step = {"repeat": 12_000, "steps": [beat, {"bytes": "not JSON\n"}, line("tool_progress"), {"sleep": 0.05}]}
    fake_claude.script([{"wait_for_prompt": True}, *WELL, beats])
    done = hive.drain("--message", "one")  # the ten seconds that claude has from its result to its exit
    assert (outcomes(done.json_lines()), states(hive)) == (["ok"], ["done"])


# --- the answer's text ---


@pytest.mark.parametrize("words", ["", None, 17], ids=["empty", "null", "a number"])
def test_an_empty_result_is_answered_with_the_last_text(words: object, hive: Hive, fake_claude: FakeClaude) -> None:
    sub = said({"type": "text", "text": "of a subagent"}, parent_tool_use_id="toolu_1")
    thought = said({"type": "thinking", "thinking": "hm"})
    fake_claude.script(
        [{"wait_for_prompt": True}, init(), text("Hello, the work is done."), sub, thought, result(words)]
    )
    with hive.run():
        (sent,) = hive.call("send", "one", "--wait", "--json").json_lines()
        assert (sent["state"], sent["result"]) == ("done", "Hello, the work is done.")


# --- results that cannot be read whole ---

ODD = '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"session_id":"%s","result":"Well.",%s}\n'
BEFORE = '"duration_api_ms":1,"stop_reason":"end_turn","terminal_reason":"completed","is_error":false,"num_turns":1,'
UNREADABLE = {
    "1e999": ODD % (SESSION, '"total_cost_usd":1e999'),
    "NaN": ODD % (SESSION, '"total_cost_usd":NaN'),
    "too long, as 2.1.332 writes it": "{" + BEFORE + '"subtype":"success","result":"@","type":"result"}\n',
    "too long, as 2.1.197 writes it": '{"type":"result","subtype":"success",' + BEFORE + '"result":"@"}\n',
    "cut off": '{"type":"result","subtype":"success",' + BEFORE + '"result":"half of it\n',
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.few(2)
def test_a_result_that_cannot_be_read_whole_ends_the_turn(name: str, hive: Hive, fake_claude: FakeClaude) -> None:
    odd = UNREADABLE[name].replace("@", "x" * (17 << 20))
    fake_claude.script([{"wait_for_prompt": True}, init(), text("Well."), {"bytes": odd}])
    done = hive.drain("--message", "one")
    assert (outcomes(done.json_lines()), states(hive)) == (["ok"], ["done"])


@pytest.mark.parametrize(
    "odd", ["a\0b", "x" * 200_000, "--model=opus", "../x", ""], ids=["NUL", "long", "flag", "path", "empty"]
)
@pytest.mark.few(2)
def test_an_odd_session_id_stops_nothing(odd: str, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(
        [{"wait_for_prompt": True}, init(session_id=odd), *ANSWER, {"line": {"type": "x", "session_id": odd}}]
    )
    done = hive.drain("--message", "one", "--message", "two")
    assert (outcomes(done.json_lines()), states(hive)) == (["ok"] * 2, ["done"] * 2)
    assert [word for call in fake_claude.calls() for word in call["argv"] if odd and odd[:99] in word] == []


# --- limits ---


@pytest.mark.parametrize("kind", ["seven_day_opus", "seven_day_sonnet"])
@pytest.mark.parametrize("command", [("resume",), ("model", "set", "claude-haiku-4-5")], ids=["resume", "model"])
@pytest.mark.few(2)
def test_a_limit_of_one_model_ends_with_the_command(
    command: tuple[str, ...], kind: str, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script([{"wait_for_prompt": True}, *limited(3_600, kind)], [{"wait_for_prompt": True}, *WELL])
    with hive.run() as program:
        hive.call("send", "one")
        program.wait_for_kind("turn_end", outcome="rate_limited")
        program.wait_for_kind("status_changed", status="rate_limited")
        assert hive.call(*command).status == 0
        program.wait_for_kind("turn_end", outcome="ok")
        assert program.interrupt() == 130
    assert states(hive) == ["done"]


def test_a_limit_of_the_account_ends_with_another_login(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(
        [{"wait_for_prompt": True}, *limited(3_600)], [{"wait_for_prompt": True}, *WELL], logged_in="file"
    )
    with hive.run() as program:
        hive.call("send", "one")
        program.wait_for_kind("status_changed", status="rate_limited")
        assert hive.call("login", stdin=b"the-code#its-state\n").status == 0
        program.wait_for_kind("turn_end", outcome="ok")
        assert program.interrupt() == 130
    assert states(hive) == ["done"]


def test_a_limit_of_the_account_does_not_end_with_another_model(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"wait_for_prompt": True}, *limited(3_600)], [{"wait_for_prompt": True}, *WELL])
    with hive.run() as program:
        hive.call("send", "one")
        program.wait_for_kind("status_changed", status="rate_limited")
        assert hive.call("model", "set", "claude-haiku-4-5").status == 0
        assert hive.status()["status"] == "rate_limited"
        assert program.interrupt() == 130
    assert (outcomes(program.events()), states(hive)) == (["rate_limited"], ["ready"])


@pytest.mark.parametrize("resets_in_s", [-60, 0, -100_000_000], ids=["a minute ago", "now", "years ago"])
@pytest.mark.few(1)
def test_a_reset_that_is_past_is_no_reason_to_try_at_once(
    resets_in_s: int, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script([{"wait_for_prompt": True}, *limited(resets_in_s)])
    hive.constants = {"agent.backoff.LIMIT_FLOOR_S": 0.4}  # doubled each time: four turns in three seconds
    with hive.run("--message", "one") as program:
        wait_until(lambda: len(outcomes(program.events())) >= 2)
        began = time.monotonic()
        wait_until(lambda: len(outcomes(program.events())) >= 4)
        assert time.monotonic() - began > 0.4 + 0.8 - 0.1  # at least half of 0.8 and of 1.6
        assert program.interrupt() == 130
    assert [message["attempts"] for message in hive.messages()] == [0]


# --- whom it concerns, and what follows ---


@pytest.mark.parametrize("name", ["blocked", "deferred", "capped, in the newer words", "forbidden", "a bad request"])
def test_whoever_waits_for_the_message_is_told_how_it_ended(name: str, hive: Hive, fake_claude: FakeClaude) -> None:
    ending = ENDINGS[name]
    fake_claude.script([{"wait_for_prompt": True}, *ending.run])
    with hive.run():
        done = hive.call("send", "one", "--wait")
        assert done.status == 1
        assert ending.note in done.stderr
        assert ending.turns[-1] in done.stderr


ACTED = ["hook stopped", "deferred", "a stop in the middle of a step"]


@pytest.mark.parametrize("name", ACTED)
def test_a_message_that_is_tried_again_by_hand_says_what_it_may_have_done(
    name: str, hive: Hive, fake_claude: FakeClaude
) -> None:
    hive.constants = NOW
    fake_claude.script([{"wait_for_prompt": True}, *ENDINGS[name].run])
    hive.drain("--message", "deploy it", "--drain-wait", "2")
    fake_claude.script([{"wait_for_prompt": True}, *WELL])
    assert hive.call("inbox", "retry", "1").status == 0
    assert hive.drain().status == 0
    first, *_, again = fake_claude.calls()
    assert "delivery" not in str(first["prompt"])
    assert len(str(again["prompt"])) > len(str(first["prompt"]))


def test_failures_that_claude_names_never_count_as_crashes(hive: Hive, fake_claude: FakeClaude) -> None:
    hive.constants = NOW
    fake_claude.script([{"wait_for_prompt": True}, *ENDINGS["an error that no release knows"].run])
    messages = [word for n in range(4) for word in ("--message", f"message {n}")]
    done = hive.drain(*messages, "--drain-wait", "20")
    assert outcomes(done.json_lines()) == ["failed"] * 8
    assert states(hive) == ["dead"] * 4


# --- a claude that does not start ---


@pytest.mark.parametrize("status", [1, 2, 7])
@pytest.mark.parametrize(
    "words", ["Error: Invalid MCP configuration:\nMCP config file not found", "error: unknown option", ""]
)
@pytest.mark.few(3)
def test_a_first_claude_that_says_nothing_ends_the_run_with_its_words(
    words: str, status: int, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script([{"stderr": words}, {"exit": status}])
    done = hive.call("run", "--claude", str(hive.claude), "--json", "--message", "one")
    assert (done.status, outcomes(done.json_lines())) == (2, ["not_started"])
    assert (words.splitlines() or [str(status)])[0] in done.stderr
    assert [(message["state"], message["attempts"]) for message in hive.messages()] == [("ready", 0)]

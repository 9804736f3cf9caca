"""`hyperhive run` as a process: recorded turns through the whole harness, signals, and what it refuses."""

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.harness.signals import SAME_WISH_S
from tests.conftest import FakeClaude, Step, process_state, recording, recording_index, wait_until
from tests.harness import (
    BAD_REQUEST,
    INIT,
    LIMIT_S,
    SOON_AGAIN,
    TEXT,
    Event,
    Hive,
    Program,
    of_kind,
    outcomes,
    without_envelope,
)

FOREVER: Step = {"wait_for": "a gate that stays shut"}
BUSY: list[Step] = [{"wait_for_prompt": True}, INIT, {"touch": "busy"}, FOREVER]


# --- every recording ---


@dataclass(frozen=True, slots=True)
class Facts:
    """What one recorded run comes to: its outcome, tokens (in, out, read, written), context, notes, and statuses."""

    outcome: str = "ok"
    usage: tuple[int, ...] = (12, 42, 5600, 340)
    context: int | None = 5952
    tools: int = 0
    notes: tuple[str, ...] = ()
    then: Sequence[str] = ()  # the recordings that the following runs replay: outcome ok
    status: int = 0
    statuses: tuple[str, ...] = ()  # that changed during the run


NOTHING = (0, 0, 0, 0)
REFUSED = Facts(usage=NOTHING, context=None, status=1)
ONE_TOOL = Facts(usage=(24, 84, 11200, 680), tools=1)
FIVE_TOOLS = Facts(usage=(60, 229, 34500, 1700), context=8452, tools=5)
NO_ONE = "because no one can answer claude's question for permission (permission mode default)"
EDITS = "`hyperhive run --permission-mode acceptEdits"
BASH = "`hyperhive run -- --allowedTools 'Bash(exit:*)'`"
LOST = "No conversation found with session ID: 00000000-0000-4000-8000-000000000000"
NO_INPUT = "Error: Input must be provided either through stdin or as a prompt argument when using --print"


def changed(facts: Facts, **fields: Any) -> Facts:  # noqa: ANN401 - of Facts
    return Facts(**{**{name: getattr(facts, name) for name in Facts.__slots__}, **fields})


EXPECTED = {
    "auth_401": changed(REFUSED, outcome="needs_login"),
    "background": ONE_TOOL,
    "big_output": ONE_TOOL,
    # Of the session, which had run before: all that its totals hold is new to an agent that takes it up.
    "compact": Facts(usage=(48, 168, 22400, 1360), context=2627),
    "continue": Facts(usage=(24, 84, 11200, 680)),
    "credit_low": changed(REFUSED, outcome="billing"),
    "cut": Facts(statuses=("retrying", "online")),
    "empty_stdin": changed(REFUSED, outcome="not_started", notes=(NO_INPUT,), status=2),
    "model_missing": changed(REFUSED, outcome="bad_model"),
    "not_logged_in": changed(REFUSED, outcome="needs_login"),
    "overloaded_then_ok": Facts(statuses=("retrying", "retrying", "online")),
    "partial": Facts(),
    "prompt_too_long": changed(REFUSED, outcome="context_full", then=["compact", "text"]),
    "rate_limit_429": changed(REFUSED, outcome="cancelled", statuses=(*["retrying"] * 5, "online")),
    "subagent": Facts(usage=(48, 168, 17700, 1360), tools=1),
    "text": Facts(),
    "tools": FIVE_TOOLS,
    "tools_denied": changed(
        FIVE_TOOLS,
        notes=(
            f"2 tool calls were denied (Write, Bash) {NO_ONE}; {EDITS} -- --allowedTools 'Bash(exit:*)'` allows them",
        ),
    ),
    "tools_partial": FIVE_TOOLS,
    "unknown_command": Facts(),
    "unknown_session": changed(REFUSED, outcome="session_lost", notes=(LOST,), then=["text"]),
}
EXPECTED_OLD = EXPECTED | {
    "compact": Facts(context=656),
    "continue": Facts(),
    "cut": Facts("overloaded", usage=(12, 1, 5600, 340), status=1),
    "subagent": changed(ONE_TOOL, usage=(36, 126, 12100, 1020)),
    "tools_denied": changed(FIVE_TOOLS, notes=(f"1 tool call was denied (Bash) {NO_ONE}; {BASH} allows it",)),
    "unknown_command": Facts(usage=NOTHING, context=None),
}


def expected(name: str) -> Facts:
    release, _, scenario = name.removesuffix(".jsonl").partition("/")
    return (EXPECTED_OLD if release == "v2.1.197" else EXPECTED)[scenario]


def test_the_table_knows_every_recording() -> None:
    scenarios = {name.removesuffix(".jsonl").partition("/")[2] for name in recording_index()}
    assert scenarios == EXPECTED.keys()


def replay_in_harness(name: str, hive: Hive, fake: FakeClaude) -> tuple[list[str], int]:
    """Let the harness run a recording, and what follows it; return the lines of its stdout and its exit status."""
    release = name.partition("/")[0]
    # Longer than claude's own retries and the rests after two crashes, shorter than the shortest after an overload.
    wait_s, hive.constants = "250", {"agent.backoff.BACKOFF_FIRST_S": 600.0}
    ours = {"session_id": "from_argv"}  # a run that follows goes on in the session that it was asked for
    then = [[{"replay": f"{release}/{scenario}.jsonl", **ours}] for scenario in expected(name).then]
    fake.script([{"replay": name}], *then)
    message = recording_index()[name]["prompt"] or "hi"
    with hive.start(
        "run", "--claude", str(hive.claude), "--json", "--drain", "--drain-wait", wait_s, "--message", message
    ) as program:
        if expected(name).outcome == "cancelled":
            last = json.loads(recording(name)[-1])["uuid"]
            program.wait_for_kind("stream", uuid=last)
            assert hive.call("cancel").status == 0
        status = program.wait()
    assert len(program.stderr) == (2 if expected(name).outcome == "not_started" else 0)
    return program.stdout, status


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.exhaustive if name.startswith("v2.1.197/") else ())
        for name in recording_index()
    ],
)
@pytest.mark.few(8)
def test_a_recorded_run_through_the_whole_harness(name: str, hive: Hive, fake_claude: FakeClaude) -> None:
    facts = expected(name)
    printed, status = replay_in_harness(name, hive, fake_claude)
    events = [json.loads(line) for line in printed]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))

    idle = next(
        n for n, event in enumerate(events) if event["kind"] == "turn_state_changed" and event["state"] == "idle"
    )
    turn = events[: idle + 1]
    assert [event["text"] for event in of_kind(turn, "note") if event["source"] != "harness"] + [
        event["text"] for event in of_kind(turn, "note") if event["source"] == "harness" and "denied" in event["text"]
    ] == list(facts.notes)
    streams = len(of_kind(turn, "stream"))
    assert [event["status"] for event in of_kind(turn, "status_changed")] == list(facts.statuses)
    assert [event["kind"] for event in turn if event["kind"] not in ("note", "status_changed")] == [
        "turn_start", "turn_state_changed", *["stream"] * streams,
        "token_usage_changed", "turn_end", "turn_state_changed",
    ]  # fmt: skip
    own = [line.decode() for line in recording(name) if json.loads(line)["type"] != "stream_event"]
    shown = [without_envelope(line) for line in printed[: idle + 1] if json.loads(line)["kind"] == "stream"]
    # A run that the recorder cut off is ended by our interrupt, after which the fake says one line more.
    assert (shown[: len(own)], len(shown) - len(own)) == (own, int(recording_index()[name]["cut_off_by_recorder"]))

    (usage, *_), (end, *_) = of_kind(events, "token_usage_changed"), of_kind(events, "turn_end")
    assert (tuple(usage["usage"].values()), usage["context_tokens"], end["tool_calls"]) == (
        facts.usage, facts.context, facts.tools,
    )  # fmt: skip
    assert outcomes(events) == [facts.outcome, *["ok"] * len(facts.then)]
    assert (end["ok"], end["note"] is None) == (facts.outcome == "ok",) * 2
    assert status == (facts.status or int(bool(facts.then)))


def test_the_history_is_what_was_shown(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"replay": "v2.1.330/tools_partial.jsonl"}])
    done = hive.drain("--message", "look around")
    assert done.stdout == hive.call("tail", "--json", "--no-follow", "-n", "100").stdout


def test_deltas_are_shown_without_a_number_and_never_stored(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"replay": "v2.1.330/tools_partial.jsonl"}])
    done = hive.drain("--message", "look around", "--partial")
    streams = [line for line in done.stdout.splitlines() if json.loads(line)["kind"] == "stream"]
    assert [without_envelope(line).encode() for line in streams] == recording("v2.1.330/tools_partial.jsonl")
    deltas = [event for event in done.json_lines() if event.get("type") == "stream_event"]
    assert (len(deltas), {event["seq"] for event in deltas}) == (43, {None})
    numbered = [line for line in done.stdout.splitlines() if json.loads(line)["seq"] is not None]
    assert hive.call("tail", "--json", "--no-follow", "-n", "100").stdout.splitlines() == numbered


# --- what it prints, and how it ends ---


def test_in_a_pipe_each_row_is_a_line_of_any_length(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"replay": "v2.1.330/tools.jsonl"}])
    done = hive.call("run", "--claude", str(hive.claude), "--drain", "--message", "look around")
    assert done.status == 0
    assert "\x1b" not in done.stdout
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert {len(line) for line in lines} == {4}
    texts = [f"{kind} {text}" for _, _, kind, text in lines]
    assert texts[0] == "turn operator #1: look around"
    assert r"answer Bash: 1\n2\n… 38 lines (hyperhive show 1.4)\nred \\x1b]0;title\\x07" in texts
    assert "text Done: wrote `notes.txt`, read it back, and saw one command fail." in texts
    assert "--include-partial-messages" not in fake_claude.calls()[0]["argv"]


def test_quiet_prints_nothing(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    done = hive.call("run", "--claude", str(hive.claude), "--drain", "--quiet", "--message", "hi")
    assert (done.status, done.stdout, done.stderr) == (0, "", "")
    assert len(fake_claude.calls()) == 1


def test_what_claude_is_started_with(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.environment = {
        **hive.environment,
        "CLAUDECODE": "1",
        "HYPERHIVE_TEST": "1",
        "KEPT": "1",
        "MAX_THINKING_TOKENS": "1",
    }
    options = ["--model", "opus", "--permission-mode", "acceptEdits", "--dangerously-skip-permissions", "--continue"]
    rest = ["--max-turns", "5", "--name", "a word"]
    done = hive.drain(*options, "--partial", "--message", "-rf /", claude_arguments=rest)
    assert done.status == 0
    (call,) = fake_claude.calls()
    assert call["argv"] == [
        "--print", "--verbose", "--output-format", "stream-json", "--model=opus", "--continue",
        "--permission-mode=acceptEdits", "--dangerously-skip-permissions", "--include-partial-messages",
        '--settings={"crossSessionInbound":"refuse"}', "--include-hook-events", *rest,
    ]  # fmt: skip
    assert (call["cwd"], call["prompt"]) == (str(hive.workspace), "Message from operator:\n\n-rf /")
    assert {"MAX_THINKING_TOKENS", "PATH", "HOME"} < set(call["env"])
    assert "KEPT" not in call["env"]
    assert {name for name in call["env"] if name.startswith(("HYPERHIVE", "CLAUDECODE"))} == {"HYPERHIVE_TURN"}
    assert call["session"] == call["pid"]
    assert of_kind(done.json_lines(), "model_changed")[0]["model"] == "opus"


def test_a_drain_of_nothing_is_ok(hive: Hive) -> None:
    done = hive.drain()
    assert (done.status, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("runs", "status", "states"),
    [
        ([TEXT], 0, ["done", "done"]),
        ([BAD_REQUEST, TEXT], 1, ["dead", "done"]),
        ([TEXT, [{"replay": "v2.1.330/not_logged_in.jsonl"}]], 1, ["done", "ready"]),
        ([[INIT, {"exit": 1}], TEXT], 1, ["done", "done"]),
    ],
    ids=["all ok", "one dead", "one waits for a person", "one needed two attempts"],
)
@pytest.mark.few(2)
def test_the_exit_status_of_a_drain(
    runs: list[list[Step]], status: int, states: list[str], hive: Hive, fake_claude: FakeClaude
) -> None:
    hive.constants = SOON_AGAIN
    fake_claude.script(*runs)
    done = hive.drain("--message", "one", "--message", "two")
    assert (done.status, done.stderr) == (status, "")
    assert [start["body"] for start in of_kind(done.json_lines(), "turn_start")][:1] == ["one"]
    assert [message["state"] for message in hive.call("inbox", "--all", "--json").json_lines()] == states


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [(["--turn-timeout", "0.3"], "timed_out"), (["--stall-timeout", "0.3"], "stalled")],
    ids=["turn", "stall"],
)
def test_a_turn_can_be_limited(limits: list[str], outcome: str, hive: Hive, fake_claude: FakeClaude) -> None:
    hive.constants = SOON_AGAIN
    fake_claude.script(BUSY)
    done = hive.drain("--message", "one", *limits)
    # On a loaded machine a turn's 0.3 s may be over before claude's first line: it has not run, and is tried again.
    ended = [found for found in outcomes(done.json_lines()) if found != "not_started"]
    assert (done.status, ended) == (1, [outcome] * 3)


def test_a_start_that_takes_too_long_spends_nothing_and_names_the_mcp_servers(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script([{"sleep": 60}])
    (hive.workspace / "mcp.json").write_text('{"mcpServers": {"slow": {"command": "sleep"}}}')
    done = hive.drain(
        *("--message", "one", "--start-timeout", "0.3", "--drain-wait", "0"),
        claude_arguments=["--mcp-config", "mcp.json", "--strict-mcp-config"],
    )
    (end,) = of_kind(done.json_lines(), "turn_end")
    said = "no line in 0.3 s; it starts its MCP servers first: slow (see MCP_TIMEOUT and run --start-timeout)"
    assert (end["outcome"], end["note"]) == ("not_started", f"claude did not start in time: {said}")
    assert [note["text"] for note in of_kind(done.json_lines(), "note")][:1] == [f"interrupting claude: {said}"]
    (message,) = hive.messages()
    assert (message["state"], message["attempts"], message["acted"]) == ("ready", 0, False)


def test_a_start_has_as_long_as_its_mcp_servers_may_need(hive: Hive, fake_claude: FakeClaude) -> None:
    hive.constants = {"claude.mcp.MIN_START_S": 0.2, "claude.mcp.MARGIN_S": 5.0}
    hive.environment = {**hive.environment, "MCP_TIMEOUT": "100"}
    fake_claude.script([{"sleep": 0.5}, *TEXT])
    (hive.workspace / ".mcp.json").write_text('{"mcpServers": {"slow": {"command": "sleep"}}}')
    assert outcomes(hive.drain("--message", "one").json_lines()) == ["ok"]
    short = hive.drain("--message", "two", "--start-timeout", "0.2", "--drain-wait", "0")
    assert outcomes(short.json_lines()) == ["not_started"]


# --- signals ---


def busy(program: Program, fake: FakeClaude) -> None:
    program.wait_for_kind("stream", subtype="init")
    fake.wait_for("busy")


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_puts_the_message_back(signum: int, status: int, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(BUSY, TEXT)
    with hive.run("--message", "one") as program:
        busy(program, fake_claude)
        program.send(signum)
        assert program.wait() == status
        assert program.stderr == []
        assert outcomes(program.events()) == ["interrupted"]
    assert process_state(fake_claude.started()[0]) is None
    (message,) = hive.call("inbox", "--json").json_lines()
    assert (message["state"], message["attempts"], message["acted"]) == ("ready", 0, True)
    assert not (hive.state_dir / "control.sock").exists()
    assert hive.drain().status == 0
    assert str(fake_claude.calls()[1]["prompt"]).startswith("[Delivery 2 of this message")


def test_a_signal_while_idle_ends_at_once(hive: Hive) -> None:
    with hive.run() as program:
        assert program.interrupt() == 130
    assert (program.stdout, program.stderr) == ([], [])


def test_a_second_signal_kills_what_runs(hive: Hive, fake_claude: FakeClaude) -> None:
    deaf: list[Step] = [
        {"on_signal": "SIGINT", "steps": [{"touch": "interrupted"}]},
        {"on_signal": "SIGTERM", "steps": [{"touch": "terminated"}]},
    ]
    fake_claude.script([*deaf, *BUSY], TEXT)
    with hive.run("--message", "one") as program:
        busy(program, fake_claude)
        began = time.monotonic()
        program.send(signal.SIGINT)
        fake_claude.wait_for("interrupted")
        time.sleep(max(0.0, began + SAME_WISH_S + 0.2 - time.monotonic()))
        program.send(signal.SIGTERM)
        assert program.wait() == 130
        assert program.stderr == []
    assert process_state(fake_claude.started()[0]) is None
    assert not (fake_claude.folder / "terminated").exists()
    done = hive.drain()
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
    assert str(fake_claude.calls()[1]["prompt"]).startswith("[Delivery 2 of this message")


@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "plain"])
@pytest.mark.few(1)
def test_the_agent_works_on_when_nobody_reads(form: list[str], hive: Hive, fake_claude: FakeClaude) -> None:
    many: list[Step] = [{"repeat": 300, "steps": [{"recording": "v2.1.330/tools.jsonl"}]}]
    fake_claude.script([INIT, {"wait_for": "nobody reads"}, *many, *TEXT])
    command = hive.command("run", "--claude", str(hive.claude), *form, "--drain", "--message", "one")
    with subprocess.Popen(
        command,
        env=hive.variables(),
        cwd=hive.workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        fake_claude.touch("nobody reads")
        assert (process.stderr.read(), process.wait(LIMIT_S)) == (b"", 0)
    (message,) = hive.call("inbox", "--all", "--json").json_lines()
    assert message["state"] == "done"


# --- what it refuses ---


def error(hive: Hive, *arguments: str, stdin: bytes = b"") -> tuple[int, str, list[str]]:
    """Return the exit status, the message and the hints of a command that fails."""
    done = hive.call(*arguments, stdin=stdin)
    first, *rest = done.stderr.splitlines()
    assert (done.stdout, first.partition(" ")[0]) == ("", "Error:")
    assert all(line.startswith("Try: ") for line in rest)
    return done.status, first.removeprefix("Error: "), [line.removeprefix("Try: ") for line in rest]


def test_a_second_harness_is_refused_and_names_the_first(hive: Hive) -> None:
    with hive.run() as program:
        status, message, hints = error(hive, "run", "--claude", str(hive.claude))
        assert (status, message) == (1, f"a harness is already running for agent 'workspace' (pid {program.pid})")
        assert hints == ["hyperhive -a workspace status"]
        assert hive.status()["pid"] == program.pid
        assert program.interrupt() == 130


def test_an_agent_is_bound_to_its_workspace(hive: Hive, tmp_path: Path) -> None:
    assert hive.drain().status == 0
    other = tmp_path / "other"
    other.mkdir()
    status, message, hints = error(hive, "run", "--claude", str(hive.claude), "--drain", "--workspace", str(other))
    assert (status, message) == (1, f"agent 'other' is bound to {hive.workspace}, not to this folder")
    own = '-a OTHER, or `agent = "OTHER"` in hyperhive.toml, for an agent of this folder'
    assert hints == [f"hyperhive run --workspace {hive.workspace} for that agent; {own}"]


def test_what_is_no_utf_8_is_refused_before_it_ends_a_turn(hive: Hive, tmp_path: Path) -> None:
    assert "is not UTF-8" in hive.drain("--compact-instructions", "keep \udcff").refusal(2)
    odd = tmp_path / "work\udcff"
    odd.mkdir()
    assert "is not UTF-8" in hive.drain("--workspace", str(odd)).refusal(2)


def test_an_agent_whose_workspace_is_gone_says_so(hive: Hive, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    assert hive.drain("--workspace", str(gone)).status == 0
    gone.rmdir()
    status, message, hints = error(hive, "run", "--claude", str(hive.claude), "--drain")
    assert (status, hints[0].partition(";")[0]) == (
        1,
        "hyperhive -a workspace run --workspace NEW, if the folder was moved",
    )
    assert message == f"agent 'workspace' is bound to {gone}, which no longer exists"


@pytest.mark.parametrize("name", ["/nowhere/claude", "no-such-claude", "."])
def test_a_missing_claude_is_named(name: str, hive: Hive) -> None:
    status, message, hints = error(hive, "run", "--drain", "--claude", name)
    assert (status, message) == (1, f"claude not found: {name!r}")
    assert error(hive, "run", "--claude", "/etc")[:2] == (1, "/etc is a directory")
    assert "hyperhive demo" in hints[0]
    assert list(hive.state_dir.iterdir()) == []


@pytest.mark.parametrize("broken", ["gone", "no longer executable", "another machine's", "in a folder that is gone"])
def test_a_claude_that_breaks_while_the_harness_runs_is_one_clear_event(
    broken: str, hive: Hive, fake_claude: FakeClaude
) -> None:
    workspace = hive.workspace
    with hive.run() as program:
        if broken == "gone":
            fake_claude.path.unlink()
        elif broken == "no longer executable":
            fake_claude.path.chmod(0o600)
        elif broken == "another machine's":
            fake_claude.path.write_bytes(b"\x7fELF" + bytes(60))
        else:
            hive.workspace = workspace.rename(workspace.with_name("elsewhere"))
        hive.call("--agent", "workspace", "send", "one")
        end = program.wait_for_kind("turn_end")
        assert program.wait() == 2
    assert (end["outcome"], end["exit_status"]) == ("not_started", None)
    assert end["note"].startswith("claude could not be started: ")
    assert (str(workspace) if broken == "in a folder that is gone" else str(fake_claude.path)) in end["note"]
    assert outcomes(program.events()) == ["not_started"]
    (message,) = hive.call("--agent", "workspace", "inbox", "--json").json_lines()
    assert (message["state"], message["attempts"]) == ("ready", 0)


def test_claude_is_found_on_the_path_or_where_it_was_installed(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    home = Path(hive.environment["HOME"])
    alone = {"PATH": "/usr/bin:/bin"}
    assert hive.call("run", "--drain", variables=alone).status == 1
    place = home / ".local" / "bin"
    place.mkdir(parents=True)
    (place / "claude").symlink_to(fake_claude.path)
    assert hive.call("run", "--drain", "--message", "one", variables=alone).status == 0
    on_path = {"PATH": f"{fake_claude.folder}:{alone['PATH']}"}
    assert hive.call("run", "--drain", "--message", "two", variables=on_path).status == 0
    assert len(fake_claude.calls()) == 2


@pytest.mark.parametrize(
    ("argument", "message", "hint"),
    [
        ("--model=x", "--model is not allowed after --: the agent has its own", "hyperhive run --model NAME"),
        ("--no-session-persistence", "no turn could continue the conversation", "hyperhive new-session"),
        ("--permission-prompt-tool=stdio", "--permission-prompt-tool stdio is not allowed", "--permission-mode"),
        ("--bg", "--bg is not allowed after --: claude would return before", "leave it out"),
        ("fix the test", "'fix the test' is not allowed after --: it would become the prompt", "--message"),
    ],
)  # fmt: skip
def test_what_breaks_the_harness_is_refused(
    argument: str, message: str, hint: str, hive: Hive, fake_claude: FakeClaude
) -> None:
    status, said, tried = error(
        hive, "run", "--claude", str(hive.claude), "--drain", "--", "--max-turns", "1", argument
    )
    assert status == 2
    assert message in said
    assert hint in "".join(tried)
    assert fake_claude.calls() == []


@pytest.mark.parametrize(
    "options",
    [
        ["--bogus"],
        ["--json", "--quiet"],
        ["--message", ""],
        ["--message", " \n"],
        ["--message"],
        ["--model", "two words"],
        ["--model=-x"],
        ["--permission-mode", "not one"],
        ["--permission-mode=--dangerously-skip-permissions"],
        ["--workspace", "/nowhere"],
        ["--drain-wait", "-1"],
        ["--drain-wait", "soon"],
        ["--turn-timeout", "0"],
        ["--stall-timeout", "-5"],
    ],
    ids=" ".join,
)
def test_broken_options_are_a_usage_error(options: list[str], hive: Hive) -> None:
    status, message, hints = error(hive, "run", "--claude", str(hive.claude), "--drain", *options)
    assert (status, bool(message), len(hints) <= 1) == (2, True, True)
    assert list(hive.state_dir.iterdir()) == []


# --- files that are in the way ---


def harness_notes(events: Sequence[Event]) -> list[str]:
    return [event["text"] for event in of_kind(events, "note") if event["source"] == "harness"]


def test_a_damaged_history_is_put_aside(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    (hive.state_dir / "hyperhive-events.sqlite").write_bytes(b"no database at all" * 100)
    done = hive.drain("--message", "one")
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
    assert "the history was damaged" in harness_notes(done.json_lines())[0]
    assert done.stdout == hive.call("tail", "--json", "--no-follow").stdout
    assert len(list(hive.state_dir.glob("hyperhive-events.sqlite.corrupt-*"))) == 1


def test_without_a_history_the_agent_works(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    (hive.state_dir / "hyperhive-events.sqlite").mkdir()
    done = hive.drain("--message", "one")
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
    assert "going on without a history" in harness_notes(done.json_lines())[0]


def test_without_an_inbox_it_says_why(hive: Hive) -> None:
    (hive.state_dir / "hyperhive-inbox.sqlite").write_bytes(b"no database at all" * 100)
    status, message, _ = error(hive, "run", "--claude", str(hive.claude), "--drain")
    assert status == 1
    assert "hyperhive-inbox.sqlite cannot be used" in message


def test_a_state_folder_in_which_others_may_write_is_refused(hive: Hive) -> None:
    hive.state_dir.chmod(0o777)
    status, message, hints = error(hive, "run", "--claude", str(hive.claude), "--drain")
    assert (status, "other users can write" in message, hints) == (1, True, [f"chmod 700 {hive.state_dir}"])


def test_the_files_of_an_agent_are_its_owners_alone(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.state_dir.rmdir()
    with hive.run("--message", "one") as program:
        program.wait_for_kind("turn_end")
        wait_until((hive.state_dir / "control.sock").exists)
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in hive.state_dir.rglob("*")}
        assert program.interrupt() == 130
    assert hive.state_dir.stat().st_mode & 0o777 == 0o700
    assert modes.pop("history", "0o700") == "0o700"
    assert set(modes.values()) == {"0o600"}
    assert {"hyperhive-events.sqlite", "hyperhive-inbox.sqlite", "harness.lock", "control.sock"} <= modes.keys()


# --- what is watched for ---


def test_credentials_that_are_not_the_expected_ones_hold_the_agent(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    refused = hive.drain("--message", "hi", "--expect-auth", "none")
    assert (refused.status, outcomes(refused.json_lines())) == (1, ["wrong_auth"])
    (message,) = hive.messages()
    assert (message["state"], message["attempts"]) == ("ready", 0)
    assert (hive.status()["status"], hive.status()["auth_source"]) == ("stopped", "ANTHROPIC_API_KEY")
    assert "auth        ANTHROPIC_API_KEY\n" in hive.call("status").stdout
    accepted = hive.drain("--expect-auth", "ANTHROPIC_API_KEY")
    assert (accepted.status, outcomes(accepted.json_lines())) == (0, ["ok"])


def test_background_tasks_are_waited_for_as_long_as_asked(hive: Hive, fake_claude: FakeClaude) -> None:
    task: Step = {"line": {"type": "system", "subtype": "task_started", "task_id": "a"}}
    result: Step = {"line": {"type": "result", "subtype": "success", "is_error": False, "result": "Done."}}
    fake_claude.script([INIT, task, result, FOREVER])
    done = hive.drain("--message", "hi", "--background-wait", "0.2")
    events = done.json_lines()
    assert (done.status, outcomes(events)) == (0, ["ok"])
    notes = [note["text"] for note in of_kind(events, "note")]
    assert notes == ["interrupting claude: no exit 0.2 s after the result (1 background task is outstanding)"]


def test_a_first_claude_that_does_not_start_ends_the_run_with_2_and_claudes_words(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script([{"stderr": "error: unknown option '--nope'"}, {"exit": 1}])
    done = hive.call(
        "run", "--claude", str(hive.claude), "--workspace", str(hive.workspace), "--quiet", "--message", "hello"
    )  # no drain: it would wait for messages
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "Error: claude could not be started: error: unknown option '--nope'",
        "Try: hyperhive doctor",
    ]
    (message,) = hive.messages()
    assert (message["state"], message["attempts"], len(fake_claude.calls())) == ("ready", 0, 1)

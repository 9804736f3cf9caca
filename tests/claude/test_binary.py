"""Facts about the real binary on which the product relies: where one of these fails, claude has changed."""

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.claude.conftest import MessagesApi
from tests.conftest import LIMIT_S, process_state, recording, recording_index, wait_until

Line = dict[str, Any]
STREAMING = ("--print", "--verbose", "--output-format", "stream-json", "--model", "haiku")
SKIP_PERMISSIONS = "--dangerously-skip-permissions"
OPTIONAL = {"thinking_tokens", "task_progress", "background_tasks_changed"}  # their number is a matter of timing
CALLS = {"assistant::tool_use", "user::tool_result"}


@contextmanager
def running(
    binary: Path, api: MessagesApi, environment: dict[str, str], *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [binary, *STREAMING, *arguments],
        env=environment,
        cwd=api.workspace,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def turn(
    binary: Path, api: MessagesApi, environment: dict[str, str], *arguments: str, prompt: str = "hi"
) -> tuple[list[Line], int, str]:
    """Run one turn; return its lines, exit status and stderr."""
    with running(binary, api, environment, *arguments) as process:
        stdout, stderr = process.communicate(prompt.encode(), timeout=LIMIT_S)
    return [json.loads(line) for line in stdout.split(b"\n")[:-1]], process.returncode, stderr.decode()


def shape(lines: Sequence[Line]) -> list[str]:
    """Return the kinds of these lines in order, without those whose number is a matter of timing.

    Of tools that are called side by side, the first may have answered before the second is told of.
    """
    kinds = [":".join([line["type"], line.get("subtype", ""), *blocks(line)]) for line in lines]
    kept = [kind for kind in kinds if kind.partition(":")[2] not in OPTIONAL]
    runs = groupby(kept, key=CALLS.__contains__)
    return [kind for are_calls, run in runs for kind in (sorted(run) if are_calls else run)]


def blocks(line: Line) -> list[str]:
    content = line.get("message", {}).get("content", [])
    return [block["type"] for block in content]


def recorded(scenario: str, release: str) -> list[Line]:
    """Return the lines recorded with the same release."""
    name = f"v{release}/{scenario}.jsonl"
    if name not in recording_index():
        pytest.skip(f"no recordings of claude {release}")
    return [json.loads(line) for line in recording(name)]


@pytest.mark.parametrize("scenario", ["text", "tools"])
def test_the_lines_are_those_of_the_recording(scenario: str, claude_binary: Path, messages_api: MessagesApi) -> None:
    environment = messages_api.start(scenario)
    prompt = recording_index()[f"v2.1.330/{scenario}.jsonl"]["prompt"]
    lines, status, stderr = turn(claude_binary, messages_api, environment, SKIP_PERMISSIONS, prompt=prompt)
    assert shape(lines) == shape(recorded(scenario, lines[0]["claude_code_version"]))
    assert (status, stderr) == (0, "")
    assert prompt in json.dumps(messages_api.requests()[0]["messages"])
    assert {line["session_id"] for line in lines} == {lines[0]["session_id"]}
    if scenario == "tools":
        assert (messages_api.workspace / "notes.txt").read_text() == "first line\nsecond line\n"
        check_reports(lines)


def check_reports(lines: Sequence[Line]) -> None:
    """Check what a turn with tools reports of them, and of what it used."""
    results = [line["message"]["content"][0] for line in lines if line["type"] == "user"]
    assert [bool(result.get("is_error")) for result in results] == [False, False, False, False, True]
    last = lines[-1]
    context = [line["message"]["usage"] for line in lines if line["type"] == "assistant"][-1]
    # The result sums up all requests: the size of the context is that of the last assistant line.
    assert last["usage"]["cache_read_input_tokens"] > 2 * context["cache_read_input_tokens"] > 0
    assert next(iter(last["modelUsage"].values()))["contextWindow"] > 0
    assert last["total_cost_usd"] > 0


def test_partial_messages_are_stream_events(claude_binary: Path, messages_api: MessagesApi) -> None:
    environment = messages_api.start("text")
    lines, _, _ = turn(claude_binary, messages_api, environment, "--include-partial-messages")
    kinds = [kind for kind, _ in groupby(line["type"] for line in lines)]
    assert kinds == ["system", "stream_event", "assistant", "stream_event", "result"]


def test_not_logged_in_is_an_error_at_once(claude_binary: Path, messages_api: MessagesApi) -> None:
    environment = messages_api.start("text")
    del environment["ANTHROPIC_API_KEY"]
    lines, status, _ = turn(claude_binary, messages_api, environment)
    assert [line["type"] for line in lines] == ["system", "assistant", "result"]
    assert lines[1]["error"] == "authentication_failed"
    assert lines[1]["message"]["model"] == "<synthetic>"
    assert (lines[-1]["subtype"], lines[-1]["is_error"], status) == ("success", True, 1)
    assert messages_api.requests() == []


def test_an_unknown_session_is_refused(claude_binary: Path, messages_api: MessagesApi) -> None:
    environment = messages_api.start("text")
    unknown = "00000000-0000-4000-8000-000000000000"
    lines, status, stderr = turn(claude_binary, messages_api, environment, "--resume", unknown)
    assert [(line["subtype"], line["is_error"]) for line in lines] == [("error_during_execution", True)]
    assert (status, stderr) == (1, f"No conversation found with session ID: {unknown}\n")


def test_a_resumed_session_knows_what_was_said(claude_binary: Path, messages_api: MessagesApi) -> None:
    environment = messages_api.start("text")
    first, _, _ = turn(claude_binary, messages_api, environment, prompt="the word is heliotrope")
    session_id = first[0]["session_id"]
    second, status, _ = turn(claude_binary, messages_api, environment, "--resume", session_id, prompt="and again")
    assert (second[0]["session_id"], status) == (session_id, 0)
    asked = messages_api.requests()
    assert "heliotrope" in json.dumps(asked[0]["messages"])
    assert [word in json.dumps(asked[-1]["messages"]) for word in ("heliotrope", "and again")] == [True, True]


def test_sigint_ends_a_slow_tool_and_the_binary(claude_binary: Path, messages_api: MessagesApi) -> None:
    environment = messages_api.start("slow_tool")
    with running(claude_binary, messages_api, environment, SKIP_PERMISSIONS) as process:
        assert process.stdin is not None
        process.stdin.write(b"hi")
        process.stdin.close()
        process.stdin = None
        started = messages_api.workspace / "started"
        wait_until(started.exists)
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=LIMIT_S)
    lines = [json.loads(line) for line in stdout.split(b"\n")[:-1]]
    told = next(line for line in lines if "[Request interrupted by user" in json.dumps(line.get("message")))
    # Most often a last `result` follows; on a busy machine 2.1.330 leaves before it has written one.
    for line in lines[lines.index(told) + 1 :]:
        assert (line["type"], line["subtype"], line["is_error"]) == ("result", "error_during_execution", True)
        assert line["terminal_reason"] == "aborted_tools"
    assert process.returncode in {0, 1}  # 2.1.330 leaves with 0, 2.1.197 with 1
    tool = int(started.read_text())
    wait_until(lambda: process_state(tool) in {None, "Z"})


def test_sigterm_ends_it_without_a_result(claude_binary: Path, messages_api: MessagesApi) -> None:
    environment = messages_api.start("stall")
    with running(claude_binary, messages_api, environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hi")
        process.stdin.close()
        process.stdin = None
        assert json.loads(process.stdout.readline())["subtype"] == "init"
        process.terminate()
        rest, _ = process.communicate(timeout=LIMIT_S)
    assert (rest, process.returncode) == (b"", 143)


@pytest.mark.parametrize("logged_in", [True, False])
def test_auth_status_is_json_with_an_exit_status(
    *, logged_in: bool, claude_binary: Path, messages_api: MessagesApi
) -> None:
    environment = messages_api.start("text")
    if not logged_in:
        del environment["ANTHROPIC_API_KEY"]
    done = subprocess.run(
        [claude_binary, "auth", "status"], env=environment, capture_output=True, check=False, timeout=LIMIT_S
    )
    assert json.loads(done.stdout)["loggedIn"] is logged_in
    assert done.returncode == (0 if logged_in else 1)


def test_an_empty_prompt_is_refused(claude_binary: Path, messages_api: MessagesApi) -> None:
    environment = messages_api.start("text")
    lines, status, stderr = turn(claude_binary, messages_api, environment, prompt="")
    assert (lines, status) == ([], 1)
    assert "Input must be provided" in stderr

"""The demo's stand-in for claude, run as the harness runs it: as a child, with claude's arguments."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.demo import MESSAGES, RECORDINGS, replay_command
from hyperhive_cli.demo.replay import pause_s

CLAUDES_OWN = ["--print", "--verbose", "--output-format", "stream-json", "--model=haiku"]
LATER_TURN = ["--resume=e1c44102", "--permission-mode=default", "--dangerously-skip-permissions"]
FILES = sorted(RECORDINGS.glob("*.jsonl"))
TURNS = list(zip(MESSAGES, FILES, strict=True))


def run(prompt: str, *arguments: str) -> bytes:
    command = [*replay_command("none"), *CLAUDES_OWN, *arguments]
    done = subprocess.run(command, input=prompt.encode(), capture_output=True, check=True, timeout=120)
    assert done.stderr == b""
    return done.stdout


def parse(stdout: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def recorded() -> Iterator[dict[str, Any]]:
    for file in FILES:
        yield from parse(file.read_bytes())


def blocks(kind: str) -> list[dict[str, Any]]:
    """The content blocks of one type in the whole conversation."""
    return [
        block
        for line in recorded()
        if line["type"] in {"assistant", "user"}
        for block in line["message"]["content"]
        if block["type"] == kind
    ]


@pytest.mark.parametrize(("message", "file"), TURNS)
def test_a_turn_is_the_recording_byte_for_byte(message: str, file: Path) -> None:
    stdout = run(message, "--include-partial-messages", *LATER_TURN)
    assert stdout == file.read_bytes()
    lines = parse(stdout)
    assert (lines[0]["type"], lines[0]["subtype"]) == ("system", "init")
    assert (lines[-1]["type"], lines[-1]["is_error"]) == ("result", False)


@pytest.mark.parametrize(("message", "file"), TURNS)
def test_partial_messages_are_left_out_unless_asked_for(message: str, file: Path) -> None:
    lines = parse(run(message))
    assert lines == [line for line in parse(file.read_bytes()) if line["type"] != "stream_event"]
    assert len(lines) < len(parse(file.read_bytes()))


def test_a_prompt_is_found_in_the_harness_s_frame() -> None:
    framed = f"Message from operator:\n\n{MESSAGES[1].upper()}"
    assert run(framed, "--include-partial-messages") == FILES[1].read_bytes()


@pytest.mark.parametrize("prompt", ["hello", "", "naïve 🐝"])
def test_an_unknown_prompt_gives_the_first_recording(prompt: str) -> None:
    assert run(prompt, "--include-partial-messages") == FILES[0].read_bytes()


def test_the_recordings_are_one_conversation_that_shows_everything() -> None:
    assert len({line["session_id"] for line in recorded()}) == 1
    tools = {block["name"] for block in blocks("tool_use")}
    assert {"Bash", "Read", "Edit", "Task", "Write"} <= tools
    assert blocks("thinking")
    assert any(block.get("is_error") for block in blocks("tool_result"))
    assert any(line["type"] == "assistant" and line["parent_tool_use_id"] for line in recorded())
    assert sum(line["type"] == "result" for line in recorded()) == 4  # one more when the subagent reports


def test_the_recordings_name_no_machine() -> None:
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        paths = re.findall(r"(?<![\w.])/[\w.@%+~-]+(?:/[\w.@%+~-]*)*", text)
        assert paths
        assert [path for path in paths if not path.startswith("/home/agent/")] == []
        for trace in ("tmp", "/root", "/work", "sk-ant", "127.0.0.1", "localhost"):
            assert trace not in text
        assert max(map(len, text.splitlines())) < 8192


def test_the_human_pace_is_thirteen_seconds_or_so() -> None:
    assert 12 < sum(map(pause_s, recorded())) < 14
    assert max(map(pause_s, recorded())) < 0.8


def test_sigint_ends_a_turn_with_a_result() -> None:
    command = [*replay_command("human"), *CLAUDES_OWN, "--include-partial-messages"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(MESSAGES[0].encode())
        child.stdin.close()
        first = child.stdout.readline()
        child.send_signal(signal.SIGINT)
        lines = parse(first + child.stdout.read())
        assert child.wait() == 0
    assert len(lines) < len(parse(FILES[0].read_bytes())) / 2
    assert lines[-1]["type"] == "result"
    assert lines[-1]["subtype"] == "error_during_execution"
    assert lines[-1]["is_error"] is True
    assert lines[-1]["session_id"] == lines[0]["session_id"]
    assert "result" not in lines[-1]


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    command = [*replay_command("human"), *CLAUDES_OWN, "--include-partial-messages"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdin.close()
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == -signal.SIGPIPE


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--pace", "none", "--print"], "--recordings"),
        (["--recordings", ".", "--print"], "--pace"),
        (["--recordings", ".", "--pace", "brisk", "--print"], "brisk"),
        (["--recordings", ".", "--pace", "none", "--print"], "no recordings"),
        (["--recordings", str(RECORDINGS), "--pace", "none", "auth", "status"], "--print"),
    ],
)
def test_wrong_usage_is_status_2_and_says_why(arguments: list[str], reason: str, tmp_path: Path) -> None:
    program = replay_command("none")[:4]
    command = [*program, *arguments]
    done = subprocess.run(command, cwd=tmp_path, input=b"", capture_output=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stdout == b""
    assert reason in done.stderr.decode()


def test_the_package_loads_none_of_the_libraries() -> None:
    code = "import sys, hyperhive_cli.demo; print(*{'trio', 'rich', 'click', 'orjson'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=120)
    assert done.stdout.strip() == b""

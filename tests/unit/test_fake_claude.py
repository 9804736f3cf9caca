"""The stand-in is itself tested, against recordings of the real binary."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import (
    LIMIT_S,
    RECORDINGS,
    FakeClaude,
    RecordingFacts,
    process_state,
    recording,
    recording_index,
    wait_until,
)

Environment = dict[str, str]
WHOLE_RUNS = {name: facts for name, facts in recording_index().items() if not facts["cut_off_by_recorder"]}


def run(
    fake: FakeClaude, environment: Environment, *arguments: str, prompt: bytes = b"hi"
) -> subprocess.CompletedProcess[bytes]:
    command = [str(fake.path), *arguments]
    return subprocess.run(command, input=prompt, env=environment, capture_output=True, timeout=LIMIT_S, check=False)


@contextmanager
def running(fake: FakeClaude, environment: Environment) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [fake.path], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("name", "facts"), WHOLE_RUNS.items(), ids=WHOLE_RUNS)
def test_a_recorded_run_is_replayed_byte_for_byte(
    name: str, facts: RecordingFacts, fake_claude: FakeClaude, environment: Environment
) -> None:
    fake_claude.script([{"replay": name}])
    done = run(fake_claude, environment, *facts["extra_args"], prompt=facts["prompt"].encode())
    assert done.stdout == (RECORDINGS / name).read_bytes()
    assert (done.returncode, done.stderr.decode()) == (facts["exit_status"], facts["stderr"])


def test_a_run_that_the_recorder_cut_off_goes_on_until_a_signal(
    fake_claude: FakeClaude, environment: Environment
) -> None:
    fake_claude.script([{"replay": "v2.1.330/auth_401.jsonl"}])
    with running(fake_claude, environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        lines = [process.stdout.readline().rstrip(b"\n") for _ in recording("v2.1.330/auth_401.jsonl")]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert lines == recording("v2.1.330/auth_401.jsonl")
    assert json.loads(rest)["session_id"] == json.loads(lines[0])["session_id"]


def test_a_recording_is_lines_that_end() -> None:
    for name in recording_index():
        assert b"".join(line + b"\n" for line in recording(name)) == (RECORDINGS / name).read_bytes()


def test_partial_lines_are_left_out_unless_asked_for(fake_claude: FakeClaude, environment: Environment) -> None:
    name = "v2.1.330/tools_partial.jsonl"
    fake_claude.script([{"recording": name}])
    without = run(fake_claude, environment).stdout
    with_them = run(fake_claude, environment, "--include-partial-messages").stdout
    whole = [line for line in recording(name) if json.loads(line)["type"] != "stream_event"]
    assert 0 < len(whole) < len(recording(name))
    assert without.split(b"\n")[:-1] == whole
    assert with_them == (RECORDINGS / name).read_bytes()


def test_a_recording_takes_another_session_and_model(fake_claude: FakeClaude, environment: Environment) -> None:
    step = {"recording": "v2.1.330/text.jsonl", "session_id": "from_argv", "model": "opus"}
    fake_claude.script([step])
    own = {json.loads(line)["session_id"] for line in run(fake_claude, environment).stdout.splitlines()}
    resumed = run(fake_claude, environment, "--resume", "1234").stdout.splitlines()
    assert own == {json.loads(recording("v2.1.330/text.jsonl")[0])["session_id"]}
    assert {json.loads(line)["session_id"] for line in resumed} == {"1234"}
    assert json.loads(resumed[0])["model"] == "opus"
    assert list(json.loads(resumed[-1])["modelUsage"]) == ["opus"]


def test_a_part_of_a_recording(fake_claude: FakeClaude, environment: Environment) -> None:
    name = "v2.1.330/tools.jsonl"
    fake_claude.script([{"recording": name, "lines": [0, 2]}, {"recording": name, "lines": [2, None]}])
    assert run(fake_claude, environment).stdout == (RECORDINGS / name).read_bytes()


def test_the_nth_start_plays_the_nth_run_and_the_last_repeats(
    fake_claude: FakeClaude, environment: Environment
) -> None:
    fake_claude.script([{"bytes": "one"}], [{"bytes": "two"}])
    assert [run(fake_claude, environment).stdout for _ in range(3)] == [b"one", b"two", b"two"]
    fake_claude.script([{"bytes": "three"}], [{"bytes": "four"}])
    assert [run(fake_claude, environment).stdout for _ in range(2)] == [b"three", b"four"]
    assert [call["start"] for call in fake_claude.calls()] == [0, 1, 2, 3, 4]


def test_starts_at_the_same_time_are_told_apart(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script(*([{"bytes": str(number)}] for number in range(8)))
    started = [
        subprocess.Popen([fake_claude.path], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for _ in range(8)
    ]
    assert sorted(process.communicate()[0] for process in started) == [b"%d" % number for number in range(8)]
    assert len(fake_claude.calls()) == 8


def test_a_call_is_recorded(fake_claude: FakeClaude, environment: Environment, workspace: Path) -> None:
    command = [str(fake_claude.path), "--model", "haiku", "-p"]
    prompt = "naïve \0 🐝\n" * 100_000
    process = subprocess.Popen(command, env={**environment, "HYPERHIVE_X": "1"}, cwd=workspace, stdin=subprocess.PIPE)
    process.communicate(prompt.encode())
    assert fake_claude.calls() == [
        {
            "start": 0,
            "argv": ["--model", "haiku", "-p"],
            "cwd": str(workspace),
            "env": sorted([*environment, "HYPERHIVE_X"]),
            "pid": process.pid,
            "pgid": os.getpgid(0),
            "session": os.getsid(0),
            "prompt": prompt,
            "prompt_ended": True,
        }
    ]
    assert fake_claude.started() == [process.pid]


def test_steps_play_while_stdin_is_open(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script([{"bytes": "early "}, {"wait_for_prompt": True}, {"bytes": "late"}])
    with running(fake_claude, environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(6) == b"early "
        assert fake_claude.calls() == []
        process.stdin.close()
        assert process.stdout.read() == b"late"
    assert process.returncode == 0


def test_stdin_can_stay_unread(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script([{"never_read_stdin": True}, {"stderr": "no room\n"}, {"exit": 3}])
    done = run(fake_claude, environment, prompt=b"x" * 1_000_000)
    assert (done.returncode, done.stderr) == (3, b"no room\n")
    assert [(call["prompt"], call["prompt_ended"]) for call in fake_claude.calls()] == [(None, False)]


def test_bytes_lines_and_repeats_are_written_as_they_stand(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script(
        [
            {"line": {"type": "x", "text": "🐝"}},
            {"repeat": 2, "steps": [{"bytes": "\xff\0\r\n"}, {"sleep": 0}]},
            {"close_stdout": True},
            {"bytes": "unheard"},
        ]
    )
    assert run(fake_claude, environment).stdout == b'{"type":"x","text":"\xf0\x9f\x90\x9d"}\n' + b"\xff\0\r\n" * 2


def test_gates_hold_and_open(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script([{"bytes": "1"}, {"touch": "here"}, {"wait_for": "go"}, {"bytes": "2"}])
    with running(fake_claude, environment) as process:
        fake_claude.wait_for("here")
        assert process.poll() is None
        fake_claude.touch("go")
        assert process.communicate()[0] == b"12"


def test_sigint_gives_a_last_result_as_the_binary_does(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script([{"line": {"type": "system", "session_id": "s"}}, {"touch": "here"}, {"wait_for": "never"}])
    with running(fake_claude, environment) as process:
        fake_claude.wait_for("here")
        process.send_signal(signal.SIGINT)
        last = json.loads(process.communicate()[0].splitlines()[-1])
    assert process.returncode == 0
    assert (last["subtype"], last["is_error"], last["session_id"]) == ("error_during_execution", True, "s")


def test_sigterm_gives_143_as_the_binary_does(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script([{"touch": "here"}, {"wait_for": "never"}])
    with running(fake_claude, environment) as process:
        fake_claude.wait_for("here")
        process.terminate()
        assert process.wait(LIMIT_S) == 143
        assert process.stdout is not None
        assert process.stdout.read() == b""
    assert [call["prompt_ended"] for call in fake_claude.calls()] == [False]


def test_a_signal_plays_steps_or_is_ignored(fake_claude: FakeClaude, environment: Environment) -> None:
    steps = [{"bytes": "stopping"}, {"touch": "stopping"}]
    fake_claude.script(
        [
            {"on_signal": "SIGINT", "steps": steps},
            {"on_signal": "SIGUSR1", "steps": [{"exit": 7}]},
            {"ignore": "SIGTERM"},
            {"touch": "here"},
            {"wait_for": "never"},
        ]
    )
    with running(fake_claude, environment) as process:
        fake_claude.wait_for("here")
        process.terminate()
        process.send_signal(signal.SIGINT)
        fake_claude.wait_for("stopping")
        assert process.poll() is None
        process.send_signal(signal.SIGUSR1)
        assert process.communicate()[0] == b"stopping"
    assert process.returncode == 7


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_it_can_die_of_a_signal(signum: signal.Signals, fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script([{"bytes": "half a li"}, {"kill_self": signum.name}])
    done = run(fake_claude, environment)
    assert (done.returncode, done.stdout) == (-signum, b"half a li")
    assert len(fake_claude.calls()) == 1


def test_a_child_left_behind_holds_stdout_until_it_ends(fake_claude: FakeClaude, environment: Environment) -> None:
    waiting = f"while [ ! -e '{fake_claude.folder}/go' ]; do sleep 0.01; done; echo late"
    fake_claude.script(
        [
            {"spawn": ["sh", "-c", waiting], "inherit_stdout": True, "setsid": True},
            {"spawn": ["sleep", "600"]},
        ]
    )
    with running(fake_claude, environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        assert process.wait(LIMIT_S) == 0
        apart, beside = fake_claude.spawned()
        assert not {process_state(apart), process_state(beside)} & {None, "Z"}
        assert (os.getsid(apart), os.getsid(beside)) == (apart, os.getsid(0))
        fake_claude.touch("go")
        assert process.stdout.read() == b"late\n"
    fake_claude.end_all()
    wait_until(lambda: process_state(beside) in {None, "Z"})


def test_a_mistake_in_a_script_is_loud(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script([{"dance": True}])
    done = run(fake_claude, environment)
    assert done.returncode == 98
    assert b"'dance'" in done.stderr


def test_a_reader_that_hangs_up_ends_it(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script([{"wait_for_prompt": True}, {"bytes": "nobody hears"}])
    with running(fake_claude, environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.close()
        assert process.wait(LIMIT_S) == 1


@pytest.mark.parametrize("logged_in", [True, False])
def test_auth_status_is_json_and_no_start(
    *, logged_in: bool, fake_claude: FakeClaude, environment: Environment
) -> None:
    fake_claude.script([{"bytes": "first"}], [], logged_in=logged_in)
    done = run(fake_claude, environment, "auth", "status")
    assert json.loads(done.stdout)["loggedIn"] is logged_in
    assert done.returncode == (0 if logged_in else 1)
    assert run(fake_claude, environment, "--version").stdout == b"2.1.330 (Claude Code)\n"
    assert run(fake_claude, environment).stdout == b"first"
    assert len(fake_claude.calls()) == 1


def test_auth_login_makes_the_next_status_true(fake_claude: FakeClaude, environment: Environment) -> None:
    fake_claude.script([], logged_in="file")
    assert run(fake_claude, environment, "auth", "login", prompt=b"wrong\n").returncode == 1
    assert run(fake_claude, environment, "auth", "status").returncode == 1
    done = run(fake_claude, environment, "auth", "login", prompt=b"a-code\n")
    assert b"https://" in done.stdout
    assert run(fake_claude, environment, "auth", "status").returncode == 0

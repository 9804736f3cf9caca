"""What ends a harness, a host or a panel, and what does not: doubled signals, hard stops, `nohup`."""

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hyperhive_cli.control.client import GoneError, call
from hyperhive_cli.harness.signals import SAME_WISH_S
from tests.conftest import FakeClaude, Step, process_state, wait_until
from tests.harness import INIT, LIMIT_S, SOURCE, TEXT, Event, Hive, gated, outcomes, program_command

# A claude that takes a moment to end in an orderly way, and one that does not.
SLOW: list[Step] = [
    {"on_signal": "SIGINT", "steps": [{"touch": "interrupted"}, {"sleep": 0.5}, {"touch": "tidy"}, {"exit": 0}]}
]
DEAF: list[Step] = [{"on_signal": "SIGINT", "steps": [{"touch": "interrupted"}]}, {"on_signal": "SIGTERM", "steps": []}]
ENDED_UNSPENT = [("ready", 0)]


class Started:
    """A program under another one, such as `nohup`; what it prints lies in a file."""

    def __init__(self, process: subprocess.Popen[bytes], printed: Path) -> None:
        self.process = process
        self._printed = printed

    @property
    def text(self) -> str:
        return self._printed.read_text(encoding="utf-8")

    def opened(self, path: Path) -> bool:
        """Whether the program has opened a file."""
        found = Path(f"/proc/{self.process.pid}/fd").glob("*")
        return any(os.path.realpath(link) == str(path) for link in found)

    def wait(self) -> int:
        status = self.process.wait(LIMIT_S)
        assert "Traceback" not in self.text
        return status


@contextmanager
def started(hive: Hive, *command: str, **variables: str) -> Iterator[Started]:
    printed = hive.state_dir.parent / f"{hive.state_dir.name}.out"
    with printed.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=hive.variables(**variables),
            cwd=hive.workspace,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield Started(process, printed)
    finally:
        process.kill()
        process.wait()
        printed.unlink()


def run_words(hive: Hive, *more: str) -> list[str]:
    return hive.command("run", "--claude", str(hive.claude), "--json", "--message", "one", *more)


def ended(hive: Hive) -> list[tuple[str, int]]:
    return [(message["state"], message["attempts"]) for message in hive.messages()]


def stored_outcomes(hive: Hive) -> list[str]:
    return outcomes(hive.call("tail", "--json", "--no-follow").json_lines())


def until_another_wish(began: float) -> None:
    """Wait until a signal is another wish than the one that was sent when this began."""
    time.sleep(max(0.0, began + SAME_WISH_S + 0.2 - time.monotonic()))


# --- twice the same ---


def test_gnu_timeout_which_signals_twice_lets_the_turn_end_in_an_orderly_way(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script([*SLOW, *gated()])
    with started(hive, "timeout", "4", *run_words(hive)) as program:
        fake_claude.wait_for("before go on")
        assert program.wait() == 124
    assert (fake_claude.folder / "tidy").exists()
    assert stored_outcomes(hive) == ["interrupted"]
    assert ended(hive) == ENDED_UNSPENT


def test_two_signals_at_once_are_one_stop(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([*SLOW, *gated()])
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        program.send(signal.SIGHUP)  # as when a terminal closes: of the kernel, and of the shell in it
        fake_claude.wait_for("interrupted")
        program.send(signal.SIGTERM)
        assert program.wait() == 129
    assert (fake_claude.folder / "tidy").exists()


# --- a hard stop ---


def test_a_hard_stop_records_the_turn_and_spends_no_attempt(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([*DEAF, *gated()])
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        began = time.monotonic()
        program.send(signal.SIGTERM)
        fake_claude.wait_for("interrupted")
        until_another_wish(began)
        program.send(signal.SIGTERM)
        assert program.wait() == 143
        assert time.monotonic() - began < 5.0  # SIGTERM comes to claude then
    assert outcomes(program.events()) == ["interrupted"]
    assert stored_outcomes(hive) == ["interrupted"]
    assert ended(hive) == ENDED_UNSPENT
    assert {process_state(pid) for pid in fake_claude.started()} == {None}


def test_a_hard_stop_whose_turn_cannot_be_ended_in_time_is_recorded_too(hive: Hive, fake_claude: FakeClaude) -> None:
    """The guard is stopped, so that no order reaches claude: what waits for it is cut off, and it is killed."""
    fake_claude.script([*DEAF, *gated()])
    hive.constants = {"harness.stopping.HARD_LIMIT_S": 0.2, "claude.process.SWEEP_LIMIT_S": 0.5}
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        (claude,) = fake_claude.started()
        guard = int(Path(f"/proc/{claude}/stat").read_text().rpartition(")")[2].split()[1])
        began = time.monotonic()
        program.send(signal.SIGTERM)
        fake_claude.wait_for("interrupted")
        subprocess.run(["/bin/kill", "-STOP", str(guard)], check=True)
        until_another_wish(began)
        program.send(signal.SIGTERM)
        assert program.wait() == 143
    assert stored_outcomes(hive) == ["interrupted"]
    assert ended(hive) == ENDED_UNSPENT
    assert {process_state(pid) for pid in fake_claude.started()} == {None}


# --- a host ---


@pytest.fixture
def hosted(hive: Hive) -> Hive:
    """An agent called `bee` as a host runs it: below the home."""
    home = hive.state_dir / "home"
    home.mkdir()
    hive.environment = {**hive.environment, "HOME": str(home)}
    hive.state_dir = home / ".local/state/hyperhive/bee"
    hive.state_dir.mkdir(parents=True, mode=0o700)
    return hive


def host_words(hive: Hive) -> list[str]:
    return [*program_command(), "host", f"bee={hive.workspace}", "--json"]


def host_variables(hive: Hive) -> dict[str, str]:
    return {"HYPERHIVE_RUN_CLAUDE": str(hive.claude)}


def test_a_host_that_is_signalled_twice_at_once_stops_in_an_orderly_way(hosted: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([*SLOW, *gated()])
    hosted.call("send", "one")
    with started(hosted, "timeout", "4", *host_words(hosted), **host_variables(hosted)) as program:
        fake_claude.wait_for("before go on")
        assert program.wait() == 124
    assert (fake_claude.folder / "tidy").exists()
    assert stored_outcomes(hosted) == ["interrupted"]
    assert ended(hosted) == ENDED_UNSPENT


def test_a_hard_stop_of_a_host_records_the_turn_and_spends_no_attempt(hosted: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([*DEAF, *gated()])
    hosted.call("send", "one")
    with started(hosted, *host_words(hosted), **host_variables(hosted)) as program:
        fake_claude.wait_for("before go on")
        began = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        fake_claude.wait_for("interrupted")
        until_another_wish(began)
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 143
        assert time.monotonic() - began < 5.0
    assert stored_outcomes(hosted) == ["interrupted"]
    assert ended(hosted) == ENDED_UNSPENT


def test_an_agent_of_a_host_may_steer_its_siblings_and_not_itself(hosted: Hive, fake_claude: FakeClaude) -> None:
    home = hosted.state_dir.parent
    (home / "wasp").mkdir(mode=0o700)
    script = fake_claude.folder / "tool.sh"
    lines = [
        f"{shlex.join([*program_command(), '-a', name, *words])} >{name}.{words[0]} 2>&1"
        for name in ("wasp", "bee")
        for words in (["send", "from bee"], ["model", "set", "opus"])
    ]
    script.write_text(
        "\n".join(
            [
                f"until [ -e go ]; do sleep 0.1; done; export PYTHONPATH={SOURCE}",
                *lines,
                "touch told.new; mv told.new told",
                "",
            ]
        )
    )
    tool = {"spawn": ["sh", str(script)]}
    fake_claude.script([INIT, tool, {"wait_for": str(hosted.workspace / "told")}, *TEXT], TEXT)
    hosted.call("send", "one")
    words = [*program_command(), "host", f"bee={hosted.workspace}", f"wasp={hosted.workspace}", "--json"]
    with started(hosted, *words, **host_variables(hosted)) as program:
        wait_until(replace(hosted, state_dir=home / "wasp").answers)
        (hosted.workspace / "go").touch()
        wait_until(lambda: program.text.count('"turn_end"') == 2)
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 143
    said = {path.name: path.read_text() for path in hosted.workspace.glob("*.*")}
    assert said["wasp.send"] == "1\n"
    assert said["wasp.model"] == "opus\n"
    assert [line for name in ("bee.send", "bee.model") for line in said[name].splitlines()[:1]] == [
        "Error: a turn may not steer its own harness"
    ] * 2


def test_a_stop_of_a_host_does_not_wait_for_another_harness_s_lock(hosted: Hive) -> None:
    """Nor for 15 s, as where the guard of a harness that was killed still holds it."""
    (gone := subprocess.Popen(["true"])).wait()
    with (hosted.state_dir / "harness.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(json.dumps({"pid": gone.pid}))
        lock.flush()
        with started(hosted, *host_words(hosted), **host_variables(hosted)) as program:
            wait_until(lambda: program.opened(hosted.state_dir / "harness.lock"))
            began = time.monotonic()
            program.process.send_signal(signal.SIGTERM)
            assert program.wait() == 143
            assert time.monotonic() - began < 10.0


# --- signals that are ignored from the start ---


def answers(hive: Hive) -> Event | None:
    try:
        return dict(call(hive.state_dir / "control.sock", "status"))
    except GoneError:
        return None


def ignoring(number: str, command: Sequence[str]) -> list[str]:
    """Start a command as a shell does in which a signal is ignored."""
    return ["/bin/sh", "-c", f'trap "" {number}; exec "$@"', "sh", *command]


def test_nohup_run_survives_a_hang_up(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"on_signal": "SIGHUP", "steps": [{"touch": "hung up"}]}, *gated()])
    with started(hive, "nohup", *run_words(hive)) as program:
        fake_claude.wait_for("before go on")
        program.process.send_signal(signal.SIGHUP)
        fake_claude.touch("go on")
        wait_until(lambda: '"kind":"turn_end"' in program.text)
        program.process.send_signal(signal.SIGHUP)
        assert hive.call("send", "two", "--wait").status == 0
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 143
    assert stored_outcomes(hive) == ["ok", "ok"]


def test_a_run_in_the_background_of_a_script_survives_the_ctrl_c_of_the_script(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(gated())
    with started(hive, *ignoring("INT", run_words(hive))) as program:
        fake_claude.wait_for("before go on")
        program.process.send_signal(signal.SIGINT)
        fake_claude.touch("go on")
        wait_until(lambda: '"kind":"turn_end"' in program.text)
        program.process.send_signal(signal.SIGHUP)
        assert program.wait() == 129


def test_nohup_host_survives_a_hang_up(hosted: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    hosted.call("send", "one")
    with started(hosted, "nohup", *host_words(hosted), **host_variables(hosted)) as program:
        fake_claude.wait_for("before go on")
        program.process.send_signal(signal.SIGHUP)
        fake_claude.touch("go on")
        assert wait_until(lambda: stored_outcomes(hosted)) == ["ok"]
        assert answers(hosted)
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 143


def test_nohup_web_survives_a_hang_up(hive: Hive) -> None:
    hive.call("send", "one")
    command = hive.command("web", "--bind", f"unix:{hive.state_dir}/web.sock")
    with started(hive, "nohup", *command) as program:
        wait_until(lambda: "#token=" in program.text)
        program.process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            program.process.wait(0.5)
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 143


AT_AN_IMPORT = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == os.environ["AT"]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
runpy.run_module("hyperhive_cli", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("module", "status", "said"), [("hyperhive_cli.cli.boundary", -signal.SIGINT, ""), ("click", 130, "\n")]
)
def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback(
    module: str, status: int, said: str, hive: Hive
) -> None:
    done = hive.program(sys.executable, "-c", AT_AN_IMPORT, AT=module)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)


# --- stop and restart ---


def test_a_stop_waits_for_the_running_turn_and_keeps_the_rest(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    with hive.run("--message", "one", "--message", "two") as program:
        fake_claude.wait_for("before go on")
        call(hive.state_dir / "control.sock", "stop")  # from here on it is known
        with hive.start("stop") as stop:
            assert (stop.process.poll(), stop.stdout) == (None, [])
            fake_claude.touch("go on")
            assert stop.wait() == 0
            assert (stop.stdout, program.wait()) == (["stopped"], 0)
    assert stored_outcomes(hive) == ["ok"]
    assert [(message["id"], message["state"]) for message in hive.messages()] == [(2, "ready")]
    done = hive.call("stop")
    assert (done.status, done.stdout, "no harness is running" in done.stderr) == (0, "", True)


def test_a_stop_now_interrupts_the_turn_and_puts_its_message_back(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([*SLOW, *gated()])
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        assert hive.call("stop", "--now").stdout == "stopped\n"
        assert program.wait() == 0
    assert stored_outcomes(hive) == ["interrupted"]
    assert ended(hive) == ENDED_UNSPENT


def test_a_restart_runs_the_same_command_in_the_same_process(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.forkserver = None  # a program of its own, with its own command line
    assert "no harness is running" in hive.call("restart").refusal()
    with hive.run("--message", "one") as program:
        program.wait_for_kind("turn_end", message_id=1)
        boot = hive.status()["boot"]
        (hive.workspace / "hyperhive.toml").write_text('[run]\nmodel = "opus"\n')
        assert hive.call("restart").stdout == "restarting after the running turn, if there is one\n"
        wait_until(lambda: hive.answers() and hive.status()["boot"] not in {boot, None})
        found = hive.status()
        assert (found["pid"], found["model"]) == (program.pid, "opus"), "its files are read again"
        hive.call("send", "two")
        program.wait_for_kind("turn_end", message_id=2)
        assert program.interrupt() == 130
    assert [message["body"] for message in hive.messages("--all")] == ["one", "two"], "no message is sent again"


def test_a_host_goes_on_when_one_of_its_agents_is_stopped_or_restarted(hosted: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with started(hosted, *host_words(hosted), **host_variables(hosted)) as program:
        wait_until(hosted.answers)
        boot = hosted.status()["boot"]
        hosted.call("restart")
        wait_until(lambda: hosted.answers() and hosted.status()["boot"] not in {boot, None})
        assert hosted.status()["pid"] == program.process.pid
        assert hosted.call("stop").stdout == "stopped\n"
        assert program.wait() == 0, "it was the only one"

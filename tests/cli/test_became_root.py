"""What a tool starts as root, under a harness that is not: it cannot be killed, and so it is named, and soon.

Run by root alone: the harness and all of its turn as a user without rights, and beside them a copy of `setpriv` with
the set-user-id bit, in a folder of that user alone, which makes of whoever calls it what `sudo` would.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FakeClaude, kill, process_state, wait_until
from tests.forkserver import SOURCE
from tests.harness import LIMIT_S, TEXT, Hive, gated, of_kind, outcomes
from tests.process.test_guard import has_become_sleep, number, sleepers  # noqa: F401 - a fixture

NOBODY = 65_534
SOON_S = 5.0  # less than the ten seconds that the guard gives what the kernel holds
# To read only: the interpreter and the tests may lie in a folder of root's.
READING = "+dac_read_search"
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *(f"--inh-caps={READING}", f"--ambient-caps={READING}", "--"),
]

# The harness's part of a turn: a script in claude's place to its end, then what was said of it. A second one on demand.
TURNS = """
import json, os, signal, sys, time
from pathlib import Path
import trio
from hyperhive_cli.claude import guard
from hyperhive_cli.claude.leftovers import denied_words
from hyperhive_cli.claude.process import become_subreaper, open_claude
folder, script, *more = sys.argv[1:]
become_subreaper()

def look(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return [os.stat(file.fileno()).st_uid, len(file.read()) > 0, len(os.listdir(f"/proc/{pid}/fd")) > 0]
    except PermissionError:
        return [os.stat(f"/proc/{pid}/environ").st_uid, False, False]
    except FileNotFoundError:
        return None

async def turn(script):
    async with open_claude(["/bin/sh", "-c", script], workspace=Path(folder), environment=os.environ) as process:
        seen = None
        if "look" in more:
            seen = [look(process.guard_pid), look(process.pid), process.cpu_s() is not None]
            Path(folder, "seen").touch()
        if "kill the guard" in more:
            while not Path(folder, "ready").exists():
                await trio.sleep(0.01)
            os.kill(process.guard_pid, signal.SIGKILL)
        await process.wait()
        began = time.monotonic()
    print(json.dumps({
        "left_behind": process.left_behind, "stuck": process.stuck, "denied": process.denied,
        "words": denied_words(process.denied), "s": time.monotonic() - began, "seen": seen,
    }), flush=True)

trio.run(turn, script)
if "again" in more:
    sys.stdin.readline()
    trio.run(turn, "exit 0")
    print(json.dumps({"children": guard.children(os.getpid())}), flush=True)
"""


@pytest.fixture
def root() -> Iterator[str]:
    """Yield the words that make of what follows them a process of root's."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("PROCESSES THAT BECOME ROOT ARE NOT TESTED: only root can make such a program, of setpriv")
    with tempfile.TemporaryDirectory(prefix="hh-") as folder:
        program = Path(folder) / "become"
        shutil.copy(str(shutil.which("setpriv")), program)
        program.chmod(0o4755)
        os.chown(folder, NOBODY, NOBODY)  # 0700: nobody else can start it
        words = f"{program} --reuid=0 --regid=0 --clear-groups"
        done = subprocess.run([*AS_NOBODY, *words.split(), "id", "-u"], capture_output=True, text=True, check=False)
        if done.stdout != "0\n":
            pytest.skip(f"PROCESSES THAT BECOME ROOT ARE NOT TESTED: {done.stderr or 'that bit has no effect here'}")
        yield words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    os.chown(tmp_path, NOBODY, NOBODY)
    return tmp_path


def until_root(script: str) -> str:
    """Wait in a shell script until what it has just started has become root's altogether."""
    is_root = "grep -qs '^Uid:[[:space:]]0[[:space:]]0[[:space:]]0' /proc/$!/status"
    is_itself = f"[ \"$(cat /proc/$!/comm)\" = '{script}' ]"
    return f"until {is_root} && {is_itself}; do sleep 0.01; done; touch ready"


def turns(folder: Path, script: str, *more: str, namespace: Sequence[str] = ()) -> "subprocess.Popen[str]":
    words = [*namespace, *AS_NOBODY, sys.executable, "-c", TURNS, str(folder), script, *more]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(words, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def turn(folder: Path, script: str, *more: str, namespace: Sequence[str] = ()) -> dict[str, Any]:
    process = turns(folder, script, *more, namespace=namespace)
    said, _ = process.communicate(timeout=LIMIT_S)
    found: dict[str, Any] = json.loads(said)
    return found


def test_a_process_that_became_root_is_named_and_given_up_soon(root: str, folder: Path, number: str) -> None:  # noqa: F811
    found = turn(folder, f"{root} sleep {number} & {until_root('sleep')}")
    (left,) = sleepers(number)
    assert (found["denied"], found["stuck"]) == ([left], [])
    assert found["words"] == f"still running, no permission to kill it: process {left} (uid 0): sleep {number}"
    assert found["s"] < SOON_S


def test_what_is_below_a_process_that_became_root_is_killed(root: str, folder: Path, number: str) -> None:  # noqa: F811
    ours = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups sleep {number}1"
    below = f"{root} sh -c '{ours} & touch begun; exec sleep {number}' &"
    found = turn(folder, f"{below} {until_root('sleep')}; until [ -e begun ]; do sleep 0.01; done")
    assert len(found["denied"]) == 1
    assert found["left_behind"] >= 1
    assert sleepers(f"{number}1") == []
    assert found["s"] < SOON_S


def test_a_root_process_that_ends_with_what_it_started_is_not_named(root: str, folder: Path, number: str) -> None:  # noqa: F811
    """As `sudo` does when its command is killed."""
    ours = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups sleep {number}"
    started = f"{root} sh -c 'touch begun; {ours}; exit' & {until_root('sh')}"
    found = turn(folder, f"{started}; until [ -e begun ]; do sleep 0.01; done")
    assert (found["denied"], found["stuck"], sleepers(number)) == ([], [], [])


def test_a_guard_that_dies_leaves_its_root_process_to_the_harness_which_names_it_soon(
    root: str,
    folder: Path,
    number: str,  # noqa: F811
) -> None:
    found = turn(folder, f"{root} sleep {number} & {until_root('sleep')}; sleep 600", "kill the guard")
    (left,) = sleepers(number)
    assert (found["left_behind"], found["denied"], found["stuck"]) == (None, [left], [])
    assert found["s"] < SOON_S


def test_a_process_that_was_left_is_reaped_by_the_next_turn(root: str, folder: Path, number: str) -> None:  # noqa: F811
    with turns(folder, f"{root} sleep {number} & {until_root('sleep')}", "again") as process:
        assert process.stdout is not None
        (left,) = json.loads(process.stdout.readline())["denied"]
        kill(left)
        wait_until(lambda: process_state(left) == "Z")
        said, _ = process.communicate("\n", timeout=LIMIT_S)
    again, after = map(json.loads, said.splitlines())
    assert (again["denied"], after["children"]) == ([], [])


# A harness that dies with its guard stopped; and another one's look for what that life has left.
ABANDONED = """
import os, signal, sys
from pathlib import Path
import trio
from hyperhive_cli.claude.process import open_claude, sweep_marked
folder, task = Path(sys.argv[1]), sys.argv[2]

async def turn():
    async with open_claude(["sleep", sys.argv[3]], workspace=folder, environment=os.environ) as process:
        os.kill(process.guard_pid, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGKILL)

trio.run(turn) if task == "die" else print(sweep_marked(folder))
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can be another user")
def test_a_guard_that_was_left_without_a_lock_is_found_although_its_environment_is_roots(
    folder: Path,
    number: str,  # noqa: F811
) -> None:
    words = [*AS_NOBODY, sys.executable, "-c", ABANDONED, str(folder)]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
    subprocess.run([*words, "die", number], env={**variables, "HYPERHIVE_TURN": str(folder)}, check=False)
    assert len(sleepers(number)) == 2  # the guard has it among its words
    done = subprocess.run([*words, "sweep"], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
    wait_until(lambda: sleepers(number) == [])


def test_the_guard_can_be_looked_into_by_root_alone_and_claude_by_its_user(root: str, folder: Path) -> None:  # noqa: ARG001
    found = turn(folder, "until [ -e seen ]; do sleep 0.01; done", "look")
    assert found["seen"] == [[0, False, False], [NOBODY, True, True], True]


@pytest.fixture
def hidden() -> list[str]:
    """Return the words that run what follows them where /proc hides what is root's (systemd calls it ProtectProc)."""
    hide = 'mount -t proc -o hidepid=2 none /proc && exec "$@"'
    namespace = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", hide, "sh"]
    if os.geteuid() != 0 or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("A /proc THAT HIDES PROCESSES IS NOT TESTED: none can be mounted here")
    return namespace


def test_a_turn_is_measured_where_proc_hides_its_guard(folder: Path, hidden: list[str]) -> None:
    found = turn(folder, "until [ -e seen ]; do sleep 0.01; done", "look", namespace=hidden)
    assert found["seen"] == [None, [NOBODY, True, True], True]


def test_a_process_that_became_root_and_is_hidden_is_named_by_its_number(
    root: str,
    folder: Path,
    hidden: list[str],
    number: str,  # noqa: F811
) -> None:
    script = f"{root} sh -c 'touch ready; exec sleep {number}' & until [ -e ready ]; do sleep 0.01; done"
    found = turn(folder, script, namespace=hidden)
    (left,) = found["denied"]
    assert found["words"] == f"still running, no permission to kill it: process {left}"


@pytest.fixture
def harness(root: str, hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> list[str]:
    """Return the words that run the agent as a user without rights, until its inbox is empty."""
    # `run` asks whether program and interpreter may be executed, and the right to read does not count for that.
    claude = Path(root.split(maxsplit=1)[0]).with_name("claude")
    claude.write_text(f"#!/bin/sh\nexec '{fake_claude.path}' \"$@\"\n")
    claude.chmod(0o700)
    for path in (claude, tmp_path, *tmp_path.rglob("*"), hive.state_dir):
        os.chown(path, NOBODY, NOBODY)
    return [*AS_NOBODY, *hive.command("run", "--claude", str(claude), "--drain", "--json", "--message", "do it")]


def test_a_turn_says_which_of_its_processes_went_on_as_root(
    root: str,
    harness: list[str],
    hive: Hive,
    fake_claude: FakeClaude,
    number: str,  # noqa: F811
) -> None:
    fake_claude.script([{"spawn": [*root.split(), "sleep", number]}, *gated()])
    with subprocess.Popen(harness, cwd=hive.workspace, env=hive.variables(), stdout=subprocess.PIPE) as program:
        fake_claude.wait_for("before go on")
        (left,) = wait_until(lambda: [pid for pid in sleepers(number) if has_become_sleep(pid)])
        fake_claude.touch("go on")
        said, _ = program.communicate(timeout=LIMIT_S)
    events = [json.loads(line) for line in said.splitlines()]
    assert outcomes(events) == ["ok"]
    (note,) = [note for note in of_kind(events, "note") if note["source"] == "guard"]
    assert note["text"].endswith(f"process {left} (uid 0): sleep {number}")
    assert (note["level"], note["attention"]) == ("error", True)
    last = max(event["ts"] for event in of_kind(events, "stream"))
    assert of_kind(events, "turn_end")[0]["ts"] - last < SOON_S * 1000


def test_so_does_a_hook(
    root: str,
    harness: list[str],
    hive: Hive,
    fake_claude: FakeClaude,
    number: str,  # noqa: F811
) -> None:
    fake_claude.script(TEXT)
    hook = Path(root.split(maxsplit=1)[0]).with_name("hook")
    hook.write_text(f"#!/bin/sh\n{root} sleep {number} &\n{until_root('sleep')}\n")
    hook.chmod(0o755)
    words = [*harness, "--on-event", str(hook), "--on-event-kind", "turn_start"]
    done = subprocess.run(words, cwd=hive.workspace, env=hive.variables(), capture_output=True, timeout=120, check=True)
    (left,) = sleepers(number)
    (note,) = of_kind([json.loads(line) for line in done.stdout.splitlines()], "note")
    assert note["text"].startswith(f"the hook failed: still running, no permission to kill it: process {left}")

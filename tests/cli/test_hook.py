"""`run --on-event`: a program of the operator's hears what needs a person, through the whole harness."""

import json
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from hyperhive_cli.harness.signals import SAME_WISH_S
from tests.conftest import FakeClaude, process_state, wait_until
from tests.harness import BAD_REQUEST, INIT, SOON_AGAIN, TEXT, Event, Hive, gated, of_kind

NO_LOGIN = [{"replay": "v2.1.330/not_logged_in.jsonl", "session_id": "from_argv"}]


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """Return a program that keeps each event, its environment and its folder."""
    folder = tmp_path / "hooks"
    folder.mkdir()
    program = folder / "hook"
    program.write_text(f"#!/bin/sh\ncd {folder} && cat >> events && env > env\n")
    program.chmod(stat.S_IRWXU)
    return program


def heard(hook: Path) -> list[Event]:
    path = hook.parent / "events"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_person_hears_of_the_turn_that_failed(hive: Hive, fake_claude: FakeClaude, hook: Path) -> None:
    fake_claude.script(TEXT, BAD_REQUEST)
    done = hive.drain("--message", "one", "--message", "two", "--on-event", str(hook))
    assert done.status == 1
    assert heard(hook) == [event for event in of_kind(done.json_lines(), "turn_end") if not event["ok"]]
    variables = dict(line.split("=", 1) for line in (hook.parent / "env").read_text().splitlines())
    assert variables["HYPERHIVE_AGENT"] == "workspace"
    assert variables["HYPERHIVE_TURN"] == str(hive.state_dir)
    assert {name for name in variables if name.startswith("HYPERHIVE")} == {"HYPERHIVE_AGENT", "HYPERHIVE_TURN"}
    assert "PYTHONPATH" not in variables


def test_a_crash_is_heard_of_when_it_is_not_tried_again(hive: Hive, fake_claude: FakeClaude, hook: Path) -> None:
    fake_claude.script([INIT, {"exit": 1}])
    hive.constants = SOON_AGAIN
    done = hive.drain("--message", "one", "--on-event", str(hook))
    ends = of_kind(done.json_lines(), "turn_end")
    assert [end["message_state"] for end in ends] == ["ready", "ready", "dead"]
    assert heard(hook) == ends[2:]


def test_kinds_are_chosen_by_options_a_variable_or_the_file(hive: Hive, fake_claude: FakeClaude, hook: Path) -> None:
    fake_claude.script(TEXT)
    own = Path(hive.environment["HOME"], ".config", "hyperhive")
    own.mkdir(parents=True)
    (own / "config.toml").write_text(f'[run]\non-event = "{hook}"\non-event-kind = ["model_changed"]\n')
    hive.drain("--model", "opus")
    assert [event["kind"] for event in heard(hook)] == []  # it was chosen before the hook was there
    hive.drain("--message", "one", "--on-event-kind", "turn_start", "--on-event-kind", "turn_end")
    assert [event["kind"] for event in heard(hook)] == ["turn_start", "turn_end"]
    variables = {"HYPERHIVE_RUN_ON_EVENT_KIND": "turn_end turn_start"}
    command = ("run", "--claude", str(hive.claude), "--drain", "--quiet", "--message", "two")
    assert hive.call(*command, variables=variables).status == 0
    assert [event["kind"] for event in heard(hook)] == ["turn_start", "turn_end"] * 2


def test_a_missing_login_is_heard_of(hive: Hive, fake_claude: FakeClaude, hook: Path) -> None:
    fake_claude.script(NO_LOGIN, logged_in=False)
    with hive.run("--message", "one", "--on-event", str(hook)) as program:
        program.wait_for_kind("status_changed", status="needs_login_idle")
        wait_until(lambda: len(heard(hook)) == 2)
        assert program.interrupt() == 130
    assert [event.get("outcome") or event.get("status") for event in heard(hook)] == ["needs_login", "needs_login_idle"]


def test_a_failing_hook_is_a_note_and_the_turn_is_not(hive: Hive, fake_claude: FakeClaude, hook: Path) -> None:
    fake_claude.script(TEXT)
    hook.write_text("#!/bin/sh\necho no network >&2\nexit 4\n")
    done = hive.drain(
        "--message", "one", "--on-event", str(hook), "--on-event-kind", "note", "--on-event-kind", "turn_end"
    )
    assert done.status == 0
    notes = [event for event in of_kind(done.json_lines(), "note") if event["source"] == "hook"]
    assert [(note["text"], note["level"]) for note in notes] == [
        ("the hook failed: exit status 4: no network", "warning")
    ]


def test_a_turn_does_not_wait_for_it(hive: Hive, fake_claude: FakeClaude, hook: Path) -> None:
    fake_claude.script(TEXT)
    hook.write_text(f"#!/bin/sh\necho $$ > {hook.parent}/started\nexec sleep 600\n")
    hive.constants = {"harness.hook.HOOK_LIMIT_S": 600.0}
    with hive.run("--message", "one", "--on-event", str(hook), "--on-event-kind", "turn_start") as program:
        program.wait_for_kind("turn_end", ok=True)
        started = wait_until(lambda: (hook.parent / "started").exists() and (hook.parent / "started").read_text())
        assert hive.call("send", "two").status == 0
        program.wait_for_kind("turn_end", ok=True, message_id=2)
        program.send(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            program.process.wait(SAME_WISH_S + 0.5)  # only its end waits for it; what follows is another wish
        assert program.interrupt() == 130
    wait_until(lambda: process_state(int(started)) is None)


def test_a_hook_of_a_killed_harness_is_swept(hive: Hive, fake_claude: FakeClaude, hook: Path) -> None:
    fake_claude.script(gated())
    hook.write_text(f"#!/bin/sh\nsetsid sleep 600 & echo $! > {hook.parent}/child\nsleep 600\n")
    with hive.run("--message", "one", "--on-event", str(hook), "--on-event-kind", "turn_start") as program:
        child = wait_until(lambda: (hook.parent / "child").exists() and (hook.parent / "child").read_text().strip())
        program.send(signal.SIGKILL)
        program.process.wait()
    wait_until(lambda: process_state(int(child)) is None)
    fake_claude.script(TEXT)
    assert hive.drain().status == 0  # the lock is free again


def test_a_hook_may_look_and_not_steer_its_own_harness(hive: Hive, fake_claude: FakeClaude, hook: Path) -> None:
    fake_claude.script(TEXT)
    command = " ".join([*hive.command()[:3], '--state-dir "$HYPERHIVE_TURN"'])
    folder = hook.parent
    lines = [
        "#!/bin/sh",
        f"cd {folder}",
        f"export PYTHONPATH='{hive.variables()['PYTHONPATH']}'",
        f"{command} status > status 2>&1",
        f"{command} send more > send 2>&1",
        "echo done > over",
    ]
    hook.write_text("\n".join(lines))
    with hive.run("--message", "one", "--on-event", str(hook), "--on-event-kind", "turn_end") as program:
        wait_until((folder / "over").exists)
        assert program.interrupt() == 130
    assert "running, pid" in (folder / "status").read_text()
    assert "may not steer" in (folder / "send").read_text()
    assert len(hive.messages("--all")) == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [("no-such-program", "program not found"), ("'", "cannot be split"), (" ", "names no program")],
)
def test_a_hook_that_cannot_be_is_refused_before_anything_else(command: str, said: str, hive: Hive) -> None:
    assert said in hive.drain("--on-event", command).refusal(2)
    assert list(hive.state_dir.iterdir()) == []


def test_an_unknown_kind_is_a_usage_error(hive: Hive) -> None:
    assert "'turn_ned' is not one of" in hive.drain("--on-event-kind", "turn_ned").refusal(2)
    assert list(hive.state_dir.iterdir()) == []

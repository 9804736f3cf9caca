"""One turn with real children on the real clock: what is read, and how it ends whatever the child does."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio

from hyperhive_cli.claude import guard, pipe_reader, runner, watch
from hyperhive_cli.claude import process as claude_process
from hyperhive_cli.claude.outcome import Cause, Ending, classify
from hyperhive_cli.claude.runner import Turn
from hyperhive_cli.claude.stderr_notes import MAX_NOTES
from hyperhive_cli.claude.turn_request import TurnRequest
from hyperhive_cli.claude.watch import TimeLimits
from hyperhive_cli.core.events import LiveEvent, Note, Stream
from hyperhive_cli.core.outcomes import OutcomeKind
from tests.conftest import FakeClaude, Step, process_state, recording, wait_until

SESSION = "0d2b5a3c-0000-4000-8000-000000000000"
INIT: Step = {"line": {"type": "system", "subtype": "init", "session_id": SESSION, "claude_code_version": "2.1.330"}}
RESULT: Step = {"line": {"type": "result", "subtype": "success", "is_error": False, "result": "done"}}
FOREVER: Step = {"wait_for": "a gate that stays shut"}
LIMIT_S = 120.0
NUMBER = r"[\d.]+"


@dataclass(slots=True)
class Heard:
    """A feed that keeps what it was told."""

    events: list[LiveEvent] = field(default_factory=list)
    observed: list[Mapping[str, object]] = field(default_factory=list)
    settling: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint

    def publish(self, *events: LiveEvent) -> None:
        self.events += events

    def publish_lines(self, payloads: Sequence[bytes], lines: Sequence[Mapping[str, object]]) -> None:
        self.publish(*map(Stream, lines, payloads))

    def observe_stream(self, line: Mapping[str, object]) -> None:
        self.observed.append(line)

    async def settle(self) -> None:
        await self.settling()

    def lines(self) -> list[str]:
        """Return the text of each stream event, in order."""
        return [event.to_payload().decode() for event in self.events if isinstance(event, Stream)]

    def notes(self, source: str) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note) and event.source == source]


@dataclass(slots=True)
class Stage:
    """A turn that is about to run, with the feed that hears it."""

    turn: Turn
    heard: Heard = field(default_factory=Heard)

    def run(self, steer: Callable[[], Awaitable[object]] | None = None) -> Ending:
        """Run the turn to its end; `steer` runs beside it."""
        return trio.run(self._run, steer)

    async def _run(self, steer: Callable[[], Awaitable[object]] | None) -> Ending:
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                if steer is not None:
                    nursery.start_soon(steer)
                ending = await self.turn.run()
                nursery.cancel_scope.cancel()
        return ending


@pytest.fixture
def stage(workspace: Path, environment: dict[str, str]) -> Callable[..., Stage]:
    def set_up(
        argv: Sequence[str],
        *,
        prompt: bytes = b"hi",
        folder: Path = workspace,
        session_id: str | None = None,
        expect_auth: str | None = None,
        **limits: float,
    ) -> Stage:
        heard = Heard()
        watched = replace(TimeLimits(), **limits)  # type: ignore[arg-type]  # seconds alone
        request = TurnRequest(
            argv, prompt, folder, environment, watched, session_id=session_id, expect_auth=expect_auth
        )
        return Stage(Turn(request, heard), heard)

    return set_up


@pytest.fixture
def play(fake_claude: FakeClaude, stage: Callable[..., Stage]) -> Callable[..., Stage]:
    """Set up a turn in which the fake plays these steps."""

    def set_up(*steps: Step, **options: Any) -> Stage:  # noqa: ANN401 - as `stage`
        fake_claude.script(list(steps))
        return stage([str(fake_claude.path)], **options)

    return set_up


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def is_gone(pid: int) -> bool:
    """Whether a process runs no more; one that is not our child may stay a zombie until init looks."""
    return process_state(pid) in {None, "Z"}


async def reached(condition: Callable[[], object]) -> None:
    await trio.to_thread.run_sync(wait_until, condition)


# --- what is read and fed ---


def test_lines_are_not_lost_while_the_feed_settles_for_longer_than_the_quiet_after_the_exit(
    play: Callable[..., Stage], fake_claude: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_reader, "DRAIN_QUIET_S", 0.0)
    result: Step = {"line": {"type": "result"}}
    set_up = play({"line": {"type": "a"}}, {"wait_for": "settling"}, {"line": {"type": "b"}}, result)

    async def settle() -> None:
        with trio.CancelScope(shield=True):  # a thread is at work, which nothing interrupts
            fake_claude.touch("settling")
            await reached(lambda: is_gone(fake_claude.started()[0]))
            await trio.testing.wait_all_tasks_blocked(0.1)  # the exit was reported, and the quiet is over

    set_up.heard.settling = settle
    set_up.run()
    assert set_up.heard.lines() == ['{"type":"a"}', '{"type":"b"}', '{"type":"result"}']


def test_every_line_is_published_once_and_in_order(play: Callable[..., Stage]) -> None:
    set_up = play({"recording": "v2.1.330/tools.jsonl"})
    ending = set_up.run()
    assert [line.encode() for line in set_up.heard.lines()] == recording("v2.1.330/tools.jsonl")
    assert [json.dumps(line) for line in set_up.heard.observed] == [
        json.dumps(json.loads(line)) for line in recording("v2.1.330/tools.jsonl")
    ]
    assert (ending.exit_status, ending.cause, classify(set_up.turn.evidence, ending).ok) == (0, None, True)


def test_lines_that_come_in_pieces_and_lines_that_are_no_json(play: Callable[..., Stage]) -> None:
    pieces = ['{"type":', '"a"}\n\n{"type":"b"}', "\nnot json\n[1]\n", '{"type":"\xe2', '\x80\xa8"}\n{"type":"last"}']
    set_up = play(*({"bytes": piece} for piece in pieces))
    set_up.run()
    assert set_up.heard.lines() == ['{"type":"a"}', '{"type":"b"}', '{"type":"\u2028"}', '{"type":"last"}']
    assert set_up.heard.notes("stdout") == ["not json", "[1]"]


def test_a_large_prompt_arrives_whole_at_a_child_that_writes_before_it_reads(stage: Callable[..., Stage]) -> None:
    prompt = b"".join(b"%08d\n" % number for number in range(5 * 1024 * 1024 // 9))
    code = """
import hashlib, json, sys
for number in range(4_000):
    print(json.dumps({"type": "flood", "n": number, "pad": "x" * 1_000}))
sys.stdout.flush()
prompt = sys.stdin.buffer.read()
print(json.dumps({"type": "heard", "bytes": len(prompt), "sha256": hashlib.sha256(prompt).hexdigest()}))
"""
    set_up = stage(python(code), prompt=prompt)
    ending = set_up.run()
    *flood, heard = map(json.loads, set_up.heard.lines())
    assert [line["n"] for line in flood] == list(range(4_000))
    assert heard == {"type": "heard", "bytes": len(prompt), "sha256": sha256(prompt).hexdigest()}
    assert ending.exit_status == 0


def test_the_prompt_is_text_and_stdin_ends_after_it(play: Callable[..., Stage], fake_claude: FakeClaude) -> None:
    play({"wait_for_prompt": True}, prompt="naïve 日本語\n\x00 🐝".encode()).run()
    (call,) = fake_claude.calls()
    assert (call["prompt"], call["prompt_ended"]) == ("naïve 日本語\n\x00 🐝", True)


def test_a_child_that_never_reads_its_prompt_is_no_error(play: Callable[..., Stage]) -> None:
    set_up = play({"never_read_stdin": True}, INIT, RESULT, {"exit": 3}, prompt=b"x" * 1_000_000)
    assert set_up.run() == Ending(3)
    assert len(set_up.heard.lines()) == 2


def test_stderr_lines_are_notes_and_the_last_ones_are_in_the_ending(play: Callable[..., Stage]) -> None:
    lines = [f"warning {number}" for number in range(9)]
    set_up = play({"stderr": "\n".join(lines[:5])}, {"stderr": "\n\n" + "\n".join(lines[5:])}, {"exit": 1})
    ending = set_up.run()
    assert set_up.heard.notes("stderr") == lines
    assert ending == Ending(1, stderr_tail="\n".join(lines[-5:]))


def test_a_flood_on_stderr_holds_up_nothing(play: Callable[..., Stage]) -> None:
    set_up = play({"repeat": 3_000, "steps": [{"stderr": "x" * 99 + "\n"}]}, INIT, RESULT, {"stderr": "last"})
    assert set_up.run().exit_status == 0
    *notes, left_out = set_up.heard.notes("stderr")
    assert len(notes) == MAX_NOTES  # more would push all else out of the history
    assert left_out == f"{3_001 - MAX_NOTES} more lines came on stderr; the last: last"
    assert len(set_up.heard.lines()) == 2


class Failing(Heard):
    """A feed that fails once claude has ended."""

    def publish(self, *events: LiveEvent) -> None:
        if any(isinstance(event, Note) and "more lines came" in event.text for event in events):
            raise OSError("too late")


def test_only_what_opening_raises_says_that_claude_did_not_start(
    fake_claude: FakeClaude, workspace: Path, environment: dict[str, str]
) -> None:
    fake_claude.script([{"repeat": MAX_NOTES + 1, "steps": [{"stderr": "x\n"}]}, INIT, RESULT])
    turn = Turn(TurnRequest([str(fake_claude.path)], b"hi", workspace, environment), Failing())
    with pytest.raises(OSError, match="too late"):
        trio.run(turn.run)


def test_a_line_over_the_limit_is_one_note_and_the_next_one_is_intact(stage: Callable[..., Stage]) -> None:
    code = """
import sys
sys.stdout.write('{"type":"big","pad":"' + "x" * (20 << 20) + '"}\\n{"type":"next"}\\n')
"""
    set_up = stage(python(code))
    set_up.run()
    assert set_up.heard.lines() == ['{"type":"next"}']
    (note,) = set_up.heard.notes("stdout")
    whole = b'{"type":"big","pad":"' + b"x" * (20 << 20) + b'"}'
    assert note.startswith(f"line of {len(whole)} bytes left out (sha256 {sha256(whole).hexdigest()}): ")
    assert len(note) < 1_000


def test_what_a_grandchild_writes_after_the_exit_is_read(
    play: Callable[..., Stage], fake_claude: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_reader, "DRAIN_QUIET_S", 2.0)
    # Together longer than the quiet time: each chunk must start it again.
    late = 'while [ -e /proc/$0 ]; do sleep 0.01; done; for n in 1 2 3 4 5; do sleep 0.45; echo "{\\"n\\":$n}"; done'
    late = f"set -- $PPID; touch '{fake_claude.folder}/ready'; {late.replace('$0', '$1')}"
    set_up = play({"spawn": ["sh", "-c", late], "inherit_stdout": True}, {"wait_for": "ready"}, RESULT)
    assert set_up.run().exit_status == 0
    assert set_up.heard.lines()[1:] == [f'{{"n":{number}}}' for number in range(1, 6)]


def test_a_grandchild_that_holds_the_pipes_does_not_hold_the_turn(
    play: Callable[..., Stage], fake_claude: FakeClaude
) -> None:
    held = {"spawn": ["sleep", "600"], "setsid": True, "inherit_stdout": True, "inherit_stderr": True}
    set_up = play(INIT, held, RESULT)
    assert set_up.run() == Ending(0)
    (grandchild,) = fake_claude.spawned()
    assert process_state(grandchild) is None
    assert len(set_up.heard.lines()) == 2


# --- how it ends ---


def test_nothing_of_the_group_outlives_the_turn(play: Callable[..., Stage], fake_claude: FakeClaude) -> None:
    play(INIT, {"spawn": ["sleep", "600"]}, RESULT).run()
    wait_until(lambda: is_gone(fake_claude.spawned()[0]))
    assert process_state(fake_claude.started()[0]) is None


def test_a_child_that_stays_after_its_result_is_ended_and_the_turn_is_ok(play: Callable[..., Stage]) -> None:
    set_up = play(INIT, {"on_signal": "SIGINT", "steps": [{"exit": 0}]}, RESULT, FOREVER, grace_s=0.2)
    ending = set_up.run()
    assert ending.cause is Cause.FINISHED
    assert classify(set_up.turn.evidence, ending).ok
    assert set_up.heard.notes("harness") == ["interrupting claude: no exit 0.2 s after the result"]


def test_what_our_own_interrupt_makes_claude_say_takes_the_answer_not_back(play: Callable[..., Stage]) -> None:
    # At SIGINT the fake writes a last `result` with is_error, as the binary does in the middle of a turn.
    set_up = play(INIT, RESULT, FOREVER, grace_s=0.2)
    ending = set_up.run()
    assert json.loads(set_up.heard.lines()[-1])["is_error"]
    assert classify(set_up.turn.evidence, ending).ok
    assert set_up.turn.evidence.answer == "done"


def test_a_background_task_extends_the_wait_after_a_result(play: Callable[..., Stage], fake_claude: FakeClaude) -> None:
    task = {"line": {"type": "system", "subtype": "background_tasks_changed", "tasks": [{"task_id": "b1"}]}}
    none = {"line": {"type": "system", "subtype": "background_tasks_changed", "tasks": []}}
    set_up = play(INIT, task, RESULT, {"touch": "waits"}, {"wait_for": "report"}, none, INIT, RESULT, grace_s=1.0)

    async def report_late() -> None:
        await reached(lambda: len(set_up.heard.lines()) == 3)
        await trio.sleep(1.3)  # longer than the grace: the turn must still be there
        fake_claude.touch("report")

    ending = set_up.run(report_late)
    assert (ending.cause, set_up.turn.evidence.results, len(set_up.heard.lines())) == (None, 2, 6)


@pytest.mark.parametrize(
    ("steps", "limits", "cause", "detail"),
    [
        ([FOREVER], {"init_s": 0.3}, Cause.START_TIMEOUT, "no line in 0.3 s"),
        ([INIT, FOREVER], {"stall_s": 0.3}, Cause.STALLED, r"no line in N s \(last line system/init N s ago\)"),
        (
            [INIT, {"repeat": 1_000, "steps": [INIT, {"sleep": 0.02}]}],
            {"turn_s": 1.5},  # in which it must have begun
            Cause.TIMED_OUT,
            r"after 1.5 s \(last line system/init N s ago\)",
        ),
        ([FOREVER], {"turn_s": 0.3}, Cause.START_TIMEOUT, r"after 0.3 s \(no line yet\)"),
    ],
    ids=["no init", "silence", "too long", "too long without a line"],
)
def test_a_watchdog_ends_the_turn(
    steps: list[Step], limits: dict[str, float], cause: Cause, detail: str, play: Callable[..., Stage]
) -> None:
    set_up = play(*steps, **limits)
    ending = set_up.run()
    assert ending.cause is cause
    assert re.fullmatch(detail.replace("N", NUMBER), str(ending.detail))
    outcome = classify(set_up.turn.evidence, ending)
    assert (outcome.kind.value, str(ending.detail) in str(outcome.note)) == (cause.value, True)
    assert set_up.heard.notes("harness")[-1] == f"interrupting claude: {ending.detail}"


CALL: Step = {"line": {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t1", "name": "Bash"}]}}}


def test_a_tool_that_runs_puts_the_end_of_a_silence_off_and_is_named(play: Callable[..., Stage]) -> None:
    set_up = play(INIT, CALL, FOREVER, stall_s=0.25)
    ending = set_up.run()
    seen = f"last line assistant {NUMBER} s ago; Bash has run for {NUMBER} s"
    silence = re.fullmatch(rf"no line in ({NUMBER}) s \({seen}\)", str(ending.detail))
    assert silence is not None
    assert float(silence[1]) >= 1.0  # four times the stall time
    warning, last_word = set_up.heard.notes("harness")
    assert re.fullmatch(f"claude has been silent for {NUMBER} s: {seen}", warning)
    assert last_word == f"interrupting claude: {ending.detail}"


@pytest.mark.parametrize("where", ["a tool", "a tool in a session of its own"])
@pytest.mark.few(1)
def test_a_tree_that_computes_puts_the_end_of_a_silence_off(
    where: str, play: Callable[..., Stage], fake_claude: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MIN_STEP_S", 0.1)
    # Spins until the gate is there, by a loop that takes no longer when it gets the processor seldom.
    spin = f"while [ ! -e '{fake_claude.folder}/enough' ]; do :; done"
    spins: list[Step] = [{"spawn": ["sh", "-c", spin], "setsid": where != "a tool"}]
    set_up = play(INIT, *spins, {"wait_for": "enough"}, RESULT, stall_s=1.0)

    async def wait_longer_than_a_stall() -> None:
        await reached(lambda: set_up.heard.notes("harness"))
        await trio.sleep(0.8)  # after half of it
        fake_claude.touch("enough")

    ending = set_up.run(wait_longer_than_a_stall)
    (warning,) = set_up.heard.notes("harness")
    assert (ending.cause, classify(set_up.turn.evidence, ending).ok) == (None, True)
    assert int(warning.split("CPU ")[1].removesuffix(" %")) >= 3


def test_a_pause_of_which_the_turn_is_told_is_no_silence(play: Callable[..., Stage], fake_claude: FakeClaude) -> None:
    set_up = play(INIT, {"wait_for": "go on"}, RESULT, stall_s=1.0)

    async def pause_again_and_again() -> None:
        await reached(lambda: len(set_up.heard.lines()) == 1)
        for _ in range(13):
            began = trio.current_time()
            await trio.sleep(0.1)
            set_up.turn.thaw(trio.current_time() - began)
        fake_claude.touch("go on")

    assert set_up.run(pause_again_and_again).cause is None
    assert len(set_up.heard.notes("harness")) <= 1


def test_a_harness_that_was_stopped_reads_before_it_calls_claude_silent(
    play: Callable[..., Stage], fake_claude: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LATE_S", 0.5)
    wrote: list[Step] = [INIT, {"touch": "wrote"}, {"wait_for": "end"}]
    set_up = play(INIT, {"wait_for": "write"}, *wrote, RESULT, stall_s=1.0)

    async def stop_the_loop_for_longer_than_a_stall() -> None:
        await reached(lambda: len(set_up.heard.lines()) == 1)
        fake_claude.touch("write")
        fake_claude.wait_for("wrote")  # all of the harness stands still meanwhile
        until = trio.current_time() + 1.3
        wait_until(lambda: trio.current_time() > until)
        await reached(lambda: len(set_up.heard.lines()) == 2)
        fake_claude.touch("end")

    assert set_up.run(stop_the_loop_for_longer_than_a_stall).cause is None


def test_a_child_that_takes_another_session_is_stopped_at_once(
    play: Callable[..., Stage], fake_claude: FakeClaude
) -> None:
    interrupted = {"on_signal": "SIGINT", "steps": [{"touch": "interrupted"}, {"exit": 0}]}
    set_up = play(interrupted, INIT, FOREVER, session_id="another")
    ending = set_up.run()
    outcome = classify(set_up.turn.evidence, ending)
    assert (ending.cause, outcome.kind, outcome.acted) == (Cause.WRONG_SESSION, OutcomeKind.SESSION_LOST, True)
    assert outcome.note == f"claude used another session: asked for another, got {SESSION}"
    assert (fake_claude.folder / "interrupted").exists()


@pytest.mark.parametrize("prompt", [b"/clear", b" /compact"])
def test_a_command_may_begin_another_session(prompt: bytes, play: Callable[..., Stage]) -> None:
    # Both releases give `/clear` a session of its own, and its result has no text.
    empty = {"line": {"type": "result", "subtype": "success", "is_error": False, "result": ""}}
    set_up = play(INIT, empty, prompt=prompt, session_id="another")
    ending = set_up.run()
    assert (ending.cause, classify(set_up.turn.evidence, ending).ok) == (None, True)
    assert set_up.turn.evidence.session_id == SESSION


def test_a_child_with_other_credentials_is_stopped_at_once(play: Callable[..., Stage]) -> None:
    init = {"line": {**INIT["line"], "apiKeySource": "ANTHROPIC_API_KEY"}}
    set_up = play(init, FOREVER, expect_auth="none")
    ending = set_up.run()
    outcome = classify(set_up.turn.evidence, ending)
    assert (ending.cause, outcome.kind) == (Cause.WRONG_AUTH, OutcomeKind.WRONG_AUTH)
    assert outcome.note == "claude uses other credentials: expected none, found ANTHROPIC_API_KEY"
    assert play(init, RESULT, expect_auth="ANTHROPIC_API_KEY").run().cause is None


def test_the_processor_time_of_a_tree_includes_what_has_ended() -> None:
    burn = "import os, time\nwhile time.process_time() < 0.2: pass\nos.write(1, b'x')\n"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.read(1)
        wait_until(lambda: not guard.children(process.pid))
        assert (claude_process.tree_cpu_s(process.pid) or 0) >= 0.15  # in hundredths, rounded down
    assert claude_process.tree_cpu_s(process.pid) is None


def test_the_first_authentication_failure_interrupts_at_once(
    play: Callable[..., Stage], fake_claude: FakeClaude
) -> None:
    retry = {"type": "system", "subtype": "api_retry", "error": "authentication_failed", "error_status": 401}
    interrupted = {"on_signal": "SIGINT", "steps": [{"touch": "interrupted"}, {"exit": 0}]}
    set_up = play(interrupted, INIT, {"line": retry}, FOREVER)
    ending = set_up.run()
    assert ending.cause is Cause.LOGIN
    assert classify(set_up.turn.evidence, ending).kind is OutcomeKind.NEEDS_LOGIN
    assert (fake_claude.folder / "interrupted").exists()


GRACES = {"SIGINT": "INTERRUPT_GRACE_S", "SIGTERM": "TERMINATE_GRACE_S"}


@pytest.mark.parametrize(
    ("ignored", "exit_status"),
    [([], 0), (["SIGINT"], 143), (["SIGINT", "SIGTERM"], -9)],
    ids=["SIGINT", "then SIGTERM", "then SIGKILL"],
)
def test_the_ladder_of_signals(
    ignored: list[str],
    exit_status: int,
    play: Callable[..., Stage],
    fake_claude: FakeClaude,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, grace in GRACES.items():  # what is heeded has time enough for that
        monkeypatch.setattr(claude_process, grace, 0.2 if name in ignored else LIMIT_S)
    set_up = play(*({"ignore": name} for name in ignored), INIT, {"touch": "ready"}, FOREVER)

    async def cancel() -> None:
        await trio.to_thread.run_sync(fake_claude.wait_for, "ready")
        set_up.turn.stop(Cause.CANCELLED)
        set_up.turn.stop(Cause.INTERRUPTED)  # the first one counts

    ending = set_up.run(cancel)
    assert (ending.exit_status, ending.cause) == (exit_status, Cause.CANCELLED)
    assert classify(set_up.turn.evidence, ending).kind is OutcomeKind.CANCELLED
    assert process_state(fake_claude.started()[0]) is None


def test_a_stopped_child_is_woken_to_end_by_itself(
    play: Callable[..., Stage], fake_claude: FakeClaude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude_process, "INTERRUPT_GRACE_S", 0.2)
    set_up = play(INIT, {"kill_self": "SIGSTOP"}, FOREVER)

    async def cancel() -> None:
        await reached(lambda: fake_claude.started() and process_state(fake_claude.started()[0]) == "T")
        set_up.turn.stop(Cause.CANCELLED)

    ending = set_up.run(cancel)
    assert (ending.cause, ending.exit_status in {0, 143}) == (Cause.CANCELLED, True)
    assert process_state(fake_claude.started()[0]) is None


def test_a_turn_that_is_stopped_before_it_runs_ends_as_asked(
    play: Callable[..., Stage], fake_claude: FakeClaude
) -> None:
    set_up = play(FOREVER)
    set_up.turn.stop(Cause.INTERRUPTED)
    assert set_up.run().cause is Cause.INTERRUPTED
    assert all(process_state(pid) is None for pid in fake_claude.started())


@pytest.mark.parametrize("signum", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_child_that_dies_of_a_signal(signum: str, play: Callable[..., Stage]) -> None:
    set_up = play(INIT, {"kill_self": signum}, FOREVER)
    ending = set_up.run()
    outcome = classify(set_up.turn.evidence, ending)
    assert (outcome.kind, ending.cause) == (OutcomeKind.CRASHED, None)
    assert f"was killed by signal {-(ending.exit_status or 0)}" in str(outcome.note)


def test_cancellation_kills_the_group(play: Callable[..., Stage], fake_claude: FakeClaude) -> None:
    set_up = play({"ignore": "SIGINT"}, {"ignore": "SIGTERM"}, {"spawn": ["sleep", "600"]}, {"touch": "ready"}, FOREVER)

    async def cancelled() -> None:
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(set_up.turn.run)
                await trio.to_thread.run_sync(fake_claude.wait_for, "ready")
                nursery.cancel_scope.cancel()

    trio.run(cancelled)
    assert process_state(fake_claude.started()[0]) is None
    wait_until(lambda: is_gone(fake_claude.spawned()[0]))


# --- what cannot be started ---


PROGRAM = Path("/bin/true").read_bytes()
LOADER = (re.findall(rb"/lib[\w/.-]*\0", PROGRAM) or [b"\0"])[0]
BROKEN: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "{} does not exist"),
    "empty": (b"", "{} is empty"),
    "a text": (b"hello\n", "{} is not a program for this system"),
    "another machine's": (
        PROGRAM[:18] + b"\xf3\0" + PROGRAM[20:],
        "{} is not a program for this system (wrong processor",
    ),
    "damaged": (PROGRAM[:16] + b"\xff" + PROGRAM[17:], "{} is not a program for this system"),
    "cut off": (PROGRAM[:19], "{} is not a program for this system"),
    "another C library's": (
        PROGRAM.replace(LOADER, b"/no/such".ljust(len(LOADER), b"\0"), 1),
        "{} was built for another system: its loader does not exist",
    ),
    "no interpreter": (
        b"#!/no/such/node -x\nexit\n",
        "{} needs the interpreter /no/such/node, which ",
    ),
    "a folder as interpreter": (b"#! /\n", "{} needs the interpreter /, which cannot be executed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_claude_that_cannot_be_started_is_an_ending_with_its_cause(
    case: str, tmp_path: Path, stage: Callable[..., Stage]
) -> None:
    content, said = BROKEN[case]
    program = tmp_path / "program"
    if content is not None:
        program.write_bytes(content)
        program.chmod(0o700)
    check_not_started(stage([str(program)]), said.format(program))


def test_nor_can_a_folder_a_plain_file_or_a_nul_be_started(tmp_path: Path, stage: Callable[..., Stage]) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    check_not_started(stage([str(plain)]), f"{plain} is not executable (chmod +x)")
    check_not_started(stage([str(tmp_path)]), f"{tmp_path} is a directory")
    os.mkfifo(tmp_path / "pipe", 0o700)
    check_not_started(stage([str(tmp_path / "pipe")]), f"{tmp_path}/pipe is not a file")
    check_not_started(stage([sys.executable, "a\0b"]), "embedded null byte")


def check_not_started(set_up: Stage, said: str) -> None:
    ending = set_up.run()
    assert (ending.exit_status, ending.cause) == (None, None)
    outcome = classify(set_up.turn.evidence, ending)
    assert outcome.kind is OutcomeKind.NOT_STARTED
    assert str(outcome.note).startswith(f"claude could not be started: {said}")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/usr/bin/env no-such-node\n", "no-such-node"),
        ("#!/bin/sh\nexec no-such-node\n", "no-such-node: not found"),
        ("#!/bin/sh\nexec /\n", "/: Permission denied"),
    ],
)
def test_nor_is_it_claude_that_ends_where_what_runs_it_is_missing(
    script: str, said: str, tmp_path: Path, stage: Callable[..., Stage]
) -> None:
    program = tmp_path / "program"
    program.write_text(script)
    program.chmod(0o700)
    set_up = stage([str(program)])
    outcome = classify(set_up.turn.evidence, set_up.run())
    assert (outcome.kind, said in str(outcome.note)) == (OutcomeKind.NOT_STARTED, True)


def test_a_workspace_that_is_gone_is_an_ending(stage: Callable[..., Stage], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    check_not_started(stage([sys.executable, "-V"], folder=gone), f"cannot enter the folder {gone}: No such file")
    gone.write_text("")
    check_not_started(stage([sys.executable, "-V"], folder=gone), f"cannot enter the folder {gone}: Not a dir")


def test_no_descriptor_is_left_behind(stage: Callable[..., Stage], tmp_path: Path) -> None:
    def run_both() -> None:
        assert stage(["/bin/sh", "-c", "cat; exit 1"], prompt=b'{"type":"x"}').run().exit_status == 1
        assert stage([str(tmp_path / "nowhere")]).run().exit_status is None

    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    run_both()
    before = count()
    for _ in range(30):
        run_both()
    assert count() == before

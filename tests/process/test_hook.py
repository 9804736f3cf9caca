"""The hook: which events it is given, how it ends, and that no turn ever waits for it."""

import json
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.events import BusEvent, LiveEvent, ModelChanged, Note, StatusChanged, Stream, TurnEnd
from hyperhive_cli.core.outcomes import MEANINGS, MessageState, OutcomeKind
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.harness import hook as hooks
from hyperhive_cli.harness.hook import HookConfig, needs_attention, open_hook, wants
from hyperhive_cli.harness.hook_command import ATTENTION, command_words, find_hook
from tests.conftest import process_state

LIMIT_S = 120.0


def record(event: LiveEvent) -> BusEvent:
    return BusEvent.make(1, 0, event)


def ended(outcome: str, state: MessageState | None = None, denied: int = 0) -> TurnEnd:
    return TurnEnd(ok=outcome == "ok", outcome=outcome, message_state=state and state.value, denied=denied)


@pytest.mark.parametrize("outcome", list(OutcomeKind))
def test_a_turn_whose_outcome_needs_a_person_is_heard_of(outcome: OutcomeKind) -> None:
    meaning = MEANINGS[outcome]
    is_stuck = meaning.message in {MessageState.DEAD, MessageState.HELD}
    assert needs_attention(record(ended(outcome.value, meaning.message))) == (meaning.needs_person or is_stuck)
    assert needs_attention(record(ended(outcome.value))) == meaning.needs_person  # of a compaction


def test_a_refusal_that_is_tried_again_in_a_new_session_is_not_heard_of() -> None:
    assert not needs_attention(record(ended("bad_request", MessageState.READY)))
    assert needs_attention(record(ended("bad_request", MessageState.DEAD)))


@pytest.mark.parametrize("state", list(MessageState))
def test_a_crash_is_heard_of_when_its_message_runs_no_more(state: MessageState) -> None:
    over = {MessageState.DEAD, MessageState.HELD}
    assert needs_attention(record(ended("crashed", state))) == (state in over)


def test_denied_tool_calls_are_heard_of_though_the_turn_is_ok() -> None:
    assert not needs_attention(record(ended("ok", MessageState.DONE)))
    assert needs_attention(record(ended("ok", MessageState.DONE, denied=1)))


def test_a_note_is_heard_of_if_it_says_so() -> None:
    bus = Bus()
    bus.note("a job of claude's that never fires", "warning", attention=True)
    bus.note("a warning like any other", "warning")
    assert [needs_attention(one) for one in bus._ring.records] == [True, False]  # noqa: SLF001 - as in `notes`


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("online", False),
        ("needs_login_idle", True),
        ("over_budget", True),
        ("needs_login_in_progress", False),
        ("rate_limited", False),
        ("failed", True),
    ],
)
def test_a_status_that_waits_for_somebody(status: str, expected: bool) -> None:
    assert needs_attention(record(StatusChanged(status=status))) == expected


def test_kinds_choose_and_the_hooks_own_notes_never_fire_it() -> None:
    assert wants(["note"], record(Note(text="x")))
    assert not wants(["note"], record(Note(text="x", source="hook")))
    assert not wants(["turn_end"], record(Note(text="x")))
    assert wants(["turn_end"], record(ended("ok")))
    assert not wants([ATTENTION], record(ended("ok")))
    assert wants(["model_changed", ATTENTION], record(ended("capped")))
    assert not wants(["stream"], BusEvent.make(None, 0, Stream.from_line({"type": "stream_event"})))


def test_a_command_is_split_without_a_shell() -> None:
    assert command_words("notify 'two words' $HOME; rm") == ["notify", "two words", "$HOME;", "rm"]
    for wrong in ("", "  ", "'open"):
        with pytest.raises(UsageError, match="--on-event"):
            command_words(wrong)
    with pytest.raises(UsageError, match="program not found: 'no-such-program'"):
        find_hook("no-such-program x")


def test_the_program_is_found_from_where_the_operator_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    assert find_hook("./mine a 'b c'") == (str(program), "a", "b c")


@dataclass(slots=True)
class Stage:
    """A bus with a hook, whose program is a shell script."""

    folder: Path
    environment: dict[str, str]

    def play(
        self,
        script: str,
        act: Callable[[Bus], Awaitable[None]],
        kinds: Sequence[str] = ("note",),
        *,
        hurried: bool = False,
    ) -> Bus:
        program = self.folder / "hook"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(stat.S_IRWXU)
        redactor = Redactor({"MY_TOKEN": "a-secret-of-mine"})
        config = HookConfig((str(program), "first word"), tuple(kinds), self.folder, self.environment, redactor)
        bus = Bus()

        async def live() -> None:
            with trio.fail_after(LIMIT_S):
                async with open_hook(config, bus, lambda: hurried):
                    await act(bus)

        trio.run(live)
        return bus

    async def see(self, name: str) -> str:
        """Wait for a file that the script makes, whole lines in it, and read it."""
        path = self.folder / name
        while not path.exists() or not path.read_text().endswith("\n"):  # noqa: ASYNC110 - another process writes it
            await trio.sleep(0.005)
        return path.read_text()

    def told(self, name: str = "told") -> list[Any]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def stage(tmp_path: Path, environment: dict[str, str]) -> Stage:
    folder = tmp_path / "stage"
    folder.mkdir()
    return Stage(folder, environment)


def notes(bus: Bus) -> list[str]:
    events = [record.event for record in bus._ring.records]  # noqa: SLF001 - what was said, in order
    return [event.text for event in events if isinstance(event, Note) and event.source == "hook"]


def test_each_event_is_given_once_in_order_until_the_end(stage: Stage) -> None:
    async def act(bus: Bus) -> None:
        for number in range(3):
            bus.note(f"note {number}")
        await trio.lowlevel.checkpoint()
        bus.publish(ModelChanged(model="opus"))
        bus.note("the last one")

    bus = stage.play('cat >> told; echo "$1" >> words; pwd >> words', act)
    assert [event["text"] for event in stage.told()] == ["note 0", "note 1", "note 2", "the last one"]
    assert {event["kind"] for event in stage.told()} == {"note"}
    assert set((stage.folder / "words").read_text().splitlines()) == {"first word", str(stage.folder)}
    assert notes(bus) == []


def test_one_runs_at_a_time(stage: Stage) -> None:
    async def act(bus: Bus) -> None:
        bus.note("one")
        bus.note("two")

    stage.play("mkdir running || echo both >> overlap; cat > /dev/null; sleep 0.05; rmdir running", act)
    assert not (stage.folder / "overlap").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("cat > /dev/null; echo first >&2; echo what is wrong >&2; exit 3", "exit status 3: what is wrong"),
        ("exit 7", "exit status 7"),
        ("kill -9 $$", "exit status -9"),
        ("echo the a-secret-of-mine leaks >&2; exit 1", "exit status 1: the [redacted MY_TOKEN] leaks"),
    ],
)
def test_a_failure_is_a_note_and_said_once_while_it_lasts(script: str, said: str, stage: Stage) -> None:
    async def act(bus: Bus) -> None:
        for _ in range(3):
            bus.note("an event")

    assert notes(stage.play(script, act)) == [f"the hook failed: {said}"]


def test_a_failure_that_comes_back_is_said_again(stage: Stage) -> None:
    async def act(bus: Bus) -> None:
        for _ in range(3):
            bus.note("an event")

    bus = stage.play("echo >> runs; [ $(wc -l < runs) = 2 ]", act)
    assert notes(bus) == ["the hook failed: exit status 1"] * 2


def test_a_program_that_is_gone_is_a_note(stage: Stage) -> None:
    async def act(bus: Bus) -> None:
        (stage.folder / "hook").unlink()
        bus.note("an event")

    (note,) = notes(stage.play("", act))
    assert note.startswith("the hook failed: cannot start it: ")


def test_an_event_larger_than_a_pipe_goes_to_one_that_reads_nothing(stage: Stage) -> None:
    async def act(bus: Bus) -> None:
        bus.note("x" * 1_000_000)
        bus.note("small")

    assert notes(stage.play("echo >> runs", act)) == []
    assert (stage.folder / "runs").read_text() == "\n\n"


def test_one_that_takes_too_long_is_killed_with_all_that_it_started(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "HOOK_LIMIT_S", 1.0)
    script = "trap '' TERM INT HUP\nsetsid sleep 600 & echo $! > child; echo $$ > self; sleep 600"

    async def act(bus: Bus) -> None:
        bus.note("an event")
        while not notes(bus):  # noqa: ASYNC110 - until the time is up
            await trio.sleep(0.005)

    assert notes(stage.play(script, act))[0] == "the hook failed: it took longer than 1 s"
    started = [stage.folder / name for name in ("child", "self")]
    assert [process_state(int(path.read_text())) for path in started] == [None, None]


def test_what_it_leaves_behind_is_killed_when_it_was_quick_too(stage: Stage) -> None:
    async def act(bus: Bus) -> None:
        bus.note("an event")

    assert notes(stage.play("setsid sleep 600 & echo $! > child", act)) == []
    assert process_state(int((stage.folder / "child").read_text())) is None


def test_what_does_not_fit_the_queue_is_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "QUEUE_CAPACITY", 2)

    async def act(bus: Bus) -> None:
        bus.note("0")
        await stage.see("busy")
        for number in range(1, 6):  # two wait, three are left out
            bus.note(str(number))
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        (stage.folder / "go").touch()

    script = "echo yes > busy; while [ ! -e go ]; do sleep 0.01; done; cat >> told"
    bus = stage.play(script, act)
    assert [event["text"] for event in stage.told()] == ["0", "1", "2"]
    assert notes(bus) == ["the hook is too slow: it missed 3 events"]


@pytest.mark.exhaustive
def test_a_flood_past_the_feeds_own_memory_is_counted_too(stage: Stage) -> None:
    async def act(bus: Bus) -> None:
        bus.publish(*[Note(text=str(number)) for number in range(1_000)])

    bus = stage.play("IFS= read -r event; printf '%s\\n' \"$event\" >> told", act)
    assert all(note.startswith("the hook is too slow: ") for note in notes(bus))
    assert sum(int(note.split()[7]) for note in notes(bus)) == 1_000 - len(stage.told())


def test_the_end_waits_for_it_no_longer_than_allowed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "HOOK_LIMIT_S", 0.5)

    async def act(bus: Bus) -> None:
        for number in range(20):
            bus.note(str(number))

    bus = stage.play("echo $$ >> started; exec sleep 0.3", act)
    assert notes(bus)[-1].startswith("the hook was stopped with the harness; ")
    assert len((stage.folder / "started").read_text().splitlines()) < 20


def test_a_hurried_end_does_not_wait(stage: Stage) -> None:
    async def act(bus: Bus) -> None:
        bus.note("an event")
        await stage.see("started")

    assert notes(stage.play("echo $$ > started; exec sleep 600", act, hurried=True)) == []
    assert process_state(int((stage.folder / "started").read_text())) is None


def test_the_feed_goes_on_while_it_hangs(stage: Stage) -> None:
    seen: list[int] = []

    async def act(bus: Bus) -> None:
        bus.note("an event")
        await stage.see("started")
        for _ in range(50):
            bus.publish(ModelChanged(model="opus"))
            await trio.lowlevel.checkpoint()
        seen.append(bus.current_seq)

    stage.play("echo $$ > started; exec sleep 600", act, hurried=True)
    assert seen == [51]
    assert process_state(int((stage.folder / "started").read_text())) is None

"""A claude that is started before its message: used, discarded, dead, frozen, and never a second one."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest
import trio
import trio.testing

from hyperhive_cli.agent import credentials, prewarm
from hyperhive_cli.agent.session import request_new_session
from hyperhive_cli.claude import files, guard
from hyperhive_cli.claude import process as claude_process
from hyperhive_cli.claude.process import ClaudeProcess, open_claude
from hyperhive_cli.claude.runner import OpenClaude, Turn
from hyperhive_cli.claude.turn_request import TurnRequest
from hyperhive_cli.claude.watch import TimeLimits
from hyperhive_cli.core.events import Note, Stream
from tests.conftest import FakeClaude, Step, process_state
from tests.process.test_runner import Heard
from tests.process.world import (
    CRASH,
    FOREVER,
    INIT,
    LIMIT_S,
    TEXT,
    TEXT_SESSION,
    Life,
    World,
    refused,
    replay,
    total,
)


@pytest.fixture
def world(world: World) -> World:
    """Let a claude wait for the next message, as `run --prewarm` does."""
    world.warm = True
    return world


def is_gone(pid: int) -> bool:
    return process_state(pid) in {None, "Z"}


async def gone(pid: int) -> None:
    while not is_gone(pid):  # noqa: ASYNC110 - another process
        await trio.sleep(0.005)


async def say(world: World, life: Life, body: str) -> None:
    world.put(body)
    life.control.wake()


# --- used ---


def test_the_claude_that_waits_is_the_one_that_answers(world: World) -> None:
    world.fake.script([TEXT])
    pids: list[int] = []

    async def steer(life: Life) -> None:
        pids.append(await life.waits())
        assert world.fake.calls() == []
        await say(world, life, 'one\ntwo \u2028 \u00e9 "quoted"')
        await life.saw("turn_end")
        pids.append(await life.waits())
        await say(world, life, "three")
        await life.saw("turn_end", 2)

    life = world.live(steer)
    assert [call["pid"] for call in world.fake.calls()] == pids
    assert world.prompts() == [
        'Message from operator:\n\none\ntwo \u2028 \u00e9 "quoted"', "Message from operator:\n\nthree",
    ]  # fmt: skip
    assert world.arguments("--resume") == [None, TEXT_SESSION]
    assert life.outcomes() == ["ok", "ok"]
    assert len({*pids}) == 2
    assert all(is_gone(pid) for pid in world.fake.started())


def test_what_it_wrote_while_it_waited_belongs_to_its_turn(world: World) -> None:
    hook: Step = {"line": {"type": "system", "subtype": "hook_started"}}
    early: list[Step] = [hook, {"stderr": "a server is slow\n"}, {"touch": "wrote"}]
    world.fake.script([TEXT], waiting=[early])

    async def steer(life: Life) -> None:
        await life.waits()
        await trio.to_thread.run_sync(world.fake.wait_for, "wrote")
        assert life.events("stream") == []
        await say(world, life, "one")
        await life.saw("turn_end")

    life = world.live(steer)
    start, end = life.events("turn_start")[0]["seq"], life.events("turn_end")[0]["seq"]
    first = life.events("stream")[0]
    (note,) = [event for event in life.events("note") if event["text"] == "a server is slow"]
    assert first["subtype"] == "hook_started"
    assert start < first["seq"] < end
    assert start < note["seq"] < end


def test_waiting_is_no_silence(world: World) -> None:
    silent: list[Step] = [{"on_signal": "SIGINT", "steps": [{"exit": 1}]}, FOREVER]
    world.fake.script(silent)

    async def steer(life: Life) -> None:
        await life.waits()
        await trio.sleep(0.5)  # longer than the limit
        await say(world, life, "one")
        await life.saw("turn_end")

    life = world.live(steer, limits=TimeLimits(init_s=0.3))
    assert life.outcomes() == ["not_started"]
    assert min(end["duration_ms"] for end in life.events("turn_end")) >= 300


def test_stdin_is_closed_with_the_first_result_and_not_before(world: World) -> None:
    result: Step = {"line": {"type": "result", "subtype": "success", "is_error": False, "result": "ok"}}
    world.fake.script([INIT, {"touch": "asked"}, {"wait_for": "go on"}, {"stdin": "open"}, result])

    async def steer(life: Life) -> None:
        await life.waits()
        await say(world, life, "one")
        await trio.to_thread.run_sync(world.fake.wait_for, "asked")
        world.fake.touch("go on")
        await life.saw("turn_end")

    life = world.live(steer)
    assert [(end["outcome"], end["exit_status"]) for end in life.events("turn_end")] == [("ok", 0)]


def test_a_second_result_after_the_first_counts(world: World) -> None:
    line = {"type": "result", "subtype": "success", "is_error": False, "usage": {"input_tokens": 3}}
    task: Step = {"line": {"type": "system", "subtype": "task_started", "task_id": "t"}}
    over: Step = {"line": {"type": "system", "subtype": "task_notification", "task_id": "t"}}
    first, second = ({"line": {**line, "result": text}} for text in ("it runs", "it is over"))
    world.fake.script([INIT, task, first, {"stdin": "ended"}, over, INIT, second])

    async def steer(life: Life) -> None:
        await life.waits()
        await say(world, life, "one")
        await life.saw("turn_end")

    life = world.live(steer)
    (usage,) = life.events("token_usage_changed")
    assert (life.outcomes(), usage["usage"]["input_tokens"]) == (["ok"], 6)


@pytest.mark.parametrize(("version", "totals", "costs"), [
    ("2.1.330", [0.1, 0.25], [0.1, 0.15]),
    ("2.1.197", [0.1, 0.25], [0.1, 0.25]),
])  # fmt: skip
def test_each_turn_costs_its_own(world: World, version: str, totals: list[float], costs: list[float]) -> None:
    world.put("one")
    world.put("two")
    world.drain(*(total(cost, version) for cost in totals))
    assert world.costs() == costs


# --- discarded ---


async def set_model(_: World, life: Life) -> None:
    life.bus.current.set_model("opus")
    life.control.wake()


async def ask_for_a_new_session(world: World, life: Life) -> None:
    request_new_session(world.inbox)
    life.control.wake()


async def take_another_session(world: World, life: Life) -> None:
    world.inbox.put_facts(session_id="another")
    life.control.wake()


async def log_in(_: World, life: Life) -> None:
    life.control.begin_login()
    assert life.control.snapshot()["prewarmed"] is None
    life.control.end_login(ok=True)


async def pause_and_resume(_: World, life: Life) -> None:
    await life.control.pause()
    while life.control.snapshot()["prewarmed"] is not None:  # noqa: ASYNC110 - until the loop has heard of it
        await trio.sleep(0.005)
    await life.control.resume()


async def change_credentials(world: World, life: Life) -> None:
    folder = files.config_folder(world.environment)
    folder.mkdir(exist_ok=True)
    first, text = await life.waits(), "{}"
    while life.prewarmed_pid() == first:  # again, for the first look may not have been taken yet
        (folder / ".credentials.json").write_text(text)
        text += " "
        await trio.sleep(0.1)


async def compact(_: World, life: Life) -> None:
    await life.control.compact()


@pytest.mark.parametrize(
    ("change", "model", "resumed"),
    [
        (set_model, "opus", TEXT_SESSION),
        (ask_for_a_new_session, "haiku", None),
        (take_another_session, "haiku", "another"),
        (log_in, "haiku", TEXT_SESSION),
        (pause_and_resume, "haiku", TEXT_SESSION),
        (change_credentials, "haiku", TEXT_SESSION),
        (compact, "haiku", TEXT_SESSION),
    ],
)
@pytest.mark.few(3)
def test_a_claude_that_does_not_fit_any_more_is_discarded(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[World, Life], Awaitable[None]],
    model: str,
    resumed: str | None,
) -> None:
    monkeypatch.setattr(credentials, "POLL_EVERY_S", 0.02)
    world.inbox.put_facts(session_id=TEXT_SESSION)
    runs = [replay("compact")] if change is compact else []
    world.fake.script(*runs, [TEXT], waiting=[[{"spawn": ["sleep", "600"], "setsid": True}, {"touch": "spawned"}]])

    async def steer(life: Life) -> None:
        first = await life.waits()
        await trio.to_thread.run_sync(world.fake.wait_for, "spawned")
        await change(world, life)
        second = await life.waits(other_than=first)
        await gone(first)
        assert all(is_gone(pid) for pid in world.fake.spawned())
        await say(world, life, "one")
        await life.saw("turn_end", 1 + len(runs))
        assert world.fake.calls()[-1]["pid"] == second

    life = world.live(steer)
    assert (world.arguments("--model")[-1], world.arguments("--resume")[-1]) == (model, resumed)
    assert set(life.outcomes()) == {"ok"}
    assert all(is_gone(pid) for pid in world.fake.started())


def test_no_claude_waits_while_the_agent_does(world: World) -> None:
    world.fake.script(refused(529), [TEXT])

    async def steer(life: Life) -> None:
        await life.waits()
        await say(world, life, "one")
        await life.saw("turn_end")
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert life.control.snapshot()["prewarmed"] is None
        assert len(world.fake.started()) == 1
        await life.control.resume()
        await life.saw("turn_end", 2)

    assert world.live(steer).outcomes() == ["overloaded", "ok"]


def test_an_unused_one_is_not_replaced_until_a_turn_has_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prewarm, "USE_WITHIN_S", 1.0)
    world.fake.script([TEXT])
    world.patient = False

    async def steer(life: Life) -> None:
        first = await life.waits()
        await gone(first)
        for _ in range(3):
            life.control.wake()
            await trio.testing.wait_all_tasks_blocked(0.02)
        assert (life.control.snapshot()["prewarmed"], len(world.fake.started())) == (None, 1)
        await say(world, life, "one")
        await life.saw("turn_end")
        await life.waits()

    assert world.live(steer).outcomes() == ["ok"]
    assert "--input-format" not in world.fake.calls()[0]["argv"]


# --- over a sleep of the machine ---


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the clock that goes on in a machine's sleep be ahead of trio's by the sum of these."""
    spans: list[float] = []
    monkeypatch.setattr(guard, "steady_s", lambda: time.monotonic() + sum(spans))
    monkeypatch.setattr(prewarm, "POLL_EVERY_S", 0.02)
    return spans


def test_one_that_has_waited_through_a_long_sleep_of_the_machine_is_replaced(world: World, slept: list[float]) -> None:
    world.fake.script([TEXT])
    pids: list[int] = []

    async def steer(life: Life) -> None:
        pids.append(await life.waits())
        slept.append(60.0)  # a short one does no harm
        with trio.move_on_after(0.2):
            await gone(pids[0])
        assert life.prewarmed_pid() == pids[0]
        slept.append(8 * 3_600.0)
        pids.append(await life.waits(other_than=pids[0]))
        await gone(pids[0])
        await say(world, life, "one")
        await life.saw("turn_end")

    assert world.live(steer).outcomes() == ["ok"]
    assert [call["pid"] for call in world.fake.calls()] == [pids[1]]


def test_a_message_that_comes_with_the_end_of_the_sleep_is_given_to_a_new_claude(
    world: World, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prewarm, "POLL_EVERY_S", 3_600.0)
    world.fake.script([TEXT])
    pids: list[int] = []

    async def steer(life: Life) -> None:
        pids.append(await life.waits())
        slept.append(8 * 3_600.0)
        await say(world, life, "one")
        await life.saw("turn_end")

    assert world.live(steer).outcomes() == ["ok"]
    assert pids[0] not in [call["pid"] for call in world.fake.calls()]


# --- dead ---


def test_one_that_has_died_is_replaced_and_the_next_message_does_not_notice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prewarm, "backoff_s", lambda *_, **__: 0.0)
    world.fake.script([TEXT], waiting=[[{"kill_self": "SIGKILL"}], [{"stderr": "no\n"}, {"exit": 3}], []])

    async def steer(life: Life) -> None:
        while len(world.fake.started()) < 3:  # noqa: ASYNC110 - other processes
            await trio.sleep(0.005)
        await say(world, life, "one")
        await life.saw("turn_end")

    life = world.live(steer)
    assert (life.outcomes(), world.get(1).attempts, life.notes()) == (["ok"], 1, [])


def test_one_that_dies_again_and_again_is_not_started_again_and_again(world: World) -> None:
    world.fake.script([TEXT], waiting=[[{"exit": 3}]] * 9)
    world.patient = False

    async def steer(life: Life) -> None:
        while not world.fake.started():  # noqa: ASYNC110 - another process
            await trio.sleep(0.005)
        await gone(world.fake.started()[0])
        for _ in range(3):
            life.control.wake()
            await trio.testing.wait_all_tasks_blocked(0.02)
        assert len(world.fake.started()) == 1
        await say(world, life, "one")
        await life.saw("turn_end")

    life = world.live(steer)
    assert (life.outcomes(), world.get(1).attempts) == (["ok"], 1)
    assert "--input-format" not in world.fake.calls()[0]["argv"]


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize(
    "steps", [[{"kill_self": "SIGKILL"}], [{"close_stdin": True}, {"touch": "deaf"}, FOREVER]], ids=["dead", "deaf"]
)
def test_one_that_cannot_take_its_line_has_run_nothing(world: World, steps: list[Step], size: int) -> None:
    """It died, and nobody has noticed yet: the turn that used it may run again without a word."""
    world.fake.script([TEXT], waiting=[[{"never_read_stdin": True}, {"touch": "there"}, *steps]])
    argv = [str(world.fake.path), "--input-format", "stream-json"]
    request = TurnRequest(argv, b"x" * size, world.workspace, world.environment)
    turn = Turn(request, Heard())

    async def run() -> None:
        async with AsyncExitStack() as closing:
            process = await closing.enter_async_context(
                open_claude(argv, workspace=world.workspace, environment=world.environment)
            )
            await trio.to_thread.run_sync(world.fake.wait_for, "there")
            if steps[0].get("kill_self"):
                await gone(world.fake.started()[0])
            else:
                await trio.to_thread.run_sync(world.fake.wait_for, "deaf")
            with trio.fail_after(LIMIT_S):
                await turn.run(OpenClaude(process, closing.pop_all()))

    trio.run(run)
    assert turn.prompt_not_taken


def test_one_that_dies_after_its_line_was_written_may_have_acted(world: World) -> None:
    world.fake.script([{"kill_self": "SIGKILL"}], [TEXT])
    message_id = world.put("one")
    life = world.drain()
    assert life.outcomes() == ["crashed", "ok"]
    assert (world.get(message_id).attempts, world.get(message_id).acted) == (2, True)
    assert str(world.prompts()[1]).startswith("[Delivery 2 of this message")


def test_a_crash_is_a_crash(world: World) -> None:
    world.put("one")
    assert world.drain(CRASH, [TEXT]).outcomes() == ["crashed", "ok"]


# --- frozen, ended ---


def test_the_one_that_waits_is_frozen_with_the_harness(world: World) -> None:
    world.fake.script([TEXT])

    async def steer(life: Life) -> None:
        pid = await life.waits()
        life.control.freeze()
        while process_state(pid) != "T":  # noqa: ASYNC110 - another process
            await trio.sleep(0.005)
        life.control.thaw(1.0)
        while process_state(pid) == "T":  # noqa: ASYNC110 - another process
            await trio.sleep(0.005)
        await say(world, life, "one")
        await life.saw("turn_end")

    assert world.live(steer).outcomes() == ["ok"]


def test_the_end_of_the_harness_leaves_nothing(world: World) -> None:
    world.fake.script([TEXT], waiting=[[{"ignore": "SIGTERM"}, {"ignore": "SIGINT"}, {"touch": "there"}]])

    async def steer(life: Life) -> None:
        await life.waits()
        await trio.to_thread.run_sync(world.fake.wait_for, "there")

    world.live(steer)
    assert [is_gone(pid) for pid in world.fake.started()] == [True]


def test_it_says_who_waits_since_when_and_how_large_it_is(world: World) -> None:
    world.fake.script([TEXT])

    async def steer(life: Life) -> None:
        pid = await life.waits()
        found = life.control.snapshot()["prewarmed"]
        while found is not None and (found["rss_bytes"] or 0) <= 1_000_000:  # it is being exec'ed
            await trio.lowlevel.checkpoint()
            found = life.control.snapshot()["prewarmed"]
        assert found is not None
        assert (found["pid"], found["since"]) == (pid, int(world.now))
        assert found["rss_bytes"] < 200_000_000

    world.live(steer)


def test_the_guard_of_another_claude_is_no_orphan(world: World, fake_claude: FakeClaude) -> None:
    """A guard that dies leaves orphans to us: a claude that was started after it is none of them."""
    fake_claude.script([TEXT])
    argv = [str(fake_claude.path), "--input-format", "stream-json"]
    heard = Heard()

    def open_one() -> AbstractAsyncContextManager[ClaudeProcess]:
        return open_claude(argv, workspace=world.workspace, environment=world.environment)

    async def run() -> None:
        async with AsyncExitStack() as later:
            async with open_one() as first:
                opened = OpenClaude(await later.enter_async_context(open_one()), later.pop_all())
                guard.kill([first.guard_pid])
            await Turn(TurnRequest(argv, b"hello", world.workspace, world.environment), heard).run(opened)

    claude_process.become_subreaper()
    try:
        trio.run(run)
    finally:
        guard.prctl(guard.PR_SET_CHILD_SUBREAPER, 0)
    lines = [event.line for event in heard.events if isinstance(event, Stream)]
    assert lines[-1]["type"] == "result"
    assert not [event for event in heard.events if isinstance(event, Note)]


# --- where claude keeps jobs of its own ---


@pytest.mark.parametrize("content", ['{"tasks": [{"id": "a"}]}', "{", '{"tasks": 5}', ""])
def test_none_waits_in_a_workspace_whose_jobs_it_could_run(world: World, content: str) -> None:
    path = world.workspace / ".claude" / "scheduled_tasks.json"
    path.parent.mkdir()
    path.write_text(content)
    world.patient = False
    world.fake.script([TEXT])

    async def steer(life: Life) -> None:
        for count in (1, 2):
            await say(world, life, "one")
            await life.saw("turn_end", count)
            await trio.sleep(0.1)  # in which one would be started, and noticed
            assert life.prewarmed_pid() is None

    life = world.live(steer)
    assert life.outcomes() == ["ok", "ok"]
    assert world.arguments("--input-format") == [None, None]
    assert len(world.fake.started()) == 2


def test_one_that_waits_is_not_used_when_a_job_has_come_meanwhile(world: World) -> None:
    path = world.workspace / ".claude" / "scheduled_tasks.json"
    path.parent.mkdir()
    path.write_text('{"tasks": []}')
    world.patient = False
    world.fake.script([TEXT])

    async def steer(life: Life) -> None:
        pid = await life.waits()
        path.write_text('{"tasks": [{"id": "a"}]}')
        await say(world, life, "one")
        await life.saw("turn_end")
        await gone(pid)

    life = world.live(steer)
    assert life.outcomes() == ["ok"]
    assert world.arguments("--input-format") == [None]

"""What the loop makes of a claude that falls silent, will not exit, or does not do as it was asked."""

import re

import trio

from hyperhive_cli.claude.watch import TimeLimits
from tests.conftest import Step, process_state
from tests.process.world import FOREVER, INIT, TEXT, TEXT_SESSION, Life, World

LEAVES_AT_ONCE: Step = {"on_signal": "SIGINT", "steps": [{"exit": 1}]}
OTHER = "0d2b5a3c-0000-4000-8000-000000000000"


def init_of(session_id: str, source: str = "ANTHROPIC_API_KEY") -> Step:
    return {"line": {"type": "system", "subtype": "init", "session_id": session_id, "apiKeySource": source}}


def result(**fields: object) -> Step:
    return {"line": {"type": "result", "subtype": "success", "is_error": False, "result": "Done.", **fields}}


def test_a_claude_that_does_not_exit_is_ended_at_the_grace_and_the_next_turn_runs_then(world: World) -> None:
    first, second = world.put("one"), world.put("two")
    alone: Step = {"touch": "second"}
    life = world.drain([LEAVES_AT_ONCE, TEXT, FOREVER], [alone, TEXT], limits=TimeLimits(grace_s=1.0))
    assert (life.outcomes(), life.loop.failed) == (["ok", "ok"], False)
    assert [world.get(n).state for n in (first, second)] == ["done", "done"]
    assert life.notes() == ["interrupting claude: no exit 1 s after the result"]
    ended, started = life.events("turn_end")[0], life.events("turn_start")[1]
    assert ended["seq"] < started["seq"]
    assert ended["exit_status"] == 1  # it is gone when its turn is over
    assert process_state(world.fake.started()[0]) is None


def test_a_claude_that_falls_silent_is_ended_counted_and_explained(world: World) -> None:
    message_id = world.put("do it")
    life = world.drain([INIT, LEAVES_AT_ONCE, FOREVER], limits=TimeLimits(stall_s=1.0))
    message = world.get(message_id)
    assert (life.outcomes(), message.state, message.attempts) == (["stalled"] * 3, "dead", 3)
    seen = r"no line in [\d.]+ s \(last line system/init [\d.]+ s ago\)"
    assert re.fullmatch(f"claude fell silent: {seen}", str(message.reason))
    warned = r"claude has been silent for [\d.]+ s: last line system/init [\d.]+ s ago"
    notes = [note for note in life.notes() if "silent" in note or "interrupting" in note]
    for note, pattern in zip(notes, [warned, f"interrupting claude: {seen}"] * 3, strict=True):
        assert re.fullmatch(pattern, note)
    assert all(event["level"] == "warning" for event in life.events("note") if "claude" in event["text"][:15])


HEARTBEAT: Step = {"line": {"type": "tool_progress", "tool_use_id": "t-heartbeat-0", "heartbeat": True}}
TOOL: Step = {"line": {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash"}]}}}


def test_a_tool_that_hangs_is_ended_though_claude_writes_that_it_runs(world: World) -> None:
    world.put("do it")
    beats: Step = {"repeat": 1000, "steps": [{"sleep": 0.02}, HEARTBEAT]}
    life = world.drain([INIT, TOOL, LEAVES_AT_ONCE, beats], [TEXT], limits=TimeLimits(stall_s=0.5))
    assert life.outcomes() == ["stalled", "ok"]
    assert "last line assistant" in life.events("turn_end")[0]["note"]
    assert "Bash has run for" in life.events("turn_end")[0]["note"]


def test_a_session_that_was_not_asked_for_is_left_and_never_kept(world: World) -> None:
    world.inbox.put_facts(session_id=TEXT_SESSION)
    message_id = world.put("do it")
    kept: list[str | None] = []
    world.fake.script([LEAVES_AT_ONCE, init_of(OTHER), {"touch": "other"}, FOREVER], [TEXT])

    async def steer(life: Life) -> None:
        await life.saw("stream", type="system")
        kept.append(world.inbox.fact("session_id"))
        await life.saw("turn_end", 2)

    life = world.live(steer)
    first, second = life.events("turn_end")
    assert (first["outcome"], second["outcome"]) == ("session_lost", "ok")
    assert first["note"] == f"claude used another session: asked for {TEXT_SESSION}, got {OTHER}"
    assert OTHER not in kept
    assert world.arguments("--resume") == [TEXT_SESSION, None]
    assert str(world.prompts()[1]).startswith("[Delivery 2 of this message")
    assert (world.get(message_id).state, world.inbox.fact("session_id")) == ("done", TEXT_SESSION)


def test_a_cancel_keeps_no_session_that_was_not_asked_for(world: World) -> None:
    world.inbox.put_facts(session_id=TEXT_SESSION)
    world.put("do it")
    cancelled_first: Step = {"on_signal": "SIGINT", "steps": [init_of(OTHER), {"exit": 0}]}
    world.fake.script([cancelled_first, init_of(TEXT_SESSION), {"touch": "ready"}, FOREVER])

    async def steer(life: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "ready")
        await life.saw("stream", type="system")
        life.control.cancel()
        await life.saw("turn_end")

    assert world.live(steer).outcomes() == ["cancelled"]
    assert world.inbox.fact("session_id") == TEXT_SESSION


def test_a_session_that_comes_back_empty_is_left_and_the_message_runs_in_a_new_one(world: World) -> None:
    world.inbox.put_facts(session_id=TEXT_SESSION)
    message_id = world.put("do it")
    empty = result(result="", usage={"input_tokens": 0, "output_tokens": 0}, num_turns=0)
    life = world.drain([init_of(TEXT_SESSION), empty], [init_of(OTHER), empty])
    # The second one is empty as well, but in a session of its own: that is an answer.
    assert (life.outcomes(), world.get(message_id).state) == (["session_lost", "ok"], "done")
    assert life.events("turn_end")[0]["note"] == "the session came back empty"
    assert world.arguments("--resume") == [TEXT_SESSION, None]
    assert not any("Delivery" in str(prompt) for prompt in world.prompts())  # nothing can have been done


def test_with_other_credentials_no_turn_starts_and_nothing_is_spent(world: World) -> None:
    message_id = world.put("do it")
    right = [init_of(TEXT_SESSION, "none"), result()]
    world.fake.script([LEAVES_AT_ONCE, init_of(TEXT_SESSION), FOREVER], right)

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="failed")
        message = world.get(message_id)
        assert (message.state, message.attempts) == ("ready", 0)
        assert world.inbox.fact("auth_source") == "ANTHROPIC_API_KEY"
        await life.control.resume()
        await life.saw("turn_end", 2)

    life = world.live(steer, expect_auth="none")
    assert (life.outcomes(), life.bus.current.status) == (["wrong_auth", "ok"], "online")
    seen = "expected none, found ANTHROPIC_API_KEY"
    assert life.events("turn_end")[0]["note"] == f"claude uses other credentials: {seen}"
    assert any(f"{seen}: give claude the expected credentials" in note for note in life.notes())
    assert world.inbox.fact("auth_source") == "none"


def test_what_reached_the_operators_own_limit_is_not_run_again(world: World) -> None:
    message_id = world.put("do it")
    ended = result(
        subtype="error_max_turns", is_error=True, result=None, errors=["Reached maximum number of turns (1)"]
    )
    life = world.drain([INIT, ended, {"exit": 1}])
    assert (life.outcomes(), world.get(message_id).state) == (["capped"], "dead")
    assert world.get(message_id).reason == "Reached maximum number of turns (1)"


def test_a_refusal_after_a_tool_is_announced_with_the_next_delivery(world: World) -> None:
    call = {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t1", "name": "Bash"}]}}
    message_id = world.put("do it")
    refused: list[Step] = [INIT, {"line": call}, result(is_error=True, api_error_status=529), {"exit": 1}]
    world.drain(refused, [TEXT])
    assert world.get(message_id).acted
    world.drain()
    assert str(world.prompts()[1]).startswith("[Delivery 2 of this message")
    assert (world.get(message_id).state, world.get(message_id).attempts) == ("done", 1)


def test_a_bad_exit_after_a_good_result_is_worth_a_warning(world: World) -> None:
    message_id = world.put("do it")
    life = world.drain([TEXT, {"exit": 3}])
    (note,) = life.events("note")
    assert (note["text"], note["level"]) == ("claude exited with 3 after a good result", "warning")
    assert (life.outcomes(), world.get(message_id).state) == (["ok"], "done")

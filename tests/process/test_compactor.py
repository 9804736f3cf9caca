"""The loop and its compactions: when the context is compacted between two turns, and when that is given up."""

import pytest
import trio

from hyperhive_cli.agent.compaction_policy import CompactionPolicy
from tests.conftest import Step
from tests.process.world import FOREVER, INIT, TEXT, TEXT_SESSION, TOO_LONG, Life, World, refused, result

NO_REMEDY = "not even a new session stays below 50 % of the context"
HALF = CompactionPolicy(50.0, "keep the names")
COMMAND = "/compact keep the names"
BOUNDARY: Step = {
    "line": {
        "type": "system",
        "subtype": "compact_boundary",
        "compact_metadata": {"pre_tokens": 900, "post_tokens": 100},
    }
}


def turn(*sizes: int, session: str = TEXT_SESSION) -> list[Step]:
    """Play a turn whose requests find a context of so many tokens, in a window of 1,000."""
    lines: list[Step] = [{"line": {"type": "system", "subtype": "init", "session_id": session}}]
    for number, size in enumerate(sizes):
        message = {"id": f"m{number}", "usage": {"input_tokens": size}, "content": []}
        lines.append({"line": {"type": "assistant", "message": message}})
    return [*lines, done()]


def done() -> Step:
    usage = {"claude": {"inputTokens": 1, "contextWindow": 1_000}}
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "ok", "modelUsage": usage}
    return {"line": result}


def compacted(session: str = TEXT_SESSION) -> list[Step]:
    return [*turn(session=session)[:1], BOUNDARY, done()]


COMPACTED = compacted()


def bodies(life: Life) -> list[str]:
    return [event["body"] for event in life.events("turn_start")]


def test_a_context_over_the_threshold_is_compacted_once_between_two_turns(world: World) -> None:
    for word in ("one", "two", "three"):
        world.put(word)
    life = world.drain(turn(300), turn(400, 900), COMPACTED, turn(150), compaction=HALF)
    assert bodies(life) == ["one", "two", COMMAND, "three"]
    assert "the context is compacted: from 900 to 100 tokens" in life.notes()
    assert world.arguments("--resume") == [None, TEXT_SESSION, TEXT_SESSION, TEXT_SESSION]
    assert world.inbox.fact("compactions") in {None, ""}
    turns = world.inbox.newest_turns(2)
    assert (turns[1]["compacted_from"], turns[1]["context_tokens"]) == (900, 100)


def test_after_a_compaction_that_does_not_say_how_large_it_is_the_size_is_not_known(world: World) -> None:
    """As 2.1.100 and 2.0.77 do it: not the size before, which would be over the threshold forever."""
    silent: Step = {"line": {**BOUNDARY["line"], "compact_metadata": {"trigger": "manual", "pre_tokens": 900}}}
    for word in ("one", "two"):
        world.put(word)
    life = world.drain(turn(900), [*turn()[:1], silent, done()], turn(150), compaction=HALF)
    assert bodies(life) == ["one", COMMAND, "two"]
    assert "the context is compacted: from 900 to an unknown size" in life.notes()
    sizes = [(event["context_tokens"], event["context_window"]) for event in life.events("token_usage_changed")]
    assert sizes == [(900, 1_000), (None, 1_000), (150, 1_000)]
    turns = world.inbox.newest_turns(2)
    assert (turns[1]["compacted_from"], turns[1]["context_tokens"]) == (900, None)


def test_a_size_that_is_not_known_is_not_known_after_a_restart(world: World) -> None:
    silent: Step = {"line": {**BOUNDARY["line"], "compact_metadata": {"pre_tokens": 900}}}
    world.put("one")
    life = world.drain(turn(900), [*turn()[:1], silent, done()], compaction=HALF)
    assert life.bus.current.context_tokens is None
    assert world.inbox.fact("context_tokens") == ""


def test_it_survives_a_restart_and_waits_for_a_pause_to_end(world: World) -> None:
    world.put("one")
    world.drain(turn(900))
    world.inbox.put_facts(paused="1")
    assert bodies(world.drain(COMPACTED, compaction=HALF)) == []
    world.inbox.put_facts(paused="")
    assert bodies(world.drain(compaction=HALF)) == [COMMAND]
    assert bodies(world.drain(compaction=HALF)) == []  # once, until a message's turn has run


@pytest.mark.parametrize("policy", [CompactionPolicy(), CompactionPolicy(95.0)])
def test_below_the_threshold_or_without_one_nothing_is_compacted(policy: CompactionPolicy, world: World) -> None:
    world.put("one")
    assert bodies(world.drain(turn(900), compaction=policy)) == ["one"]


def test_two_futile_compactions_lead_to_a_new_session_and_two_more_are_the_last(world: World) -> None:
    for number in range(1, 8):
        world.put(f"{number}")
    old, new = turn(900), turn(900, session="new")
    first = [old, COMPACTED, old, COMPACTED, old]
    life = world.drain(*first, new, compacted("new"), new, compacted("new"), new, new, compaction=HALF)
    assert bodies(life) == ["1", COMMAND, "2", COMMAND, "3", "4", COMMAND, "5", COMMAND, "6", "7"]
    assert world.arguments("--resume")[4:7] == [TEXT_SESSION, None, "new"]
    said = [note for note in life.notes() if "50 %" in note]
    assert said == [
        "2 compactions in a row did not bring the context below 50 %: going on in a new session",
        f"{NO_REMEDY}: no longer compacting; start again with a higher --compact-at",
    ]
    world.put("8")
    assert bodies(world.drain(compacted("new"), new, compaction=CompactionPolicy(60.0))) == [
        "/compact",
        "8",
        "/compact",
    ]  # another threshold


def test_a_compaction_that_fails_is_not_tried_again_before_the_next_message(world: World) -> None:
    world.put("one")
    world.put("two")
    life = world.drain(turn(900), refused(422), turn(200), compaction=HALF)
    assert (bodies(life), life.outcomes()) == (["one", COMMAND, "two"], ["ok", "bad_request", "ok"])
    assert world.inbox.fact("compactions") is None


def test_a_full_context_that_cannot_be_compacted_now_costs_no_conversation(world: World) -> None:
    world.inbox.put_facts(session_id=TEXT_SESSION)
    message_id = world.put("one")
    world.fake.script(TOO_LONG, [INIT, {"touch": "compacting"}, FOREVER])

    async def stop(_: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "compacting")

    assert world.live(stop).outcomes() == ["context_full", "interrupted"]
    limit = world.drain(TOO_LONG, refused(429))  # the agent waits for it, as after any turn
    assert (limit.outcomes(), limit.bus.current.status) == (["context_full", "rate_limited"], "rate_limited")
    assert world.drain(TOO_LONG, COMPACTED).outcomes() == ["context_full", "ok"]
    assert (world.get(message_id).state, world.inbox.fact("session_id")) == ("dead", TEXT_SESSION)
    assert world.inbox.fact("skip_continue") != "1"


def test_a_new_session_for_a_full_context_waits_for_the_inbox(world: World) -> None:
    world.put("one")
    with world.busy_once("skip_continue"):
        life = world.drain(TOO_LONG, [TEXT])
    assert life.outcomes() == ["context_full", "failed", "ok"]  # with nothing to compact


def test_a_compaction_that_failed_is_recorded_as_a_failure_and_says_why(world: World) -> None:
    """As both releases end it: a status with the error, a text of the binary's own, a result without an error."""
    error = "Error during compaction: API Error: 400 the summary was refused"
    status = {"type": "system", "subtype": "status", "status": None, "compact_result": "failed", "compact_error": error}
    text = {"type": "assistant", "message": {"model": "<synthetic>", "content": [{"type": "text", "text": error}]}}
    failed: list[Step] = [{"line": status}, *turn()[:1], {"line": text}, result(result=error)]
    world.put("do it")
    life = world.drain(turn(900), failed, compaction=HALF)
    compaction = life.events("turn_end")[1]
    assert (compaction["outcome"], compaction["ok"], compaction["note"]) == ("failed", False, error)
    assert [row["outcome"] for row in world.inbox.newest_turns(2)] == ["failed", "ok"]
    assert life.bus.current.status == "online", "the agent does not wait for it"

"""The loop and the conversation: which session a turn goes on in, with which model, and what it costs."""

import json

import pytest

from hyperhive_cli.agent.session import keep_new_session, request_new_session, take_new_session_request
from hyperhive_cli.store.model import write_model
from tests.conftest import Step, recording
from tests.process.world import (
    CRASH,
    TEXT,
    TEXT_SESSION,
    TOO_LONG,
    Life,
    World,
    refused,
    replay,
    total,
)

# --- the conversation ---


def test_the_first_turn_chooses_a_session_and_the_next_ones_resume_it(world: World) -> None:
    for word in ("one", "two"):
        world.put(word)
    world.drain([TEXT])
    world.put("three")
    world.drain()  # after a restart
    assert world.arguments("--resume") == [None, TEXT_SESSION, TEXT_SESSION]
    assert world.arguments("--continue") == [None, None, None]


def test_the_newest_conversation_is_taken_for_the_very_first_turn_alone(world: World) -> None:
    world.put("one")
    world.put("two")
    world.drain([TEXT], continue_newest=True)
    world.put("three")
    world.drain(continue_newest=True)
    assert world.arguments("--continue") == ["", None, None]
    assert world.arguments("--resume") == [None, TEXT_SESSION, TEXT_SESSION]


def test_a_new_session_is_asked_for_once_however_often(world: World) -> None:
    world.put("one")
    world.drain([TEXT], [{**TEXT, "session_id": "another"}], [TEXT])
    request_new_session(world.inbox)
    request_new_session(world.inbox)
    world.put("two")
    world.put("three")
    world.drain(continue_newest=True)  # after a restart; the newest conversation is the one to be left
    assert world.arguments("--resume") == [None, None, "another"]
    assert world.arguments("--continue") == [None, None, None]


def test_a_new_session_asked_for_before_the_first_turn_counts(world: World) -> None:
    world.begin()
    request_new_session(world.inbox)
    world.put("one")
    world.drain([TEXT], continue_newest=True)
    assert world.arguments("--continue") == [None]


def test_a_lost_session_is_given_up(world: World) -> None:
    world.put("one")
    world.put("two")
    world.drain([TEXT], replay("unknown_session"), [{**TEXT, "session_id": "another"}])
    world.put("three")
    life = world.drain()
    assert world.arguments("--resume") == [None, TEXT_SESSION, None, "another"]
    assert life.loop.failed is False


def test_a_full_context_is_compacted_then_dropped(world: World) -> None:
    world.put("one")
    world.put("two")
    life = world.drain([TEXT], TOO_LONG, replay("compact"), TOO_LONG, [{**TEXT, "session_id": "another"}])
    assert world.arguments("--resume") == [None, TEXT_SESSION, TEXT_SESSION, TEXT_SESSION, None]
    assert world.prompts()[2] == "/compact"
    assert [event["state"] for event in life.events("turn_state_changed")] == [
        *["thinking", "idle"] * 2, "compacting", "idle", *["thinking", "idle"] * 2,
    ]  # fmt: skip


def test_where_nothing_can_be_compacted_a_full_context_is_dropped_at_once(world: World) -> None:
    world.put("one")
    world.put("two")
    world.drain([TEXT], TOO_LONG, [TEXT], [{**TEXT, "session_id": "another"}])
    assert world.prompts()[2] == "/compact"
    assert world.arguments("--resume") == [None, TEXT_SESSION, TEXT_SESSION, None]


def test_the_model_can_change_between_turns(world: World) -> None:
    world.put("one")
    world.drain([TEXT])
    world.begin().bus.current.set_model("opus")
    world.put("two")
    life = world.drain()
    write_model(world.model_file, "sonnet")  # by a command, without the harness
    world.put("three")

    async def steer(life: Life) -> None:
        await life.saw("turn_end")
        write_model(world.model_file, "fable")
        world.put("four")
        life.control.wake()
        await life.saw("turn_end", 2)

    life = world.live(steer)
    assert world.arguments("--model") == ["haiku", "opus", "sonnet", "fable"]
    assert [event["model"] for event in life.events("model_changed")] == ["fable"]
    assert [event["model"] for event in life.events("turn_start")] == ["sonnet", "fable"]


# --- what it costs ---


@pytest.mark.parametrize(
    ("version", "totals", "costs"),
    [
        ("2.1.197", [0.3, 0.2, 0.2], [0.3, 0.2, 0.2]),  # of the process
        ("2.1.276", [0.3, 0.2, 0.2], [0.3, 0.2, 0.2]),
        ("2.1.277", [0.3, 0.5, 0.6], [0.3, 0.2, 0.1]),  # of the session
        ("2.1.330", [0.3, 0.5, 0.6], [0.3, 0.2, 0.1]),
        ("2.1.330", [0.3, 0.1, 0.4], [0.3, 0.1, 0.3]),  # its total started again at zero
    ],
)
@pytest.mark.few(2)
def test_a_turn_costs_what_its_total_is_above_the_last_one(
    version: str, totals: list[float], costs: list[float], world: World
) -> None:
    world.put("one")
    world.put("two")
    life = world.drain(*(total(cost, version) for cost in totals))
    world.put("three")
    last = world.drain()
    assert world.costs() == costs
    ends = [*life.events("turn_end"), *last.events("turn_end")]
    assert [round(event["cost_usd"], 9) for event in ends] == costs


@pytest.mark.parametrize("older", ["2.1.197", "2.0.77", ""])
@pytest.mark.few(1)
def test_a_turn_of_an_older_release_in_mid_session_is_not_counted_again_by_the_newer_one(
    older: str, world: World
) -> None:
    """Measured: 2.1.332 goes on from where itself had left the session."""
    for word in ("one", "two", "three", "four", "five"):
        world.put(word)
    runs = [("2.1.332", 0.3), ("2.1.332", 0.5), (older, 0.2), (older, 0.1), ("2.1.332", 0.6)]
    world.drain(*(total(cost, version) for version, cost in runs))
    assert world.costs() == [0.3, 0.2, 0.2, 0.1, 0.1]


def test_an_older_release_starts_another_session_at_zero(world: World) -> None:
    world.put("one")
    runs = [total(0.3, "2.1.332"), total(0.2, "2.1.197", "another"), total(0.4, "2.1.332", "another")]
    world.drain(*runs)
    request_new_session(world.inbox)
    world.put("two")
    world.put("three")
    world.drain()
    assert world.costs() == [0.3, 0.2, 0.4]


def test_the_costs_of_a_new_session_start_at_zero(world: World) -> None:
    world.put("one")
    runs = [total(0.3, "2.1.330"), total(0.4, "2.1.330", "another"), total(0.5, "2.1.330", "another")]
    world.drain(*runs)
    request_new_session(world.inbox)
    world.put("two")
    world.put("three")
    world.drain()
    assert world.costs() == [0.3, 0.4, 0.1]


def test_what_others_have_spent_in_a_session_is_not_the_turns(world: World) -> None:
    """The newest conversation comes with its running total; a raw `/clear` begins one without."""
    world.put("one")
    world.put("two")
    world.inbox.send("operator", "/clear", raw=True, now_ms=0)
    runs = [total(50.3, "2.1.330"), total(50.5, "2.1.330"), total(60.0, "2.1.330", "another")]
    world.drain(*runs, continue_newest=True)
    rows = world.inbox.connection.execute("SELECT cost_usd FROM turn_stats ORDER BY turn_id").fetchall()
    assert [cost and round(cost, 9) for (cost,) in rows] == [None, 0.2, 60.0]
    assert world.arguments("--continue") == ["", None, None]


@pytest.mark.parametrize(("release", "costs"), [("2.1.197", [0.001207] * 2), ("2.1.330", [0.0001207] * 2)])
def test_the_costs_of_recorded_turns(release: str, costs: list[float], world: World) -> None:
    world.put("one")
    world.put("two")
    world.drain(replay("text", release), replay("continue", release))
    assert world.costs() == costs


def test_the_tokens_of_a_subagent_are_in_those_of_its_turn(world: World) -> None:
    world.put("count")
    life = world.drain(replay("subagent"))
    (usage,) = life.events("token_usage_changed")
    lines = map(json.loads, recording("v2.1.330/subagent.jsonl"))
    results = [line["usage"] for line in lines if line["type"] == "result"]
    assert len(results) == 2
    its_own = {
        "input_tokens": 12,
        "output_tokens": 42,
        "cache_read_input_tokens": 900,
        "cache_creation_input_tokens": 340,
    }
    assert usage["usage"] == {name: its_own[name] + sum(result[name] for result in results) for name in its_own}
    row = world.inbox.last_turn()
    assert row is not None
    assert (row["input_tokens"], json.loads(row["tool_call_breakdown_json"])) == (48, {"Task": 1})
    assert row["result_text"].startswith("The subagent counted")


# --- a session that claude's API refuses ---

REFUSED = refused(400, result="messages.3: image cannot be read")


def test_a_suspect_session_is_left_behind_for_a_new_one(world: World) -> None:
    world.put("one")
    world.put("two")
    life = world.drain([TEXT], REFUSED, [{**TEXT, "session_id": "another"}])
    world.put("three")
    world.drain([{**TEXT, "session_id": "from_argv"}])
    assert world.arguments("--resume") == [None, TEXT_SESSION, None, "another"]
    assert life.outcomes() == ["ok", "bad_request", "ok"]
    assert [note for note in life.notes() if TEXT_SESSION in note] == [
        f"refused in session {TEXT_SESSION}: trying again in a new session; the old one is left behind",
    ]


@pytest.mark.parametrize("refusal", [REFUSED, refused(400, result="flagged", stop_reason="refusal")])
def test_a_message_that_is_refused_in_a_new_session_too_is_dead_alone_and_both_sessions_are_left(
    refusal: list[Step], world: World
) -> None:
    bad = [world.put(body) for body in ("one", "two")][1]
    others = [world.put(body) for body in ("three", "four")]
    fresh = [{**step, "session_id": "another"} if "recording" in step else step for step in refusal]
    third = [{**TEXT, "session_id": "third"}]
    world.drain([TEXT], refusal, fresh, third, third)
    assert world.arguments("--resume") == [None, TEXT_SESSION, None, None, "third"]
    assert [world.get(n).state for n in (bad, *others)] == ["dead", "done", "done"]
    assert world.get(bad).reason in {"messages.3: image cannot be read", "flagged"}


def test_a_message_that_is_refused_in_the_very_first_session_is_dead_at_once(world: World) -> None:
    bad, good = world.put("one"), world.put("two")
    life = world.drain(refused(400, stop_reason="refusal"), [TEXT])
    assert (life.outcomes(), world.arguments("--resume")) == (["declined", "ok"], [None, None])
    assert [world.get(n).state for n in (bad, good)] == ["dead", "done"]


def test_a_crash_in_the_new_session_does_not_let_the_message_run_forever(world: World) -> None:
    world.put("one")
    bad = world.put("two")
    fresh = [{**step, "session_id": "another"} if "recording" in step else step for step in CRASH]
    world.drain([TEXT], REFUSED, fresh, REFUSED)
    assert world.arguments("--resume") == [None, TEXT_SESSION, None, "another"]
    assert (world.get(bad).state, world.inbox.fact("session_id")) == ("dead", "")


def test_an_unknown_model_is_not_the_sessions_fault(world: World) -> None:
    world.put("one")
    bad = world.put("two")
    world.drain([TEXT], refused(404))
    assert (world.get(bad).state, world.inbox.fact("session_id")) == ("ready", TEXT_SESSION)


def test_the_costs_of_a_new_session_after_a_refusal_count_whole(world: World) -> None:
    for body in ("one", "two", "three"):
        world.put(body)
    world.drain(total(0.25, "2.1.330"), REFUSED, REFUSED, total(0.75, "2.1.330", "third"))
    costs = world.inbox.connection.execute("SELECT cost_usd FROM turn_stats ORDER BY turn_id").fetchall()
    assert costs == [(0.25,), (None,), (None,), (0.75,)]


def test_a_new_session_is_taken_once_however_often_it_was_requested(world: World) -> None:
    assert not take_new_session_request(world.inbox)
    request_new_session(world.inbox)
    request_new_session(world.inbox)
    assert [take_new_session_request(world.inbox), take_new_session_request(world.inbox)] == [True, False]


def test_a_request_for_a_new_session_drops_the_old_session_when_it_is_taken(world: World) -> None:
    world.inbox.put_facts(session_id="s-1", session_cost_usd="0.5", context_tokens="300", context_window="200000")
    request_new_session(world.inbox)
    assert world.inbox.fact("session_id") == "s-1"
    assert take_new_session_request(world.inbox)
    found = [world.inbox.fact(name) for name in ("session_id", "session_cost_usd", "context_tokens", "context_window")]
    assert found == ["", "", "", "200000"]


def test_a_conversation_is_kept_when_claude_names_it_unless_one_is_known(world: World) -> None:
    for line in ({"type": "assistant", "session_id": "s-0"}, {"type": "system", "subtype": "init", "session_id": 7}):
        keep_new_session(world.inbox, line)
    assert world.inbox.fact("session_id") is None
    for session_id in ("s-1", "s-2"):
        keep_new_session(world.inbox, {"type": "system", "subtype": "init", "session_id": session_id})
    assert (world.inbox.fact("session_id"), world.inbox.fact("session_cost_usd")) == ("s-1", "")

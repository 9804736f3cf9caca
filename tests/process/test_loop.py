"""The agent's loop over a real inbox, a real history and a fake claude: what becomes of messages."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from hyperhive_cli.agent import backoff, scheduler
from hyperhive_cli.agent import loop as agent_loop
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.session import request_new_session
from hyperhive_cli.claude.watch import TimeLimits
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from tests.conftest import Step
from tests.process.world import (
    CRASH,
    FOREVER,
    INIT,
    LIMIT_S,
    NOW,
    TEXT,
    TEXT_SESSION,
    TOO_LONG,
    Life,
    World,
    limited,
    refused,
    replay,
    result,
)


@pytest.fixture(params=["cold", pytest.param("warm", marks=pytest.mark.exhaustive)])
def world(world: World, request: pytest.FixtureRequest) -> Iterator[World]:
    """Run each test with a claude that is started for each message; with -m '' also with one that waits for it."""
    world.warm = request.param == "warm"
    yield world
    for call in world.fake.calls():
        assert ("--input-format" in call["argv"]) is (world.warm and call["prompt"] != "/compact")


# --- what becomes of a message ---


@dataclass(frozen=True, slots=True)
class Row:
    """The runs of claude, and what is left of one message after them."""

    runs: list[list[Step]]
    outcomes: list[str]
    state: str
    attempts: int
    status: str = "online"
    reason: str | None = None
    acted: bool = False
    limits: TimeLimits = field(default_factory=TimeLimits)


LOST = replay("unknown_session")
SILENT: list[Step] = [INIT, {"on_signal": "SIGINT", "steps": [{"exit": 1}]}, FOREVER]
UNREACHABLE: list[Step] = [
    INIT,
    {"line": {"type": "assistant", "message": {"model": "<synthetic>", "content": []}, "error": "server_error"}},
    {"line": {"type": "result", "subtype": "success", "is_error": True, "result": "API Error: Unable to connect"}},
    {"exit": 1},
]
BLOCKED: list[Step] = [
    INIT,
    {
        "line": {
            "type": "system",
            "subtype": "informational",
            "content": "blocked by hook: policy: not this one",
            "prevent_continuation": True,
        }
    },
    result(num_turns=0),
]
DEFERRED: list[Step] = [
    INIT,
    {"line": {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash"}]}}},
    result(deferred_tool_use={"name": "Bash", "input": {"command": "make"}}, stop_reason="tool_deferred"),
]
ROWS = {
    "ok": Row([[TEXT]], ["ok"], "done", 1),
    "not logged in": Row([replay("not_logged_in")], ["needs_login"], "ready", 0, "needs_login_idle", "Not logged in"),
    "credentials rejected": Row([replay("auth_401")], ["needs_login"], "ready", 0, "needs_login_idle", "rejected"),
    "rate limited": Row([refused(429)], ["rate_limited"], "ready", 0, "rate_limited", "no"),
    "overloaded": Row([refused(529)], ["overloaded"], "ready", 0, "backing_off", reason="no"),
    "server error": Row([refused(500)], ["overloaded"], "ready", 0, "backing_off", reason="no"),
    "no credit": Row([replay("credit_low")], ["billing"], "ready", 0, "failed", "Credit balance is too low"),
    "unknown model": Row([replay("model_missing")], ["bad_model"], "ready", 0, "bad_model", "selected model"),
    "no connection": Row([UNREACHABLE], ["no_connection"], "ready", 0, "backing_off", reason="Unable to connect"),
    "failed": Row([refused(418)], ["failed"], "ready", 1, "backing_off", reason="status 418"),
    "blocked by a hook": Row([BLOCKED], ["blocked"], "dead", 1, reason="policy: not this one"),
    "no answer": Row([[INIT, result(stop_reason="max_tokens")]], ["capped"], "dead", 1, reason="capped (max_tokens)"),
    "refused by a proxy": Row([refused(403)], ["refused"], "held", 1, "backing_off", reason="no"),
    "deferred by a hook": Row([DEFERRED], ["deferred"], "held", 1, reason='Bash {"command": "make"}', acted=True),
    "declined by the model": Row([refused(400, stop_reason="refusal")], ["declined"], "dead", 1, reason="no"),
    "crashed, then ok": Row([CRASH, [TEXT]], ["crashed", "ok"], "done", 2, acted=True),
    "crashed": Row([CRASH], ["crashed"] * 3, "dead", 3, reason="exited with 1 without a result", acted=True),
    "killed": Row(
        [[INIT, {"kill_self": "SIGKILL"}], [TEXT]],
        ["crashed", "ok"],
        "done",
        2,
        acted=True,
    ),
    "stalled, then ok": Row(
        [SILENT, [TEXT]], ["stalled", "ok"], "done", 2, acted=True, limits=TimeLimits(stall_s=1.0)
    ),
    "timed out": Row(
        [SILENT], ["timed_out"] * 3, "dead", 3, reason="time limit", acted=True, limits=TimeLimits(turn_s=0.3)
    ),
    "context full, compacted": Row(
        [TOO_LONG, replay("compact"), [TEXT]], ["context_full", "ok", "ok"], "done", 2
    ),
    "context full for good": Row(
        [TOO_LONG, replay("compact"), TOO_LONG, [TEXT]], ["context_full", "ok", "context_full", "ok"], "done", 3
    ),
    "session lost": Row([LOST, [TEXT]], ["session_lost", "ok"], "done", 2),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
@pytest.mark.few(10)
def test_what_becomes_of_a_message(row: Row, world: World) -> None:
    message_id = world.put("do it")
    life = world.drain(*row.runs, limits=row.limits)
    message = world.get(message_id)
    assert life.outcomes() == row.outcomes
    assert (message.state, message.attempts, message.acted) == (row.state, row.attempts, row.acted)
    assert str(row.reason or "") in str(message.reason or "")
    assert (message.reason is None) is (row.reason is None)
    assert (life.bus.current.status, life.bus.current.state.value) == (row.status, "idle")
    assert life.loop.failed is (row.outcomes != ["ok"])


def test_figures_that_no_database_holds_are_left_out_and_the_turn_is_kept(world: World) -> None:
    huge = 2**64 - 1
    models = {"claude": {"inputTokens": huge, "contextWindow": huge}}
    figures = {"usage": {"output_tokens": huge, "input_tokens": 7}, "modelUsage": models, "total_cost_usd": huge}
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "ok", **figures}
    first, second = world.put("one"), world.put("two")
    life = world.drain([INIT, {"line": result}], limited(huge))
    assert (life.outcomes(), [world.get(n).state for n in (first, second)]) == (
        ["ok", "rate_limited"],
        ["done", "ready"],
    )
    ended = world.inbox.last_turn(first)
    assert ended is not None
    assert [ended[name] for name in ("output_tokens", "context_window", "cost_usd")] == [0, None, None]
    assert 0 < (life.bus.current.waits_until or 0) - world.now < 1000  # as for one that does not say when it ends


def test_a_claude_that_cannot_be_started_spends_no_attempt(world: World) -> None:
    message_id = world.put("do it")
    world.workspace.rmdir()
    life = world.drain([TEXT])
    assert (life.outcomes(), world.get(message_id).state, world.get(message_id).attempts) == (
        ["not_started"],
        "ready",
        0,
    )


def test_a_redelivery_tells_the_model_and_counts(world: World) -> None:
    world.put("do it")
    life = world.drain(CRASH)
    assert [event["attempt"] for event in life.events("turn_start")] == [1, 2, 3]
    first, second, third = map(str, world.prompts())
    assert (first, "Delivery" in first) == ("Message from operator:\n\ndo it", False)
    for number, prompt in ((2, second), (3, third)):
        assert prompt.startswith(f"[Delivery {number} of this message: an earlier attempt was interrupted and may have")
        assert prompt.endswith(first)
    assert any("hyperhive inbox retry 1" in note for note in life.notes())


def test_the_attempt_after_a_refusal_is_no_redelivery(world: World) -> None:
    message_id = world.put("do it")
    lives = [world.drain(refused(529), [TEXT]), world.drain()]
    assert (world.get(message_id).state, world.get(message_id).deliveries) == ("done", 2)
    starts = [start for life in lives for start in life.events("turn_start")]
    assert [(start["attempt"], start["delivery"]) for start in starts] == [(1, 1), (1, 2)]
    assert len(set(world.prompts())) == 1


def test_messages_run_in_the_order_they_were_sent(world: World) -> None:
    for word in ("one", "two", "three"):
        world.put(word)
    life = world.drain([TEXT])
    starts = life.events("turn_start")
    assert [(start["body"], start["unread"]) for start in starts] == [("one", 2), ("two", 1), ("three", 0)]
    assert [str(prompt).split()[-1] for prompt in world.prompts()] == ["one", "two", "three"]
    assert life.loop.failed is False


def test_one_bad_message_does_not_stop_the_others(world: World) -> None:
    bad, good = world.put("bad"), world.put("good")
    life = world.drain(refused(422), [TEXT])
    assert (world.get(bad).state, world.get(good).state, life.loop.failed) == ("dead", "done", True)


def test_an_empty_inbox_is_drained_at_once(world: World) -> None:
    life = world.drain()
    assert (life.loop.failed, world.fake.calls()) == (False, [])


# --- waits ---


async def settled() -> None:
    """Wait until the loop has nothing left that it could do by itself."""
    await trio.testing.wait_all_tasks_blocked(0.02)


def test_after_a_billing_error_no_turn_starts_until_it_is_resumed(world: World) -> None:
    first, second = world.put("one"), world.put("two")
    world.fake.script(replay("credit_low"), [TEXT])

    async def steer(life: Life) -> None:
        await life.saw(
            "note", text="Credit balance is too low: top up the account, then `hyperhive resume`; messages are kept"
        )
        life.control.wake()
        await settled()
        assert [world.get(n).state for n in (first, second)] == ["ready", "ready"]
        await life.control.resume()
        await life.saw("turn_end", 3)

    life = world.live(steer)
    assert (life.outcomes(), life.bus.current.status) == (["billing", "ok", "ok"], "online")
    assert [world.get(n).state for n in (first, second)] == ["done", "done"]


def test_a_login_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (scheduler, backoff):
        monkeypatch.setattr(module, "LOGIN_PROBE_S", 0.05)
    message_id = world.put("one")
    world.fake.script(replay("not_logged_in"), [TEXT], logged_in="file")

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="needs_login_idle")
        await trio.sleep(0.3)  # several checks, none of which may end the wait
        assert (life.bus.current.status, world.get(message_id).state) == ("needs_login_idle", "ready")
        world.fake.touch("logged_in")
        await life.saw("turn_end", 2)

    life = world.live(steer)
    assert [event["status"] for event in life.events("status_changed")] == ["needs_login_idle", "online"]
    assert (world.get(message_id).state, world.get(message_id).attempts) == ("done", 1)


def test_a_failure_that_claude_gives_an_unknown_name_is_tried_once_more_and_is_no_crash(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "BACKOFF_FIRST_S", 0.1)
    messages = [world.put(f"{number}") for number in range(4)]
    world.fake.script(refused(418))
    life = world.begin(drain=True, drain_wait_s=60)
    trio.run(life.run)
    assert (life.outcomes(), life.bus.current.status) == (["failed"] * 8, "backing_off")
    assert [(world.get(n).state, world.get(n).attempts) for n in messages] == [("dead", 2)] * 4


@pytest.mark.parametrize("ends_it", ["resume", "login", "the reset"])
def test_a_rate_limit_lasts_until_it_resets_or_a_person_ends_it(ends_it: str, world: World) -> None:
    resets_at = int(NOW) + 3_600
    first, second = world.put("one"), world.put("two")
    world.fake.script(limited(resets_at), [TEXT])

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="rate_limited")
        life.control.wake()
        await settled()
        assert [world.get(n).state for n in (first, second)] == ["ready", "ready"]
        if ends_it == "resume":
            await life.control.resume()
        elif ends_it == "login":
            life.control.begin_login()
            life.control.end_login(ok=True)
        else:
            return
        await life.saw("turn_end", 3)

    life = world.live(steer)
    if ends_it == "the reset":  # in the next life: no turn before it
        assert world.drain().outcomes() == []
        world.now = resets_at + 120  # its jitter included
        life = world.drain()
    assert life.outcomes()[-2:] == ["ok", "ok"]
    assert [world.get(n).state for n in (first, second)] == ["done", "done"]


@pytest.mark.parametrize("kind", ["bad_model", "rate_limited"])
def test_another_model_ends_the_wait_for_one_and_the_limit_of_one(kind: str, world: World) -> None:
    message_id = world.put("one")
    opus = limited(int(NOW) + 3_600, rateLimitType="seven_day_opus")
    world.fake.script(opus if kind == "rate_limited" else replay("model_missing"), [TEXT])

    async def steer(life: Life) -> None:
        await life.saw("turn_end")
        life.control.wake()
        await settled()
        life.bus.current.set_model(life.bus.current.model)  # the same one is no other
        life.control.wake()
        await settled()
        assert world.get(message_id).state == "ready"
        life.bus.current.set_model("sonnet")
        life.control.wake()
        await life.saw("turn_end", 2)

    life = world.live(steer)
    assert (life.outcomes(), life.bus.current.status) == ([kind, "ok"], "online")
    assert world.inbox.fact("limit") in {None, ""}


def test_a_limit_of_the_account_outlasts_a_change_of_the_model(world: World) -> None:
    world.put("one")
    world.fake.script(limited(int(NOW) + 3_600), [TEXT])

    async def steer(life: Life) -> None:
        await life.saw("turn_end")
        life.bus.current.set_model("sonnet")
        life.control.wake()
        await settled()

    assert world.live(steer).outcomes() == ["rate_limited"]


def test_a_follow_up_that_fails_neither_runs_the_message_again_nor_takes_its_answer_back(world: World) -> None:
    message_id = world.put("deploy, then tell me")
    late = {
        "line": {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 500, "result": "500"}
    }
    life = world.drain([TEXT, INIT, late, {"exit": 1}])
    assert (life.outcomes(), world.get(message_id).state, life.loop.failed) == (["ok"], "done", False)
    assert "after the answer: 500" in life.notes()
    row = world.inbox.last_turn(message_id)
    assert row is not None
    assert row["result_text"].startswith("Hello!")


def test_a_limit_that_a_follow_up_meets_makes_the_agent_wait_and_not_the_message(world: World) -> None:
    done, waits = world.put("one"), world.put("two")
    _, *refusal = limited(int(NOW) + 3_600)
    world.fake.script([TEXT, INIT, *refusal])

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="rate_limited")
        await settled()

    life = world.live(steer)
    assert (life.outcomes(), life.bus.current.status) == (["ok"], "rate_limited")
    assert [world.get(n).state for n in (done, waits)] == ["done", "ready"]


def test_a_first_claude_that_cannot_start_ends_the_life_and_a_later_one_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "BACKOFF_FIRST_S", 0.1)
    message_id = world.put("one")
    refusal: list[Step] = [{"stderr": "error: unknown option '--nope'"}, {"exit": 1}]
    life = world.drain(refusal)
    assert (life.outcomes(), life.loop.broken) == (
        ["not_started"],
        "claude could not be started: error: unknown option '--nope'",
    )
    assert (world.get(message_id).state, world.get(message_id).attempts) == ("ready", 0)
    world.put("two")
    life = world.begin(drain=True, drain_wait_s=60)
    world.fake.script([TEXT], refusal, [TEXT])
    trio.run(life.run)
    assert (life.outcomes(), life.loop.broken) == (["ok", "not_started", "ok"], None)


def test_a_drain_that_leaves_a_message_has_failed(world: World) -> None:
    world.put("one")
    assert world.drain(limited(int(NOW) + 3_600)).loop.failed
    life = world.drain()  # nothing runs, nothing goes wrong, and yet it is not done
    assert (life.outcomes(), life.loop.failed) == ([], True)
    world.now += 7_200
    assert world.drain([TEXT]).loop.failed is False


def test_a_drain_waits_for_the_end_of_a_short_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "BACKOFF_FIRST_S", 0.1)
    message_id = world.put("one")
    world.fake.script(refused(529), [TEXT])
    life = world.begin(drain=True, drain_wait_s=60)
    trio.run(life.run)
    assert (life.outcomes(), world.get(message_id).state) == (["overloaded", "ok"], "done")


def retries(*delays_ms: float) -> list[Step]:
    """Play a claude that the API puts off, before each of its own retries for so long; it then hangs."""
    status = {"error": "rate_limit", "error_status": 429}
    line = {"type": "system", "subtype": "api_retry", **status}
    return [INIT, *({"line": {**line, "retry_delay_ms": delay_ms}} for delay_ms in delays_ms), {"wait_for": "never"}]


def test_a_drain_interrupts_a_claude_that_waits_for_the_api_longer_than_it_does_itself(world: World) -> None:
    first, second = world.put("one"), world.put("two")
    world.fake.script(retries(20_000, 41_000), [TEXT])
    life = world.begin(drain=True, drain_wait_s=60, limits=TimeLimits(retry_s=60))
    trio.run(life.run)
    assert (life.outcomes(), life.loop.failed) == (["interrupted"], True)  # the next would wait as well
    assert [world.get(number).state for number in (first, second)] == ["ready", "ready"]
    assert world.get(first).attempts == 0
    (end,) = life.events("turn_end")
    assert end["note"] == "interrupted: claude waits longer than --drain-wait: rate_limit, 61 s of waiting so far"


def test_messages_for_later_are_not_part_of_a_drain(world: World) -> None:
    now_ms = int(NOW * 1000)
    world.put("now")
    later = world.inbox.send("operator", "later", now_ms=now_ms, not_before=now_ms + 61_000).id
    world.fake.script([TEXT])
    life = world.begin(drain=True, drain_wait_s=60)
    trio.run(life.run)
    assert (life.outcomes(), life.loop.failed, world.get(later).state) == (["ok"], False, "ready")
    assert [text for text in life.notes() if text.startswith("1 message waits until ")]


def test_a_held_message_fails_a_drain_that_says_so(world: World) -> None:
    message_id = world.put("one")
    world.drain([TEXT])
    world.inbox.connection.execute("UPDATE messages SET state = 'held' WHERE id = ?", (message_id,))
    life = world.drain()
    assert (life.outcomes(), life.loop.failed) == ([], True)
    assert "1 message is held: decide with `hyperhive inbox`" in life.notes()


def test_after_crash_upon_crash_no_turn_starts_until_it_is_resumed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [world.put(body) for body in ("one", "two", "three")]
    world.fake.script(*[CRASH] * 6, [TEXT])

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="failed")
        assert [world.get(n).state for n in numbers] == ["dead", "dead", "ready"]
        life.control.wake()
        await settled()
        assert (len(world.fake.calls()), life.bus.current.waits_until) == (6, None)
        assert await life.control.resume()
        await life.saw("turn_end", 7)

    life = world.live(steer)
    assert life.outcomes() == ["crashed"] * 6 + ["ok"]
    statuses = [event["status"] for event in life.events("status_changed")]
    assert statuses == [*["backing_off", "online"] * 5, "failed", "online"]
    assert world.get(numbers[2]).state == "done"
    monkeypatch.setattr(backoff, "MAX_CRASHES", 0)
    world.put("four")
    assert world.drain(CRASH).bus.current.status == "failed"  # a drain does not wait for a person


def test_the_end_of_a_wait_is_reported(world: World) -> None:
    resets_at = int(NOW) + 3_600
    world.put("one")
    world.fake.script(limited(resets_at), [TEXT])

    async def steer(life: Life) -> None:
        event = await life.saw("status_changed", status="rate_limited")
        assert resets_at <= event["until_unix"] <= resets_at + 60
        assert life.bus.snapshot()["waits_until"] == event["until_unix"]
        await life.control.resume()
        await life.saw("status_changed", status="online")
        assert life.bus.snapshot()["waits_until"] is None
        assert await life.control.resume() is False

    world.live(steer)


def test_a_stop_does_not_wait_for_a_look_at_the_login(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("one")
    world.fake.script(replay("not_logged_in"))
    asked = trio.Event()

    async def ask_for_ever(_: AgentConfig) -> bool:
        asked.set()
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(agent_loop, "is_logged_in", ask_for_ever)
    monkeypatch.setattr(backoff, "LOGIN_PROBE_S", 0.0)

    async def steer(_: Life) -> None:
        await asked.wait()

    assert world.live(steer).outcomes() == ["needs_login"]


# --- steering ---


def test_a_compaction_runs_between_turns_and_replies(world: World) -> None:
    world.put("one")
    world.put("two")
    world.fake.script([INIT, {"touch": "one"}, {"wait_for": "go on"}, TEXT], replay("compact"), [TEXT])
    replies: list[Outcome] = []

    async def steer(life: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "one")

        async def compact() -> None:
            replies.append(await life.control.compact())

        async with trio.open_nursery() as nursery:
            world.inbox.put_facts(session_id=TEXT_SESSION)  # as after an earlier turn
            nursery.start_soon(compact)
            await settled()
            with pytest.raises(RefusedError, match="already compacting"):
                await life.control.compact()
            world.fake.touch("go on")
        await life.saw("turn_end", 3)

    life = world.live(steer)
    assert replies == [Outcome(OutcomeKind.OK)]
    assert [(event["from"], event["body"]) for event in life.events("turn_start")] == [
        ("operator", "one"), ("hyperhive", "/compact"), ("operator", "two"),
    ]  # fmt: skip
    assert [event["state"] for event in life.events("turn_state_changed")][2:4] == ["compacting", "idle"]
    assert life.events("token_usage_changed")[1]["context_tokens"] == 2_627
    assert world.arguments("--resume")[1] == TEXT_SESSION


def test_a_compaction_that_had_nothing_to_do_says_so(world: World) -> None:
    world.inbox.put_facts(session_id=TEXT_SESSION)
    world.fake.script([TEXT])
    replies: list[Outcome] = []

    async def steer(life: Life) -> None:
        replies.append(await life.control.compact())

    world.live(steer)
    assert [(reply.ok, str(reply.note)[:6]) for reply in replies] == [(True, "Hello!")]


def test_there_is_nothing_to_compact_without_a_session(world: World) -> None:
    async def steer(life: Life) -> None:
        with pytest.raises(RefusedError, match="no session yet"):
            await life.control.compact()
        world.inbox.put_facts(session_id=TEXT_SESSION)
        request_new_session(world.inbox)
        with pytest.raises(RefusedError, match="no session yet"):
            await life.control.compact()

    world.live(steer)
    assert world.fake.calls() == []


def test_a_compaction_is_refused_where_the_agent_waits_for_a_person(world: World) -> None:
    world.inbox.put_facts(session_id=TEXT_SESSION)
    world.put("one")
    first, *rest = replay("credit_low")
    world.fake.script([{"touch": "one"}, {"wait_for": "go on"}, first, *rest])

    async def compact(life: Life) -> None:
        with pytest.raises(RefusedError, match="the agent waits: failed"):
            await life.control.compact()

    async def steer(life: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "one")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(compact, life)
            await settled()
            world.fake.touch("go on")
        await compact(life)

    assert world.live(steer).outcomes() == ["billing"]


def test_a_compaction_that_never_ran_is_refused(world: World) -> None:
    world.inbox.put_facts(session_id=TEXT_SESSION)
    world.put("one")
    world.fake.script([INIT, {"touch": "one"}, FOREVER])

    async def steer(life: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "one")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(compact, life)
            await settled()
            life.control.stop()

    async def compact(life: Life) -> None:
        with pytest.raises(RefusedError, match="stopped before"):
            await life.control.compact()

    assert world.live(steer).outcomes() == ["interrupted"]


def test_a_cancelled_message_does_not_come_back(world: World) -> None:
    first, second = world.put("one"), world.put("two")
    world.fake.script([INIT, {"touch": "one"}, FOREVER], [TEXT])

    async def steer(life: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "one")
        life.control.cancel()
        await life.saw("turn_end", 2)
        await life.saw("turn_state_changed", 2, state="idle")
        with pytest.raises(RefusedError, match="no turn is running"):
            life.control.cancel()

    life = world.live(steer)
    assert life.outcomes() == ["cancelled", "ok"]
    assert [world.get(n).state for n in (first, second)] == ["cancelled", "done"]
    assert world.drain().outcomes() == []


def test_a_cancelled_message_does_not_come_back_when_its_turn_is_cut_off(world: World) -> None:
    message_id = world.put("one")
    world.fake.script([INIT, {"touch": "one"}, FOREVER], [TEXT])
    life = world.begin()

    async def work() -> None:
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(life.run)
                await trio.to_thread.run_sync(world.fake.wait_for, "one")
                life.control.cancel()
                nursery.cancel_scope.cancel()  # as the second Ctrl-C does in the end

    trio.run(work)
    assert life.outcomes() == ["cancelled"]
    assert world.drain().outcomes() == []
    assert (world.get(message_id).state, world.get(message_id).reason) == ("cancelled", "cancelled by the operator")
    world.inbox.retry(message_id, now_ms=0)
    assert world.drain().outcomes() == ["ok"]


def test_a_cancel_after_the_answer_takes_nothing_back(world: World) -> None:
    message_id = world.put("one")
    world.fake.script([TEXT, {"touch": "answered"}, FOREVER])

    async def steer(life: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "answered")
        await life.saw("stream", type="result")
        life.control.cancel()
        await life.saw("turn_end")

    assert world.live(steer).outcomes() == ["ok"]
    assert world.get(message_id).state == "done"


def test_a_stop_puts_the_message_back_unspent(world: World) -> None:
    message_id = world.put("one")
    world.fake.script([INIT, {"touch": "one"}, FOREVER], [TEXT])

    async def steer(_: Life) -> None:
        await trio.to_thread.run_sync(world.fake.wait_for, "one")

    life = world.live(steer)
    message = world.get(message_id)
    assert (life.outcomes(), message.state, message.attempts) == (["interrupted"], "ready", 0)
    world.drain()
    assert world.get(message_id).state == "done"
    assert str(world.prompts()[1]).startswith("[Delivery 2 of this message")


def test_a_message_of_a_life_that_was_killed_is_delivered_again(world: World) -> None:
    message_id = world.put("one")
    killed = world.begin()
    lease = world.inbox.lease(killed.bus.boot, "haiku", now_ms=int(NOW * 1000))
    assert lease is not None
    world.drain([TEXT])
    assert (world.get(message_id).state, world.get(message_id).attempts) == ("done", 2)
    assert str(world.prompts()[0]).startswith("[Delivery 2 of this message")
    turns = world.inbox.connection.execute("SELECT outcome FROM turn_stats ORDER BY turn_id").fetchall()
    assert turns == [("crashed",), ("ok",)]


# --- the clock of the world ---


@pytest.mark.parametrize("jump_s", [7_200, 86_400 * 30])
def test_a_limit_ends_within_seconds_of_a_clock_that_was_put_on_or_a_machine_that_slept(
    jump_s: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "POLL_EVERY_S", 0.05)
    world.put("one")
    world.fake.script(limited(int(NOW) + 3_600), [TEXT])

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="rate_limited")
        world.now += jump_s
        await life.saw("turn_end", 2)

    assert world.live(steer).outcomes() == ["rate_limited", "ok"]


@pytest.mark.parametrize("back_s", [7_200, 86_400 * 30])
def test_a_clock_that_is_put_back_does_not_lengthen_a_limit(
    back_s: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the wrong clock its reset was past: how long to wait then is not a matter of the world."""
    monkeypatch.setattr(backoff, "LIMIT_FLOOR_S", 0.2)
    monkeypatch.setattr(backoff, "LIMIT_JITTER_S", 0.0)
    world.put("one")
    world.fake.script(limited(int(NOW) - 3_600), [TEXT])

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="rate_limited")
        world.now -= back_s
        await life.saw("turn_end", 2)

    assert world.live(steer).outcomes() == ["rate_limited", "ok"]


@pytest.mark.parametrize(("step_s", "outcomes"), [(60, []), (-60, ["ok"]), (7_200, ["ok"])])
def test_a_limit_is_taken_up_by_a_new_life_unless_the_clock_was_put_back_or_the_reset_is_past(
    step_s: int, outcomes: list[str], world: World
) -> None:
    world.put("one")
    world.drain(limited(int(NOW) + 3_600))
    world.now += step_s
    assert world.drain([TEXT]).outcomes() == outcomes


def test_a_clock_that_is_put_back_does_not_lengthen_a_back_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "BACKOFF_FIRST_S", 0.2)
    world.put("one")
    world.fake.script(refused(529), [TEXT])

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="backing_off")
        world.now -= 86_400
        await life.saw("turn_end", 2)

    assert world.live(steer).outcomes() == ["overloaded", "ok"]

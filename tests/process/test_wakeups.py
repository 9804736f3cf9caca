"""What claude plans for itself, through the agent's loop: a wake-up is a message of the inbox, a job is told of."""

from typing import Any

import pytest

from hyperhive_cli.agent.session import request_new_session
from hyperhive_cli.claude.watch import TimeLimits
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.schedules import MAX_ADOPTED
from tests.conftest import Step
from tests.process.world import FOREVER, INIT, NOW, TEXT, TEXT_SESSION, Life, World, result

RESULT: Step = {"line": {"type": "result", "subtype": "success", "is_error": False, "result": "I will look again."}}
AT_MS = int(NOW * 1000) + 60_000
PATIENT = TimeLimits(grace_s=1000)  # an end that comes sooner is not for want of an exit
STOPPED = {"scheduledFor": 0, "stopped": True, "cancelledWakeups": 0}


@pytest.fixture(params=["cold", pytest.param("warm", marks=pytest.mark.exhaustive)])
def world(world: World, request: pytest.FixtureRequest) -> World:
    """Run each test with a claude that is started for each message; with -m '' also with one that waits for it."""
    world.warm = request.param == "warm"
    return world


def called(tool: str, result: object, tool_use_id: str = "toolu_1", **given: object) -> list[Step]:
    """Play a tool call and its answer."""
    call = {"type": "tool_use", "id": tool_use_id, "name": tool, "input": given}
    answer = {"type": "tool_result", "tool_use_id": tool_use_id, "content": "…"}
    return [
        {"line": {"type": "assistant", "message": {"id": f"msg_{tool_use_id}", "content": [call]}}},
        {"line": {"type": "user", "message": {"content": [answer]}, "tool_use_result": result}},
    ]


def wakeup(prompt: str = "check the build", at_ms: int = AT_MS, tool_use_id: str = "toolu_1") -> list[Step]:
    given = {"delaySeconds": 60, "reason": "look again", "prompt": prompt}
    return called("ScheduleWakeup", {"scheduledFor": at_ms}, tool_use_id, **given)


def waiting(*steps: Step) -> list[Step]:
    """Play a turn that ends well, with a claude that stays alive for its wake-up until it is interrupted."""
    return [INIT, *steps, RESULT, {"on_signal": "SIGINT", "steps": [{"exit": 0}]}, FOREVER]


def planned_by(world: World) -> list[Message]:
    return [message for message in world.inbox.messages(ended=True) if message.sender == "wakeup"]


def warnings(life: Life) -> list[str]:
    return [event["text"] for event in life.events("note") if event["level"] != "info"]


def test_a_wakeup_becomes_a_message_and_claude_is_ended_at_once(world: World) -> None:
    first = world.put("do it")
    life = world.drain(waiting(*wakeup()), limits=PATIENT)
    (message,) = planned_by(world)
    assert (world.get(first).state, life.outcomes()) == ("done", ["ok"])
    assert (message.body, message.raw, message.state) == ("check the build", True, "ready")
    assert message.not_before == AT_MS
    assert warnings(life) == []
    note, _ = life.notes()  # and that a message waits
    assert note.startswith("claude planned to wake up at ")
    planned = f"(look again): check the build; it is message {message.id}"
    assert note.endswith(f"{planned} (`hyperhive inbox cancel {message.id}` prevents it)")


def test_it_runs_when_it_is_due_in_the_same_session_as_claude_would_have_run_it(world: World) -> None:
    world.put("do it")
    world.drain(waiting(*wakeup("look at @notes.txt")), limits=PATIENT)
    world.now += 59
    assert world.drain([TEXT]).outcomes() == []
    world.now += 1
    assert world.drain([TEXT]).outcomes() == ["ok"]
    assert world.prompts()[-1] == "look at @\u2060notes.txt"
    assert world.arguments("--resume")[-1] == TEXT_SESSION
    assert [message.state for message in planned_by(world)] == ["done"]


def test_a_drain_counts_it_as_it_counts_a_message_that_was_sent_for_later(world: World) -> None:
    world.put("do it")
    planned = world.drain(waiting(*wakeup()), limits=PATIENT)
    (message,) = planned_by(world)
    world.inbox.cancel(message.id, now_ms=1)
    world.inbox.send("operator", "later", now_ms=1, not_before=AT_MS)
    sent = world.drain([TEXT])
    assert (planned.notes()[-1], planned.loop.failed) == (sent.notes()[-1], sent.loop.failed)


def test_a_later_wakeup_replaces_the_one_that_waits(world: World) -> None:
    world.put("one")
    world.put("two")
    world.drain(waiting(*wakeup()), waiting(*wakeup("then this", AT_MS + 1, "toolu_2")), limits=PATIENT)
    first, second = planned_by(world)
    assert (first.state, first.reason) == ("cancelled", "replaced by a later one")
    assert (second.state, second.body) == ("ready", "then this")


def test_a_turn_that_plans_nothing_leaves_the_one_that_waits(world: World) -> None:
    world.put("one")
    world.put("two")
    world.drain(waiting(*wakeup()), [TEXT], limits=PATIENT)
    assert [message.state for message in planned_by(world)] == ["ready"]


def test_a_loop_that_claude_ends_in_a_later_turn_does_not_go_on(world: World) -> None:
    world.put("one")
    own = world.inbox.send("wakeup", "sent by a person", now_ms=1, not_before=AT_MS).id
    world.put("two")
    world.drain(waiting(*wakeup()), [INIT, *called("ScheduleWakeup", STOPPED, stop=True), RESULT], limits=PATIENT)
    states = {message.id: (message.state, message.reason) for message in planned_by(world)}
    assert states.pop(own) == ("ready", None)
    assert list(states.values()) == [("cancelled", "no longer planned")]


def test_a_wakeup_that_has_fired_in_its_turn_is_no_message(world: World) -> None:
    fired = {"type": "command_lifecycle", "state": "started", "wakeup_source": "loop_wakeup", "scheduled_for": AT_MS}
    world.put("do it")
    life = world.drain([INIT, *wakeup(), RESULT, {"line": fired}, INIT, RESULT], limits=PATIENT)
    assert (life.outcomes(), planned_by(world), life.notes()) == (["ok"], [], [])


def test_a_wakeup_waits_for_the_background_tasks_of_its_turn(world: World) -> None:
    task = {"type": "system", "subtype": "task_started", "task_id": "a"}
    gone = {"type": "system", "subtype": "task_notification", "task_id": "a"}
    world.put("do it")
    turn = waiting(*wakeup(), {"line": task})
    # The task ends long after the grace: were claude interrupted by then, the second answer would be missing.
    turn[-2:-1] = [{"sleep": 1.5}, {"line": gone}, INIT, RESULT, turn[-2]]
    life = world.drain(turn, limits=PATIENT)
    assert life.outcomes() == ["ok"]
    assert [event["type"] for event in life.events("stream")].count("result") == 2
    assert len(planned_by(world)) == 1


def test_a_wakeup_is_kept_when_the_background_tasks_last_too_long(world: World) -> None:
    task = {"type": "system", "subtype": "task_started", "task_id": "a"}
    world.put("do it")
    life = world.drain(waiting(*wakeup(), {"line": task}), limits=TimeLimits(background_s=0.2))
    assert (life.outcomes(), len(planned_by(world))) == (["ok"], 1)
    assert warnings(life)


def test_a_message_that_is_delivered_again_plans_again_and_once(world: World) -> None:
    world.put("do it")
    life = world.drain([INIT, *wakeup("too soon"), {"exit": 1}], waiting(*wakeup("check the build")), limits=PATIENT)
    assert life.outcomes() == ["crashed", "ok"]
    assert [message.body for message in planned_by(world)] == ["check the build"]
    assert len([text for text in life.notes() if "planned to wake up" in text]) == 1


def test_a_message_that_is_dead_plans_nothing_and_says_so(world: World) -> None:
    world.put("do it")
    life = world.drain([INIT, *wakeup(), {"exit": 1}])
    assert (life.outcomes(), planned_by(world)) == (["crashed"] * 3, [])
    assert [text for text in warnings(life) if "it will not, because its turn failed or was cancelled" in text]


@pytest.mark.parametrize("ending", ["cancel", "stop"])
def test_a_turn_that_a_person_ends_plans_nothing(world: World, ending: str) -> None:
    message_id = world.put("do it")
    at_work: list[Step] = [INIT, *wakeup(), {"on_signal": "SIGINT", "steps": [{"exit": 0}]}, FOREVER]
    world.fake.script(at_work)

    async def steer(life: Life) -> None:
        await life.saw("stream", 3)
        if ending == "cancel":
            life.control.cancel()
            await life.saw("turn_end")

    life = world.live(steer, limits=PATIENT)
    assert world.get(message_id).state == ("cancelled" if ending == "cancel" else "ready")
    assert planned_by(world) == []
    assert bool([text for text in life.notes() if "it will not" in text]) is (ending == "cancel")


def test_a_turn_that_is_cancelled_after_its_answer_plans_nothing(world: World) -> None:
    task = {"type": "system", "subtype": "task_started", "task_id": "a"}
    message_id = world.put("do it")
    world.fake.script(waiting(*wakeup(), {"line": task}))

    async def steer(life: Life) -> None:
        await life.saw("stream", 5)
        life.control.cancel()
        await life.saw("turn_end", outcome="ok")

    life = world.live(steer, limits=PATIENT)
    assert (world.get(message_id).state, planned_by(world)) == ("done", [])
    assert [text for text in life.notes() if "it will not" in text]


def test_a_compaction_plans_nothing(world: World) -> None:
    world.put("do it")
    world.drain([TEXT])

    async def steer(life: Life) -> None:
        await life.control.compact()

    world.fake.script(waiting(*wakeup()))
    world.live(steer, limits=PATIENT)
    assert planned_by(world) == []


def test_a_wakeup_that_runs_in_another_session_is_reported(world: World) -> None:
    world.put("do it")
    life = world.drain(waiting(*wakeup()), limits=PATIENT)
    request_new_session(world.inbox)
    world.now += 60
    life = world.drain([TEXT])
    assert life.outcomes() == ["ok"]
    assert [text for text in warnings(life) if f"was planned in another session ({TEXT_SESSION})" in text]


def job(tool_use_id: str = "toolu_1", **fields: Any) -> list[Step]:  # noqa: ANN401 - of claude's answer
    found = {"id": "d73b9223", "humanSchedule": "Every Monday at 9:00 AM", "recurring": True, **fields}
    return called("CronCreate", found, tool_use_id, cron="0 9 * * 1", prompt="weekly report")


def test_a_job_that_never_runs_is_reported_once_and_needs_a_person(world: World) -> None:
    world.put("do it")
    world.put("and this")
    life = world.drain([INIT, *job(), RESULT], [TEXT])
    (note,) = life.events("note")
    assert (note["level"], note["attention"]) == ("warning", True)
    assert "never run: weekly report (Every Monday at 9:00 AM, job d73b9223)" in note["text"]


def test_a_job_is_adopted_as_a_schedule_once_and_ends_with_its_deletion(world: World) -> None:
    for body in ("one", "two", "three"):
        world.put(body)
    refused = called("CronDelete", "no such job", "toolu_2", id="d73b9223")
    turns = [[INIT, *job(), RESULT], [INIT, *job(id="another"), RESULT], [INIT, *refused, RESULT]]
    life = world.drain(*turns[:2], adopt_crons=True)
    (schedule,) = world.inbox.schedules()
    assert (schedule.name, schedule.adopted, schedule.expression) == ("job-d73b9223", "d73b9223", "0 9 * * 1")
    assert (schedule.body, schedule.sender, schedule.raw) == ("weekly report", "wakeup", True)
    assert schedule.next_slot is not None
    assert warnings(life) == []
    assert [text.partition("; ")[2] for text in life.notes()[:2]] == [
        "it is schedule job-d73b9223 (`hyperhive schedule remove job-d73b9223` ends it)"
    ] * 2
    world.put("four")
    world.drain(turns[2], adopt_crons=True)
    assert world.inbox.schedules() == []


def test_a_job_that_fires_once_becomes_a_message(world: World) -> None:
    world.put("do it")
    life = world.drain([INIT, *job(recurring=False), RESULT], adopt_crons=True)
    (message,) = planned_by(world)
    assert (message.state, message.body, message.not_before > world.now * 1000) == ("ready", "weekly report", True)
    assert f"it is message {message.id} " in life.notes()[0]
    assert world.inbox.schedules() == []


@pytest.mark.parametrize(
    ("expression", "why"),
    [("*/5 * * * *", "more often than every 15 minutes"), ("0,5 9 * * *", "more often"), ("nonsense", "not a valid")],
)
def test_a_job_that_runs_too_often_is_not_adopted(expression: str, why: str, world: World) -> None:
    world.put("do it")
    found = {"id": "d73b9223", "humanSchedule": "often", "recurring": True}
    steps = called("CronCreate", found, cron=expression, prompt="look")
    (note,) = world.drain([INIT, *steps, RESULT], adopt_crons=True).events("note")
    assert (note["level"], note["attention"]) == ("warning", True)
    assert why in note["text"]
    assert world.inbox.schedules() == []


def test_no_more_jobs_are_adopted_than_an_agent_may_have(world: World) -> None:
    world.put("do it")
    steps = list[Step]()
    for number in range(MAX_ADOPTED + 1):
        found, given = {"id": f"id{number}", "recurring": True}, {"cron": f"{number} 9 * * *", "prompt": "look"}
        steps += called("CronCreate", found, f"toolu_{number}", **given)
    life = world.drain([INIT, *steps, RESULT], adopt_crons=True)
    assert len(world.inbox.schedules()) == MAX_ADOPTED
    (warning,) = warnings(life)
    assert warning.endswith(f"an agent has at most {MAX_ADOPTED} schedules of its own")


@pytest.mark.parametrize("end", [[{"exit": 1}], [result(is_error=True)]])
def test_a_turn_that_fails_adopts_nothing(end: list[Step], world: World) -> None:
    world.put("do it")
    world.drain([INIT, *job(), *end], adopt_crons=True)
    assert world.inbox.schedules() == []


def test_a_job_that_claude_takes_back_is_not_reported(world: World) -> None:
    world.put("do it")
    life = world.drain([INIT, *job(), *called("CronDelete", {"id": "d73b9223"}, "toolu_2", id="d73b9223"), RESULT])
    assert life.notes() == []


def test_a_job_of_an_attempt_that_is_repeated_is_not_reported_twice(world: World) -> None:
    world.put("do it")
    life = world.drain([INIT, *job(), {"exit": 1}], [INIT, *job(), RESULT])
    assert len([text for text in life.notes() if "job d73b9223" in text]) == 1

"""What claude has planned by itself: wake-ups and jobs, as its lines tell of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.planned import MAX_ENTRIES, PROMPT_CHARS, TEXT_CHARS, Job, Planned, Wakeup

Line = dict[str, Any]
AT, LATER = 1_796_017_620_000, 1_796_017_680_000


def call(name: str, tool_use_id: str = "toolu_1", **given_: object) -> Line:
    block = {"type": "tool_use", "id": tool_use_id, "name": name, "input": given_}
    return {"type": "assistant", "message": {"content": [block]}}


def answer(result: object, tool_use_id: str = "toolu_1", *, is_error: bool | None = None) -> Line:
    block: Line = {"type": "tool_result", "tool_use_id": tool_use_id, "content": "…"}
    if is_error is not None:
        block["is_error"] = is_error
    return {"type": "user", "message": {"content": [block]}, "tool_use_result": result}


def wakeup(prompt: str = "check the build", at_ms: int = AT, tool_use_id: str = "toolu_1") -> list[Line]:
    """Return the lines of a wake-up, as 2.1.332 prints them."""
    asked = call("ScheduleWakeup", tool_use_id, delaySeconds=60, reason="look again", prompt=prompt)
    return [asked, answer({"scheduledFor": at_ms, "clampedDelaySeconds": 60, "wasClamped": False}, tool_use_id)]


def job(name: str = "d73b9223", tool_use_id: str = "toolu_2", *, durable: bool = False) -> list[Line]:
    asked = call("CronCreate", tool_use_id, cron="0 9 * * 1", prompt="weekly report")
    found = {"id": name, "humanSchedule": "Every Monday at 9:00 AM", "recurring": True, "durable": durable}
    return [asked, answer(found, tool_use_id)]


def fired(at_ms: int | None = AT, **more: object) -> Line:
    line = {"type": "command_lifecycle", "state": "started", "wakeup_source": "loop_wakeup", **more}
    return line if at_ms is None else {**line, "scheduled_for": at_ms}


def observe(*lines: Line) -> Planned:
    planned = Planned()
    for line in lines:
        planned.observe_stream(line)
    return planned


def test_a_wakeup_is_planned_with_its_prompt_moment_and_reason() -> None:
    planned = observe(*wakeup())
    assert planned.wakeup == Wakeup("toolu_1", "check the build", AT, "look again")
    assert planned.replaces


def test_a_run_that_plans_nothing_leaves_an_earlier_wakeup_alone() -> None:
    assert observe(call("Bash", command="true"), answer({"stdout": ""})) == Planned()


def test_a_second_wakeup_replaces_the_first() -> None:
    planned = observe(*wakeup(), *wakeup("then this", LATER, "toolu_2"))
    assert planned.wakeup == Wakeup("toolu_2", "then this", LATER, "look again")


def test_of_two_calls_in_one_message_the_last_answered_counts() -> None:
    first, second = wakeup(), wakeup("then this", LATER, "toolu_2")
    planned = observe(first[0], second[0], first[1], second[1])
    assert planned.wakeup is not None
    assert planned.wakeup.prompt == "then this"


def test_a_loop_that_claude_stops_has_no_wakeup() -> None:
    stopped = {"scheduledFor": 0, "clampedDelaySeconds": 0, "wasClamped": False, "stopped": True}
    planned = observe(*wakeup(), call("ScheduleWakeup", "toolu_2", stop=True), answer(stopped, "toolu_2"))
    assert (planned.wakeup, planned.replaces) == (None, True)


def test_a_loop_of_an_earlier_turn_is_stopped_too() -> None:
    stopped = {"scheduledFor": 0, "stopped": True, "cancelledWakeups": 0}
    planned = observe(call("ScheduleWakeup", stop=True), answer(stopped))
    assert (planned.wakeup, planned.replaces) == (None, True)


def test_a_wakeup_that_the_release_does_not_plan_is_none() -> None:
    not_planned = {"scheduledFor": 0, "clampedDelaySeconds": 0, "wasClamped": False}  # 2.1.197
    assert observe(call("ScheduleWakeup", prompt="x"), answer(not_planned)) == Planned()


def test_a_wakeup_that_claude_refuses_is_none() -> None:
    refused = "Error: `delaySeconds` and `reason` are required when `stop` is not true."
    planned = observe(*wakeup(), call("ScheduleWakeup", "toolu_2"), answer(refused, "toolu_2", is_error=True))
    assert planned.wakeup is not None
    assert planned.wakeup.id == "toolu_1"


@pytest.mark.parametrize("at_ms", [AT, None])
def test_a_wakeup_that_has_fired_is_not_to_come(at_ms: int | None) -> None:
    assert observe(*wakeup(), fired(at_ms)).wakeup is None


@pytest.mark.parametrize(
    "line",
    [
        fired(LATER),  # an earlier one that sat in the queue
        fired(state="queued"),
        fired(wakeup_source="schedule_wakeup"),
        {"type": "command_lifecycle", "state": "started"},  # a message of another session
        fired(at_ms=True),
    ],
)
def test_a_wakeup_is_not_taken_for_fired_by_another_line(line: Line) -> None:
    assert observe(*wakeup(), line).wakeup is not None


def test_one_planned_after_the_first_has_fired_is_to_come() -> None:
    planned = observe(*wakeup(), fired(), *wakeup("again", LATER, "toolu_2"))
    assert planned.wakeup is not None
    assert planned.wakeup.at_ms == LATER


def test_a_job_is_known_by_its_schedule_and_prompt() -> None:
    planned = observe(*job(), *job("2004fefd", "toolu_3", durable=True))
    schedule = "Every Monday at 9:00 AM"
    assert list(planned.jobs.values()) == [
        Job("d73b9223", schedule, "weekly report", expression="0 9 * * 1"),
        Job("2004fefd", schedule, "weekly report", kept=True, expression="0 9 * * 1"),
    ]
    assert not planned.replaces


def test_a_job_without_words_for_its_schedule_shows_the_expression() -> None:
    planned = observe(call("CronCreate", cron="0 9 * * 1", prompt="p"), answer({"id": "x"}))
    assert planned.jobs == {"x": Job("x", "0 9 * * 1", "p", expression="0 9 * * 1")}


def test_a_job_that_is_deleted_is_gone() -> None:
    planned = observe(*job(), call("CronDelete", "toolu_3", id="d73b9223"), answer({"id": "d73b9223"}, "toolu_3"))
    assert planned.jobs == {}


def test_a_job_that_could_not_be_deleted_stays() -> None:
    error = answer("Error: No scheduled job with id 'd73b9223'", "toolu_3", is_error=True)
    planned = observe(*job(), call("CronDelete", "toolu_3", id="d73b9223"), error)
    assert (list(planned.jobs), planned.deleted) == (["d73b9223"], {"d73b9223"})


@pytest.mark.parametrize("at_ms", [None, "soon", True, -1, 0, 10**18, [], float("nan"), float("inf")])
def test_a_moment_that_cannot_be_one_plans_nothing(at_ms: object) -> None:
    assert observe(call("ScheduleWakeup", prompt="x"), answer({"scheduledFor": at_ms})).wakeup is None


@pytest.mark.parametrize("prompt", [None, 5, ["x"]])
def test_a_prompt_that_is_no_text_plans_nothing(prompt: object) -> None:
    assert observe(call("ScheduleWakeup", prompt=prompt), answer({"scheduledFor": AT})).wakeup is None


def test_texts_and_numbers_of_entries_are_bounded() -> None:
    planned = observe(call("ScheduleWakeup", prompt="x" * 10**6, reason="y" * 10**6), answer({"scheduledFor": AT}))
    assert planned.wakeup is not None
    assert (len(planned.wakeup.prompt), len(planned.wakeup.reason)) == (PROMPT_CHARS, TEXT_CHARS)
    lines = [line for number in range(MAX_ENTRIES + 50) for line in job(f"job{number}", f"toolu_{number}")]
    assert len(observe(*lines).jobs) == MAX_ENTRIES
    unanswered = [call("CronCreate", f"toolu_{number}") for number in range(MAX_ENTRIES + 50)]
    late = [answer({"id": f"job{number}"}, f"toolu_{number}") for number in range(MAX_ENTRIES + 50)]
    assert len(observe(*unanswered, *late).jobs) == MAX_ENTRIES


@pytest.mark.parametrize(
    ("prompt", "body", "raw"),
    [
        ("check the build", "check the build", True),
        (" look at @notes.txt ", " look at @notes.txt ", True),
        ("/loop check the build", "/loop check the build", True),
        ("/loop", "/loop", True),
        ("<<autonomous-loop-dynamic>>", "/loop", True),
        ("<<autonomous-loop>>\n", "/loop", True),
        ("/compact", "/compact", False),
        (" /clear", "/clear", False),
        ("/looper x", "/looper x", False),
        ("", "look again", True),
    ],
)
def test_a_wakeup_becomes_what_claude_would_have_given_to_itself(prompt: str, body: str, raw: bool) -> None:
    assert Wakeup("toolu_1", prompt, AT, "look again").message() == (body, raw)


def test_a_wakeup_without_any_words_has_a_body() -> None:
    assert Wakeup("toolu_1", " ", AT, "").message() == ("Wake up.", True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ODD_LINES = st.fixed_dictionaries(
    {"type": st.sampled_from(["assistant", "user", "command_lifecycle"]) | JSON},
    optional={
        "message": JSON | st.fixed_dictionaries({"content": st.lists(JSON, max_size=2)}),
        "tool_use_result": JSON,
        "state": JSON | st.just("started"),
        "wakeup_source": JSON | st.just("loop_wakeup"),
        "scheduled_for": JSON,
    },
)


@given(st.lists(ODD_LINES, max_size=5), JSON, JSON)
def test_odd_shapes_are_never_an_error(lines: list[Line], result: object, name: str) -> None:
    observe(*wakeup(), *lines, call("ScheduleWakeup", name, prompt=result), answer(result, name), call(name, "x"))

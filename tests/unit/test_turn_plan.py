"""The plan of a turn: its command lines, its prompt and the event that announces it."""

from dataclasses import replace
from pathlib import Path

import pytest

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.session import Session
from hyperhive_cli.agent.turn_plan import TurnPlan, compact_command, prompt_of, turn_start
from hyperhive_cli.claude.argv import HOOK_EVENTS_FLAG, Launch
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.store.messages import Message

MESSAGE = Message(7, None, "bob", "do it", False, "leased", 2, 3, False, 0, None, 1, 1, "u")
PLAN = TurnPlan(Launch(("claude",)), "opus", Session("s-1"), TurnLimits(), prompt="go", message=MESSAGE)


@pytest.mark.parametrize(
    ("plan", "has", "has_not"),
    [
        (PLAN, "--resume=s-1", "--continue"),
        (replace(PLAN, session=Session()), "--model=opus", "--resume=s-1"),
        (replace(PLAN, session=Session(), continues_newest=True), "--continue", "--resume=s-1"),
        (replace(PLAN, limits=TurnLimits(cost_usd=2.0)), "--max-budget-usd=2.000000", "--continue"),
        (PLAN, HOOK_EVENTS_FLAG, "--continue"),
        (replace(PLAN, launch=replace(PLAN.launch, hook_events=False)), "--resume=s-1", HOOK_EVENTS_FLAG),
    ],
    ids=["a session", "a new one", "the newest", "a cap", "hook events", "no hook events"],
)
def test_both_command_lines_follow_from_the_plan(plan: TurnPlan, has: str, has_not: str) -> None:
    for argv in (plan.argv(), plan.argv(waits=True)):
        assert has in argv
        assert has_not not in argv


def test_a_claude_that_waits_differs_only_in_how_it_gets_its_prompt() -> None:
    assert [word for word in PLAN.argv(waits=True) if word not in PLAN.argv()] == ["--input-format"]


def test_a_run_is_given_the_plan_and_the_configuration() -> None:
    config = AgentConfig(PLAN.launch, Path("/w"), {"HOME": "/h"}, expect_auth="none", kept=(5,))
    request = replace(PLAN, limits=TurnLimits(tokens=9)).request(config)
    assert (request.argv, request.prompt, request.workspace) == (PLAN.argv(), b"go", Path("/w"))
    assert (request.session_id, request.expect_auth, request.kept) == ("s-1", "none", (5,))
    assert (request.environment, request.turn_limits.tokens) == ({"HOME": "/h"}, 9)


@pytest.mark.parametrize(
    ("prompt", "asked"), [("do it", "s-1"), ("/clear", None), (" \n/compact", None)], ids=["text", "/clear", "/compact"]
)
def test_a_command_may_start_another_session_than_the_one_asked_for(prompt: str, asked: str | None) -> None:
    request = replace(PLAN, prompt=prompt).request(AgentConfig(PLAN.launch, Path("/w"), {}))
    assert request.new_evidence().asked_session == asked


@pytest.mark.parametrize(("acted", "is_told"), [(True, True), (False, False)])
def test_a_prompt_tells_of_an_earlier_attempt_only_if_that_has_acted(acted: bool, is_told: bool) -> None:
    prompt = prompt_of(MESSAGE._replace(acted=acted))
    assert prompt.endswith("Message from bob:\n\ndo it")
    assert prompt.startswith("Message from") is not is_told


def test_a_compaction_takes_instructions_or_none() -> None:
    assert [compact_command(text) for text in (None, "", "keep names")] == [
        "/compact",
        "/compact",
        "/compact keep names",
    ]


def test_the_start_of_a_turn_is_announced_without_secrets() -> None:
    start = turn_start(3, MESSAGE, "", unread=1, model="opus", redact=str.upper)
    assert (start.turn_id, start.message_id, start.attempt, start.unread) == (3, 7, 2, 1)
    assert (start.sender, start.body, start.model) == ("bob", "DO IT", "opus")
    compaction = turn_start(4, None, "/compact", unread=0, model="opus", redact=str.upper)
    assert (compaction.sender, compaction.body, compaction.message_id) == ("hyperhive", "/COMPACT", None)
    assert compaction.attempt == 1

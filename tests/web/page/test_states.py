"""The now bar: each state that an agent can be in, reached by a real harness, with its words and the one way out."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from tests.conftest import FakeClaude, Step, wait_until
from tests.harness import BAD_MODEL, INIT, TEXT, Hive, gated
from tests.process.world import FOREVER, limited, refused, replay, total
from tests.web.page.browser import Window, gateway, open_window

RETRY: Step = {
    "line": {
        "type": "system", "subtype": "api_retry", "attempt": 6, "max_retries": 10, "retry_delay_ms": 60_000,
        "error_status": 529, "error": "overloaded",
    }
}  # fmt: skip
TOOL: Step = {
    "line": {
        "type": "assistant",
        "message": {"content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "pytest -q"}}]},
    }
}


class State(NamedTuple):
    """How an agent gets into a state, and what its now bar then says."""

    turns: Callable[[], list[list[Step]]]  # of claude, one for each message
    title: str
    more: str  # that the bar says too
    mark: str
    actions: tuple[str, ...]
    wash: str = ""
    messages: int = 1
    arguments: tuple[str, ...] = ()


STATES = {
    "thinking": State(lambda: [gated()], "Thinking", "0:0", "running", ("Cancel turn",)),
    "tool": State(lambda: [[INIT, TOOL, FOREVER]], "Bash", "pytest -q", "running", ("Cancel turn",)),
    "retrying": State(lambda: [[INIT, RETRY, FOREVER]], "Overloaded", "retry 6 of 10", "wait", ("Cancel turn",)),
    "rate limited": State(
        lambda: [limited(int(time.time()) + 4_320)], "Rate limited until", "1 h 1", "wait", ("Try now",)
    ),
    "backing off": State(lambda: [refused(529)], "Overloaded", "trying again in", "wait", ("Try now",)),
    "login": State(
        lambda: [replay("not_logged_in")],
        "Needs login", "1 message waits and runs once you log in", "need", ("Log in",), "need",
    ),
    "budget": State(
        lambda: [total(10.04, "2.1.330")],
        "budget is used up", "$10.04 of $10", "need", ("Raise to $15", "Other…"), "need", 2,
        ("--max-day-cost", "10"),
    ),
    "model": State(
        lambda: [BAD_MODEL], "Failed: the model is not available", "", "failed", ("Choose a model",), "failed"
    ),
    "failed": State(
        lambda: [replay("credit_low")], "Failed: Credit balance", "", "failed", ("Try again",), "failed"
    ),
}  # fmt: skip


def check_now(window: Window, state: State) -> None:
    """Wait for the words of a state, and check its mark, its wash and what can be done."""
    window.wait_text(".now .title", state.title)
    window.wait_text(".now", state.more)
    assert window.page.locator(".now .st").get_attribute("class") == f"st {state.mark}"
    assert (window.page.locator(".now").get_attribute("class") or "").removeprefix("now").strip() == state.wash
    assert tuple(window.page.locator(".now button").all_inner_texts()) == state.actions


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", STATES)
def test_each_state_of_a_harness_has_its_words_and_its_way_out(
    name: str, browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    state = STATES[name]
    fake_claude.script(*state.turns())
    texts = [word for number in range(state.messages) for word in ("--message", f"message {number}")]
    with hive.run(*state.arguments, *texts), gateway(hive) as url, open_window(browser, hive, url) as window:
        check_now(window, state)
        assert window.axe() == []


@pytest.mark.exhaustive
def test_the_budget_is_raised_where_it_is_said_to_be_used_up(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(total(10.04, "2.1.330"), total(15.04, "2.1.330"), total(0.1, "2.1.330"))
    texts = [word for text in ("one", "two", "three") for word in ("--message", text)]
    with (
        hive.run("--max-day-cost", "10", *texts) as program,
        gateway(hive) as url,
        open_window(browser, hive, url) as window,
    ):
        window.expected = ("status of 4",)  # what is refused on purpose
        window.page.get_by_role("button", name="Raise to $15").click()
        program.wait_for_kind("turn_end", turn_id=2)
        window.wait_text(".now", "of $15")
        window.page.get_by_role("button", name="Other…").click()
        amount = window.page.locator(".sheet input[name=amount]")
        amount.fill("12")
        amount.press("Enter")
        window.wait_text(".sheet [role=alert]", "already")
        amount.fill("40")
        amount.press("Enter")
        program.wait_for_kind("turn_end", turn_id=3)
        window.wait_text(".now .title", "Idle")
        window.wait_text(".today .spent", "of $40")


def test_the_bar_follows_an_agent_through_its_day(browser: Browser, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), gated("never"), TEXT)
    with ExitStack() as server:
        url = server.enter_context(gateway(hive))
        with hive.run() as program, open_window(browser, hive, url) as window:
            window.wait_text(".now .title", "Idle")
            window.wait_text(".now", "No turn yet")
            window.say("one")
            window.wait_text(".now .title", "Thinking")
            window.say("/pause")
            window.wait_text(".now .title", "Paused")
            fake_claude.touch("go on")
            program.wait_for_kind("turn_end", outcome="ok")
            window.page.locator(".pause-b", has_text="Resume").click()
            window.wait_text(".now .title", "Idle")
            window.say("two")
            cancel = window.page.get_by_role("button", name="Cancel turn")
            cancel.click()
            window.wait_text(".now .sure", "Cancel")
            assert window.page.evaluate("() => document.activeElement.textContent") == "Keep it running"
            window.page.keyboard.press("Enter")
            cancel.click()
            window.page.get_by_role("button", name="Yes, cancel").click()
            program.wait_for_kind("turn_end", outcome="cancelled")
            window.wait_text(".now .title", "Idle")
            program.interrupt()
            window.wait_text(".now .title", "Stopped")
            window.wait_text(".now", "Messages are kept and run at the next start")
            assert window.field.get_attribute("placeholder") == "Message workspace: it is read at the next start"
            window.expected = ("net::ERR_", "Failed to load")
            server.close()
            window.wait_text(".now.stale .title", "Disconnected from the panel")
            window.wait_text(".now.stale", "What you see is from")
            wait_until(lambda: window.page.locator(".now [data-verb=reconnect]").count())

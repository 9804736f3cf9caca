"""The page's link to the server in a real browser: many tabs, lost answers, frozen and killed programs."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, Page, Route

from tests.conftest import FakeClaude, wait_until
from tests.harness import TEXT, Hive, Program, gated
from tests.web.page.browser import Window, gateway, open_window
from tests.web.page.test_hub import with_and_without_workers

TABS = 8  # more than a browser has connections to one server
LOST = ("Failed to load resource", "net::ERR_")
MESSAGES = "**/api/messages"


def open_tab(window: Window, url: str) -> Page:
    page = window.page.context.new_page()
    page.goto(url)
    page.locator("body[data-phase=live]").wait_for()
    return page


def bodies(hive: Hive) -> list[str]:
    """Return the text of each message that the inbox has ever had."""
    return [message["body"] for message in hive.messages("--all")]


@with_and_without_workers
def test_many_tabs_are_live_over_one_stream_and_a_turn_can_be_cancelled_from_the_last(
    script: str, browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(gated(), TEXT)
    with (
        hive.run() as program,
        gateway(hive) as url,
        open_window(browser, hive, url, script=script) as window,
    ):
        window.wait_live()
        tabs = [window.page, *(open_tab(window, url) for _ in range(TABS - 1))]
        window.say("hello")
        fake_claude.wait_for("before go on")
        tabs[-1].locator(".now [data-verb=cancel]").click()
        tabs[-1].locator(".now [data-verb=yes]").click()
        program.wait_for_kind("turn_end", outcome="cancelled")
        for tab in tabs:
            tab.locator(".foot", has_text="cancelled").wait_for()
        for tab in tabs[1:]:
            tab.close()
        window.say("and again")
        program.wait_for_kind("turn_end", outcome="ok")
        window.wait_text(".feed", "Hello!")
        window.check_rows()


def reload(window: Window, _: str) -> Window:
    window.page.reload()
    return window


def open_another(window: Window, url: str) -> Window:
    """Close the page, as a crash would, and open one that knows nothing of it."""
    window.page.close()
    window.page = window.page.context.new_page()
    window.page.goto(url)
    return window


def lose_answer(route: Route) -> None:
    """Let the message be written, and lose the answer, unless the page leaves before."""
    with suppress(Error):  # of a request that went with its page
        route.fetch()
        route.abort()


def hang(_: Route) -> None:
    """Let the request never arrive."""


@pytest.mark.parametrize("leave", [reload, open_another], ids=["a reload", "a closed page"])
@pytest.mark.parametrize("trouble", [lose_answer, hang], ids=["the answer is lost", "it never arrived"])
def test_a_text_that_was_not_acknowledged_runs_once_after(
    trouble: Callable[[Route], None],
    leave: Callable[[Window, str], Window],
    browser: Browser,
    hive: Hive,
    fake_claude: FakeClaude,
) -> None:
    fake_claude.script(TEXT, TEXT)
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.expected = LOST
        window.wait_live()
        window.page.route(MESSAGES, trouble)
        with window.page.expect_request(MESSAGES):
            window.say("once")
        window.page.locator(".reply", has_text="ing").wait_for()  # Sending…, or trying again in 1 s
        if trouble is lose_answer:
            wait_until(lambda: bodies(hive) == ["once"])
        window.page.unroute(MESSAGES)
        leave(window, url)
        window.wait_live()
        window.say("another")
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["turn_id"] == 2)
        assert bodies(hive) == ["once", "another"]
        window.page.locator(".reply", has_text="Message 2 is in the inbox").wait_for()
        assert window.page.evaluate("() => Object.keys(localStorage).filter((key) => key.includes('outbox'))") == []
        window.check_rows()


def test_what_was_typed_is_there_after_a_reload_and_a_sent_text_comes_back_with_a_key(
    browser: Browser, hive: Hive
) -> None:
    """For an agent that is stopped, which still takes messages."""
    hive.call("send", "before")
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        window.say("kept in the inbox")
        window.wait_text(".inbox", "kept in the inbox")
        assert bodies(hive) == ["before", "kept in the inbox"]
        window.field.press("ArrowUp")
        assert window.field.input_value() == "kept in the inbox"
        window.field.fill("half a thought")
        window.page.reload()
        window.wait_live()
        assert window.field.input_value() == "half a thought"
        other = open_tab(window, url)
        assert other.locator("#message").input_value() == "half a thought"


@contextmanager
def frozen(program: Program) -> Iterator[None]:
    program.send(signal.SIGSTOP)
    try:
        yield
    finally:
        program.send(signal.SIGCONT)


def test_a_harness_that_is_frozen_is_told_and_goes_on(browser: Browser, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.constants = {"web.local.ASK_AGAIN_S": 0.1, "web.local.ANSWER_LIMIT_S": 0.5}
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        with frozen(program):
            window.wait_text(".now.failed", "is stopped")
        window.wait_text(".now", "Idle")
        window.say("hello")
        program.wait_for_kind("turn_end", outcome="ok")
        window.wait_text(".feed", "Hello!")
        window.check_rows()


@pytest.mark.exhaustive
def test_a_gateway_that_is_frozen_is_told_and_nothing_is_lost(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT, TEXT)
    with (
        hive.run() as program,
        hive.start("web", "--json", "--bind", "127.0.0.1:0") as panel,
        open_window(browser, hive, panel.wait_for(lambda found: "url" in found)["url"]) as window,
    ):
        window.expected = LOST
        window.wait_live()
        with frozen(panel):
            window.wait_text(".now.stale", "The server does not answer")
            window.say("hello")
            window.wait_text(".reply", "No answer for")
            hive.call("send", "from elsewhere")
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["turn_id"] == 2)
        window.wait_live()
        window.check_rows()
        assert sorted(bodies(hive)) == ["from elsewhere", "hello"]


def test_a_gateway_and_a_harness_that_are_killed_are_found_again(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT, TEXT, TEXT)
    with ExitStack() as programs:
        panel = programs.enter_context(hive.start("web", "--json", "--bind", "127.0.0.1:0"))
        url: str = panel.wait_for(lambda found: "url" in found)["url"]
        harness = programs.enter_context(hive.run("--message", "one"))
        with open_window(browser, hive, url) as window:
            window.expected = LOST
            window.wait_live()
            harness.wait_for_kind("turn_end", outcome="ok")
            window.check_rows()
            panel.send(signal.SIGKILL)
            window.wait_text(".now.stale", "Disconnected")
            window.say("written meanwhile")
            programs.enter_context(hive.start("web", "--json", "--bind", f"127.0.0.1:{urlsplit(url).port}"))
            window.wait_live()
            harness.wait_for(lambda event: event["kind"] == "turn_end" and event["turn_id"] == 2)
            harness.send(signal.SIGKILL)
            window.wait_text(".now", "Stopped")
            window.say("for the next start")
            wait_until(lambda: bodies(hive)[-1] == "for the next start")
            harness = programs.enter_context(hive.run())
            harness.wait_for(lambda event: event["kind"] == "turn_end" and event["turn_id"] == 3)
            window.wait_text(".now", "Idle")
            window.check_rows()
            assert bodies(hive) == ["one", "written meanwhile", "for the next start"]

"""The frame of the page: palette, keys, switcher, bell, message field and overview, mostly with the keyboard alone."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product

import pytest
from playwright.sync_api import Browser

from tests.conftest import FakeClaude, Step, wait_until
from tests.harness import TEXT, Hive, Program, gated
from tests.process.world import limited, replay, total
from tests.web.page.browser import PHONE, Window, gateway, open_window
from tests.web.page.test_panel import Everyone, overflowing


def active(window: Window) -> str:
    """Return what the list that is used now has as its active option."""
    text: str = window.page.evaluate(
        "() => document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.innerText ?? ''"
    )
    return text


def focus(window: Window) -> str:
    name: str = window.page.evaluate("() => document.activeElement.id || document.activeElement.className")
    return name


def test_everything_can_be_done_with_the_keyboard_alone(browser: Browser, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, gated("never"))
    hive.drain("--message", "one")
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.expected = ("status of 404", "status of 400")  # of a turn that does not exist, and an open quote
        window.wait_text(".now .title", "Idle")
        keys = window.page.keyboard
        the_palette(window)
        the_search(window)
        the_single_keys(window)
        the_field(window)
        keys.press("Control+Enter")
        fake_claude.wait_for("before never")
        window.wait_text(".now .title", "Thinking")
        keys.press("Escape")  # leaves the field
        keys.type("gx")
        window.wait_text(".now .sure", "Cancel turn 2?")
        keys.press("Shift+Tab")
        keys.press("Enter")
        program.wait_for_kind("turn_end", outcome="cancelled")


def the_palette(window: Window) -> None:
    keys = window.page.keyboard
    keys.press("Control+k")
    window.wait_text(".palette .cmd", "Turn 1")
    assert active(window).startswith("Pause")
    keys.press("ArrowUp")
    assert active(window).startswith("Turn 1")
    keys.press("ArrowDown")
    assert active(window).startswith("Pause")
    keys.type("xyz")
    assert active(window) == "Search all messages and output for “xyz”"
    keys.press("Escape")
    window.page.locator(".palette").wait_for(state="hidden")
    keys.press("Control+k")
    keys.type("pau")
    assert window.text(".palette mark") == "Pau"
    keys.press("Enter")
    window.wait_text(".now .title", "Paused")
    keys.press("Control+k")
    keys.type("as json")
    with window.page.expect_download() as saved:
        keys.press("Enter")
    assert saved.value.suggested_filename.endswith(".jsonl")
    assert '"kind":"turn_end"' in saved.value.path().read_text()
    keys.press("Control+k")
    keys.type("turn 1")
    keys.press("Enter")
    assert window.page.evaluate("() => location.pathname").endswith("/turns/1")
    window.page.locator(".turn:focus").wait_for()
    window.page.reload()
    window.page.locator(".turn:focus").wait_for()
    keys.press("Control+k")
    keys.type("77")
    keys.press("Enter")
    window.wait_text(".reply", "Turn 77 is not in the history")


def the_search(window: Window) -> None:
    keys = window.page.keyboard
    keys.press("Control+k")
    keys.type("on*")
    keys.press("Enter")
    window.wait_text(".hit mark", "on")
    assert window.axe() == []
    window.wait_text(".search .aside", "1 of")
    window.page.locator(".chipb", has_text="Messages 1").click()
    assert window.text(".hit b") == "operator"
    window.page.locator(".search input").press("Enter")
    window.page.locator(".search").wait_for(state="hidden")
    window.page.locator(".is-found", has_text="one").wait_for()
    window.page.evaluate("() => document.activeElement.blur()")
    keys.type("gs")
    window.page.locator(".search input:focus").wait_for()
    assert window.page.locator(".search input").input_value() == "on*"
    keys.type("nothing-of-it")
    window.wait_text(".search-words", "Nothing found.")
    keys.type('"')
    window.wait_text(".search-words", "A quoted phrase does not end")
    keys.press("Escape")
    window.page.locator(".search").wait_for(state="hidden")


def the_single_keys(window: Window) -> None:
    keys = window.page.keyboard
    keys.type("gp")
    window.wait_text(".now .title", "Idle")
    keys.press("?")
    switch = window.page.locator(".keys-sheet .switch")
    switch.focus()
    keys.press("Space")
    keys.press("Escape")
    keys.press("m")
    assert focus(window) != "message"
    window.page.evaluate("() => localStorage.removeItem('hyperhive-single-keys')")
    keys.press("m")
    assert focus(window) == "message"
    assert window.field.input_value() == ""


def the_field(window: Window) -> None:
    keys = window.page.keyboard
    keys.press("/")
    assert active(window).startswith("/model")
    keys.press("ArrowUp")
    assert active(window).startswith("/help")
    keys.press("Escape")
    assert window.page.locator(".menu.commands").is_hidden()
    assert focus(window) == "message"
    keys.press("Escape")
    assert focus(window) != "message"
    window.field.fill("a draft\nof two lines")
    window.page.reload()
    window.wait_live()
    assert window.field.input_value() == "a draft\nof two lines", "a draft survives a reload"
    window.field.fill("first")
    keys.press("Alt+t")
    window.page.locator(".later .item", has_text="In an hour").press("Enter")
    window.wait_text(".reply", "runs at")
    keys.press("ArrowUp")
    assert window.field.input_value() == "first"
    keys.press("ArrowDown")
    assert window.field.input_value() == ""
    window.field.fill("second")


@contextmanager
def many_agents(hive: Hive, fake_claude: FakeClaude, turns: dict[str, list[Step]]) -> Iterator[dict[str, Program]]:
    """Run agents with a message each, one after the other, so that each plays its own turn."""
    everyone = everyone_of(hive)
    fake_claude.script(*turns.values())
    with ExitStack() as stack:
        running = {}
        for name in turns:
            limits = ("--max-day-cost", "10", "--message", "more")
            words = ("run", "--json", "--claude", str(hive.claude), "--message", "one", *limits)
            running[name] = stack.enter_context(everyone.start("-a", name, *words))
            running[name].wait_for_kind("turn_start")
        yield running


def everyone_of(hive: Hive) -> Everyone:
    return Everyone(hive.workspace, hive.state_dir, hive.claude, hive.environment, hive.forkserver)


def test_the_overview_is_a_list_in_the_order_in_which_agents_need_someone(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    turns = {
        "busy": gated("never"),
        "miller": total(10.04, "2.1.330"),
        "porter": replay("not_logged_in"),
        "scout": limited(int(time.time()) + 4_000),
    }
    with (
        many_agents(hive, fake_claude, turns),
        gateway(everyone_of(hive)) as url,
        open_window(browser, hive, url) as window,
    ):
        window.wait_text(".tally h1", "2 agents need you")
        rows = window.page.locator(".ag-row .name")
        assert rows.all_inner_texts() == ["miller", "porter", "busy", "scout"]
        assert window.page.locator(".group").all_inner_texts() == [
            "Needs you\n2",
            "Running\n1",
            "Waiting, goes on by itself\n1",
        ]
        assert window.page.title() == "(2) hyperhive"
        colours = "(bars) => new Set(bars.map((bar) => getComputedStyle(bar).backgroundColor)).size"
        assert window.page.locator(".strip i").evaluate_all(colours) == 2, "what was ok, and what waited"
        assert window.page.evaluate("document.activeElement.tagName") == "BODY", "nothing takes the focus by itself"
        assert "icon-need" in (window.page.locator("link[rel=icon]").get_attribute("href") or "")
        assert window.page.locator(".bell").get_attribute("data-n") == "2"
        assert window.axe() == []
        window.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert overflowing(window.page.locator("body")) == []
        the_switcher(window)


def the_switcher(window: Window) -> None:
    """From the overview to an agent, and to the next one, with the keyboard."""
    window.page.set_viewport_size({"width": 1280, "height": 800})
    keys = window.page.keyboard
    window.page.get_by_role("link", name="scout").focus()
    keys.press("Enter")
    window.wait_text(".now .title", "Rate limited until")
    window.page.locator("button.agent").press("Enter")
    window.wait_text(".switcher .cmd", "miller")
    assert window.page.locator(".switcher .cmd b").all_inner_texts() == ["miller", "porter", "busy", "scout"]
    keys.type("port")
    assert active(window).startswith("porter")
    keys.press("Enter")
    window.wait_text(".now .title", "Needs login")
    assert window.page.locator(".bell").get_attribute("data-n") == "2"
    keys.type("gn")
    window.wait_text(".now .title", "budget is used up")
    keys.type("ga")
    window.wait_text(".tally h1", "2 agents need you")


@pytest.mark.exhaustive
def test_a_notification_is_shown_only_if_it_was_asked_for(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    shown = "() => (window.shown ??= [])"
    listen = """() => {
        const Real = window.Notification;
        window.shown = [];
        document.hasFocus = () => false;  // someone looks at another window
        window.Notification = class extends Real {  // a browser without a window never grants it
            static get permission() { return "granted"; }
            static async requestPermission() { return "granted"; }
            constructor(title, options) { super(title, options); window.shown.push([title, options.body]); }
        };
    }"""
    fake_claude.script(TEXT, replay("not_logged_in"))
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_text(".now .title", "Idle")
        window.page.evaluate(listen)
        window.page.locator(".bell").click()
        window.page.get_by_role("switch", name="has nothing left to do").click()
        window.page.keyboard.press("Escape")
        window.say("one")
        program.wait_for_kind("turn_end", outcome="ok")
        window.page.locator(".bell").click()
        window.page.get_by_role("switch", name="Also as a system notification").click()
        stored = window.page.evaluate("() => localStorage.getItem('hyperhive-notify')")
        assert json.loads(stored)["system"] is True
        assert window.page.evaluate(shown) == []
        window.page.keyboard.press("Escape")
        window.say("two")
        wait_until(lambda: ["workspace", "Needs login"] in window.page.evaluate(shown))


SIZES = [(1440, 900), (390, 844), (320, 640), (720, 450), (360, 225)]  # the last two: 1440x900 at 200 % and at 400 %


@pytest.mark.exhaustive
def test_no_size_of_the_pages_around_an_agent_has_a_fault_of_accessibility_or_is_too_wide(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    """The overview, the page without a token, that of a wrong address, and that of an agent that is not there."""
    turns = {"busy": gated("never"), "a-name-that-is-rather-long": replay("not_logged_in")}
    with many_agents(hive, fake_claude, turns), gateway(everyone_of(hive)) as url:
        start = url.partition("#")[0]
        pages = {
            url: ".ag-row.needs",
            f"{start}agents/hornet": "body[data-phase=gone]",
            f"{start}agent/bee": ".alone",
            f"{start}#token={'x' * 43}": ".token-form",
        }
        with open_window(browser, everyone_of(hive), url) as window:
            window.expected = ("status of 40",)
            for address, shown in pages.items():
                window.page.goto("about:blank")
                window.page.goto(address)
                window.page.locator(shown).first.wait_for()
                for size in SIZES:
                    window.page.set_viewport_size({"width": size[0], "height": size[1]})
                    assert window.axe() == [], (address, size)
                    assert overflowing(window.page.locator("body")) == [], (address, size)
                window.page.emulate_media(color_scheme="dark")
                assert window.axe("color-contrast") == [], address
                window.page.emulate_media(color_scheme="light")


@pytest.mark.exhaustive
def test_no_size_of_the_page_has_a_fault_of_accessibility_or_is_too_wide(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    """The colours of the dark page are the same in each size."""
    tools: list[Step] = [{"replay": "v2.1.330/tools.jsonl", "session_id": "from_argv"}]
    fake_claude.script(tools, gated())
    hive.drain("--message", "one")
    looks = [*product(SIZES, ["light"]), *product(SIZES[:2], ["dark"])]
    with hive.run("--message", "two"), gateway(hive) as url:
        for size, scheme in looks:
            rules = ("color-contrast",) if scheme == "dark" else ()
            with open_window(browser, hive, url, size, scheme=scheme) as window:
                window.wait_text(".now .title", "Thinking")
                for part in ("inbox", "usage", "talk") if size[0] < 1088 else ("",):
                    if part:
                        window.page.locator(f".tabs [data-part={part}]").click()
                    assert window.axe(*rules) == [], (size, scheme, part)
                    assert overflowing(window.page.locator("body")) == [], (size, part)
                for opener in (".bell", "button.agent", ".later-b"):
                    window.page.locator(opener).click()
                    assert window.axe(*rules) == [], (size, scheme, opener)
                    assert overflowing(window.page.locator("body")) == [], (size, opener)
                    window.page.keyboard.press("Escape")
                window.page.locator(".feed").focus()
                for key in ("Control+k", "?"):
                    window.page.keyboard.press(key)
                    assert window.axe(*rules) == [], (size, scheme, key)
                    window.page.keyboard.press("Escape")

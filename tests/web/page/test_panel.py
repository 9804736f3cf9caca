"""The panel's controls in a real browser: what an operator does without a terminal, with the keyboard, on a phone."""

import re
import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator

from tests.conftest import CHROMIUM, FakeClaude, wait_until
from tests.harness import BAD_REQUEST, SOURCE, TEXT, Hive, gated, outcomes
from tests.web.page.browser import NO_CHROMIUM, PHONE, Window, gateway, open_window

PAGE = "https://claude.ai/oauth/authorize?fake"
CODE = "the-code#its-state"


def test_each_control_does_what_the_command_line_does(browser: Browser, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), gated("never"), TEXT)
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.expected = ("status of 4", "status of 503")  # what is refused on purpose
        window.wait_live()
        the_model(window, hive)
        window.say("first")
        window.wait_text(".reply", "message 1 is in the inbox")
        fake_claude.wait_for("before go on")
        window.wait_text(".now .title", "Thinking")
        window.say("second\nof two lines")
        window.wait_text(".inbox li", "second")
        window.page.get_by_role("button", name="cancel message 2").click()
        wait_until(lambda: [one["state"] for one in hive.messages("--all")] == ["leased", "cancelled"])
        window.wait_text(".inbox-words", "Nothing waits.")
        window.say("/pause")
        window.wait_text(".now .title", "Paused")
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end", outcome="ok")
        window.say("third")
        window.wait_text(".inbox li", "third")
        assert outcomes(program.events()) == ["ok"]
        window.page.get_by_role("button", name="Resume").click()
        fake_claude.wait_for("before never")
        window.page.get_by_role("button", name="Cancel turn").click()
        window.page.get_by_role("button", name="Keep it running").click()
        window.page.get_by_role("button", name="Cancel turn").click()
        window.page.get_by_role("button", name="Yes, cancel").click()
        program.wait_for_kind("turn_end", outcome="cancelled")
        window.wait_text(".foot", "cancelled")
        window.say("/new")
        window.wait_text(".note", "the next turn starts a new session")
        window.say("//cancel")
        window.wait_text(".msg", "/cancel")
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["turn_id"] == 3)
        assert outcomes(program.events()) == ["ok", "cancelled", "ok"]
        assert hive.messages("--all")[-1]["body"] == "/cancel"
        window.wait_text(".charts dt", "2 ok, 1 cancelled")
        assert sum("/api/turns" in url for url in window.asked) <= 3  # one for each turn that has ended
        assert window.page.locator(".charts svg").count() == 4
        the_mistakes(window, hive)
        window.check_rows()


def the_model(window: Window, hive: Hive) -> None:
    window.say("/model sonnet")
    window.wait_text(".model", "sonnet")
    assert hive.status()["model"] == "sonnet"
    window.page.locator(".top .model").click()
    name = window.page.locator(".sheet input[name=model]")
    name.fill("--dangerous")
    name.press("Enter")
    window.wait_text(".sheet [role=alert]", "--dangerous")
    name.fill("opus")
    name.press("Enter")
    window.wait_text(".model", "opus")
    assert hive.status()["model"] == "opus"


def the_mistakes(window: Window, hive: Hive) -> None:
    """Refused input stays in the field, with the reason below it."""
    before = len(hive.messages("--all"))
    for typed, reason in {
        "/cancle": "Unknown command: /cancle",
        "/model": "needs one value",
        "/pause now": "no arguments",
    }.items():
        window.say(typed)
        window.wait_text(".reply", reason)
        assert window.field.input_value() == typed
    window.say("/cancel")
    window.wait_text(".reply.bad", "no turn")
    assert window.field.input_value() == "/cancel"
    assert len(hive.messages("--all")) == before


@pytest.mark.exhaustive
def test_a_dead_message_is_tried_again_and_a_compaction_is_waited_for(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    compact = [{"replay": "v2.1.330/compact.jsonl", "session_id": "from_argv"}]
    fake_claude.script(BAD_REQUEST, TEXT, compact)
    with hive.run("--message", "one") as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        program.wait_for_kind("turn_end", outcome="bad_request")
        window.wait_text(".queue.dead .why", "non-empty")
        window.page.get_by_role("button", name="Run again: message 1").click()
        program.wait_for_kind("turn_end", outcome="ok")
        window.wait_text(".inbox-words", "Nothing waits.")
        window.say("/compact")
        window.wait_text(".reply.fine", "compacted")
        window.wait_text(".divide", "Context compacted")
        window.check_rows()


@pytest.mark.exhaustive
def test_a_login_succeeds_from_the_page_and_the_page_updates_itself(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script([{"replay": "v2.1.330/not_logged_in.jsonl"}], TEXT, logged_in="file")
    with (
        hive.run("--message", "hi") as program,
        gateway(hive) as url,
        open_window(browser, hive, url) as window,
        open_window(browser, hive, url) as other,
    ):
        window.wait_text(".now .title", "Needs login")
        window.page.get_by_role("button", name="Log in").click()
        for each in (window, other):
            link = each.page.locator(".login-url")
            link.wait_for()
            assert (link.get_attribute("href"), link.get_attribute("rel")) == (PAGE, "noopener noreferrer")
        window.wait_text(".now .title", "Waiting for your login")
        code = window.page.locator(".login-form input")
        code.fill("half")
        code.press("Enter")
        window.page.locator(".login-output summary").click()
        window.wait_text(".login-output pre", "full code")
        code.fill(CODE)
        window.page.locator(".login-form").get_by_role("button", name="Log in").click()
        for each in (window, other):
            each.page.locator("section.login").wait_for(state="hidden")
            each.wait_text(".now .title", "Idle")
        program.wait_for_kind("turn_end", outcome="ok")
        assert CODE not in window.page.content() + other.page.content()
        # Revoked behind our back: the next turn finds out, and so does the page.
        (fake_claude.folder / "logged_in").unlink()
        fake_claude.script([{"replay": "v2.1.330/not_logged_in.jsonl"}], TEXT, logged_in="file")
        window.say("once more")
        other.wait_text(".now .title", "Needs login")
        window.page.locator(".now").get_by_role("button", name="Log in").click()
        window.page.locator(".login-cancel").click()
        window.wait_text(".login", "Not logged in: the login was cancelled.")
        window.check_rows()


def test_opening_the_login_page_joins_the_login_which_outlives_its_command(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    def clients() -> int:
        number: int = hive.status()["login"]["clients"]
        return number

    fake_claude.script(TEXT, logged_in="file")
    hive.constants = {"harness.login_session.CLIENT_GRACE_S": 0.0}
    with hive.run(), gateway(hive) as url, open_window(browser, hive, url) as window:
        with hive.start("login") as command:
            link = window.page.locator(".login-url")
            link.wait_for()
            assert clients() == 1  # a page that only shows it is none
            link.evaluate("link => { link.addEventListener('click', e => e.preventDefault()); link.click(); }")
            wait_until(lambda: clients() == 2)
            command.send(signal.SIGKILL)
            wait_until(lambda: clients() == 1)
        window.page.locator(".login-form input").fill(CODE)
        window.page.locator(".login-form").get_by_role("button", name="Log in").click()
        window.page.locator("section.login").wait_for(state="hidden")
        assert hive.status()["login"]["ok"] is True


def focused(window: Window) -> str:
    name: str = window.page.evaluate(
        "() => { const e = document.activeElement;"
        "return e.getAttribute('aria-label') || e.getAttribute('placeholder') || e.textContent.trim() || e.tagName }"
    )
    return name


@pytest.mark.exhaustive
def test_the_keyboard_reaches_and_does_everything(browser: Browser, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"replay": "v2.1.330/tools.jsonl", "session_id": "from_argv"}], gated())
    hive.drain("--message", "one\n\nof more lines" * 9)
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        window.wait_text(".call", "Bash")
        keys = window.page.keyboard
        seen = []
        for _ in range(60):
            keys.press("Tab")
            seen.append(focused(window))
            if seen[-1].startswith("Send"):
                break
        assert seen[0] == "Skip to the message field"
        model = next(name for name in seen if name.startswith("Model "))
        wanted = [model, "Pause workspace", "feed", "Message", seen[-1]]
        assert [name for name in seen if name in wanted] == wanted
        assert any("Bash" in name for name in seen), "a call is unfolded with the keyboard"
        window.page.locator(".call summary").first.focus()
        keys.press("Enter")
        window.page.locator(".call[open] pre").first.wait_for()
        window.page.set_viewport_size({"width": 1280, "height": 400})
        window.page.locator(".feed").focus()
        keys.press("Home")
        window.page.locator(".jump").wait_for()
        wait_until(lambda: window.page.locator(".feed").evaluate("(feed) => feed.scrollTop") == 0)  # it glides there
        keys.press("End")
        window.page.locator(".jump").wait_for(state="hidden")
        keys.press("/")
        assert window.page.locator(".menu.commands [role=option]").count() == 9
        keys.type("pau")
        keys.press("Tab")
        assert window.field.input_value() == "/pause"
        keys.press("Enter")
        window.wait_text(".now .title", "Paused")
        keys.type("/resume")
        keys.press("Enter")
        window.wait_text(".now .title", "Idle")
        keys.type("two")
        keys.press("Control+Enter")
        fake_claude.wait_for("before go on")
        window.wait_text(".announcer", "Turn started")
        assert window.page.locator("[role=log]").get_attribute("aria-live") == "off", "hundreds of rows a second"
        fake_claude.touch("go on")
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["turn_id"] == 2)
        window.wait_text(".announcer", "Turn ended: ok")


@pytest.mark.exhaustive
def test_there_are_no_serious_accessibility_faults_and_nothing_is_too_wide_for_a_phone(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    tools = [{"replay": "v2.1.330/tools.jsonl", "session_id": "from_argv"}]
    subagent = [{"replay": "v2.1.330/subagent.jsonl", "session_id": "from_argv"}]
    fake_claude.script(tools, subagent, [{"replay": "v2.1.330/partial.jsonl"}], BAD_REQUEST, logged_in="file")
    hive.drain(*(word for body in ("a", "b", "c", "x" * 300) for word in ("--message", body)))
    with hive.run(), gateway(hive) as url:
        for scheme in ("light", "dark"):
            with open_window(browser, hive, url, scheme=scheme) as window:
                window.wait_text(".charts dt", "Outcomes")
                window.page.locator(".feed details").first.locator("summary").click()
                assert window.axe() == []
        with open_window(browser, hive, url, PHONE) as window:
            window.wait_live()
            for tab in ("Feed", "Inbox", "Usage"):
                window.page.locator(".tabs").get_by_role("button", name=tab).click()
                assert overflowing(window.page.locator("body")) == []
                assert window.axe() == []
            wait_until(lambda: window.page.locator(".charts svg").count() == 4)
            window.page.locator(".tabs").get_by_role("button", name="Feed").click()
            window.say("/model " + "y" * 100)
            window.wait_text(".reply", "Model set")
            assert overflowing(window.page.locator("body")) == []
        with open_window(browser, hive, url) as window:
            colours = window.page.get_by_role("button", name=re.compile("Colours"))
            before = window.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
            colours.click()
            colours.click()
            assert colours.get_attribute("aria-label") == "Colours: dark"
            assert window.page.evaluate("() => getComputedStyle(document.body).backgroundColor") != before
            window.page.reload()
            assert window.page.locator("html").get_attribute("data-theme") == "dark"


def overflowing(body: Locator) -> list[str]:
    """Return the elements that extend beyond the edges of the window, except those that scroll."""
    found: list[str] = body.evaluate(
        "() => [...document.querySelectorAll('body *')].filter((e) => e.getClientRects().length"
        " && (e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)"
        " && !e.closest('pre, table, .unseen, .skip'))"
        ".map((e) => e.className || e.tagName)"
    )
    return found


class Everyone(Hive):
    """All agents of a home folder: commands do not name an agent unless told to."""

    def words(self, *arguments: str) -> list[str]:
        return [*arguments]


def test_several_agents_have_an_overview_and_a_wrong_token_opens_nothing(browser: Browser, hive: Hive) -> None:
    everyone = Everyone(hive.workspace, hive.state_dir, hive.claude, hive.environment, hive.forkserver)
    for name in ("bee", "wasp"):
        assert everyone.call("-a", name, "send", "hi", "--new").status == 0
    with gateway(everyone) as url, open_window(browser, hive, url) as window:
        window.expected = ("status of 401",)
        window.wait_text(".ag-row", "bee")
        assert window.page.locator(".ag-row .name").all_inner_texts() == ["bee", "wasp"]
        assert window.text(".tally h1") == "2 agents"
        assert window.axe() == []
        window.page.get_by_role("link", name="wasp").click()
        window.wait_text(".now .title", "Stopped")
        window.wait_text(".inbox li", "hi")
        assert window.text("h1") == "wasp"
        window.page.get_by_role("link", name="All agents").click()
        window.wait_text(".ag-row", "bee")
        window.page.evaluate("() => sessionStorage.clear()")
        window.page.reload()
        token = window.page.locator(".token-form input")
        token.fill("wrong")
        token.press("Enter")
        window.wait_text(".locked-error", "not this server")
        token = window.page.locator(".token-form input")
        token.fill(url.partition("#token=")[2])
        token.press("Enter")
        window.wait_text(".ag-row", "bee")


@pytest.mark.exhaustive
def test_a_missing_or_deleted_agent_is_reported_and_not_asked_for_again(browser: Browser, hive: Hive) -> None:
    everyone = Everyone(hive.workspace, hive.state_dir, hive.claude, hive.environment, hive.forkserver)
    for name in ("bee", "wasp"):
        assert everyone.call("-a", name, "send", "hi", "--new").status == 0
    (inbox,) = Path(hive.environment["HOME"]).rglob("wasp/hyperhive-inbox.sqlite")
    with gateway(everyone) as url, open_window(browser, hive, url) as window:
        window.expected = ("status of 404",)
        window.page.clock.install()
        window.page.goto(url.replace("/#", "/agents/hornet#"))
        window.wait_text(".now", "there is no agent 'hornet'")
        assert window.text(".now .title") == "Nothing to show"
        assert window.page.locator(".now [data-verb=reconnect]").is_visible()
        assert not window.field.is_visible(), "no one would read a message"
        asked = [url for url in window.asked if "hornet" in url]
        window.page.clock.run_for(60_000)
        assert [url for url in window.asked if "hornet" in url] == asked
        window.page.get_by_role("link", name="All agents").click()
        window.page.get_by_role("link", name="wasp").click()
        window.wait_live()
        shutil.rmtree(inbox.parent)
        window.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")  # it looks at once
        window.wait_text(".now", "there is no agent 'wasp'")
        assert everyone.call("-a", "wasp", "send", "anew", "--new").status == 0
        window.page.locator(".now [data-verb=reconnect]").click()
        window.wait_text(".inbox li", "anew")
        assert window.text(".now .title") == "Stopped"


@pytest.mark.exhaustive
def test_the_page_says_so_when_the_server_is_gone(browser: Browser, hive: Hive) -> None:
    hive.call("send", "hi")
    with ExitStack() as server:
        url = server.enter_context(gateway(hive))
        with open_window(browser, hive, url, PHONE) as window:
            window.wait_live()
            window.expected = ("net::ERR_", "Failed to load")
            server.close()
            window.wait_text(".now.stale", "Disconnected")
            assert "What you see is from" in window.text(".now")
            assert overflowing(window.page.locator("body")) == []


@pytest.mark.exhaustive
def test_the_example_takes_a_picture_of_the_panel(hive: Hive, fake_claude: FakeClaude) -> None:
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    fake_claude.script([{"replay": "v2.1.330/tools.jsonl"}])
    hive.drain("--message", "one")
    target = hive.workspace / "panel"
    example = str(SOURCE / "examples" / "panel.py")
    done = hive.program(sys.executable, example, str(target), *hive.command("web", "--bind", "127.0.0.1:0"))
    assert done.returncode == 0, done.stderr
    for name in ("panel.png", "panel-dark.png"):
        picture = (hive.workspace / name).read_bytes()
        assert (picture[:8], picture[16:24]) == (b"\x89PNG\r\n\x1a\n", (1280).to_bytes(4) + (800).to_bytes(4))
        assert (SOURCE / "examples" / name).stat().st_size <= 150_000

"""Getting into the page: the token of the address, of another tab, pasted, changed, refused."""

from playwright.sync_api import Browser, Page

from tests.conftest import wait_until
from tests.harness import Hive
from tests.web.page.browser import Window, gateway, open_window

WRONG, CHANGED = "That is not this server\u2019s token.", "This server has a new token."


def locked(page: Page, words: str = "") -> None:
    page.locator(".token-form").wait_for()
    if words:
        page.locator(".locked-error", has_text=words).wait_for()
    else:
        assert page.locator(".locked-error").is_hidden()


def live(page: Page) -> None:
    page.locator("body[data-phase=live]").wait_for()


def paste(page: Page, text: str) -> None:
    page.locator("#token").fill(text)
    page.locator("#token").press("Enter")


def refused(page: Page, text: str, words: str) -> None:
    """Paste what is no token: the form is shown again, empty. The words alone would be those of the last attempt."""
    paste(page, text)
    wait_until(lambda: page.locator("#token").input_value() == "")
    locked(page, words)


def bare(window: Window) -> str:
    return window.url.partition("#")[0]


def test_the_token_leaves_the_address_bar_and_reaches_other_tabs(browser: Browser, hive: Hive) -> None:
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        window.expected = ("status of 401",)
        window.wait_live()
        assert window.page.url == bare(window)
        other = window.page.context.new_page()
        other.goto(bare(window))  # typed in, without a token
        live(other)
        with window.page.context.expect_page() as followed:
            other.locator(".home").evaluate("link => link.dispatchEvent(new MouseEvent('click', {ctrlKey: true}))")
        live(followed.value)
        assert "token" not in followed.value.url
        other.goto(f"{bare(window)}#token=not-the-token")  # only the fragment changes: no new page
        other.wait_for_url(bare(window))
        live(other)  # by the token of the tabs beside it
        assert all("token=" not in one.partition("#")[0] for one in window.asked)


def test_a_wrong_token_leaves_the_address_bar_too_and_a_pasted_address_opens(browser: Browser, hive: Hive) -> None:
    with gateway(hive) as url, open_window(browser, hive, url.replace("token=", "token=x")) as window:
        window.expected = ("status of 401",)
        locked(window.page, WRONG)
        assert window.page.url == bare(window)
        assert window.axe() == []
        refused(window.page, "wrong", WRONG)
        window.page.reload()
        locked(window.page)
        paste(window.page, f" {url}\n")
        live(window.page)


def test_a_changed_token_locks_every_tab_and_opening_one_opens_all(browser: Browser, hive: Hive) -> None:
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        window.expected = ("status of 401", "net::ERR")
        window.wait_live()
        other = window.page.context.new_page()
        other.goto(bare(window))
        live(other)
        window.field.fill("a draft")
        done = hive.call("web", "--new-token")
        assert done.stdout.partition("#")[0] == bare(window)
        for page in (window.page, other):
            locked(page, CHANGED)
            assert "hyperhive web --show" in page.locator(".locked-help").inner_text()
        refused(other, url, CHANGED)
        paste(other, done.stdout.strip())
        for page in (window.page, other):
            live(page)
        window.page.goto(done.stdout.strip())  # the address again, in an open page
        window.page.wait_for_url(bare(window))
        live(window.page)

"""The page in a real browser behind a proxy that terminates TLS and strips or keeps a prefix."""

import json

import pytest
from playwright.sync_api import Browser

from tests.conftest import FakeClaude, wait_until
from tests.harness import TEXT, Hive
from tests.web.page.browser import open_window
from tests.web.proxy import open_proxy


@pytest.mark.parametrize("strips", [True, False], ids=["cut off", "kept"])
def test_the_page_works_below_a_prefix(strips: bool, browser: Browser, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, TEXT)
    with open_proxy(hive.state_dir, "/team/bees", strips=strips) as (proxy, _), hive.run() as program:
        words = ("--bind", f"unix:{proxy.upstream}", "--web-url", proxy.address, "--json")
        with hive.start("web", *words) as panel:
            wait_until(lambda: panel.stdout)
            url: str = json.loads(panel.stdout[0])["url"]
            assert url.startswith(f"{proxy.address}/#token=")
            with open_window(browser, hive, url) as window:
                window.wait_live()
                window.say("hello")
                program.wait_for_kind("turn_end")
                window.wait_text(".feed", "Hello!")
                window.check_rows()
                window.page.goto(f"{proxy.address}/agents/workspace/")
                window.wait_live()
                window.wait_text(".feed", "Hello!")
    assert proxy.seen
    assert all(path.startswith("/team/bees") for path in proxy.seen)

"""The real binary, seen in a real browser: a message typed into the page, and the answer on it."""

from pathlib import Path

import pytest

from tests.claude.conftest import MessagesApi
from tests.forkserver import Forkserver
from tests.harness import Hive
from tests.web.page.browser import gateway, open_browser, open_window


@pytest.mark.newest_release
def test_a_message_from_the_page_is_answered_on_the_page(
    claude_binary: Path, messages_api: MessagesApi, state_dir: Path, forkserver: Forkserver
) -> None:
    hive = Hive(messages_api.workspace, state_dir, claude_binary, messages_api.start("tools"), forkserver)
    with (
        hive.run("--partial", "--dangerously-skip-permissions") as program,
        gateway(hive) as url,
        open_browser() as browser,
        open_window(browser, hive, url) as window,
    ):
        window.wait_live()
        window.say("hello from the page")
        window.wait_text(".msg", "hello from the page")
        end = program.wait_for_kind("turn_end")
        assert end["ok"], end
        window.wait_text(".foot", "ok")
        assert window.page.locator(".call").count() == end["tool_calls"] > 0
        window.wait_text(".call .res", "exit 0")
        window.wait_text(".context", "k of ")
        window.check_rows()

"""The page in a real browser while its agent's history is replaced by an older one."""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.conftest import FakeClaude
from tests.harness import TEXT, Hive
from tests.web.page.browser import Window, gateway, open_window, stored_numbers
from tests.web.page.wire import open_wire

REPLACED = "history was replaced by an older one"
CUT = ("Failed to load resource", "net::ERR_")


def run(hive: Hive, *bodies: str) -> None:
    assert hive.drain(*(word for body in bodies for word in ("--message", body))).status == 0


def restore(hive: Hive, copy: Path) -> None:
    shutil.rmtree(hive.state_dir)
    shutil.copytree(copy, hive.state_dir)


def bodies(window: Window) -> list[str]:
    return [body.strip() for body in window.page.locator(".msg").all_text_contents()]


@pytest.fixture
def copy(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> Path:
    """Return a copy of the agent's folder after the first turn; a second one has run since."""
    fake_claude.script(TEXT)
    run(hive, "first")
    made = Path(shutil.copytree(hive.state_dir, tmp_path / "backup"))
    run(hive, "second")
    return made


def test_a_page_that_is_open_is_cleared_and_shows_the_restored_history_from_its_start(
    browser: Browser, hive: Hive, copy: Path
) -> None:
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        window.wait_text(".feed", "second")
        window.check_rows()
        restore(hive, copy)
        window.wait_text(".note", REPLACED)
        window.check_rows()
        assert bodies(window) == ["first"]
        with hive.run("--message", "third") as program:
            program.wait_for_kind("turn_end", outcome="ok")
            window.wait_text(".feed", "third")
            window.check_rows()
            assert (bodies(window), window.text(".feed").count(REPLACED)) == (["first", "third"], 1)


@pytest.mark.parametrize("turns", [1, 4], ids=["behind the number it has", "beyond it"])
def test_a_page_that_was_cut_off_meanwhile_is_told_when_it_comes_back(
    browser: Browser, hive: Hive, copy: Path, turns: int
) -> None:
    """Its number may be that of another event by then."""
    with (
        gateway(hive) as url,
        open_wire(urlsplit(url).port or 0) as wire,
        open_window(browser, hive, url, proxy=wire.address) as window,
    ):
        window.wait_live()
        window.wait_text(".feed", "second")
        newest = stored_numbers(hive.state_dir)[-1]
        window.expected = CUT
        wire.cut()
        window.wait_text(".now.stale", "Disconnected")
        restore(hive, copy)
        later = [f"later {number}" for number in range(turns)]
        run(hive, *later)
        assert (stored_numbers(hive.state_dir)[-1] > newest) == (turns > 1)
        wire.mend()
        window.try_now()
        window.wait_text(".note", REPLACED)
        window.wait_live()
        window.wait_text(".feed", later[-1])
        window.check_rows()
        assert bodies(window) == ["first", *later]

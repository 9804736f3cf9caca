"""A real browser on the panel of a real agent, and questions to its page."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, sync_playwright

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.transcript.view import RowsView
from tests.conftest import CHROMIUM, LIMIT_S, wait_until
from tests.harness import Hive

NO_CHROMIUM = "THE PAGE IS NOT TESTED IN A BROWSER: no chromium here (`apt-get install chromium`)"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--ignore-certificate-errors",  # the tests' own ones: `ignore_https_errors` does not reach shared workers
]
DESKTOP, PHONE = (1280, 800), (390, 780)
AXE = Path(__file__).parent / "vendor" / "axe.js"
# The numbers of the records that each element shows, in the order of the page.
_NUMBERS = """() => [...document.querySelectorAll(".feed [data-seqs]")]
  .map((one) => one.dataset.seqs.split(" ").filter(Boolean).map(Number))"""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the system's Chromium with a temporary profile; skips the test if there is none."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass  # no slots: the browser's library sets an attribute on it
class Window:
    """One page in its own window, with a record of its requests and its faults."""

    page: Page
    url: str
    hive: Hive
    asked: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()  # pieces of faults that the test provokes

    @property
    def field(self) -> Locator:
        return self.page.locator("#message")

    def take_dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def take_line(self, line: ConsoleMessage) -> None:
        if line.type in {"error", "warning"}:
            self.faults.append(line.text)

    def wait_live(self) -> None:
        self.page.locator("body[data-phase=live]").wait_for()

    def wait_text(self, selector: str, text: str) -> None:
        """Wait until a visible element contains this text."""
        self.page.locator(selector, has_text=text).first.wait_for()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def say(self, text: str) -> None:
        """Type into the message field and send it with the keyboard."""
        self.field.fill(text)
        self.field.press("Control+Enter")

    def blocks(self) -> list[list[int]]:
        """Return the numbers of the records that each block shows."""
        found: list[list[int]] = self.page.evaluate(_NUMBERS)
        return [numbers for numbers in found if numbers]

    def try_now(self) -> None:
        """Let the page try to connect, unless it has done so by itself meanwhile."""
        self.page.evaluate("() => window.dispatchEvent(new Event('online'))")

    def numbers(self) -> list[int]:
        """Return the numbers of all records that the feed shows, in order."""
        return sorted({number for numbers in self.blocks() for number in numbers})

    def check_rows(self) -> list[int]:
        """Wait until the feed shows the end of the history; check that every record is shown once and in order.

        Records without rows are not shown. Older ones than the first one may have left the page, but for the head of
        the turn in which it starts. Later events are ignored.
        """
        stored = shown_numbers(self.hive.state_dir)
        wait_until(lambda: max(self.numbers(), default=0) >= stored[-1])
        blocks = self.blocks()
        firsts = [numbers[0] for numbers in blocks]
        assert firsts == sorted(firsts)
        head, *shown = sorted({number for numbers in blocks for number in numbers})
        assert head in stored
        assert [number for number in shown if number <= stored[-1]] == [
            number for number in stored if shown and number >= shown[0]
        ]
        return [head, *shown]

    def check_faults(self) -> None:
        """Check that every request went to the gateway, and that the page had no faults."""
        ours = urlsplit(self.url).netloc
        assert {urlsplit(url).netloc for url in self.asked if not url.startswith(("data:", "blob:"))} <= {ours}
        assert [fault for fault in self.faults if not any(piece in fault for piece in self.expected)] == []

    def axe(self, *rules: str) -> list[str]:
        """Return all findings of axe-core for the current page, or those of some rules."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
        found = self.page.evaluate("async (options) => (await axe.run(document, options)).violations", options)
        return [f"{one['id']} ({one['impact']}): {[node['target'] for node in one['nodes'][:3]]}" for one in found]


def stored_numbers(state_dir: Path) -> list[int]:
    """Return the number of each event in the history."""
    with sqlite3.connect(f"file:{state_dir / 'hyperhive-events.sqlite'}?mode=ro", uri=True) as db:
        found = [seq for (seq,) in db.execute("SELECT id FROM events ORDER BY id")]
    db.close()
    return found


def shown_numbers(state_dir: Path) -> list[int]:
    """Return the number of each event in the history that has rows."""
    view = RowsView()
    with sqlite3.connect(f"file:{state_dir / 'hyperhive-events.sqlite'}?mode=ro", uri=True) as db:
        found = db.execute("SELECT id, ts, kind, payload_json FROM events ORDER BY id").fetchall()
    db.close()
    records = [
        BusEvent.from_json(json.dumps({"seq": seq, "ts": ts, "kind": kind, **json.loads(payload)}))
        for seq, ts, kind, payload in found
    ]
    return [record.seq or 0 for record in records if view.to_record(record)["rows"]]


@contextmanager
def gateway(hive: Hive, *arguments: str) -> Iterator[str]:
    """Serve the agent's panel; yields the address with its token."""
    with hive.start("web", "--json", "--bind", "127.0.0.1:0", *arguments) as program:
        wait_until(lambda: program.stdout or program.process.poll() is not None)
        assert program.stdout, program.stderr
        url: str = json.loads(program.stdout[0])["url"]
        yield url


@contextmanager
def open_window(
    browser: Browser,
    hive: Hive,
    url: str,
    size: Sequence[int] = DESKTOP,
    *,
    scheme: str = "light",
    proxy: str = "",
    script: str = "",
) -> Iterator[Window]:
    """Open the address; at the end of the block, check the page's requests and faults."""
    width, height = size
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        proxy={"server": proxy} if proxy else None,
        ignore_https_errors=True,  # the tests' own certificates
    )
    context.set_default_timeout(1000 * LIMIT_S)
    if script:
        context.add_init_script(script)  # runs in each page before its own
    page = context.new_page()
    window = Window(page, url, hive)
    context.on("request", lambda request: window.asked.append(request.url))
    page.on("pageerror", lambda error: window.faults.append(f"error: {error}"))
    page.on("dialog", window.take_dialog)
    page.on("console", window.take_line)
    try:
        page.goto(url)
        yield window
        window.check_faults()
    finally:
        context.close()

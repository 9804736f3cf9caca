"""The panel's page for a history of 37 MB, on slow links: how long until it is live, and the bytes that it needs."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from hyperhive_cli.core.settings import HISTORY_CAPACITY
from tests.benchmarks.agents import Agent, open_agent
from tests.benchmarks.first_page import fill
from tests.benchmarks.measure import Found, Sample, Scale, UnavailableError, take_turns
from tests.benchmarks.rows import Figure, Goal
from tests.benchmarks.web import open_gateway

LIVE_AT = """
new MutationObserver((_, observer) => {
  if (document.body?.dataset.phase !== "live") return;
  window.liveAt = performance.now();
  observer.disconnect();
}).observe(document, { subtree: true, childList: true, attributes: true });
"""


class Link(NamedTuple):
    """A connection of a browser: bytes a second (None: no limit), and the time of a round trip."""

    rate: float | None
    round_trip_s: float


# The last two are those of Chromium's tools.
LINKS = {
    "no limit": Link(None, 0.0),
    "1.6M, 300 ms": Link(200_000, 0.3),
    "slow 4G": Link(180_000, 0.5625),
    "3G": Link(50_000, 2.0),
}
MEASURED = "1.6M, 300 ms"
LIMIT_MS = 45_000  # 3G takes a third of it
NOT_COMPARED = "no reference: a new browser profile"
FIGURES = (
    *(Figure(f"page live, {link}", "s", (link, "live"), None, NOT_COMPARED) for link in LINKS if link != MEASURED),
    Figure(f"page live, {MEASURED}", "s", (MEASURED, "live"), None, NOT_COMPARED, Goal("≤", 3.0, "ours"), "felt"),
    Figure("page's bytes until then", "kB", (MEASURED, "kB"), None, NOT_COMPARED, Goal("≤", 300.0, "ours"), "felt"),
)


def run(scale: Scale) -> Iterator[Found]:
    """Open the page in a new browser profile, over one link after the other."""
    with open_agent() as agent:
        fill(agent, scale.pick(HISTORY_CAPACITY, 200))
        yield take_turns(scale.pick(3, 1), {name: partial(measure, agent, link) for name, link in LINKS.items()})


def measure(agent: Agent, link: Link) -> Sample:
    """Return after how many seconds the page is live, and how many kB came until then; raises UnavailableError."""
    try:
        from playwright.sync_api import TimeoutError  # noqa: A004, PLC0415 - these need more packages

        from tests.conftest import CHROMIUM  # noqa: PLC0415
        from tests.web.page.browser import NO_CHROMIUM, open_browser  # noqa: PLC0415
        from tests.web.page.wire import open_wire  # noqa: PLC0415
    except ImportError as error:
        raise UnavailableError(str(error)) from error
    if CHROMIUM is None:
        raise UnavailableError(NO_CHROMIUM)
    with open_gateway(agent) as (_, address), open_browser() as browser:
        port = urlsplit(address["url"]).port
        assert port is not None
        with open_wire(port, rate=link.rate, delay_s=link.round_trip_s / 2) as wire:
            context = browser.new_context(proxy={"server": wire.address})
            context.add_init_script(LIVE_AT)
            page = context.new_page()
            target = address["url"].replace("/#", f"/agents/{agent.folder.name}#")
            try:
                page.goto(target, timeout=LIMIT_MS, wait_until="commit")
                page.wait_for_function("() => window.liveAt", timeout=LIMIT_MS)
            except TimeoutError as error:
                raise UnavailableError(f"the page was not live within {LIMIT_MS // 1000} s") from error
            received = wire.received
            live_ms: float = page.evaluate("() => window.liveAt")
            context.close()
    return {"live": live_ms / 1000, "kB": received / 1000}

"""The panel's page for a history of 37 MB, on slow links: how long until it is live, and the bytes that it needs."""

import random
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from hyperhive_cli.core.events import BusEvent, LiveEvent, Stream, TurnEnd, TurnStart
from hyperhive_cli.store.events import open_event_store
from tests.benchmarks.agents import Agent, open_agent
from tests.benchmarks.corpus import SEED
from tests.benchmarks.fill import LONG_AGO_MS
from tests.benchmarks.measure import Found, Sample, Scale, UnavailableError, take_turns
from tests.benchmarks.rows import Figure, Goal
from tests.benchmarks.web import open_gateway

HISTORY_EVENTS = 2_000
CALLS = 10  # of a turn
OUTPUT_BYTES = 2 * 37_000_000 // HISTORY_EVENTS  # every second event has one
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
FIGURES = (
    *(Figure(f"page live, {link}", "s", (link, "live"), None, "") for link in LINKS if link != MEASURED),
    Figure(f"page live, {MEASURED}", "s", (MEASURED, "live"), None, "", Goal("≤", 3.0, "ours")),
    Figure("page's bytes until then", "kB", (MEASURED, "kB"), None, "", Goal("≤", 300.0, "ours")),
)


def run(scale: Scale) -> Iterator[Found]:
    """Open the page in a new browser profile, over one link after the other."""
    with open_agent() as agent:
        fill(agent, scale.pick(HISTORY_EVENTS, 200))
        yield take_turns(scale.pick(3, 1), {name: partial(measure, agent, link) for name, link in LINKS.items()})


def measure(agent: Agent, link: Link) -> Sample:
    """Return after how many seconds the page is live, and how many kB came until then; raises UnavailableError."""
    try:
        from tests.conftest import CHROMIUM  # noqa: PLC0415 - these need more packages
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
            page.goto(
                address["url"].replace("/#", f"/agents/{agent.folder.name}#"), timeout=120_000, wait_until="commit"
            )
            page.wait_for_function("() => window.liveAt", timeout=120_000)
            received = wire.received
            live_ms: float = page.evaluate("() => window.liveAt")
            context.close()
    return {"live": live_ms / 1000, "kB": received / 1000}


def fill(agent: Agent, events: int) -> None:
    """Write a history of turns with tool calls of long outputs."""
    agent.paths.state_dir.mkdir(parents=True, exist_ok=True)
    chance = random.Random(SEED)  # noqa: S311 - the same lines each time are what is wanted
    with open_event_store(agent.paths.events_db) as store:
        made = 0
        while made < events:
            turn = list(_turn(chance, 1 + made // (2 * CALLS + 4)))
            store.append([BusEvent.make(made + n, LONG_AGO_MS + made + n, event) for n, event in enumerate(turn, 1)])
            made += len(turn)


def _turn(chance: random.Random, number: int) -> Iterator[LiveEvent]:
    yield TurnStart(sender="operator", body=_words(chance, 200), unread=0, turn_id=number, message_id=number)
    for call in range(CALLS):
        name = f"toolu_{number}_{call}"
        used = {"type": "tool_use", "id": name, "name": "Bash", "input": {"command": _words(chance, 100)}}
        yield _line("assistant", [{"type": "text", "text": _words(chance, 400)}, used])
        size = chance.randrange(2 * OUTPUT_BYTES)
        yield _line("user", [{"type": "tool_result", "tool_use_id": name, "content": _words(chance, size)}])
    yield _line("assistant", [{"type": "text", "text": _words(chance, 600)}])
    yield Stream({"type": "result", "subtype": "success", "is_error": False, "result": "done", "duration_ms": 1_000})
    yield TurnEnd(ok=True, turn_id=number, message_id=number, outcome="ok", duration_ms=1_000, cost_usd=0.05)


def _line(kind: str, content: list[dict[str, Any]]) -> Stream:
    return Stream({"type": kind, "message": {"role": kind, "content": content}, "parent_tool_use_id": None})


def _words(chance: random.Random, size: int) -> str:
    """Return lines of words that pack as well as a program's output does."""
    words = [f"{chance.choice(_VOCABULARY)}{chance.randrange(10_000)}" for _ in range(size // 9)]
    return "\n".join(" ".join(words[at : at + 9]) for at in range(0, len(words), 9))


_VOCABULARY = ("test_", "error ", "line ", "src/", "ok ", "0x", "import ", "store.")

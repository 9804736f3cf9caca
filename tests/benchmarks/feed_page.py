"""The panel's feed in a browser: its longest task and its memory, in a flood and through a long history.

A task of the browser's main thread holds up keys and scrolling for as long as it takes. Its processor time is measured,
so that other work of the machine does not count.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.agents import Agent, open_agent
from tests.benchmarks.measure import Found, Sample, Scale, UnavailableError, take_turns
from tests.benchmarks.rows import Figure, Goal
from tests.benchmarks.web import open_gateway

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

FAKE_CLAUDE = Path(__file__).parents[1] / "fake_claude.py"
ROWS, RATE = 2_557, 200  # rows of the turn, and rows a second in the flood
LONGEST = Goal("≤", 200.0, "ours")
FIGURES = (
    Figure(f"page at {RATE}/s: longest", "ms", ("flood", "longest_ms"), None, "", LONGEST),
    Figure(f"page, {ROWS} rows: longest", "ms", ("history", "longest_ms"), None, "", LONGEST),
    Figure(f"page, {ROWS} rows: heap", "MB", ("history", "heap_mb"), None, "", Goal("≤", 120.0, "ours")),
)
UP = """async () => {
  const feed = document.querySelector(".feed");
  const frame = () => new Promise((again) => requestAnimationFrame(() => setTimeout(again, 20)));
  for (let still = 0; still < 40; still += 1) {
    if (feed.scrollTop > 0) still = 0;
    feed.scrollTop -= 0.8 * feed.clientHeight;
    await frame();
  }
}"""


def run(scale: Scale) -> Iterator[Found]:
    """Watch a turn as it comes, then read it from its end to its start."""
    rows = scale.pick(ROWS, 300)
    with open_agent() as agent:
        works = {"flood": partial(flood, agent, rows), "history": partial(history, agent)}
        yield take_turns(1, works)


def flood(agent: Agent, rows: int) -> Sample:
    """Show the rows of a turn while they are written; return the longest task."""
    script = agent.folder / "script.json"
    script.write_text(json.dumps({"runs": [list(steps(rows))], "logged_in": True}), encoding="utf-8")
    claude = [f"'{word}'" for word in (sys.executable, str(FAKE_CLAUDE), str(script))]
    with agent.running(claude), open_page(agent) as (page, session), tracing(page, session) as tasks:
        agent.run_turns(1)
        page.locator(".foot").first.wait_for(timeout=60_000)
    return {"longest_ms": longest_ms(tasks)}


def history(agent: Agent) -> Sample:
    """Scroll through the turn from its end to its start; return the longest task, and the memory that is left."""
    with open_page(agent) as (page, session):
        with tracing(page, session) as tasks:
            page.evaluate(UP)
            page.locator(".jump").click()
        session.send("HeapProfiler.collectGarbage")
        metrics = session.send("Performance.getMetrics")["metrics"]
        heap = next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize")
    return {"longest_ms": longest_ms(tasks), "heap_mb": heap / 1e6}


def steps(rows: int) -> Iterator[dict[str, Any]]:
    """Yield what claude does: prose, calls, outputs of 60 lines and thoughts, paced."""
    output = "\n".join(f"line {number} of an output" for number in range(60))
    yield {"wait_for_prompt": True}
    for number in range(rows):
        used = {"type": "tool_use", "id": f"toolu_{number // 4}", "name": "Bash", "input": {"command": "make test"}}
        answered = {"type": "tool_result", "tool_use_id": f"toolu_{number // 4}", "content": output}
        blocks: Sequence[tuple[str, dict[str, Any]]] = (
            ("assistant", {"type": "text", "text": f"A **line** of `text`, number {number}."}),
            ("assistant", {"type": "thinking", "thinking": "What comes next? " * 20}),
            ("assistant", used),
            ("user", answered),
        )
        kind, block = blocks[number % 4]
        yield {"line": {"type": kind, "message": {"content": [block]}, "parent_tool_use_id": None}}
        yield {"sleep": 1 / RATE}
    yield {"line": {"type": "result", "subtype": "success", "is_error": False, "result": "done"}}


@contextmanager
def open_page(agent: Agent) -> Iterator[tuple["Page", "CDPSession"]]:
    """Open the agent's page, and a session for what it does; raises UnavailableError."""
    try:
        from tests.conftest import CHROMIUM  # noqa: PLC0415 - these need more packages
        from tests.web.page.browser import NO_CHROMIUM, open_browser  # noqa: PLC0415
    except ImportError as error:
        raise UnavailableError(str(error)) from error
    if CHROMIUM is None:
        raise UnavailableError(NO_CHROMIUM)
    with open_gateway(agent) as (_, address), open_browser() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address["url"])
        page.locator("body[data-phase=live]").wait_for(timeout=60_000)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        yield page, session


@contextmanager
def tracing(page: "Page", session: "CDPSession") -> Iterator[list[dict[str, Any]]]:
    """Record what the browser does during the block; the list has its events afterwards."""
    events: list[dict[str, Any]] = []
    done: list[dict[str, Any]] = []
    session.on("Tracing.tracingComplete", lambda event: done.append(event))  # noqa: PLW0108 - it marks the function
    session.send(
        "Tracing.start", {"categories": "disabled-by-default-devtools.timeline", "transferMode": "ReturnAsStream"}
    )
    yield events
    session.send("Tracing.end")
    while not done:
        page.wait_for_timeout(50)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        while not (part := session.send("IO.read", {"handle": done[0]["stream"], "size": 1 << 22})).get("eof"):
            file.write(part["data"])
        file.write(part["data"])
        file.seek(0)
        found = json.load(file)
    events += found["traceEvents"] if isinstance(found, dict) else found


def longest_ms(events: Sequence[dict[str, Any]]) -> float:
    """Return the processor time of the longest task of the page's main thread."""
    named = (event for event in events if event["name"] == "thread_name")
    main = {(one["pid"], one["tid"]) for one in named if one["args"]["name"] == "CrRendererMain"}
    tasks = (one for one in events if one["name"] == "RunTask" and (one["pid"], one["tid"]) in main)
    return max((task.get("tdur", 0) for task in tasks), default=0) / 1000

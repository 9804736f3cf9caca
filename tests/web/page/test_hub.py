"""The one stream that all tabs of a browser share, in a real browser, to a server of the test's own."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

import hyperhive_cli
from tests.conftest import LIMIT_S, wait_until

STATIC = Path(hyperhive_cli.__file__).parent / "web" / "static"
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; worker-src 'self'"
PAGE = '<!doctype html><title>tab</title><script type="module" src="/static/tab.js"></script>'
TAB = """
import { sharedHub } from "./js/shared_hub.js";
sessionStorage.setItem("hyperhive-token", "secret");
window.heard = [];
window.join = (agent, since) => sharedHub().join(agent, { since, ts: null }, (message) => {
  if (message.type === "rejoin") return window.join(agent, since);
  window.heard.push(`${agent}: ${message.type}`);
});
"""
WITHOUT_WORKERS = "delete window.SharedWorker"


class Stream:
    """A stream that is open: what it was asked for, and what is to be sent."""

    def __init__(self, agents: str) -> None:
        self.agents = agents
        self.frames: queue.Queue[bytes | None] = queue.Queue()

    def send(self, event: str, **fields: object) -> None:
        self.frames.put(f"event: {event}\ndata: {json.dumps(fields)}\n\n".encode())


class Server(ThreadingHTTPServer):
    """Serves the page's modules and its stream."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.open: list[Stream] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def stream(self, agents: set[str]) -> Stream:
        """Wait until the only stream is one for exactly these agents, and return it."""
        wait_until(lambda: [set(one.agents.split(",")) for one in self.open] == [agents])
        return self.open[0]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/api/stream":
            assert self.headers["Authorization"] == "Bearer secret"
            self.send_stream(Stream(parse_qs(url.query)["agents"][0]))
            return
        if url.path.startswith("/static/js/"):
            self.answer((STATIC / url.path.removeprefix("/static/")).read_bytes(), "text/javascript")
        elif url.path == "/static/tab.js":
            self.answer(TAB.encode(), "text/javascript")
        else:
            self.answer(PAGE.encode(), "text/html")

    def answer(self, body: bytes, media_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def send_stream(self, stream: Stream) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.server.open.append(stream)
        try:
            while (frame := self.next_frame(stream)) is not None:
                self.wfile.write(frame)
        except OSError:
            pass
        finally:
            self.server.open.remove(stream)

    def next_frame(self, stream: Stream) -> bytes | None:
        try:
            return stream.frames.get(timeout=0.05)
        except queue.Empty:
            return b": heartbeat\n\n"  # it also shows that the browser has left

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as in the base class
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()


@contextmanager
def open_context(browser: Browser, script: str = "") -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(1000 * LIMIT_S)
    if script:
        context.add_init_script(script)
    try:
        yield context
    finally:
        context.close()


def open_tab(context: BrowserContext, server: Server, agent: str, since: int) -> Page:
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_function("() => window.join")
    page.evaluate("([agent, since]) => join(agent, since)", [agent, since])
    return page


def wait_heard(page: Page, message: str) -> None:
    page.wait_for_function("(message) => heard.includes(message)", arg=message)


with_and_without_workers = pytest.mark.parametrize("script", ["", WITHOUT_WORKERS], ids=["worker", "leader"])


@with_and_without_workers
def test_many_tabs_share_one_stream_and_it_follows_those_that_come_and_go(
    script: str, browser: Browser, server: Server
) -> None:
    with open_context(browser, script) as context:
        tabs = [open_tab(context, server, agent, 3) for agent in ("bee", "wasp", "*")]
        stream = server.stream({"bee:3", "wasp:3", "*:3"})
        stream.send("snapshot", agent="bee", seq=4)
        stream.send("overview", agents=[])
        wait_heard(tabs[0], "bee: snapshot")
        wait_heard(tabs[2], "*: overview")
        assert tabs[1].evaluate("heard") == []
        other = open_tab(context, server, "bee", 2)
        stream = server.stream({"bee:2", "wasp:3", "*:3"})
        stream.send("state", agent="bee")
        for tab in (tabs[0], other):
            wait_heard(tab, "bee: changed")
        tabs[1].close()  # without a word
        server.stream({"bee:2", "*:3"})


@with_and_without_workers
def test_a_stream_that_ends_is_told_to_every_tab_and_opened_again(
    script: str, browser: Browser, server: Server
) -> None:
    with open_context(browser, script) as context:
        tabs = [open_tab(context, server, agent, 3) for agent in ("bee", "wasp")]
        server.stream({"bee:3", "wasp:3"}).frames.put(None)
        wait_heard(tabs[0], "bee: lost")
        wait_heard(tabs[1], "wasp: lost")
        server.stream({"bee:3", "wasp:3"}).send("snapshot", agent="wasp", seq=3)
        wait_heard(tabs[1], "wasp: snapshot")


def test_the_other_tabs_go_on_when_the_one_that_leads_is_closed(browser: Browser, server: Server) -> None:
    with open_context(browser, WITHOUT_WORKERS) as context:
        tabs = [open_tab(context, server, agent, 3) for agent in ("bee", "wasp", "ant")]
        server.stream({"bee:3", "wasp:3", "ant:3"})
        tabs.pop().close()  # it was shown last, and leads
        server.stream({"bee:3", "wasp:3"}).send("state", agent="bee")
        wait_heard(tabs[0], "bee: changed")
        tabs.pop().close()
        server.stream({"bee:3"}).send("inbox", agent="bee")
        wait_heard(tabs[0], "bee: inbox")


def test_the_tabs_go_on_when_their_worker_is_killed(browser: Browser, server: Server) -> None:
    with open_context(browser) as context:
        tabs = [open_tab(context, server, agent, 3) for agent in ("bee", "wasp")]
        before = server.stream({"bee:3", "wasp:3"})
        inspector = browser.new_browser_cdp_session()
        targets = inspector.send("Target.getTargets")["targetInfos"]
        (worker,) = [one["targetId"] for one in targets if one["type"] == "shared_worker" and server.url in one["url"]]
        inspector.send("Target.closeTarget", {"targetId": worker})
        wait_until(lambda: before not in server.open)
        server.stream({"bee:3", "wasp:3"}).send("state", agent="bee")
        wait_heard(tabs[0], "bee: changed")

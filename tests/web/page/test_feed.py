"""The transcript in a real browser: history, then live, over lost connections and restarts; and hostile texts."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.conftest import FakeClaude, Step, recording_index, wait_until
from tests.harness import TEXT, Hive
from tests.web.page.browser import Window, gateway, open_window, stored_numbers
from tests.web.page.wire import open_wire

PARTIAL = "v2.1.330/partial.jsonl"
TOOLS: list[Step] = [{"replay": "v2.1.330/tools.jsonl", "session_id": "from_argv"}]
SUBAGENT: list[Step] = [{"replay": "v2.1.330/subagent.jsonl", "session_id": "from_argv"}]
RETRIES: list[Step] = [{"replay": "v2.1.330/overloaded_then_ok.jsonl", "session_id": "from_argv"}]
CUT = ("Failed to load resource", "net::ERR_")


def line(content: object, kind: str = "assistant", **more: object) -> Step:
    return {"line": {"type": kind, "message": {"role": kind, "content": content}, "parent_tool_use_id": None, **more}}


def run_turns(hive: Hive, *bodies: str) -> None:
    done = hive.drain(*(word for body in bodies for word in ("--message", body)))
    assert done.status == 0, done.stderr


def test_each_row_is_shown_once_and_in_order_over_lost_connections_and_restarts(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TOOLS, SUBAGENT, RETRIES, TEXT)
    run_turns(hive, "first", "second")
    with (
        gateway(hive) as url,
        open_wire(urlsplit(url).port or 0) as wire,
        open_window(browser, hive, url, proxy=wire.address) as window,
    ):
        window.wait_live()
        window.check_rows()
        assert "#token" not in window.page.url
        assert window.text(".now .title") == "Stopped"
        assert window.page.locator(".diff .added").count() > 0
        assert window.page.locator(".row > .sub, .row.is-note").count() > 0
        with hive.run() as program:
            window.wait_text(".now .title", "Idle")
            before = len(stored_numbers(hive.state_dir))
            window.say("third")
            program.wait_for_kind("turn_end", outcome="ok")
            window.wait_text(".note", "retry 1/")
            assert len(window.check_rows()) > before
            window.expected = CUT
            wire.cut()
            hive.call("send", "fourth")  # what comes now cannot reach the page
            program.wait_for(lambda event: event["kind"] == "turn_end" and event["message_id"] == 4)
            window.wait_text(".now.stale", "Disconnected")
            assert max(window.numbers()) < stored_numbers(hive.state_dir)[-1]
            wire.mend()
            # Whether or not the page has tried again by itself meanwhile, and hidden it.
            window.page.locator(".now [data-verb=reconnect]").dispatch_event("click")
            window.wait_live()
            window.check_rows()
            window.page.locator(".now.stale").wait_for(state="hidden")
            assert program.interrupt() == 130
        window.wait_text(".now .title", "Stopped")
        window.check_rows()
        with hive.run("--message", "fifth") as program:
            program.wait_for_kind("turn_end", outcome="ok")
            window.wait_text(".head", "fifth")
            window.wait_text(".now .title", "Idle")
            window.check_rows()
            bodies = window.page.locator(".head .body").all_inner_texts()
            assert bodies == ["first", "second", "third", "fourth", "fifth"]
        window.page.reload()
        window.wait_live()
        window.check_rows()


@pytest.mark.exhaustive
def test_text_is_shown_while_it_is_written_and_the_clock_continues_after_a_reload(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    head: Step = {"recording": PARTIAL, "lines": [0, 8]}
    fake_claude.script(
        [{"wait_for_prompt": True}, head, {"wait_for": "go on"}, {"recording": PARTIAL, "lines": [8, None]}]
    )
    with hive.run("--partial") as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        window.say("hello")
        window.wait_text(".draft h2", "What I can do")
        window.wait_text(".now .title", "Thinking")
        assert window.page.locator(".rows .prose").count() == 0
        since = hive.status()["since_unix"]
        window.page.reload()
        window.wait_text(".now .elapsed", ":")
        began = (
            "() => { const [m, s] = document.querySelector('.elapsed').textContent.split(':');"
            "return Date.now() / 1000 - (60 * Number(m) + Number(s)) }"
        )
        # The page shows whole seconds, redrawn each second, unless the machine is busy.
        wait_until(lambda: abs(window.page.evaluate(began) - since) < 3)
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end", outcome="ok")
        window.wait_text(".rows .prose", "Tell me what you need")
        window.page.locator(".draft").wait_for(state="hidden")
        assert window.page.locator(".rows .prose").count() == 1
        assert window.text(".prose pre code .hljs-string") == "'hi'"
        window.check_rows()


# A file of 100,000 lines: it must make few elements, and say how many lines are left out.
LARGE_DIFF = """async () => {
  const { diffElement } = await import("/static/js/diff.js");
  const make = document.createElement.bind(document);
  let made = 0;
  document.createElement = (name) => (made += 1) && make(name);
  const diff = diffElement([{ old_start: 0, new_start: 1, lines: Array(100_000).fill("+x") }]);
  delete document.createElement;
  return [made < 10_000, diff.querySelector("summary").textContent];
}"""
# A separate transcript: a call, so many rows that the call's row is removed, and then its answer.
LATE_ANSWER = """async () => {
  const { MAX_ROWS, TranscriptView } = await import("/static/js/transcript_view.js");
  const home = document.createElement("div");
  document.body.append(home);
  const view = new TranscriptView(home, document.createElement("p"));
  const show = async (records) => {
    view.show(records);
    while (view.queue.length || view.isScheduled) await new Promise((again) => setTimeout(again, 10));
    return view.answers.size;
  };
  const raw = (text) => ({ text, cut: 0, spans: null });
  const record = (row) => ({ seq: null, kind: "stream", rows: [{ parent: "", task: "", ...row }] });
  const call = { kind: "call", call: "slow", name: "Bash", subject: "", input: raw("{}"), diff: [] };
  const note = { kind: "note", topic: "note", mark: "·", tone: "quiet", source: "", text: raw("noise") };
  const reply = { kind: "answer", call: "slow", name: "Bash", failed: false, label: "", diff: [] };
  const before = await show([record(call)]);
  const after = await show(Array(MAX_ROWS + 300).fill(record(note)));
  await show([record({ ...reply, output: raw("done at last") })]);
  const answer = home.querySelector(".answer")?.textContent ?? "lost";
  home.remove();
  return [before, after, answer];
}"""


@pytest.mark.exhaustive
def test_2000_rows_come_live_and_from_the_history_and_the_reader_keeps_the_place(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    flood: Step = {"repeat": 1000, "steps": [line([{"type": "text", "text": "A **line** of `text`."}])]}
    fake_claude.script([{"wait_for_prompt": True}, flood, {"wait_for": "go on"}, flood], TEXT)
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        window.say("flood")
        wait_until(lambda: len(window.numbers()) >= 1000)
        assert window.page.locator(".jump").is_hidden()
        window.page.locator(".feed").hover()
        window.page.mouse.wheel(0, -2000)
        window.page.locator(".jump").wait_for()
        where: float = window.page.evaluate("() => document.querySelector('.feed').scrollTop")
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end")
        window.wait_text(".jump", "new")
        wait_until(lambda: len(window.numbers()) >= 2000)
        assert window.page.evaluate("() => document.querySelector('.feed').scrollTop") == pytest.approx(where, abs=400)
        window.page.locator(".jump").click()
        window.page.locator(".jump").wait_for(state="hidden")
        window.wait_text(".foot", "crashed")
        program.wait_for_kind("turn_end", outcome="ok")
        wait_until(lambda: max(window.numbers()) == stored_numbers(hive.state_dir)[-1])
        shown = window.numbers()
        assert shown == sorted(set(shown))
        assert shown[-1] - shown[0] + 1 == len(shown), "none is missing"
        assert len(shown) <= 3000
        window.page.reload()
        window.wait_live()
        assert len(window.check_rows()) >= 2000
        assert window.page.evaluate(LATE_ANSWER) == [1, 0, "done at last"]


SCRIPTS = [
    "<img src=x onerror=\"window.owned='img'\">",
    "<script>window.owned='script'</script>",
    "</script><script>window.owned='closing'</script>",
    "</textarea></template><svg onload=window.owned='svg'>",
    "<iframe srcdoc=\"<script>parent.owned='frame'</script>\"></iframe>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.owned='mutation'>",
    "<a href=\"javascript:window.owned='a'\" id=own-a>html link</a>",
    "[script link](javascript:window.owned='md')",
    "[coded link](javas&#99;ript:window.owned='md2')",
    "[data link](data:text/html,<script>window.owned='data'</script>)",
    "[file link](file:///etc/passwd) [relative link](/api/state) [\\\\host](//elsewhere.example/x)",
    "<javascript:window.owned='auto'> <https://good.example/x?a=b>",
    "![picture](https://elsewhere.example/picture.png) <img src=https://elsewhere.example/other.png>",
    '[good link](https://good.example "title\\" onmouseover=window.owned=1")',
    "```html\n<img src=x onerror=\"window.owned='code'\">\n```",
    "<style>body{display:none}</style><form action=https://elsewhere.example><input name=token></form>",
    '<div data-seq="1" class="pill" id="message" style="position:fixed;inset:0">cover</div>',
    "data: one\r\n\r\nevent: reset\ndata: {}\n\nid: 999999\n\u2028\u2029\u0085data: two",
    "\x1b]0;title\x07\x1b[31mred\u202egnp.exe\u2066 \x00\x7f",
    "{{constructor.constructor('window.owned=1')()}} ${window.owned=1} <%= 1 %>",
]
EVERYTHING = "\n\n".join(SCRIPTS)


def hostile_lines() -> list[Step]:
    """Return lines with the corpus in every text that claude, its tools or its API can choose."""
    call = {"type": "tool_use", "id": "toolu_1", "name": EVERYTHING, "input": {EVERYTHING: EVERYTHING}}
    edit = {"type": "tool_use", "id": "toolu_2", "name": "Edit", "input": {
        "file_path": EVERYTHING, "old_string": EVERYTHING, "new_string": f"{EVERYTHING}\nmore",
    }}  # fmt: skip
    patch = {"structuredPatch": [{"oldStart": 1, "newStart": 1, "lines": [f"{sign}{EVERYTHING}" for sign in "+- "]}]}
    return [
        {"line": {"type": "system", "subtype": "init", "session_id": EVERYTHING, "model": EVERYTHING, "cwd": "/"}},
        *(line([{"type": "text", "text": text}]) for text in SCRIPTS),
        line([{"type": "text", "text": "> " * 3_000 + "deeper than a parser can go"}]),
        line([{"type": "text", "text": EVERYTHING}, {"type": "thinking", "thinking": EVERYTHING}, call, edit]),
        line([{"type": "tool_result", "tool_use_id": "toolu_1", "content": EVERYTHING, "is_error": True}], "user"),
        line([{"type": "tool_result", "tool_use_id": "toolu_2", "content": "x"}], "user", tool_use_result=patch),
        line([{"type": EVERYTHING, "text": EVERYTHING}]),
        line([{"type": "text", "text": EVERYTHING}], parent_tool_use_id="toolu_1"),
        line(EVERYTHING, "user"),
        {"line": {"type": EVERYTHING, "subtype": EVERYTHING}},
        {"line": {"type": "system", "subtype": "api_retry", "error": EVERYTHING, "error_status": EVERYTHING}},
        {"line": {"type": "rate_limit_event", "rate_limit_info": {"status": EVERYTHING}}},
        {"stderr": EVERYTHING.replace("\n", " ") + "\n"},
        {"line": {"type": "result", "subtype": "success", "is_error": False, "result": f"The end. {EVERYTHING}"}},
    ]


def test_no_text_of_a_model_a_tool_or_a_sender_becomes_more_than_text(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script([{"wait_for_prompt": True}, *hostile_lines()])
    sender = ["--from", "<img src=x onerror=window.owned='from'>"]
    assert hive.call("send", *sender, stdin=EVERYTHING.encode()).status == 0
    run_turns(hive)
    hive.call("send", *sender, stdin=EVERYTHING.encode())
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        window.check_rows()
        window.page.locator(".inbox li").wait_for()
        for details in window.page.locator(".feed details, .inbox details").all():
            details.evaluate("(element) => { element.open = true }")
        window.wait_text(".inbox", "script link")
        check_inert(window)
        texts = window.page.locator(".feed").inner_text()
        assert "<img src=x onerror=\"window.owned='img'\">" in texts, "shown as what it is"
        assert "\\u202egnp.exe" in texts
        assert window.page.locator(".answer .ansi-red", has_text="egnp.exe").count() > 0, (
            "colours are all that is obeyed"
        )
        assert window.page.locator(".prose", has_text="deeper than a parser can go").count() == 1
        assert window.page.evaluate(LARGE_DIFF) == [True, "+99,984 lines, the first 2000 of them"]
        assert window.page.locator(".rows .prose a", has_text="good link").count() > 0


def check_inert(window: Window) -> None:
    """Check that there are only the page's own elements, and that no script has run and nothing was loaded."""
    page = window.page
    page.mouse.move(300, 300)
    assert page.evaluate("() => window.owned ?? null") is None
    elements = "img, script:not([src^='/static/']), style, iframe, object, embed, form[action], math"
    elements += ", svg:not(.i, .logo, .sprite)"
    assert page.locator(f"{elements}, .feed [style], .feed [id]").count() == 0
    links: list[dict[str, Any]] = page.evaluate(
        "() => [...document.querySelectorAll('.feed a, .inbox a')].map((a) =>"
        "({href: a.getAttribute('href'), target: a.target, rel: a.rel}))"
    )
    leading = [link for link in links if link["href"] is not None]
    assert {link["href"].partition("://")[0] for link in leading} == {"https"}
    assert {(link["target"], link["rel"]) for link in leading} == {("_blank", "noopener noreferrer")}
    names = "() => [...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())"
    assert [name for name in page.evaluate(names) if name.startswith("on")] == []


@pytest.mark.exhaustive
def test_recordings_of_the_real_binary_are_shown_without_a_fault(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    """Every recorded line of the binary can be read and shown."""
    lines: list[Step] = [{"recording": name} for name in recording_index()]
    fake_claude.script([{"wait_for_prompt": True}, *lines], TEXT)
    hive.drain("--message", "all of them")
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        window.check_rows()
        assert "not readable" not in window.text(".feed")
        assert window.page.title() == "workspace"

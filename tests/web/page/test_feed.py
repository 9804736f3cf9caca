"""The transcript in a real browser: history, then live, over lost connections and restarts; and hostile texts."""

import base64
import re
import signal
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Route

from tests.conftest import FakeClaude, Step, recording_index, wait_until
from tests.harness import SOON_AGAIN, TEXT, Hive, gated
from tests.web.page.browser import Window, gateway, open_window, shown_numbers
from tests.web.page.designed_turn import (
    CRASHED,
    DESIGNED,
    ENDED,
    OUTPUT_LINES,
    QUIET,
    STARTED,
    answer,
    call,
    image,
    line,
    said,
    system,
)
from tests.web.page.wire import open_wire

PARTIAL = "v2.1.330/partial.jsonl"
TOOLS: list[Step] = [{"replay": "v2.1.330/tools.jsonl", "session_id": "from_argv"}]
SUBAGENT: list[Step] = [{"replay": "v2.1.330/subagent.jsonl", "session_id": "from_argv"}]
RETRIES: list[Step] = [{"replay": "v2.1.330/overloaded_then_ok.jsonl", "session_id": "from_argv"}]
CUT = ("Failed to load resource", "net::ERR_")
# What the menu of a turn tells while one can see it: it shuts by itself after a moment.
KEEP_WORDS = """(told) => {
  told.seen = [];
  const look = () => told.textContent && told.checkVisibility() && told.seen.push(told.textContent);
  new MutationObserver(look).observe(told, { childList: true, characterData: true, subtree: true });
}"""


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
        assert window.page.locator(".call.is-ok").count() > 0
        with hive.run() as program:
            window.wait_text(".now .title", "Idle")
            before = len(window.numbers())
            window.say("third")
            program.wait_for_kind("turn_end", outcome="ok")
            window.wait_text(".note", "Overloaded: tried")
            assert len(window.check_rows()) > before
            window.expected = CUT
            wire.cut()
            hive.call("send", "fourth")  # what comes now cannot reach the page
            program.wait_for(lambda event: event["kind"] == "turn_end" and event["message_id"] == 4)
            window.wait_text(".now.stale", "Disconnected")
            assert max(window.numbers()) < shown_numbers(hive.state_dir)[-1]
            wire.mend()
            # Whether or not the page has tried again by itself meanwhile, and hidden it.
            window.page.evaluate("() => document.querySelector('.now [data-verb=reconnect]')?.click()")
            window.wait_live()
            window.check_rows()
            window.page.locator(".now.stale").wait_for(state="hidden")
            assert program.interrupt() == 130
        window.wait_text(".now .title", "Stopped")
        window.check_rows()
        with hive.run("--message", "fifth") as program:
            program.wait_for_kind("turn_end", outcome="ok")
            window.wait_text(".msg", "fifth")
            window.wait_text(".now .title", "Idle")
            window.check_rows()
            bodies = [body.strip() for body in window.page.locator(".msg").all_text_contents()]
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
        assert window.page.locator(".blocks > .prose").count() == 0
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
        window.wait_text(".blocks > .prose", "Tell me what you need")
        window.page.locator(".draft").wait_for(state="hidden")
        assert window.page.locator(".blocks > .prose").count() == 1
        assert window.text(".prose pre code .hljs-string") == "'hi'"
        window.check_rows()


def test_a_turn_is_drawn_with_everything_in_it(browser: Browser, hive: Hive, fake_claude: FakeClaude) -> None:
    hive.constants = SOON_AGAIN
    fake_claude.script(DESIGNED, CRASHED, CRASHED, QUIET)
    hive.drain("--message", "Please fix `test_claim`.\nThen push.", "--message", "again")
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        window.wait_live()
        window.check_rows()
        first = window.page.locator(".turn").first
        assert first.locator(".msg code").text_content() == "test_claim"
        assert first.locator(".turn-head > :not(time, .turn-more)").all_text_contents() == [
            "O",
            "operator",
            "#1",
            "",
            "ok",
        ]
        assert first.locator(".foot b").text_content() == "ok"
        assert first.locator(".foot span").all_text_contents()[1:] == [
            "10 tools",
            "41.2k in, 94 % cached",
            "3.1k out",
            "$0.31",
        ]
        the_calls(window, first)
        the_long_output(window, first)
        the_change(first)
        the_subagent(first)
        the_image(window, first)
        the_rest(first)
        the_tries(window)
        the_menu(window, hive, first)
        assert window.axe() == []
        the_absence(window, hive)
        the_address(window, url)


def named(turn: Locator, name: str) -> Locator:
    """Return the call of a tool, the first one in the turn."""
    return turn.locator(".call", has=turn.page.locator(".tool", has_text=re.compile(f"^{name}$"))).first


def text_of(one: Locator) -> str:
    """Return the whole text, whether it is in sight or not: a browser says of hidden blocks that they are empty."""
    return one.text_content() or ""


def unfold(call: Locator) -> None:
    call.locator("summary").first.click()
    call.locator(":scope > :is(.out, .sub, .todo)").first.wait_for()


def the_calls(window: Window, turn: Locator) -> None:
    """Calls are in cards: each takes every call until the next prose, and what is thought in between."""
    cards = [
        card.locator(":scope > .call > summary .tool").all_text_contents()
        for card in turn.locator(".blocks > .calls").all()
    ]
    assert cards == [["Bash", "Read", "Thought", "Grep", "Edit"], ["Task", "Todos", "Read"], ["Write"]]
    results = turn.locator(".blocks > .calls > .call > summary .res").all_text_contents()
    assert [words.partition(" · ")[0] for words in results] == [
        "exit 1", "84 lines", "", "7 hits", "+2 \N{MINUS SIGN}2", "1 tool", "", "1 image", "+10,000",
    ]  # fmt: skip
    assert [one.is_visible() for one in turn.locator(".calls .out").all()].count(True) == 2, "a failure opens itself"
    read = named(turn, "Read")
    unfold(read)
    assert read.locator("pre").text_content() == "1\tclass"
    assert window.page.locator(".jump").is_visible(), "who unfolds a part is not scrolled to the end"


def the_long_output(window: Window, turn: Locator) -> None:
    failed = named(turn, "Bash")
    head, tail = failed.locator("pre").all()
    assert text_of(head).split("\n") == ["F.......", *(f"line {number} of the log" for number in range(11))]
    assert len(text_of(tail).split("\n")) == 12
    assert (head.locator(".ar").text_content(), tail.locator(".ar.ab").text_content()) == ("F", "1 failed")
    asked = len(window.asked)
    failed.get_by_role("button", name="Copy all, ").click()
    failed.get_by_text("Copied").wait_for()
    copied = window.page.evaluate("() => navigator.clipboard.readText()").split("\n")
    assert (len(copied), copied[-1]) == (OUTPUT_LINES, "1 failed")
    failed.get_by_role("button", name=f"Show {OUTPUT_LINES - 24:,} lines").click()
    failed.locator(".piece").last.wait_for(state="attached")
    whole = failed.locator("pre").evaluate("(pre) => pre.textContent").split("\n")
    assert whole[:2] + whole[-1:] == ["F.......", "line 0 of the log", "1 failed"]
    assert len(whole) == OUTPUT_LINES
    assert any("/api/events/" in url for url in window.asked[asked:]), "what was cut is fetched when it is wanted"


def the_change(turn: Locator) -> None:
    edit = named(turn, "Edit")
    unfold(edit)
    lines = [line.locator(":scope > span").all_text_contents() for line in edit.locator(".diff > div").all()]
    assert [cells[:3] for cells in lines] == [
        ["3", "3", " "], ["4", "", "\N{MINUS SIGN}"], ["5", "", "\N{MINUS SIGN}"], ["", "4", "+"], ["", "5", "+"],
    ]  # fmt: skip
    assert edit.locator("mark").all_text_contents() == ["'select', ('ready',)", "sql", " if row else None"]
    written = named(turn, "Write")
    unfold(written)
    assert written.locator(".diff > div").count() == 60
    written.get_by_role("button", name="Show 9,940 lines").click()
    written.get_by_text("8,000 more lines: hyperhive show").wait_for()
    assert written.locator(".diff > div").count() == 2_000, "the page does not draw a file of any length"


def the_subagent(turn: Locator) -> None:
    task = named(turn, "Task")
    unfold(task)
    words = [one.strip() for one in task.locator(".sub > .prose").all_text_contents()]
    assert words == ["Find every caller of claim_next.", "Three callers."]
    assert task.locator(".sub .call .tool").all_text_contents() == ["Grep"]
    todos = named(turn, "Todos")
    assert todos.locator(".in").text_content() == "1 of 3 done"
    unfold(todos)
    assert [one.get_attribute("class") for one in todos.locator("li").all()] == ["done", "doing", None]


def the_image(window: Window, turn: Locator) -> None:
    read = turn.locator(".call", has_text="waits.png")
    assert not [url for url in window.asked if "/images/" in url]
    unfold(read)
    read.get_by_text("waits.png · 160 \u00d7 96").wait_for()
    assert (
        read.locator("img").evaluate("(img) => fetch(img.src).then(() => 'kept', () => 'given back')") == "given back"
    )
    window.faults.clear()  # the browser complains about that address
    read.get_by_role("button", name="Open waits.png").click()
    window.page.locator("dialog.lightbox[open] img").wait_for()
    window.page.locator(".lightbox", has_text="160 \u00d7 96").wait_for()
    window.page.keyboard.press("Escape")
    window.page.locator(".lightbox").wait_for(state="detached")


def the_rest(turn: Locator) -> None:
    assert turn.locator("summary.fold", has_text="Thought").count() == 1
    assert "Overloaded: tried 2 times" in text_of(turn.locator(".note", has_text="then went on."))
    divide = turn.locator("summary.divide")
    assert text_of(divide).endswith("168k to 24k tokens")
    divide.click()
    turn.locator(".compaction .thought", has_text="The summary of it.").wait_for()
    assert turn.locator(".prose pre code .hljs-string").text_content() == "'hi'"


def the_tries(window: Window) -> None:
    """Failed tries of a message are folded before the last one."""
    fold = window.page.locator("details.tries")
    assert fold.locator("> summary").text_content() == "2 earlier tries"
    assert not fold.locator(".turn").first.is_visible()
    fold.locator("> summary").click()
    assert fold.locator(".turn-head .tag.bad").all_text_contents() == ["crashed", "crashed"]
    assert fold.locator(".call .res").all_text_contents() == ["no answer", "no answer"]
    assert window.page.locator(".turn-head .tag.line").all_text_contents() == ["2nd try", "3rd try"]


def the_menu(window: Window, hive: Hive, turn: Locator) -> None:
    told = turn.locator(".turn-menu .told")
    told.evaluate(KEEP_WORDS)

    def wait_told(*words: str) -> None:
        wait_until(lambda: told.evaluate("(told) => told.seen") == [*words])

    turn.locator(".more-b").focus()
    window.page.keyboard.press("Enter")
    window.page.get_by_role("button", name="Copy link").click()
    wait_told("Copied")
    assert window.page.evaluate("() => navigator.clipboard.readText()").endswith(
        f"/agents/{hive.status()['agent']}/turns/1"
    )
    turn.locator(".turn-menu").wait_for(state="hidden")
    turn.locator(".more-b").click()
    window.page.get_by_role("button", name="Copy as Markdown").click()
    wait_told("Copied", "Copied")
    assert "I will look at the failing test first." in window.page.evaluate("() => navigator.clipboard.readText()")
    turn.locator(".turn-menu").wait_for(state="hidden")
    turn.locator(".more-b").click()
    with window.page.expect_download() as saved:
        window.page.get_by_role("button", name="Save as HTML").click()
    assert saved.value.suggested_filename == f"{hive.status()['agent']}-turn-1.html"
    assert saved.value.path().read_text() == hive.call("export", "--format", "html", "--turn", "1").stdout
    wait_told("Copied", "Copied", "Saved")
    turn.locator(".turn-menu").wait_for(state="hidden")
    turn.locator(".more-b").click()
    window.page.get_by_role("button", name="Send again").click()
    assert window.field.input_value() == "Please fix `test_claim`.\nThen push."


def the_absence(window: Window, hive: Hive) -> None:
    """A line above the first turn that no one has seen says what happened meanwhile."""
    seen = shown_numbers(hive.state_dir)[30]  # in the first turn
    stored = f"JSON.stringify({{seq: {seen}, at: Date.now() - 3 * 3600e3}})"
    window.page.add_init_script(f"localStorage.setItem('hyperhive-seen//{hive.status()['agent']}', {stored})")
    window.page.reload()
    away = window.page.locator(".away")
    away.wait_for()
    assert "3 h: 3 turns, 1 ok, 2 failed" in text_of(away)
    away.get_by_role("button", name="To the failure").click()
    window.page.locator("details.tries[open] .turn:focus").wait_for()


def the_address(window: Window, url: str) -> None:
    """The address of a turn opens it, and one that is not there is said to be missing."""
    base, _, token = url.partition("#")
    window.page.goto(f"{base}agents/workspace/turns/2#{token}")
    window.page.locator(".turn[data-turn='2']:focus").wait_for()
    window.expected = ("status of 404",)
    window.page.goto(f"{base}agents/workspace/turns/99#{token}")
    window.wait_text(".reply", "Turn 99 is not in the history")


# The block at the top of the feed, and where it is, once nothing moves any more.
PLACE = """async () => {
  const frame = () => new Promise((again) => requestAnimationFrame(() => setTimeout(again)));
  const feed = document.querySelector(".feed");
  let was = -1;
  while (was !== (was = feed.scrollTop)) for (let n = 0; n < 5; n += 1) await frame();
  const { top } = feed.getBoundingClientRect();
  window.read ??= [...document.querySelectorAll(".feed .prose")].find((one) => one.getBoundingClientRect().top >= top);
  return [window.read.isConnected, Math.round(window.read.getBoundingClientRect().top)];
}"""


def test_long_texts_unfold_and_a_turn_whose_harness_died_is_interrupted(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    prose = "\n\n".join(f"Paragraph {number} of a **long** report." for number in range(400))
    fake_claude.script([{"wait_for_prompt": True}, STARTED, said(prose), ENDED], gated())
    body = "\n".join(f"line {number} of the message" for number in range(2_000))
    run_turns(hive, body)
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        with hive.run() as program:
            window.wait_live()
            message, report = window.page.locator(".msg").first, window.page.locator(".blocks > .prose").first
            message.get_by_role("button", name="Show 1,988 lines").click()
            wait_until(lambda: text_of(message) == body)
            report.get_by_role("button", name="Show the rest, ").click()
            wait_until(lambda: report.locator("strong").count() == 400)
            window.say("and now")
            window.wait_text(".turn-head", "running 0:")
            fake_claude.wait_for("before go on")
            program.send(signal.SIGKILL)
        window.wait_text(".turn-head .tag", "interrupted")
        window.expected = ("ERR_FAILED", "dynamically imported module")
        window.page.route("**/vendor/purify.js", lambda route: route.abort())
        window.page.reload()
        window.wait_text(".blocks > .prose", "Paragraph 1 of a **long** report.")  # without the library


def test_older_rows_come_as_one_scrolls_up_and_the_reader_keeps_the_place(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    flood: Step = {"repeat": 1_600, "steps": [said("A **line** of `text`.")]}
    fake_claude.script([{"wait_for_prompt": True}, flood, ENDED], gated())
    run_turns(hive, "flood")
    held: list[Route] = []
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        window.check_rows()
        page = window.page
        assert page.locator(".jump").is_hidden()
        page.route("**/events?*before=*", lambda route: held.append(route))  # noqa: PLW0108 - it marks the function
        assert page.locator(".turn-head .who").text_content() == "operator", "it starts further up than the page"
        with page.expect_request("**/events?*before=*"):
            page.evaluate("() => { document.querySelector('.feed').scrollTop = 300 }")
        place, count = page.evaluate(PLACE), page.locator(".feed .prose").count()
        held.pop().continue_()
        wait_until(lambda: page.locator(".feed .prose").count() > count)
        assert page.evaluate(PLACE) == place
        window.check_rows()
        where = page.evaluate("() => document.querySelector('.feed').scrollTop")
        window.say("and now")
        window.wait_text(".jump", "new")
        assert page.evaluate("() => document.querySelector('.feed').scrollTop") == where
        page.locator(".jump").click()
        page.locator(".jump").wait_for(state="hidden")
        window.wait_text(".turn-head", "running 0:")
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end", turn_id=2)
        window.wait_text(".prose", "Hello! I am ready.")
        window.check_rows()


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


SVG = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg' onload=\"window.owned='svg image'\"/>").decode()


def hostile_lines() -> list[Step]:
    """Return lines with the corpus in every text that claude, its tools or its API can choose."""
    odd = {"type": "tool_use", "id": "toolu_1", "name": EVERYTHING, "input": {EVERYTHING: EVERYTHING}}
    edit = {"type": "tool_use", "id": "toolu_2", "name": "Edit", "input": {
        "file_path": EVERYTHING, "old_string": EVERYTHING, "new_string": f"{EVERYTHING}\nmore",
    }}  # fmt: skip
    patch = {"structuredPatch": [{"oldStart": 1, "newStart": 1, "lines": [f"{sign}{EVERYTHING}" for sign in "+- "]}]}
    return [
        {"line": {"type": "system", "subtype": "init", "session_id": EVERYTHING, "model": EVERYTHING, "cwd": "/"}},
        *(line([{"type": "text", "text": text}]) for text in SCRIPTS),
        line([{"type": "text", "text": "> " * 3_000 + "deeper than a parser can go"}]),
        line([{"type": "text", "text": EVERYTHING}, {"type": "thinking", "thinking": EVERYTHING}, odd, edit]),
        line([{"type": "tool_result", "tool_use_id": "toolu_1", "content": EVERYTHING, "is_error": True}], "user"),
        line([{"type": "tool_result", "tool_use_id": "toolu_2", "content": "x"}], "user", tool_use_result=patch),
        line([{"type": EVERYTHING, "text": EVERYTHING}]),
        call("toolu_3", "Task", description=EVERYTHING, prompt=EVERYTHING),
        answer("toolu_3", EVERYTHING, {"status": "completed", "content": [{"type": "text", "text": EVERYTHING}]}),
        call("toolu_4", "TodoWrite", todos=[{"content": EVERYTHING, "status": EVERYTHING}]),
        call("toolu_5", "Read", file_path="x.png"),
        answer("toolu_5", [image(), image("image/svg+xml", SVG), image("image/png", SVG), image(EVERYTHING)]),
        answer("unknown", f"\x1b[31m{EVERYTHING}\x1b[0m" * 20),
        system("compact_boundary", compact_metadata={"pre_tokens": 1e308, "post_tokens": -1}),
        line(f"{EVERYTHING}\nsummary", "user"),
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
        window.page.locator(".inbox li .long").click()  # all of the message
        for _ in range(2):  # what is within a part is made when it is opened
            for details in window.page.locator(".feed details").all():
                details.evaluate("(element) => { element.open = true }")
        window.wait_text(".inbox", "onerror=")
        see = (
            "() => document.querySelector('.thumbs').scrollIntoView()"  # what is above it gets its size only when seen
        )
        wait_until(lambda: (window.page.evaluate(see), window.page.get_by_text("it cannot be read").count())[1])
        check_inert(window)
        images = window.page.locator(".feed img").evaluate_all("(all) => all.map((one) => one.naturalWidth)")
        assert images == [160, 0], "neither an SVG nor what is no image is drawn"
        texts = window.page.locator(".feed").inner_text()
        assert "<img src=x onerror=\"window.owned='img'\">" in texts, "shown as what it is"
        assert "\\u202egnp.exe" in texts
        assert window.page.locator(".out .ar", has_text="egnp.exe").count() > 0, "colours are all that is obeyed"
        assert window.page.locator(".prose", has_text="deeper than a parser can go").count() == 1
        assert window.page.locator(".blocks > .prose a", has_text="good link").count() > 0


def check_inert(window: Window) -> None:
    """Check that there are only the page's own elements, and that no script has run and nothing was loaded."""
    page = window.page
    page.mouse.move(300, 300)
    assert page.evaluate("() => window.owned ?? null") is None
    elements = "img:not(.thumb img), script:not([src^='/static/']), style, iframe, object, embed, form[action], math"
    assert page.locator(f"{elements}, .feed [style], .feed [id], svg:not(.i, .logo, .sprite)").count() == 0
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

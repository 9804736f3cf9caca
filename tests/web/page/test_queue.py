"""The inbox beside the feed as a queue, and what the agent uses, in a real browser."""

import pytest
from playwright.sync_api import Browser, Locator

from tests.conftest import FakeClaude, wait_until
from tests.harness import BAD_REQUEST, TEXT, Hive, gated
from tests.store.made_messages import hold
from tests.web.page.browser import Window, gateway, open_window

# A time that is typed in the same moment in which the menu opens.
TYPED_AT_ONCE = """() => new Promise((done) => {
  const menu = document.querySelector(".later");
  const at = menu.querySelector("[aria-label=At]");
  menu.addEventListener("toggle", () => { menu.hidePopover(); done(at.value); }, { once: true });
  menu.showPopover();
  at.value = "2030-01-01T02:30";
})"""


def queue(hive: Hive) -> list[tuple[int, str]]:
    return [(message["id"], message["body"]) for message in hive.messages() if message["state"] == "ready"]


def shown(window: Window, section: str = "waiting") -> list[int]:
    items = window.page.locator(f".queue.{section} li")
    return [int(number) for number in items.evaluate_all("(items) => items.map((item) => item.dataset.id)")]


def item(window: Window, number: int) -> Locator:
    return window.page.locator(f".queue li[data-id='{number}']")


def do(window: Window, number: int, verb: str) -> None:
    item(window, number).hover()
    item(window, number).locator(f"[data-verb={verb}]").click()


def test_the_inbox_is_a_queue(browser: Browser, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    for body in ("busy", "two", "three", f"four\n{'and more ' * 300}the end"):
        hive.call("send", body)
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        window.expected = ("status of 400", "status of 409")  # what is refused on purpose
        fake_claude.wait_for("before go on")
        window.wait_live()
        wait_until(lambda: shown(window) == [2, 3, 4])
        assert window.text(".queue.waiting .count") == "3 waiting"
        assert window.page.locator(".tabs [data-part=inbox]").text_content() == "Inbox 3"
        assert item(window, 2).locator(".acc").inner_text() == "Next"
        the_order(window, hive)
        the_text(window, hive)
        the_time(window, hive)
        the_undo(window, hive)
        the_schedules(window, hive)
        assert window.axe() == []
        # A message that starts while it is edited: what was typed stays, and it is said why it is not saved.
        first = shown(window)[0]
        do(window, first, "edit")
        item(window, first).locator("textarea").fill("too late")
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end", message_id=first)
        item(window, first).get_by_role("button", name="Save").click()
        window.wait_text("[role=alert]", f"message {first} is not waiting: it is done")
        assert item(window, first).locator("textarea").input_value() == "too late"
        item(window, first).get_by_role("button", name="Keep as it was").click()
        wait_until(lambda: hive.messages() == [])
        window.wait_text(".inbox-words", "Nothing waits.")
        assert window.page.locator(".queue li").count() == 0
        the_past(window, hive)


def the_past(window: Window, hive: Hive) -> None:
    """Newest first, read when it is wanted; a text can be sent again."""
    past = window.page.locator(".past")
    assert past.locator("li").count() == 0
    past.locator("summary").click()
    past.locator("li").first.wait_for()
    states = {message["id"]: message["state"] for message in hive.messages("--all")}
    lines = past.locator("li .meta").all_inner_texts()
    assert [line.split(" · ")[:2] for line in lines] == [
        [f"operator #{number}", states[number]] for number in sorted(states, reverse=True)
    ]
    past.get_by_role("button", name="Send message 1 again").click()
    assert window.field.input_value() == "busy"
    window.field.fill("")


def the_order(window: Window, hive: Hive) -> None:
    """By the keyboard, which is announced, and by the pointer."""
    item(window, 4).locator(".grip").focus()
    window.page.keyboard.press("Alt+ArrowUp")
    wait_until(lambda: [number for number, _ in queue(hive)] == [2, 4, 3])
    assert (shown(window), window.text(".inbox-said")) == ([2, 4, 3], "Message 4 is now 2 of 3.")
    window.page.keyboard.press("Alt+ArrowUp")  # the grip still has the focus
    wait_until(lambda: [number for number, _ in queue(hive)] == [4, 2, 3])
    window.page.keyboard.press("Alt+ArrowUp")  # it is the first
    assert item(window, 4).locator(".acc").inner_text() == "Next"
    mouse = window.page.mouse
    start, end = (item(window, number).locator(".grip").bounding_box() for number in (4, 3))
    assert start is not None
    assert end is not None
    mouse.move(start["x"] + 4, start["y"] + 4)
    mouse.down()
    mouse.move(end["x"] + 4, end["y"] + 20, steps=5)
    assert shown(window) == [2, 3, 4]
    window.page.keyboard.press("Escape")  # puts it back
    mouse.up()
    assert shown(window) == [4, 2, 3]
    mouse.move(start["x"] + 4, start["y"] + 4)
    mouse.down()
    mouse.move(end["x"] + 4, end["y"] + 20, steps=5)
    mouse.up()
    wait_until(lambda: [number for number, _ in queue(hive)] == [2, 3, 4])
    assert shown(window) == [2, 3, 4]


def the_text(window: Window, hive: Hive) -> None:
    """In its place; a long one is read whole first."""
    item(window, 4).locator("p").click()
    window.wait_text(".queue li p.open", "the end")
    item(window, 4).locator("p").click()
    unfold = item(window, 4).get_by_role("button", name="Show all of message 4")
    unfold.press("Enter")
    window.wait_text(".queue li p.open", "the end")
    item(window, 4).get_by_role("button", name="Show less of message 4").press("Enter")
    assert unfold.get_attribute("aria-expanded") == "false"
    assert window.page.locator("[data-verb=unfold]").count() == 1, "the others are shown whole"
    do(window, 4, "edit")
    field = item(window, 4).locator("textarea")
    assert field.input_value().endswith("the end")
    field.press("Escape")
    do(window, 3, "edit")
    field = item(window, 3).locator("textarea")
    field.fill(" ")
    field.press("Control+Enter")
    window.wait_text("[role=alert]", "a message must not be empty")
    field.fill("three, better")
    item(window, 3).get_by_role("button", name="Save").click()
    window.wait_text(".queue.waiting li", "three, better")
    window.wait_text(".queue.waiting li .meta", "edited")
    assert (3, "three, better") in queue(hive)
    assert window.page.evaluate("document.activeElement.dataset.verb") == "edit"


def the_time(window: Window, hive: Hive) -> None:
    do(window, 3, "schedule")
    window.page.get_by_role("button", name="Tomorrow morning").click()
    wait_until(lambda: shown(window, "scheduled") == [3])
    assert shown(window) == [2, 4]
    (message,) = [one for one in hive.messages() if one["id"] == 3]
    assert message["not_before"] > message["created"]
    do(window, 3, "now")
    wait_until(lambda: shown(window) == [2, 3, 4])  # its place was kept
    assert window.page.locator(".queue.scheduled").is_hidden()


def the_undo(window: Window, hive: Hive) -> None:
    do(window, 3, "cancel")
    window.wait_text(".undo", "Cancelled #3")
    assert [number for number, _ in queue(hive)] == shown(window) == [2, 4]
    window.page.get_by_role("button", name="Undo").click()
    wait_until(lambda: shown(window) == [2, 3, 4])
    assert [number for number, _ in queue(hive)] == [2, 3, 4]
    assert window.page.locator(".undo").count() == 0


def the_schedules(window: Window, hive: Hive) -> None:
    """A message is repeated by the composer's clock; beside the feed its schedule is paused, run and removed."""
    page = window.page
    assert page.evaluate(TYPED_AT_ONCE) == "2030-01-01T02:30"
    window.field.fill("Check the nightly build")
    page.get_by_role("button", name="Schedule", exact=True).click()
    menu = page.get_by_role("dialog", name="Schedule").filter(has=page.get_by_label("Repeat"))
    menu.get_by_label("At", exact=True).fill("2030-01-01T02:30")
    menu.get_by_label("Repeat").select_option("Every day")
    menu.get_by_role("button", name="Send every day at 02:30").click()
    window.wait_text(".reply", "Schedule check-the-nightly-build: next at")
    assert window.field.input_value() == ""
    (added,) = hive.call("schedule", "--json").json_lines()
    zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    assert (added["expression"], added["zone"], added["body"]) == ("30 2 * * *", zone, "Check the nightly build")
    one = page.locator("[data-schedule]")
    window.wait_text("[data-schedule] .meta", ", every day · check-the-nightly-build")
    assert window.text(".queue.scheduled .count") == "1"

    def press(verb: str) -> None:
        one.hover()
        one.locator(f"[data-verb={verb}]").click()

    press("pause")
    window.wait_text("[data-schedule] .meta", "Paused, every day")
    press("resume")
    one.locator("[data-verb=pause]").wait_for()
    press("run")
    wait_until(lambda: [body for _, body in queue(hive)][-1:] == ["Check the nightly build"])
    hive.call("inbox", "cancel", str(queue(hive)[-1][0]))
    press("remove")
    window.wait_text(".undo", "Removed check-the-nightly-build")
    assert hive.call("schedule", "--json").stdout == ""
    page.get_by_role("button", name="Undo").click()
    one.wait_for()
    press("remove")
    hive.call("schedule", "add", "by-hand", "@daily", "from a terminal")  # the page hears of it
    window.wait_text("[data-schedule] p", "from a terminal")
    press("remove")
    wait_until(lambda: page.locator(".queue.scheduled").is_hidden())
    page.locator(".undo").first.wait_for(state="attached")
    page.evaluate("document.querySelectorAll('.undo').forEach((line) => line.remove())")
    wait_until(lambda: shown(window) == [2, 3, 4])


@pytest.mark.exhaustive
def test_what_needs_a_person_and_what_failed_is_run_again_or_dropped(
    browser: Browser, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(BAD_REQUEST, TEXT)
    inbox = hive.state_dir / "hyperhive-inbox.sqlite"
    for tool in ("Bash", "Write"):
        hold(inbox, f"claude asks to run {tool}")
    hive.call("send", "one")
    with hive.run() as program, gateway(hive) as url, open_window(browser, hive, url) as window:
        program.wait_for_kind("turn_end", outcome="bad_request")
        window.wait_text(".queue.needs .why", "claude asks to run Bash")
        window.wait_text(".queue.dead .why.bad", "non-empty")
        do(window, 3, "retry")
        program.wait_for_kind("turn_end", message_id=3, outcome="ok")
        do(window, 1, "retry")
        program.wait_for_kind("turn_end", message_id=1, outcome="ok")
        do(window, 2, "cancel")
        window.wait_text(".inbox-words", "Nothing waits.")
        assert window.page.locator(".undo").count() == 0  # it has run: there is no way back to being held
    assert [message["state"] for message in hive.messages("--all")] == ["done", "cancelled", "done"]


def test_the_inbox_of_a_stopped_agent_is_changed_all_the_same(browser: Browser, hive: Hive) -> None:
    for body in ("one", "two"):
        hive.call("send", body)
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        wait_until(lambda: shown(window) == [1, 2])
        item(window, 2).locator(".grip").focus()
        window.page.keyboard.press("Alt+ArrowUp")
        wait_until(lambda: [number for number, _ in queue(hive)] == [2, 1])
        do(window, 1, "cancel")
        window.wait_text(".undo", "Cancelled #1")
        assert window.text(".no-turns") == "Charts begin with the first turn."
        window.say("three")
        window.wait_text(".reply code", "hyperhive")
        assert window.text(".reply").startswith("No harness is running; the message waits for hyperhive")


def test_what_the_agent_uses_is_a_number_first(browser: Browser, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, BAD_REQUEST, TEXT)
    for body in ("one", "two", "three"):
        hive.call("send", body)
    hive.drain()
    limits = ("--max-day-cost", "1", "--max-tool-calls", "9")
    with hive.run(*limits), gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        window.wait_text(".usage h2", "Last 3 turns")
        window.wait_text(".charts dt", "Outcomes: 2 ok, 1 failed")
        links = window.page.locator(".strip a")
        names = [str(name) for name in links.evaluate_all("(all) => all.map((one) => one.ariaLabel)")]
        assert [name.split(",")[0] for name in names] == ["Turn 1: ok", "Turn 2: bad request", "Turn 3: ok"]
        heights = links.evaluate_all("(all) => all.map((one) => one.offsetHeight)")
        assert heights[0] == heights[2] < heights[1]  # told by more than the colour
        window.wait_text(".bars .bud", "of $1")
        window.wait_text(".bars .bud", "of 9")
        window.page.locator(".raise-b").click()
        window.page.locator("dialog input[name=amount]").fill("2.5")
        window.page.get_by_role("button", name="Raise", exact=True).click()
        window.wait_text(".bars .bud", "of $2.50")
        chart = window.page.locator(".chart", has_text="Context").locator("a")
        newest = chart.get_attribute("aria-label")
        chart.focus()
        window.page.keyboard.press("Home")
        assert str(chart.get_attribute("aria-label")).endswith("turn 1")
        assert str(newest).endswith("turn 3")
        window.page.keyboard.press("Enter")
        wait_until(lambda: window.page.url.endswith("/turns/1"))
        links.nth(2).focus()
        window.page.keyboard.press("ArrowLeft")
        window.page.keyboard.press("Enter")
        wait_until(lambda: window.page.url.endswith("/turns/2"))
        assert window.axe() == []

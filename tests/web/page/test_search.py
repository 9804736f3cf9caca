"""The search of the page: what it opens is in sight, wherever in the history it is."""

from typing import Any

from playwright.sync_api import Browser

from hyperhive_cli.core.events import BusEvent, LiveEvent, Note, Stream, TurnEnd, TurnStart
from hyperhive_cli.store.events import open_event_store
from tests.harness import Hive
from tests.unit.made_events import TS, answer, assistant, call, said
from tests.web.page.browser import Window, gateway, open_window

TURNS = 40
IN_SIGHT = """() => {
  const [found, feed] = [".is-found", ".feed"].map((one) => document.querySelector(one)?.getBoundingClientRect());
  return found && found.top >= feed.top - 1 && found.top < feed.bottom;
}"""


def made_turn(turn: int) -> list[LiveEvent | dict[str, Any]]:
    output = "\n".join(f"line {number} of {turn}" for number in range(60))
    return [
        TurnStart(sender="ann", body=f"message number{turn}", unread=0, turn_id=turn),
        assistant(call(f"t{turn}", "Bash", command="pytest -q")),
        answer(f"t{turn}", f"{output}\nneedle{turn} in a haystack", is_error=turn % 4 == 0),
        assistant(said(f"done with {turn}")),
        TurnEnd(ok=True, turn_id=turn),
        Note(text=f"pause{turn} between turns"),
    ]


def write_turns(hive: Hive) -> None:
    hive.call("send", "hello", "--new")
    events = (event for turn in range(1, TURNS + 1) for event in made_turn(turn))
    rows = [
        BusEvent.make(seq, TS + seq, Stream.from_line(event) if isinstance(event, dict) else event)
        for seq, event in enumerate(events, 1)
    ]
    with open_event_store(hive.state_dir / "hyperhive-events.sqlite") as store:
        assert store.append(rows) is None


def search(window: Window, words: str) -> None:
    window.page.evaluate("() => document.activeElement.blur()")
    window.page.keyboard.type("gs")
    window.page.locator(".search input").fill(words)
    window.wait_text(".hit mark", words)
    window.page.locator(".search input").press("Enter")
    window.page.locator(".is-found", has_text=words).wait_for()
    window.page.wait_for_function(IN_SIGHT)


def test_what_is_found_opens_in_sight_wherever_it_is(browser: Browser, hive: Hive) -> None:
    write_turns(hive)
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        for words in ("number3", "needle7", "pause12", "number40", "needle8"):
            search(window, words)
            turn = "".join(filter(str.isdigit, words))
            address = window.page.evaluate("() => location.pathname")
            assert words.startswith("pause") or address.endswith(f"/turns/{turn}"), words
        assert window.page.locator(".call.is-found[open]").count() == 1
        window.page.keyboard.type("gs")
        window.page.locator(".chipb", has_text="Only failures").click()
        window.page.locator(".search input").fill("needle*")
        window.wait_text(".chipb", "All 10")
        assert window.page.locator(".hit .bad").count() == 10
        window.page.keyboard.press("Escape")
        window.field.fill("the page goes on")
        assert window.page.locator(".search").is_hidden()
        # The address of a search, as the palette opens it in a new tab, and for all agents from the overview.
        window.page.evaluate("() => (location.search = '?search=needle9&all=1')")
        window.wait_text(".hit mark", "needle9")
        assert window.page.locator(".chipb[aria-pressed=true]", has_text="All agents").is_visible()

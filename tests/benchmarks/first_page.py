"""What a browser gets first of a long history: how long the answer takes, and how large it is."""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from statistics import median

from hyperhive_cli.core.events import BusEvent, LiveEvent, Stream, TurnEnd, TurnStart
from hyperhive_cli.core.settings import HISTORY_CAPACITY
from hyperhive_cli.store.events import open_event_store
from tests.benchmarks.agents import open_agent
from tests.benchmarks.measure import Found, Sample, Scale, take_turns
from tests.benchmarks.rows import Figure, Goal
from tests.benchmarks.web import ask, open_gateway

REPEATS = 10
OUTPUT_CHARS = (200, 500, 2_000, 8_000, 30_000, 180_000)  # together some 37 MB
TURN_EVENTS = 102
FIGURES = (
    Figure(
        "first page, of 37 MB", "ms", ("long", "ms"), ("short", "ms"), "of 100 events", Goal("≤", 2.0), "headroom"
    ),
    Figure("first page, sent", "kB", ("long", "kB"), ("short", "kB"), "of 100 events", Goal("≤", 180, "ours"), "felt"),
    Figure(
        "page's files, sent", "kB", ("files", "kB"), None, "no reference: the page, scripts, styles",
        Goal("≤", 150, of="ours"), "felt",
    ),
)  # fmt: skip


def run(scale: Scale) -> Iterator[Found]:
    """Ask for both, as a browser does."""
    events = scale.pick(HISTORY_CAPACITY, 200)
    measures: dict[str, Callable[[], Sample]] = {
        "long": partial(first_page, events),
        "short": partial(first_page, 100),
        "files": files,
    }
    yield take_turns(scale.pick(3, 1), measures)


def first_page(events: int) -> Sample:
    """Open the page of an agent with so many events."""
    with open_agent() as agent:
        agent.paths.state_dir.mkdir(mode=0o700)
        with open_event_store(agent.paths.events_db) as store:
            store.append([BusEvent.make(seq, seq, event) for seq, event in enumerate(made(events), 1)])
        with open_gateway(agent) as (_, address):
            found = [ask(address, "/api/open?view=rows") for _ in range(REPEATS)]
            return {"ms": median(took_ms for _, took_ms, _ in found), "kB": found[0][2] / 1000}


def files() -> Sample:
    """Load what the page needs before it is drawn."""
    with open_agent() as agent, open_gateway(agent) as (_, address):
        page, _, size = ask(address, "/")
        hashed = page.decode().partition('"/static/')[2].partition("/")[0]
        paths = ("css/all.css", "js/theme.js", "js/main.js", "vendor/marked.js", "vendor/purify.js")
        sizes = [ask(address, f"/static/{hashed}/{path}")[2] for path in paths]
        return {"kB": (size + sum(sizes)) / 1000}


def made(count: int) -> Iterator[LiveEvent]:
    """Yield the events of turns of fifty calls each, the texts of which can hardly be compressed better than code."""
    dice = Random(1)  # noqa: S311 - the same texts each time
    words = [f"{dice.randrange(10**6):x}" for _ in range(5_000)]
    for number in range(count):
        turn, place = divmod(number, TURN_EVENTS)
        if place == 0:
            yield TurnStart(turn_id=turn + 1, sender="ann", body=_text(dice, words, 200), unread=0)
        elif place == TURN_EVENTS - 1:
            yield TurnEnd(turn_id=turn + 1, ok=True)
        elif place % 2:
            tool = {"type": "tool_use", "id": f"c{number}", "name": "Bash", "input": {"command": "pytest -q"}}
            said = {"type": "text", "text": _text(dice, words, 300)}
            yield Stream.from_line({"type": "assistant", "message": {"content": [said, tool]}})
        else:
            output = _text(dice, words, dice.choice(OUTPUT_CHARS))
            block = {"type": "tool_result", "tool_use_id": f"c{number - 1}", "content": output}
            yield Stream.from_line({"type": "user", "message": {"content": [block]}})


def _text(dice: Random, words: list[str], chars: int) -> str:
    return "\n".join(" ".join(dice.choices(words, k=12)) for _ in range(chars // 80 + 1))

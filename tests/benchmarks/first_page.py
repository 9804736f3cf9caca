"""The first answer that a browser gets: whether it takes longer for a long history. `opening` has its page."""

from collections.abc import Iterator
from functools import partial
from random import Random
from statistics import median

from hyperhive_cli.core.events import BusEvent, LiveEvent, Stream, TurnEnd, TurnStart
from hyperhive_cli.core.settings import HISTORY_CAPACITY
from hyperhive_cli.store.events import open_event_store
from tests.benchmarks.agents import Agent, open_agent
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
)  # fmt: skip


def run(scale: Scale) -> Iterator[Found]:
    """Ask for both, as a browser does."""
    events = scale.pick(HISTORY_CAPACITY, 200)
    yield take_turns(scale.pick(3, 1), {"long": partial(first_page, events), "short": partial(first_page, 100)})


def first_page(events: int) -> Sample:
    """Open the page of an agent with so many events."""
    with open_agent() as agent:
        fill(agent, events)
        with open_gateway(agent) as (_, address):
            return {"ms": median(ask(address, "/api/open?view=rows")[1] for _ in range(REPEATS))}


def fill(agent: Agent, events: int) -> None:
    """Write an agent's history of so many events."""
    agent.paths.state_dir.mkdir(mode=0o700)
    with open_event_store(agent.paths.events_db) as store:
        store.append([BusEvent.make(seq, seq, event) for seq, event in enumerate(made(events), 1)])


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

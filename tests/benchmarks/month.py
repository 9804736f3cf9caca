"""A month of work: turns of prose, tool calls and their output, whose texts are this repository's own.

The same for the same numbers. An event has 3 KB on average, as one of the real binary.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import hyperhive_cli
from hyperhive_cli.core.events import BusEvent, LiveEvent, Stream, TurnEnd, TurnStart, TurnStateChanged
from hyperhive_cli.core.retention import DAY_MS, HistoryRetention
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.words import words_of

SEED = 20261130
CALLS = (1, 2, 5, 20, 60, 150)  # of tools in a turn
TOOLS = ("Bash", "Bash", "Read", "Read", "Grep", "Edit")
CHARS = (80, 200, 500, 1_500, 4_000, 12_000)  # of a tool's output
FAILURE = "connection refused"  # in one output of a hundred
FAILURES = 100

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Month:
    """How much work there is: so many days with so many events each, the last one at `until_ms` (Unix ms)."""

    until_ms: int
    days: int = 30
    events_a_day: int = 20_000

    def turns(self) -> Iterator[list[BusEvent]]:
        """Yield the events of each turn, with numbers and times."""
        dice, seq, turn_id = Random(SEED), 0, 0  # noqa: S311 - the same each time
        for day in range(self.days):
            midnight = self.until_ms - (self.days - day) * DAY_MS
            first = seq
            while seq - first < self.events_a_day:
                turn_id += 1
                events = []
                for event in made_turn(dice, turn_id):
                    seq += 1
                    ts = midnight + min(DAY_MS, (seq - first) * DAY_MS // self.events_a_day)
                    events.append(BusEvent.make(seq, ts, event))
                yield events

    def write(self, paths: AgentPaths, keep: HistoryRetention = HistoryRetention()) -> int:  # noqa: B008 - immutable
        """Write it as the harness does: the newest into the events table, all of it into segments; return its size.

        The size is that of the payloads in bytes.
        """
        archive, size, count = Archive(paths.history, keep, words_of), 0, 0
        archive.find_end()
        archive.prepare()
        with open_event_store(paths.events_db) as store:
            for events in self.turns():
                store.append(events)
                archive.append(events)
                size += sum(len(event.payload) for event in events)
                count += len(events)
                if count > 5_000:  # in one step, which takes as long as several
                    while store.sweep(upto=archive.upto):
                        count = 0
            while store.sweep(upto=archive.upto):
                pass
        archive.expire(self.until_ms)
        return size


def made_turn(dice: Random, turn_id: int) -> Iterator[LiveEvent]:
    """Yield the events of a turn; a word of its own is in its last answer: `turn7word`."""
    yield TurnStart(turn_id=turn_id, sender="ann", body=_text(dice, 300), unread=0)
    yield TurnStateChanged(state="thinking", since_unix=turn_id)
    yield _stream(dice, {"type": "system", "subtype": "init", "model": "claude-haiku-4-5", "tools": list(TOOLS)})
    for call in range(dice.choice(CALLS)):
        name, identity = dice.choice(TOOLS), f"toolu_{turn_id}_{call}"
        asked = {"type": "tool_use", "id": identity, "name": name, "input": {"command": _text(dice, 120)}}
        yield _stream(dice, _assistant({"type": "text", "text": _text(dice, 200)}, asked))
        output = _text(dice, dice.choice(CHARS))
        if dice.randrange(FAILURES) == 0:
            output = f"{output}\ncurl: (7) {FAILURE}"
        block = {"type": "tool_result", "tool_use_id": identity, "content": output}
        again = {"stdout": output, "stderr": "", "interrupted": False}  # as the binary has it, twice
        message = {"role": "user", "content": [block]}
        yield _stream(dice, {"type": "user", "message": message, "tool_use_result": again})
    yield _stream(dice, _assistant({"type": "text", "text": f"turn{turn_id}word. {_text(dice, 400)}"}))
    yield _stream(dice, {"type": "result", "subtype": "success", "is_error": False, "result": _text(dice, 400)})
    yield TurnStateChanged(state="idle", since_unix=turn_id)
    yield TurnEnd(turn_id=turn_id, ok=True, outcome="ok", duration_ms=60_000, cost_usd=0.1)


def _assistant(*content: Line) -> Line:
    usage = {"input_tokens": 4, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 20_000}
    return {"type": "assistant", "message": {"id": "msg_1", "role": "assistant", "content": content, "usage": usage}}


def _stream(dice: Random, line: Line) -> Stream:
    line |= {"session_id": "0b1f5d3c-7a4e-4a57-9d0e-1c2f3a4b5c6d", "uuid": f"{dice.getrandbits(128):032x}"}
    return Stream.from_line(line, json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode())


@cache
def _sources() -> str:
    folder = Path(hyperhive_cli.__file__).parent
    paths = sorted((*folder.rglob("*.py"), *folder.rglob("*.md")))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def _text(dice: Random, chars: int) -> str:
    sources = _sources()
    at = dice.randrange(len(sources) - chars)
    return sources[at : at + chars]

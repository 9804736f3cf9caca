"""`agents --watch` and `status --watch`: refreshed in place on a terminal, else printed again after a change."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from hyperhive_cli.cli.invocation import Painted, is_plain, print_lines, stop_without_reader
from hyperhive_cli.cli.streams import write_drawn
from hyperhive_cli.core.terminal import escape

if TYPE_CHECKING:
    from hyperhive_cli.harness.client import AgentClient

T = TypeVar("T")
REDRAW_S = 1.0
# Nothing that has to be undone: the program may be killed at any moment.
CLEAR, HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"


def is_drawn() -> bool:
    """Return whether the output can be refreshed in place: stdout is a terminal for that, without --plain."""
    return sys.stdout.isatty() and not is_plain() and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}


def repeated(look: Callable[[], T]) -> Iterator[T]:
    """Yield the result of a call every second, until the reader of stdout is gone."""
    while True:
        yield look()
        sys.stdout.flush()
        stop_without_reader()
        time.sleep(REDRAW_S)


def draw(pictures: Iterable[Iterable[str]]) -> None:
    """Draw each picture, given in lines, over the last one."""
    write_drawn(CLEAR)
    for lines in pictures:
        rows = max(1, shutil.get_terminal_size().lines - 1)
        write_drawn(HOME)
        kept = (line if isinstance(line, Painted) else escape(line) for line in list(lines)[:rows])
        print_lines(Painted(f"{line}{REST_OF_LINE}") for line in kept)
        write_drawn(REST_OF_SCREEN)


class HistoryWatch:
    """Sees that the history of an agent was replaced by an older one between two looks: its field `replaced`."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, int]] = {}  # of each agent, the newest event's number and time
        self._replaced: dict[str, str] = {}

    def check(self, client: "AgentClient", found: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of an agent's `status --json` with `replaced`: None, or what to say."""
        agent, event = found["agent"], found["last_event"]
        if event is not None and (newest := (event["seq"], event["ts"])) != (before := self._newest.get(agent)):
            self._newest[agent] = newest
            if before is not None and not client.has_event(*before):
                from hyperhive_cli.core.events import replaced_words  # noqa: PLC0415 - the events' parser

                self._replaced[agent] = replaced_words(before[0])
        return {**found, "replaced": self._replaced.get(agent)}


def without_ages(agent: Mapping[str, Any]) -> str:
    """Return the state of an agent as text, without the fields that change by time passing."""
    hive = {name: value for name, value in (agent.get("hive") or {}).items() if not name.endswith("_s")}
    return json.dumps({**agent, "last_event": (agent["last_event"] or {}).get("seq"), "hive": hive})

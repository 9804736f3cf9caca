"""Looking again and again, for `agents --watch` and `status --watch`: on a terminal in place, else what has changed."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from hyperhive_cli.cli.invocation import Painted, is_plain, print_lines, stop_without_reader
from hyperhive_cli.cli.streams import write_drawn
from hyperhive_cli.core.terminal import escape

T = TypeVar("T")
REDRAW_S = 1.0
# Nothing that would have to be undone: whatever ends the program leaves the terminal in order.
CLEAR, HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"


def is_drawn() -> bool:
    """Return whether stdout is a terminal on which a picture can stay in its place."""
    return sys.stdout.isatty() and not is_plain()


def looks(look: Callable[[], T]) -> Iterator[T]:
    """Look each second, until the reader of stdout has gone."""
    while True:
        yield look()
        sys.stdout.flush()
        stop_without_reader()
        time.sleep(REDRAW_S)


def draw(pictures: Iterable[Iterable[str]]) -> None:
    """Draw each picture, in lines, over the one before."""
    write_drawn(CLEAR)
    for lines in pictures:
        rows = max(1, shutil.get_terminal_size().lines - 1)
        write_drawn(HOME)
        kept = (line if isinstance(line, Painted) else escape(line) for line in list(lines)[:rows])
        print_lines(Painted(f"{line}{REST_OF_LINE}") for line in kept)
        write_drawn(REST_OF_SCREEN)


def lasting(agent: Mapping[str, Any]) -> str:
    """Return what is known of an agent as text, without what changes with time alone."""
    hive = {name: value for name, value in (agent.get("hive") or {}).items() if not name.endswith("_s")}
    return json.dumps({**agent, "last_event": (agent["last_event"] or {}).get("seq"), "hive": hive})

"""Where a command shows events: the console, one JSON object a line, or nowhere."""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from hyperhive_cli.cli.invocation import is_plain
from hyperhive_cli.core.events import BusEvent, splice
from hyperhive_cli.core.terminal import escape_bytes
from hyperhive_cli.render.display_file import DisplayFile, KeptBytes

if TYPE_CHECKING:
    from hyperhive_cli.render.console import Console

T = TypeVar("T")
STOPS = (signal.SIGTSTP, signal.SIGCONT)


class JsonSink:
    """Prints one event a line, as on every wire."""

    def __init__(self, file: KeptBytes) -> None:
        self._file = file

    def show(self, records: Sequence[BusEvent]) -> None:
        """Write the events at once, and what an earlier call could not; raises as `KeptBytes.drain`."""
        keep_lines(self._file, b"".join(record.to_json() + b"\n" for record in records))
        self._file.drain()

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - as the console's
        """Take nothing: every event is on its line already."""

    def tick(self) -> None:
        """Redraw nothing."""

    def suspend(self) -> None:
        """Leave the terminal as it is: nothing is drawn on it."""

    def resume(self) -> None:
        """Do nothing, as above."""


def keep_lines(file: KeptBytes, lines: bytes) -> None:
    """Keep whole lines of UTF-8 for a file; on a terminal nothing in them may steer it."""
    file.write(escape_bytes(lines) if file.isatty() else lines)


def named_json(agent: str, record: BusEvent) -> bytes:
    """Give an event's JSON with its agent's name in the envelope; a field of that name becomes `claude_agent`."""
    fields = record.event.to_fields()
    payload = record.payload
    if "agent" in fields:
        import json  # noqa: PLC0415 - hardly ever

        payload = json.dumps({{"agent": "claude_agent"}.get(key, key): value for key, value in fields.items()}).encode()
    head, _, rest = splice(record.seq, record.ts, record.event.kind, payload).partition(b',"ts":')
    return head + f',"agent":"{agent}","ts":'.encode() + rest


def display_file() -> DisplayFile:
    """Return stdout as a file that keeps what cannot be written."""
    sys.stdout.flush()
    return DisplayFile(sys.stdout.fileno(), sys.stdout.encoding, sys.stdout.errors)


@contextmanager
def open_sink(
    snapshot: Mapping[str, Any], *, as_json: bool = False, live: bool | None = None
) -> Iterator["JsonSink | Console"]:
    """Open stdout for events: the console (`live`, by default, on a terminal; else plain lines), or JSON."""
    file = display_file()
    if as_json:
        yield JsonSink(file.kept)
        return
    from hyperhive_cli.render.console import Console  # noqa: PLC0415 - rich costs 100 ms, which JSON need not pay

    with Console(snapshot=snapshot, file=file, live=live, plain=is_plain()) as console:
        yield console


def hold_stops() -> None:
    """Let Ctrl-Z wait until `stoppable` hears it. For a process that has one thread and starts no other."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def stoppable(events: Iterator[T], sink: "JsonSink | Console") -> Iterator[T]:
    """Pass events on; Ctrl-Z gives the terminal back before it stops this process.

    It is heard only while the next event is waited for: in the middle of a write the sink takes no other call.
    """

    def stop(*_: object) -> None:
        sink.suspend()
        signal.raise_signal(signal.SIGSTOP)

    signal.signal(signal.SIGTSTP, stop)
    signal.signal(signal.SIGCONT, lambda *_: sink.resume())
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        try:
            event = next(events)
        except StopIteration:
            return
        finally:
            hold_stops()
        yield event

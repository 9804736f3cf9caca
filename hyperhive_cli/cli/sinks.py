"""Where a command shows events: the console, one JSON object a line, or nowhere."""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from hyperhive_cli.events import BusEvent

if TYPE_CHECKING:
    from hyperhive_cli.render.console import Console


class JsonSink:
    """Prints one event a line, as on every wire."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def show(self, records: Sequence[BusEvent]) -> None:
        """Write the events at once; raises BrokenPipeError when the reader is gone."""
        self._file.write(b"".join(record.to_json() + b"\n" for record in records))
        self._file.flush()

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - as the console's
        """Take nothing: every event is on its line already."""

    def tick(self) -> None:
        """Redraw nothing."""

    def suspend(self) -> None:
        """Leave the terminal as it is: nothing is drawn on it."""

    def resume(self) -> None:
        """Do nothing, as above."""


@contextmanager
def open_sink(
    snapshot: Mapping[str, Any], *, as_json: bool = False, live: bool | None = None
) -> Iterator["JsonSink | Console"]:
    """Open stdout for events: the console (`live`, by default, on a terminal; else plain lines), or JSON."""
    if as_json:
        yield JsonSink(sys.stdout.buffer)
        return
    from hyperhive_cli.render.console import Console  # noqa: PLC0415 - rich costs 100 ms, which JSON need not pay

    with Console(snapshot=snapshot, live=live) as console:
        yield console


@contextmanager
def stoppable(sink: "JsonSink | Console") -> Iterator[None]:
    """Let Ctrl-Z give the terminal back before it stops this process, which has one thread alone."""

    def stop(*_: object) -> None:
        with suppress(OSError, RuntimeError):  # RuntimeError: in the middle of a write, which is not re-entrant
            sink.suspend()
        signal.raise_signal(signal.SIGSTOP)
        with suppress(RuntimeError):
            sink.resume()

    before = signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)

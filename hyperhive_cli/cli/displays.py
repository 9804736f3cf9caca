"""Where a command shows events: the console on a terminal, a line for each event in a pipe, or JSON lines."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from hyperhive_cli.cli.invocation import is_plain
from hyperhive_cli.core.events import BusEvent, splice
from hyperhive_cli.core.terminal import escape_bytes
from hyperhive_cli.harness.signals import on_suspension, suspension
from hyperhive_cli.render.display_file import DisplayFile, KeptBytes

if TYPE_CHECKING:
    from hyperhive_cli.render.console.display import Console

T = TypeVar("T")
EventDisplay: TypeAlias = "JsonLines | PipedLines | Console"


class StaticDisplay:
    """A display in lines: they do not change, so there is nothing to redraw and no terminal to restore."""

    def update(self, **fields: Any) -> None:  # noqa: ANN401 - as the console's
        """Ignore what no event says."""

    def tick(self) -> None:
        """Redraw nothing."""

    suspend = resume = tick


class JsonLines(StaticDisplay):
    """Prints one event per line, in the shape of every wire."""

    def __init__(self, file: KeptBytes) -> None:
        self._file = file

    def show(self, records: Sequence[BusEvent]) -> None:
        """Write the events, after what an earlier call could not write; raises as `KeptBytes.drain`."""
        keep_lines(self._file, b"".join(record.to_json() + b"\n" for record in records))
        self._file.drain()


class PipedLines(StaticDisplay):
    """Prints one line for each row, for programs and logs. `whole`: nothing in it is cut."""

    def __init__(self, file: DisplayFile, *, whole: bool) -> None:
        from hyperhive_cli.render.piped_transcript import PipedTranscript  # noqa: PLC0415 - JSON does not need it

        self._file = file
        self._transcript = PipedTranscript(whole=whole)

    def show(self, records: Sequence[BusEvent]) -> None:
        """Write the events, after what an earlier call could not write; raises as `KeptBytes.drain`."""
        self._file.write(self._transcript.text(records))
        self._file.drain()


def keep_lines(file: KeptBytes, lines: bytes) -> None:
    """Buffer whole lines of UTF-8 for a file; for a terminal, escaped."""
    file.write(escape_bytes(lines) if file.isatty() else lines)


def named_json(agent: str, record: BusEvent) -> bytes:
    """Return an event's JSON with its agent's name in the envelope; a field of that name becomes `claude_agent`."""
    fields = record.event.to_fields()
    payload = record.payload
    if "agent" in fields:
        payload = json.dumps({{"agent": "claude_agent"}.get(key, key): value for key, value in fields.items()}).encode()
    head, _, rest = splice(record.seq, record.ts, record.event.kind, payload).partition(b',"ts":')
    return head + f',"agent":"{agent}","ts":'.encode() + rest


def display_file() -> DisplayFile:
    """Return stdout as a file that buffers what cannot be written yet."""
    sys.stdout.flush()
    errors = "backslashreplace" if sys.stdout.errors == "strict" else sys.stdout.errors
    return DisplayFile(sys.stdout.fileno(), sys.stdout.encoding, errors)


@contextmanager
def open_display(
    snapshot: Mapping[str, Any],
    *,
    as_json: bool = False,
    live: bool | None = None,
    hint: str = "",
    whole: bool = False,
    file: DisplayFile | None = None,
) -> Iterator[EventDisplay]:
    """Open stdout for events: the console, `live` by default; in a pipe lines, uncut if `whole`; or JSON.

    Several displays must share the `file`, which buffers what cannot be written yet.
    """
    file = display_file() if file is None else file
    if as_json:
        yield JsonLines(file.kept)
        return
    if not file.isatty():
        yield PipedLines(file, whole=whole)
        return
    from hyperhive_cli.render.console.display import Console  # noqa: PLC0415 - rich costs 100 ms, which a pipe need not pay

    with Console(snapshot=snapshot, file=file, live=live, plain=is_plain(), hint=hint) as console:
        yield console


def suspendable(events: Iterator[T], display: "EventDisplay | StaticDisplay") -> Iterator[T]:
    """Pass events on; a Ctrl-Z restores the terminal before it stops this process.

    It is taken only while the next event is waited for: in the middle of a write the display accepts no other call.
    """
    on_suspension(display.suspend, display.resume)
    while True:
        with suspension():
            try:
                event = next(events)
            except StopIteration:
                return
        yield event

"""`StdoutLines`: what becomes of the lines of claude's stdout: evidence first, then events of the feed.

Nearly all chunks hold nothing but plain lines, whose text is stored and shown unchanged. They take a short path: each
line is parsed once, looked at, and forgotten; the feed gets its text. A chunk with anything else in it takes the long
path, line by line. Both give the same rows, evidence and remarks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.outside_messages import outside_message
from hyperhive_cli.claude.stream import Oversized, line_to_event, plain_objects, result_head
from hyperhive_cli.core.events import PARTIAL, LiveEvent, Note, Stream


class Feed(Protocol):
    """What a turn needs of the bus."""

    def publish(self, *events: LiveEvent) -> None:
        """Record events and show them."""

    def publish_lines(self, payloads: Sequence[bytes], lines: Sequence[Mapping[str, Any]]) -> None:
        """Record and show the events of plain lines (`plain_objects`), as `publish` would."""

    def observe_stream(self, line: Mapping[str, object]) -> None:
        """Process a line of claude, after the evidence has."""

    async def settle(self) -> None:
        """Wait while too much is published."""


class StdoutLines:
    """Takes the lines of one run."""

    def __init__(self, evidence: Evidence, feed: Feed) -> None:
        self._evidence = evidence
        self._feed = feed

    def take(self, lines: Sequence[bytes | Oversized]) -> Sequence[Mapping[str, Any] | None]:
        """Take the next lines of stdout, redacted. Return those that are not blank, parsed; None: not JSON."""
        payloads = cast("Sequence[bytes]", lines)  # if all are plain
        plain = plain_objects(payloads)
        if plain is None:
            return self.take_each(lines)
        if plain:
            self._take_plain(payloads, plain)
        return plain

    def _take_plain(self, payloads: Sequence[bytes], lines: Sequence[Mapping[str, Any]]) -> None:
        remarks = [remark for line in lines if line.get("type") != PARTIAL for remark in self._observe(line)]
        self._feed.publish_lines(payloads, lines)
        if remarks:
            self._feed.publish(*remarks)

    def take_each(self, lines: Sequence[bytes | Oversized]) -> Sequence[Mapping[str, Any] | None]:
        """Take lines as `take` does, by the long path."""
        events: list[LiveEvent] = []
        remarks: list[Note] = []
        for line in lines:
            event = line_to_event(line)
            if event is None:
                continue
            events.append(event)
            if not isinstance(event, Stream):
                if (head := result_head(line)) is not None:
                    self._evidence.observe_stream(head)
            elif not event.is_partial:
                remarks += self._observe(event.line)
        if events:
            self._feed.publish(*events, *remarks)
        return [event.line if isinstance(event, Stream) else None for event in events]

    def _observe(self, line: Mapping[str, Any]) -> Sequence[Note]:
        """Show a line, which is not partial, to those that draw conclusions. Return a remark on it, if there is one."""
        self._evidence.observe_stream(line)
        self._feed.observe_stream(line)
        remark = outside_message(line)
        return () if remark is None else (Note(text=remark, level="warning"),)

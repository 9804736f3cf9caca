"""`RowsView`: a feed of events as the gateway gives it with `?view=rows`. Pure.

Each event becomes one record: its envelope (`seq`, `ts`, `kind`; of a line of claude also its `type`, `subtype` and
`parent_tool_use_id`), and instead of its other fields `rows` (a list, `Row.to_dict`; often empty) and `facts`, the
fields of `status --json` that it changes: `status`, `waits_until`, `why`, `state`, `since_unix`, `model`, `unread`,
`usage`, `context_tokens`, `context_window`, `session_id`, `activity`. A field that is absent stays as it was; null
means that it is no longer known, or for `activity` that no turn runs.

A partial line (`type` is `stream_event`) is passed on as it is, with all its fields and neither rows nor facts.
"""

from itertools import chain
from typing import Any

from hyperhive_cli.core.events import BusEvent, Stream
from hyperhive_cli.transcript.activity import Activity
from hyperhive_cli.transcript.raw_text import WIRE_CHARS
from hyperhive_cli.transcript.rows import AnswerRow, Image, QuoteRow
from hyperhive_cli.transcript.status_fields import changed_fields
from hyperhive_cli.transcript.translate import Translator

_LINE_KEYS = ("type", "subtype", "parent_tool_use_id")


class RowsView:
    """The view of one reader: it is given each event once, in the order of their `seq`.

    A view that starts within a turn must `observe` the events before, so that its rows are those of a whole one.
    `limit` (characters, None: none): longer texts are cut. `is_whole`: as of a `Translator`.
    """

    def __init__(self, limit: int | None = WIRE_CHARS, *, is_whole: bool = True) -> None:
        self._limit = limit
        self._translator = Translator(is_whole=is_whole)
        self._activity = Activity()
        self._last_activity: dict[str, Any] | None = None

    def observe(self, record: BusEvent) -> None:
        """Note an event whose rows are not wanted."""
        self._translator.rows(record)
        self._activity.observe(record.event, record.ts)

    def to_record(self, record: BusEvent) -> dict[str, Any]:
        """Return the record of an event that is not a partial line, as JSON. Never raises."""
        event = record.event
        rows = self._translator.rows(record)
        facts = changed_fields(event)
        self._activity.observe(event, record.ts)
        if (activity := self._activity.to_dict()) != self._last_activity:
            facts["activity"] = self._last_activity = activity
        envelope = {"seq": record.seq, "ts": record.ts, "kind": event.kind}
        if isinstance(event, Stream):
            envelope |= {key: event.line.get(key) for key in _LINE_KEYS}
        found = [row.to_dict(self._limit) for row in rows]
        for number, image in enumerate(chain.from_iterable(row.get("images", ()) for row in found)):
            image["number"] = number
        return {**envelope, "rows": found, "facts": facts}

    def images(self, record: BusEvent) -> list[Image]:
        """Return the images of an event's rows, by their `number`."""
        rows = self._translator.rows(record)
        return list(chain.from_iterable(row.images for row in rows if isinstance(row, AnswerRow | QuoteRow)))

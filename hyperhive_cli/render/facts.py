"""What the live bottom line says: a reducer over events, and the line for a given width and moment."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.text import Text

from hyperhive_cli.core.events import BusEvent, LiveEvent, StatusChanged, Stream
from hyperhive_cli.core.status import WITHOUT_ANSWER
from hyperhive_cli.core.text import clock, count, number, one_line, text_of, tokens
from hyperhive_cli.core.usage import context_of
from hyperhive_cli.transcript.activity import Activity
from hyperhive_cli.transcript.status_words import activity_words, status_words

KNOWN = (
    "agent", "status", "waits_until", "model", "state", "since_unix", "session_id", "context_tokens", "context_window",
    "unread",
)  # fmt: skip
_STATE_STYLES: Mapping[str, str] = {"thinking": "call", "compacting": "warn"}
_FULL_AT, _NEAR_AT = 0.9, 0.7


class Facts:
    """The newest known value of each field of `status`; None where nothing is known."""

    def __init__(self, snapshot: Mapping[str, Any] | None = None) -> None:
        self.fields: dict[str, Any] = dict.fromkeys(KNOWN)
        self.activity = Activity()
        self.update(snapshot or {})

    def update(self, found: Mapping[str, Any]) -> None:
        """Take over the fields that are known by name and not None."""
        self.fields.update({key: value for key, value in found.items() if key in self.fields and value is not None})

    def observe(self, record: BusEvent) -> None:
        """Take over what an event says; one of an odd shape says nothing."""
        self.update(_event_fields(record.event))
        self.activity.observe(record.event, record.ts)

    def elapsed_s(self, now: float) -> float | None:
        """Give the seconds since the turn state last changed, None when that is not known."""
        since = number(self.fields["since_unix"])
        return None if since is None else max(0.0, now - since)


def _event_fields(event: LiveEvent) -> Mapping[str, Any]:
    if isinstance(event, Stream):
        return _line_fields(event.line)
    if isinstance(event, StatusChanged):
        return {"status": event.status, "waits_until": event.until_unix or 0}
    # The other kinds call their facts as `status` does.
    return {key: getattr(event, key, None) for key in KNOWN}


def _line_fields(line: Mapping[str, Any]) -> Mapping[str, Any]:
    match line.get("type"), line.get("subtype"):
        case ("assistant", _) | ("system", "compact_boundary"):
            used = context_of(line)
            return {"context_tokens": used} if used else {}
        case "system", "init":
            return {"session_id": line.get("session_id")}
        case _:
            return {}


def bottom_line(facts: Facts, now: float, width: int) -> Text:
    """Give the line in at most `width` cells: the fullest of its forms that fits, the last one cut."""
    line = Text()
    for form in _FORMS:
        parts = [part for part in form(facts, now) if part]
        line = Text.assemble((" · ", "quiet")).join(parts) if parts else Text("waiting", "quiet")
        if line.cell_len <= width:
            return line
    line.truncate(width, overflow="ellipsis")
    return line


def _agent(facts: Facts) -> Text:
    return Text(one_line(text_of(facts.fields["agent"]), 24), "head")


def _status(facts: Facts, now: float) -> Text:
    if facts.fields["status"] is None:
        return Text()
    words, style = status_words(facts.fields["status"])
    left_s = (number(facts.fields["waits_until"]) or 0) - now
    countdown = f" {clock(left_s)}" if left_s > 0 else ""
    return Text.assemble(("● ", style), (words, "" if style == "fine" else style), (countdown, "warn"))


def _model(facts: Facts, limit: int) -> Text:
    return Text(one_line(text_of(facts.fields["model"]).removeprefix("claude-"), limit))


def _state(facts: Facts, now: float) -> Text:
    if facts.fields["status"] in WITHOUT_ANSWER:
        return Text()
    state = one_line(text_of(facts.fields["state"]), 16)
    since = facts.elapsed_s(now)
    doing = activity_words(facts.activity.to_dict(), now) if state not in {"", "idle", "compacting"} else ""
    shown = one_line(doing, 60) or (f"{state} {clock(since)}" if state and since is not None else state)
    return Text(shown, _STATE_STYLES.get(state, "quiet"))


def _unread(facts: Facts) -> Text:
    waiting = facts.fields["unread"]
    if number(waiting) is None:
        return Text()
    return Text(f"unread {count(waiting)}", "warn" if count(waiting) else "quiet")


def _context(facts: Facts, cells: int, *, sizes: bool) -> Text:
    """Give `ctx ▕███░░░░▏ 38% 76k/200k`, less of it where figures or room are missing."""
    used, window = number(facts.fields["context_tokens"]), count(facts.fields["context_window"])
    if used is None:
        return Text()
    if not window:
        return Text(f"ctx {tokens(used)}")
    share = min(1.0, max(0.0, used / window))
    style = "bad" if share >= _FULL_AT else "warn" if share >= _NEAR_AT else "fine"
    # The least and the most that a bar can show are kept for the truly empty and the truly full.
    full = round(share * cells) if share in {0.0, 1.0} else min(cells - 1, max(1, round(share * cells)))
    bar = [("▕", "quiet"), ("█" * full, style), ("░" * (cells - full), "quiet"), ("▏ ", "quiet")] if cells else []
    ends = f" {tokens(used)}/{tokens(window)}" if sizes else ""
    return Text.assemble("ctx ", *bar, f"{share:.0%}", (ends, "quiet"))


def _full(facts: Facts, now: float, *, cells: int = 8, sizes: bool = True) -> Iterator[Text]:
    yield _agent(facts)
    yield _status(facts, now)
    yield _model(facts, 24)
    yield _context(facts, cells, sizes=sizes)
    yield _state(facts, now)
    yield _unread(facts)


def _short(facts: Facts, now: float) -> Iterator[Text]:
    yield _status(facts, now)
    yield _model(facts, 14)
    yield _context(facts, 4, sizes=False)
    yield _state(facts, now)
    yield _unread(facts)


def _shortest(facts: Facts, now: float) -> Iterator[Text]:
    yield _status(facts, now)
    yield _state(facts, now)
    yield _context(facts, 0, sizes=False)
    yield _unread(facts)


_FORMS: tuple[Callable[[Facts, float], Iterator[Text]], ...] = (
    _full,
    lambda facts, now: _full(facts, now, cells=5),
    lambda facts, now: _full(facts, now, cells=5, sizes=False),
    _short,
    _shortest,
)

"""The bottom line of the live region, for a given width and moment."""

from collections.abc import Callable, Iterator, Mapping

from rich.text import Text

from hyperhive_cli.core.status import WITHOUT_ANSWER
from hyperhive_cli.core.text import clock, count, number, one_line, text_of, tokens
from hyperhive_cli.render.table import meter
from hyperhive_cli.transcript.status_fields import StatusFields
from hyperhive_cli.transcript.status_words import activity_words, status_words

_STATE_STYLES: Mapping[str, str] = {"thinking": "accent", "compacting": "warn"}


def bottom_line(status: StatusFields, now: float, width: int) -> Text:
    """Return the longest form of the line that fits into `width` cells; `now` is Unix seconds."""
    line = Text()
    for form in _FORMS:
        parts = [part for part in form(status, now) if part]
        line = Text.assemble((" · ", "quiet")).join(parts) if parts else Text("waiting", "quiet")
        if line.cell_len <= width:
            return line
    line.truncate(width, overflow="ellipsis")
    return line


def _agent(status: StatusFields) -> Text:
    return Text(one_line(text_of(status.fields["agent"]), 24), "head")


def _status(status: StatusFields, now: float) -> Text:
    if status.fields["status"] is None:
        return Text()
    words, style = status_words(status.fields["status"])
    left_s = (number(status.fields["waits_until"]) or 0) - now
    countdown = f" {clock(left_s)}" if left_s > 0 else ""
    return Text.assemble(("● ", style), (words, "" if style == "fine" else style), (countdown, "warn"))


def _model(status: StatusFields, limit: int) -> Text:
    return Text(one_line(text_of(status.fields["model"]).removeprefix("claude-"), limit))


def _state(status: StatusFields, now: float) -> Text:
    if status.fields["status"] in WITHOUT_ANSWER:
        return Text()
    state = one_line(text_of(status.fields["state"]), 16)
    since = number(status.fields["since_unix"])
    doing = activity_words(status.activity.to_dict(), now) if state not in {"", "idle", "compacting"} else ""
    shown = one_line(doing, 60) or (f"{state} {clock(now - since)}" if state and since is not None else state)
    return Text(shown, _STATE_STYLES.get(state, "quiet"))


def _unread(status: StatusFields) -> Text:
    waiting = status.fields["unread"]
    if number(waiting) is None:
        return Text()
    return Text(f"unread {count(waiting)}", "warn" if count(waiting) else "quiet")


def _context(status: StatusFields, cells: int, *, sizes: bool) -> Text:
    """Return `ctx ▕███░░░░▏ 38% 76k/200k`, or less of it if figures or room are missing."""
    used, window = number(status.fields["context_tokens"]), count(status.fields["context_window"])
    if used is None:
        return Text()
    if not window:
        return Text(f"ctx {tokens(used)}")
    share = min(1.0, max(0.0, used / window))
    bar = meter(share, cells) if cells else []
    ends = f" {tokens(used)}/{tokens(window)}" if sizes else ""
    return Text.assemble("ctx ", *bar, f"{share:.0%}", (ends, "quiet"))


def _full(status: StatusFields, now: float, *, cells: int = 8, sizes: bool = True) -> Iterator[Text]:
    yield _agent(status)
    yield from _short(status, now, model_chars=24, cells=cells, sizes=sizes)


def _short(
    status: StatusFields, now: float, *, model_chars: int = 14, cells: int = 4, sizes: bool = False
) -> Iterator[Text]:
    yield _status(status, now)
    yield _model(status, model_chars)
    yield _context(status, cells, sizes=sizes)
    yield _state(status, now)
    yield _unread(status)


def _shortest(status: StatusFields, now: float) -> Iterator[Text]:
    yield _status(status, now)
    yield _state(status, now)
    yield _context(status, 0, sizes=False)
    yield _unread(status)


_FORMS: tuple[Callable[[StatusFields, float], Iterator[Text]], ...] = (
    _full,
    lambda status, now: _full(status, now, cells=5),
    lambda status, now: _full(status, now, cells=5, sizes=False),
    _short,
    _shortest,
)

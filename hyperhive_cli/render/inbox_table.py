"""The table of `inbox`. Pure: no I/O, no rich."""

from collections import Counter
from collections.abc import Iterator, Sequence

from hyperhive_cli.core import text
from hyperhive_cli.render.table import GAP, Cell, Span, cells, cut, table_to_spans
from hyperhive_cli.store.messages import Message

PIPED_MESSAGE = ("id", "state", "when", "from", "message", "attempts", "reason")
_LOOK = {
    "running": ("●", "fine"),
    "waiting": ("+", ""),
    "later": ("○", ""),
    "held": ("?", "warn"),
    "dead": ("✗", "bad"),
    "done": ("✓", "fine"),
    "cancelled": ("-", "quiet"),
}
_WORDS = {"leased": "running", "ready": "waiting"}
_HEADS = ["id", "state", "when", "from", "message"]
_BODY_CELLS, _LEAST_BODY = 1_000, 24


def messages_to_spans(messages: Sequence[Message], now: float, width: int, *, plain: bool = False) -> list[list[Span]]:
    """Return a table of messages as the spans of its lines, and a line that counts them; `now` is Unix seconds.

    The reason of one that waits for a person, or was tried before, follows in a line of its own.
    """
    places = _places(messages, now)
    rows = [_row(one, places.get(one.id), now, plain=plain) for one in messages]
    head, *lines = table_to_spans(
        _HEADS, rows, width, left=_HEADS[1:], elastic="message", least=_LEAST_BODY, optional=["from", "when", "state"]
    )
    indent = " " * (cells(head[0][0]) + cells(head[1][0])) + GAP  # below the state
    shown = [head]
    for message, line in zip(messages, lines, strict=True):
        shown.append(line)
        if reason := _reason(message, width - len(indent)):
            shown.append([(indent, ""), (reason, "quiet")])
    counts = Counter(state_of_message(one, now) for one in messages)
    return [*shown, [(", ".join(f"{counts[state]} {state}" for state in _LOOK if counts[state]), "quiet")]]


def messages_to_values(messages: Sequence[Message], now: float) -> Iterator[list[object]]:
    """Yield a row for programs for each message, in the columns of PIPED_MESSAGE."""
    places = _places(messages, now)
    return (_values(one, places.get(one.id), now) for one in messages)


def _values(message: Message, place: str | None, now: float) -> list[object]:
    at_ms = message.not_before if message.not_before > now * 1000 else message.changed
    when = place or text.iso_time(at_ms / 1000)
    state = state_of_message(message, now)
    return [message.id, state, when, message.sender, message.body, message.attempts, message.reason]


def held_for_plan(messages: Sequence[Message], idle_until: int | None) -> list[Message]:
    """Return the messages as they may run: idle ones not before this moment (Unix s), with the reason."""
    start = (idle_until or 0) * 1000
    return [
        one._replace(
            not_before=start,
            reason=f"idle: too little of the plan is left · hyperhive inbox retry {one.id} runs it now",
        )
        if one.idle and one.state == "ready" and one.not_before < start
        else one
        for one in messages
    ]


def state_of_message(message: Message, now: float) -> str:
    """Return a message's state in a person's word: one that is ready waits, or is for later."""
    if message.state == "ready" and message.not_before > now * 1000:
        return "later"
    return _WORDS.get(message.state, message.state)


def _places(messages: Sequence[Message], now: float) -> dict[int, str]:
    """Return the place in the queue of each message that could run now: next, 2nd, 3rd."""
    waiting = [one.id for one in messages if state_of_message(one, now) == "waiting"]
    return {number: _ordinal(place) for place, number in enumerate(waiting, 1)}


def _ordinal(place: int) -> str:
    if place == 1:
        return "next"
    end = "th" if place // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{end}"


def _row(message: Message, place: str | None, now: float, *, plain: bool) -> list[Cell | str]:
    state = state_of_message(message, now)
    sign, style = _LOOK.get(state, ("", ""))
    return [
        f"{message.id}",
        Cell((state,), "", None if plain else (sign, style)),
        place or _when(message, state, now),
        text.one_line(message.sender, 16),
        text.one_line(message.body, _BODY_CELLS),
    ]


def _when(message: Message, state: str, now: float) -> str:
    if state == "later":
        return text.ahead(message.not_before / 1000, now)
    age_s = now - message.changed / 1000
    if state == "running":
        return f"for {text.clock(age_s)}"
    tries = f", {message.attempts} tries" if state == "dead" and message.attempts > 1 else ""
    return f"{text.ago(age_s)}{tries}"


def _reason(message: Message, width: int) -> str:
    """Return why a message did not run, and what a person can do; the reason is cut, the command is not."""
    if message.state not in {"dead", "held", "ready"} or not message.reason:
        return ""
    hint = "" if message.state == "ready" else f" · hyperhive inbox retry {message.id}"
    return f"{cut(text.one_line(message.reason, _BODY_CELLS), max(8, width - cells(hint)))}{hint}"

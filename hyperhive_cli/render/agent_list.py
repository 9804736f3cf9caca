"""`AgentList`: the table of `agents --watch` on a terminal, in which a person moves with the keys. Pure."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from hyperhive_cli.core import text
from hyperhive_cli.render.agent_tables import agents_to_spans, summary_of
from hyperhive_cli.render.console.cells import Span, cut_spans, width_of_spans
from hyperhive_cli.render.console.keys import Key
from hyperhive_cli.render.console.painter import Region, Size
from hyperhive_cli.transcript.state_words import state_line, state_of
from hyperhive_cli.transcript.triage import by_triage

STILL_S = 3.0  # after a key, the rows keep their places for so long
FEW_ROWS, SPACED_ROWS = 8, 14  # of a terminal: below, only the most needed is shown; from here on with a blank row
_MARK, _NO_MARK = ("› ", "accent"), ("  ", "")
_LEAVE = ("q", "leave")
_HINTS = (("Enter", "attach"), _LEAVE, ("p", "pause"), ("r", "resume"), ("↑ ↓", "choose"))


class Act(Enum):
    """What a person asks for."""

    ATTACH = auto()
    PAUSE = auto()
    RESUME = auto()
    LEAVE = auto()
    REDRAW = auto()


class Asked(NamedTuple):
    """An act, and the fields of the agent that it is for."""

    act: Act
    found: Mapping[str, Any] | None = None


class AgentList:
    """The agents in the order of `by_triage`, and the one that is chosen, who stays chosen when rows move."""

    def __init__(self) -> None:
        self.remark = ""  # stands in place of the keys until the next one
        self._found: dict[str, Mapping[str, Any]] = {}
        self._names: list[str] = []  # in the order of the rows
        self._chosen: str | None = None
        self._pressed_s: float | None = None
        self._first = 0  # row of those that are shown
        self._page = 1  # rows that are shown

    def show(self, agents: Sequence[Mapping[str, Any]], now: float, now_s: float) -> None:
        """Take over what was found; `now` is Unix seconds, `now_s` the monotonic clock's."""
        found = {one["agent"]: one for one in by_triage(agents, now)}
        names = [*found]
        if self._pressed_s is not None and now_s - self._pressed_s < STILL_S:
            kept = [name for name in self._names if name in found]
            names = [*kept, *(name for name in names if name not in self._found)]
        if self._chosen not in found:
            at = self._names.index(self._chosen) if self._chosen is not None else 0
            self._chosen = names[min(at, len(names) - 1)] if names else None
        self._found, self._names = found, names

    def press(self, key: Key, now_s: float) -> Asked | None:
        """Take a key and return what it asks for."""
        self._pressed_s, self.remark = now_s, ""
        name = key.text if key.name == "text" else key.name
        if (move := _MOVES.get(name)) is not None:
            self._move(move(self._page))
        if (act := _ACTS.get(name)) is None or (act in _OF_AN_AGENT and self._chosen is None):
            return None
        return Asked(act, self._found[self._chosen] if act in _OF_AN_AGENT and self._chosen is not None else None)

    def _move(self, by: int) -> None:
        if self._chosen is not None:
            at = self._names.index(self._chosen) + by
            self._chosen = self._names[max(0, min(at, len(self._names) - 1))]

    def region(self, now: float, size: Size) -> Region:
        """Return the rows, fewer than the terminal has; `now` is Unix seconds."""
        if not self._names:
            return Region([[("no agents yet", "")], self._last_row(size.columns)])
        agents = [self._found[name] for name in self._names]
        blank: list[list[Span]] = [[]] if size.rows >= SPACED_ROWS else []
        about_rows = 2 if size.rows >= FEW_ROWS else 0
        self._page = max(1, size.rows - 3 - about_rows - 2 * len(blank))
        at = self._names.index(self._chosen or "")
        self._first = max(0, min(self._first, at, len(agents) - self._page), at - self._page + 1)
        head, *rows = map(_cleaned, agents_to_spans(agents, now, size.columns - 2))
        marked = [[_MARK if row == at else _NO_MARK, *spans] for row, spans in enumerate(rows)]
        shown = [[_NO_MARK, *head], *marked[self._first : self._first + self._page]]
        about = self._about(agents, now, size.columns)[:about_rows]
        return Region([*blank, *shown, *blank, *about, self._last_row(size.columns)])

    def _about(self, agents: Sequence[Mapping[str, Any]], now: float, width: int) -> list[list[Span]]:
        """Return what the table has cut: the chosen agent's whole name and state; and the sums."""
        found = self._found[self._chosen or ""]
        words = [found["agent"], state_line(state_of(found, now), now), *found["problems"], found.get("replaced")]
        state = text.clean(" · ".join(filter(None, words)))
        last = min(self._first + self._page, len(agents))
        part = "" if last - self._first == len(agents) else f"{self._first + 1}-{last} of "
        return [cut_spans([(state, "")], width), cut_spans([(f"{part}{summary_of(agents, now)}", "quiet")], width)]

    def _last_row(self, width: int) -> list[Span]:
        """Return the remark, or the keys that do something."""
        if self.remark:
            return cut_spans([(text.clean(self.remark), "")], width)
        spans: list[Span] = []
        for key, what in _HINTS if self._names else (_LEAVE,):
            more: list[Span] = [*([(" · ", "quiet")] if spans else []), (key, "head"), (f" {what}", "quiet")]
            if width_of_spans([*spans, *more]) <= width:
                spans += more
        return spans


def _cleaned(spans: Sequence[Span]) -> list[Span]:
    return [(text.clean(words), style) for words, style in spans]


_MOVES: Mapping[str, Callable[[int], int]] = {
    **dict.fromkeys(("up", "k", "ctrl-p"), lambda _: -1),
    **dict.fromkeys(("down", "j", "ctrl-n"), lambda _: 1),
    "page-up": lambda page: -page,
    "page-down": lambda page: page,
    **dict.fromkeys(("home", "g"), lambda _: -(10**9)),
    **dict.fromkeys(("end", "G"), lambda _: 10**9),
}
_ACTS: Mapping[str, Act] = {
    "enter": Act.ATTACH,
    "p": Act.PAUSE,
    "r": Act.RESUME,
    **dict.fromkeys(("q", "ctrl-c", "ctrl-d"), Act.LEAVE),
    "ctrl-l": Act.REDRAW,
}
_OF_AN_AGENT = {Act.ATTACH, Act.PAUSE, Act.RESUME}

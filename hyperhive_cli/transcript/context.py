"""`Context`: what the translation of an event needs to know of the events before it."""

from dataclasses import dataclass, field

from hyperhive_cli.core.status import Status
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.transcript.rows import Origin
from hyperhive_cli.transcript.todos import TodoList

# A usual turn has some hundred calls; the bound only limits the memory of an endless one.
MAX_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A tool call of this turn. `number` is 0 if it is not known, `ts` in Unix ms, `depth` that of subagents."""

    number: int
    name: str
    subject: str
    ts: int
    depth: int


@dataclass(slots=True)
class Context:
    """The facts of the session and of the running turn; `start_turn` forgets the latter.

    `calls` maps the ids of tool calls to the calls, and `denied` those of denied ones to the reason; `shown` holds the
    texts and errors that have a row already, so that a `result` does not repeat them. `moments`: the time (Unix ms) of
    the last line of each thread, by the call that started it; "" is the main one.
    """

    cwd: str = ""
    mode: str = ""  # the permission mode
    session: tuple[str, ...] | None = None
    status: str = Status.ONLINE  # of the last row about it
    turn: int | None = None
    usage: TokenUsage | None = None
    call_count: int = 0
    is_whole: bool = True  # no event of the turn was left out, so its calls can be numbered
    last_seq: int | None = None
    calls: dict[str, OpenCall] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    denied: dict[str, str] = field(default_factory=dict)
    moments: dict[str, int] = field(default_factory=dict)
    todos: TodoList = field(default_factory=TodoList)

    def start_turn(self, turn: int | None, ts: int) -> None:
        """Forget what belonged to the turn before."""
        self.turn, self.usage, self.call_count, self.is_whole = turn, None, 0, True
        for store in (self.calls, self.shown, self.denied, self.moments):
            store.clear()
        self.moments[""] = ts

    def follow(self, seq: int | None) -> None:
        """Take the number of the next event; one that is not the next number means that some were left out."""
        if seq is not None:
            self.is_whole = self.is_whole and (self.last_seq is None or seq == self.last_seq + 1)
            self.last_seq = seq

    def add_call(self, call: str, name: str, subject: str, origin: Origin) -> int:
        """Remember a tool call for its answer and for the subagent it may start.

        Return its number in the turn, 0 if that is not known.
        """
        if len(self.calls) >= MAX_REMEMBERED:
            self.calls.clear()
        self.call_count += 1
        number = self.call_count if self.is_whole else 0
        self.calls[call] = OpenCall(number, name, subject, origin.ts, origin.depth)
        return number

    def add_text(self, text: str) -> bool:
        """Remember a text that is about to get a row. Return False if it is blank or already has one in this turn."""
        key = text.strip()
        if not key or key in self.shown:
            return False
        if len(self.shown) >= MAX_REMEMBERED:
            self.shown.clear()
        self.shown.add(key)
        return True

    def span_ms(self, origin: Origin) -> int | None:
        """Return the time since the line before in the same thread, None if that was not seen."""
        before = self.moments.get(origin.parent)
        return None if before is None else max(0, origin.ts - before)

    def origin(self, seq: int | None, ts: int, parent: str = "") -> Origin:
        """Return the origin of the rows of an event; `parent` is the call that started its subagent."""
        if not parent:
            return Origin(seq, ts, self.turn)
        call = self.calls.get(parent)
        if call is None:
            return Origin(seq, ts, self.turn, parent, 1, "subagent")
        return Origin(seq, ts, self.turn, parent, call.depth + 1, call.subject or "subagent")

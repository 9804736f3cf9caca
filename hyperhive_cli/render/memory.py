"""What the transcript remembers while a turn runs, so that lines which belong together stand together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperhive_cli.core.status import Status
from hyperhive_cli.core.usage import TokenUsage

# A turn of an honest agent has some hundred calls; the bound only keeps an endless one from growing us.
_MOST_REMEMBERED = 20_000


@dataclass(slots=True)
class Memory:
    """The session's facts and those of the running turn; `begin_turn` forgets the latter.

    `calls` maps the id of a tool call to its tool's name, `subjects` to what it was asked; `shown` holds
    the assistant texts and errors already printed, so that a `result` does not repeat them.
    """

    cwd: str = ""
    init: tuple[str, ...] | None = None
    usage: TokenUsage | None = None
    calls: dict[str, str] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    denied: dict[str, str] = field(default_factory=dict)
    status: str = Status.ONLINE  # as it was shown last
    last_call: str | None = None
    last_agent: str | None = None

    def begin_turn(self) -> None:
        """Forget what belonged to the turn before."""
        self.usage = None
        for store in (self.calls, self.subjects, self.shown, self.denied):
            store.clear()
        self.last_call = self.last_agent = None

    def note_call(self, call: str, name: str, subject: str) -> None:
        """Remember a tool call, for its answer and for the lines of the subagent it starts."""
        if len(self.calls) >= _MOST_REMEMBERED:
            self.calls.clear()
            self.subjects.clear()
        self.calls[call] = name
        self.subjects[call] = subject
        self.last_call = call

    def note_text(self, text: str) -> bool:
        """Remember a text that is about to be printed; tells whether it is new in this turn."""
        key = text.strip()
        if not key or key in self.shown:
            return False
        if len(self.shown) >= _MOST_REMEMBERED:
            self.shown.clear()
        self.shown.add(key)
        return True


def mapping(value: object) -> Mapping[str, Any]:
    """Give `value` when it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def string(value: object) -> str:
    """Give `value` when it is a string, as it came, else nothing."""
    return value if isinstance(value, str) else ""

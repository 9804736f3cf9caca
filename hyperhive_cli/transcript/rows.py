"""The rows of a transcript: what a person sees of events, the same in the console, in exports and on the page. Pure.

`Translator` makes them of events; a layout decides how many lines of each it shows. A row carries every figure that a
layout may want, and the words for it. Its strings are cleaned (safe for a terminal) but for `RawText`, which cleans
when it is read, and `CallRow.given`.

As JSON (`to_dict`, `?view=rows` of the gateway) a row is one flat object: its `kind`, the fields of its `Origin`, and
its own fields. This is the one place that cuts long texts: `to_dict` takes a limit in characters (None: none). A
`RawText` says itself what is missing; prose has its bytes left off at the end in the row's `cut`. Fields and kinds may
be added; a reader passes over what it does not know.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, NamedTuple

from hyperhive_cli.core import text
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.transcript.calls import asked_prompt
from hyperhive_cli.transcript.diff import Hunk, asked_hunks, hunks_to_dicts
from hyperhive_cli.transcript.raw_text import NO_TEXT, OUTPUT_CHARS, RawText, line_end, size_bytes
from hyperhive_cli.transcript.todos import Todo


class Origin(NamedTuple):
    """Where a row comes from.

    `seq` and `ts` (Unix ms) are those of its event; `seq` is None for an event without a number. `turn`: its turn's id,
    None between turns. A row of a subagent has the id of the call that started it as `parent`, a `depth` of at least 1,
    and as `task` what that call was asked, in one line; in the main thread they are "", 0 and "".
    """

    seq: int | None = None
    ts: int = 0
    turn: int | None = None
    parent: str = ""
    depth: int = 0
    task: str = ""


class Image(NamedTuple):
    """An image in base64, as an `<img>` can show it: `media_type` is image/png, image/jpeg, image/gif or image/webp.

    `name`: of its file, "" if it is not known.
    """

    media_type: str
    data: str
    name: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return its `type`, its size in `bytes` and its `name`; the image itself is fetched when it is shown."""
        return {"type": self.media_type, "bytes": len(self.data) * 3 // 4 - self.data.count("="), "name": self.name}


class Figures(NamedTuple):
    """What an answer says in numbers; None: it does not say.

    `exit_status` of a command; `lines` read from a file; `hits` of a search; lines `added` and `removed` by an edit;
    `tool_calls` and `tokens` of a subagent.
    """

    exit_status: int | None = None
    lines: int | None = None
    hits: int | None = None
    added: int | None = None
    removed: int | None = None
    tool_calls: int | None = None
    tokens: int | None = None

    def to_dict(self) -> dict[str, int]:
        """Return the figures that are known."""
        return {name: figure for name, figure in self._asdict().items() if figure is not None}


NO_FIGURES = Figures()


# Not frozen: to make a frozen one takes three times as long. Neither compared nor printed: making the methods for that
# was half of the time that this module takes at a start.
@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Row:
    """What all rows share. Once made, a row does not change."""

    kind: ClassVar[str]

    origin: Origin

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return the row as a flat JSON object, each text cut to `limit` characters."""
        names = (field.name for field in fields(self) if field.name != "origin")
        own = {name: _to_json(getattr(self, name), limit) for name in names}
        return {"kind": self.kind, **self.origin._asdict(), **own}


def _to_json(value: Any, limit: int | None) -> Any:  # noqa: ANN401 - any field of a row
    if isinstance(value, RawText):
        return value.to_dict(limit)
    if isinstance(value, TokenUsage | Image | Figures):
        return value.to_dict()
    if isinstance(value, Todo):
        return value._asdict()
    if isinstance(value, tuple) and value and isinstance(value[0], Hunk):
        return hunks_to_dicts(value, limit)
    if isinstance(value, tuple):
        return [_to_json(one, limit) for one in value]
    return value


def _cut_prose(row: dict[str, Any], limit: int | None) -> dict[str, Any]:
    whole = row["text"]
    if limit is None or whole is None or len(whole) <= limit:
        return {**row, "cut": 0}
    text = whole[: line_end(whole, limit)]
    return {**row, "text": text, "cut": size_bytes(whole) - size_bytes(text)}


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class HeadRow(Row):
    """The head of a turn: who asked and what. It closes whatever was open before it.

    `sender`: at most 64 characters; `message`: the message's number, "" without one; `attempt`: which try of that
    message it is, from 1, whether the tries count towards its limit or not; `waiting`: how many other messages wait;
    `model`: "" if it is not known.
    """

    kind = "head"

    sender: str
    message: str = ""
    attempt: int = 1
    waiting: int = 0
    model: str = ""
    body: RawText


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class FootRow(Row):
    """The end of a turn.

    `outcome` is the word of an `OutcomeKind` (`ok`, `bad_request`, …), `word` the same for a person; `sign` and `tone`
    are its own. `remarks`: what the outcome does not say (`2 denied`, `dead`). `exit_status`: of claude, None if it
    is 0 or not known. `took_ms`, `cost_usd` (US dollars) and `usage` are None if they are not known. `note`: why.
    """

    kind = "foot"

    outcome: str
    word: str
    ok: bool
    sign: str
    tone: str
    remarks: tuple[str, ...] = ()
    exit_status: int | None = None
    took_ms: int | None = None
    tool_calls: int = 0
    usage: TokenUsage | None = None
    cost_usd: float | None = None
    note: RawText

    def figures(self, *, full: bool = True) -> list[str]:
        """Return the remarks and figures in words, in the order of their weight; without `full` fewer tokens."""
        parts = [
            *self.remarks,
            f"exit {self.exit_status}" if self.exit_status is not None and not self.ok else "",
            "" if self.took_ms is None else text.duration(self.took_ms / 1000),
            text.plural(self.tool_calls, "tool") if self.tool_calls else "",
            _usage_words(self.usage, full=full),
            text.dollars(self.cost_usd),
        ]
        return [part for part in parts if part]

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return the row with its `figures` in words."""
        return {**Row.to_dict(self, limit), "figures": self.figures()}


def _usage_words(usage: TokenUsage | None, *, full: bool) -> str:
    # After /compact every counter is 0: that says nothing.
    if usage is None or usage == TokenUsage():
        return ""
    whole, written = usage.context_tokens(), usage.cache_creation_input_tokens
    cached = text.share_of(usage.cache_read_input_tokens or None, whole)
    parts = [
        f"{text.percent(cached)} cached" if cached is not None else "",
        f"{text.tokens(written)} written" if written and full else "",
    ]
    about = ", ".join(filter(None, parts))
    return f"{text.tokens(whole)} in{about and f' ({about})'}, {text.tokens(usage.output_tokens)} out"


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class TextRow(Row):
    """Prose of the model, in Markdown; never one that the turn has shown already."""

    kind = "text"

    text: str

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return the row, and how many bytes of its text are `cut`."""
        return _cut_prose(Row.to_dict(self, limit), limit)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class ErrorRow(Row):
    """A text of claude's that says what failed."""

    kind = "error"

    text: str

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return the row, and how many bytes of its text are `cut`."""
        return _cut_prose(Row.to_dict(self, limit), limit)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class ThoughtRow(Row):
    """What the model thinks; None if claude keeps it to itself.

    `took_ms`: since what came before it in the same thread, None if that is not known.
    """

    kind = "thought"

    text: str | None
    took_ms: int | None = None

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return the row, and how many bytes of its text are `cut`."""
        return _cut_prose(Row.to_dict(self, limit), limit)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class _NumberedRow(Row):
    """A row of a tool call: `number` is the call's place among those of its turn, from 1; 0 if it is not known."""

    call: str
    number: int = 0

    @property
    def full_number(self) -> str:
        """The number under which `show` finds the call, such as 12.1; "" if it is not known."""
        return f"{self.origin.turn}.{self.number}" if self.number and self.origin.turn is not None else ""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class CallRow(_NumberedRow):
    """A tool call. Its answer, if one comes, is an `AnswerRow` with the same `call`.

    `call`: its id, "" if claude gave none; `name`: the tool, at most 60 characters; `subject`: what it was asked, in
    one line; `given`: its input, any JSON; `todos`: the agent's list of tasks as the call leaves it, None if it does
    not change it.
    """

    kind = "call"

    name: str
    subject: str
    given: Any
    todos: tuple[Todo, ...] | None = None

    def input_text(self) -> str:
        """Return the whole input, cleaned: a command or a prompt as it is, anything else as JSON."""
        if isinstance(self.given, Mapping) and len(self.given) <= 2:
            names = [name for name in self.given if name != "description"] or ["description"]
            words, why = self.given.get(names[0]), self.given.get("description") if names != ["description"] else None
            if len(names) == 1 and isinstance(words, str) and (why is None or isinstance(why, str)):
                return text.clean(f"# {why}\n{words}" if why else words)
        return text.clean(json.dumps(self.given, indent=2, ensure_ascii=False, default=str))

    def diff(self) -> tuple[Hunk, ...]:
        """Return the change that an edit asks for; nothing for another tool."""
        return tuple(asked_hunks(self.given))

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return the row with `input` (`input_text`, as a `RawText`), `diff` and `prompt` in place of `given`.

        `prompt`: what a subagent is asked, a `RawText`; None for another tool.
        """
        found, prompt = Row.to_dict(self, limit), asked_prompt(self.name, self.given)
        del found["given"]
        return {
            **found,
            "input": RawText(self.input_text()).to_dict(limit),
            "diff": hunks_to_dicts(self.diff(), limit),
            "prompt": None if prompt is None else RawText(prompt).to_dict(limit),
        }


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class AnswerRow(_NumberedRow):
    """What a tool answered: it belongs under the call with the same `call`.

    The reader may not have seen that call. `name`: its tool, "" if it is not known.
    `label` says the answer in short (`exit 3`, `2 lines added, 1 removed`, `denied: …`, `no output`), "" if the output
    says all. `diff`: what an edit changed. `figures`: what the answer says in numbers. `took_ms`: since the call, None
    if that is not known. `advice`: the command that would allow a denied call, "" if none would.
    """

    kind = "answer"

    name: str = ""
    failed: bool = False
    label: str = ""
    output: RawText = NO_TEXT
    diff: tuple[Hunk, ...] = ()
    images: tuple[Image, ...] = ()
    figures: Figures = NO_FIGURES
    took_ms: int | None = None
    advice: str = ""

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return the row; its output is cut to less than other texts are."""
        found = Row.to_dict(self, limit)
        return found if limit is None else {**found, "output": self.output.to_dict(min(limit, OUTPUT_CHARS))}


Topic = Literal[
    "note", "claude", "status", "model", "session", "retry", "compaction", "limit", "task", "quote", "unknown"
]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class NoteRow(Row):
    """A remark beside the talk. `mark` is its sign, one character; `tone`: quiet, fine, warn, bad or accent.

    `topic` says what it is about: `note` is one of the harness or of claude's stderr, whose `source` it names then
    ("stderr", "stdout"; "" for the harness); `claude` a sentence that claude says outside its answers; `unknown` an
    event of a newer release. The text of these may have several lines, that of the others has one.
    """

    kind = "note"

    topic: Topic
    mark: str = "·"
    tone: str = "quiet"
    source: str = ""
    text: RawText

    @property
    def is_one_line(self) -> bool:
        """True if the text is a single line of our own, which a layout may cut."""
        return self.topic not in {"note", "claude"}


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class RetryRow(NoteRow):
    """claude tries a request again: attempt number `attempt` of `attempts` (0: not known).

    `until`: when, Unix ms, None if it is not known; `reason`: such as `overloaded`; `status`: of HTTP, "" without one.
    """

    kind = "retry"

    attempt: int
    attempts: int
    until: int | None
    reason: str
    status: str


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class CompactionRow(NoteRow):
    """The conversation was compacted from `before` to `after` tokens (None: claude does not say)."""

    kind = "compaction"

    before: int | None
    after: int | None


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class QuoteRow(NoteRow):
    """What claude's program says in the user's name: a summary, a command's output, an image.

    `text` is its first line with the number of lines, `whole` all of it.
    """

    kind = "quote"

    whole: RawText
    images: tuple[Image, ...] = ()

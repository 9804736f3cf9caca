"""The block that claude is writing now, from the deltas of `--include-partial-messages`. Pure."""

from collections.abc import Mapping
from typing import Any

from hyperhive_cli.core.text import clean, one_line, size, text_of
from hyperhive_cli.render.console.cells import TAB, Span, cut_spans, wrapped
from hyperhive_cli.transcript.shapes import mapping, string

MAX_LINES = 8
# The live region shows only the end; the whole block is printed when it is finished.
_KEPT_CHARS = 4 * 1024
_MAX_DRAFTS = 32


class _Draft:
    """One unfinished block: its type, the tool's name, the end of its text and its length so far."""

    def __init__(self, kind: str, name: str = "") -> None:
        self.kind = kind
        self.name = name
        self.tail = ""
        self.written = 0

    def add(self, text: str) -> None:
        self.written += len(text)
        self.tail = (self.tail + text[-_KEPT_CHARS:])[-_KEPT_CHARS:]


class Drafts:
    """The unfinished blocks of the main thread and of each subagent; the one that grew last is shown."""

    def __init__(self) -> None:
        self._drafts: dict[str, _Draft] = {}

    def observe(self, line: Mapping[str, Any]) -> None:
        """Process a line of claude: a delta extends a draft, a complete line or the result ends it."""
        parent = string(line.get("parent_tool_use_id"))
        match line.get("type"):
            case "stream_event":
                self._extend(parent, mapping(line.get("event")))
            case "assistant":
                self._drafts.pop(parent, None)
            case "result":
                self.clear()

    @property
    def kind(self) -> str:
        """The type of the block that grew last, "" without one."""
        draft = next(reversed(self._drafts.values()), None)
        return "" if draft is None else draft.kind

    def clear(self) -> None:
        """Forget all drafts: the turn is over."""
        self._drafts.clear()

    def _extend(self, parent: str, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "content_block_start":
                block = mapping(event.get("content_block"))
                self._start(parent, _Draft(string(block.get("type")), one_line(text_of(block.get("name")), 60)))
            case "content_block_delta":
                self._add(parent, mapping(event.get("delta")))
            case "message_stop":
                self._drafts.pop(parent, None)

    def _start(self, parent: str, draft: _Draft) -> None:
        self._drafts.pop(parent, None)
        if len(self._drafts) >= _MAX_DRAFTS:
            self._drafts.clear()
        self._drafts[parent] = draft

    def _add(self, parent: str, delta: Mapping[str, Any]) -> None:
        found = _DELTAS.get(string(delta.get("type")))
        if found is None:
            return
        kind, key = found
        # A reader who starts within a block sees only its deltas.
        draft = self._drafts.pop(parent, None) or _Draft(kind)
        draft.add(string(delta.get(key)))
        self._start(parent, draft)

    def rows(self, width: int, limit: int = MAX_LINES) -> list[list[Span]]:
        """Return the last rows of the block that grew last; none without one."""
        draft = next(reversed(self._drafts.values()), None)
        if draft is None or limit < 1:
            return []
        if draft.kind.endswith("tool_use"):
            written = f" {size(draft.written)}" if draft.written else ""
            return [cut_spans([("▸ ", "accent"), (draft.name or "tool", "head"), (f" …{written}", "quiet")], width)]
        is_thought = draft.kind == "thinking"
        text = clean(draft.tail).strip("\n").replace("\t", TAB)
        found = [row for line in text.split("\n") for row in wrapped(line, max(8, width - 2))]
        gutters = ["~ " if is_thought else "  ", *["  "] * (len(found) - 1)]
        shown = list(zip(gutters, found, strict=True))[-limit:]
        return [[(gutter, "quiet"), (row, "thought" if is_thought else "")] for gutter, row in shown]


_DELTAS: Mapping[str, tuple[str, str]] = {
    # type of a delta → type of its block, key of its text
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("tool_use", "partial_json"),
}

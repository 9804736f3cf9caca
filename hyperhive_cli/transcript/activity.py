"""`Activity`: what a turn is doing now, from its events. Pure.

The harness keeps one for `status --json`, the console for its bottom line, the gateway for the page.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hyperhive_cli.claude.stream import content_blocks, text_field
from hyperhive_cli.core.events import LiveEvent, Stream, TurnEnd, TurnStart
from hyperhive_cli.core.text import one_line
from hyperhive_cli.transcript.calls import SUBAGENT_TOOLS, call_summary

ARGUMENT_CHARS = 200
MAX_RUNNING = 1_000
THINKING, WRITING, COMPACTING, BACKGROUND = "thinking", "writing", "compacting", "waiting for background work"


class _RunningTool(NamedTuple):
    """A tool call without an answer yet: its tool, its input in short, and when it started (Unix ms)."""

    name: str
    argument: str
    since_ms: int


class Activity:
    """What a turn does, and since when (Unix ms). `doing` is None between turns."""

    def __init__(self) -> None:
        self.doing: str | None = None
        self.since_ms = 0
        self.started_ms = 0  # when the turn started, 0 if that was not seen
        self.tool_calls = 0
        self._cwd = ""
        self._running: dict[str, _RunningTool] = {}
        self._has_tasks = False

    def observe(self, event: LiveEvent, ts_ms: int) -> None:
        """Take in an event and its time; one of an odd shape changes nothing."""
        match event:
            case TurnStart():
                self._running.clear()
                self.tool_calls, self._has_tasks, self.started_ms = 0, False, ts_ms
                self._do(THINKING, ts_ms)
            case TurnEnd():
                self._running.clear()
                self.doing, self.started_ms = None, 0
            case Stream(line=line):
                self.observe_line(line, ts_ms)

    def to_dict(self) -> dict[str, Any] | None:
        """Return the `activity` field of `status --json`; None between turns. `since` is in Unix ms."""
        if self.doing is None:
            return None
        tool = next(iter(self._running.values()), None)  # of several, the one that has run longest
        return {
            "doing": self.doing if tool is None else "tool",
            "tool": None if tool is None else tool.name,
            "argument": None if tool is None else tool.argument,
            "since": self.since_ms if tool is None else tool.since_ms,
            "tools_running": len(self._running),
        }

    def subagents(self) -> list[tuple[str, int]]:
        """Return what each running subagent was asked, in short, and since when (Unix ms)."""
        return [(tool.argument, tool.since_ms) for tool in self._running.values() if tool.name in SUBAGENT_TOOLS]

    def observe_draft(self, kind: str, ts_ms: int) -> None:
        """Take in the type of the block that is being written now."""
        if self.doing in {THINKING, WRITING} and kind in {"text", "thinking"}:
            self._do(WRITING if kind == "text" else THINKING, ts_ms)

    def _do(self, what: str, ts_ms: int) -> None:
        if self.doing != what:
            self.doing, self.since_ms = what, ts_ms

    def observe_line(self, line: Mapping[str, Any], ts_ms: int) -> None:
        """Process a line of claude."""
        match line.get("type"), line.get("subtype"):
            case "assistant", _:
                self._observe_answer(line, ts_ms)
            case "user", _:
                for block in content_blocks(line, "tool_result"):
                    self._running.pop(text_field(block, "tool_use_id") or "", None)
                self._do(THINKING, ts_ms)
            case "system", "init":
                self._cwd = text_field(line, "cwd") or ""
                self._do(THINKING, ts_ms)
            case "system", "status" if line.get("status") == "compacting":
                self._do(COMPACTING, ts_ms)
            case "system", "background_tasks_changed":
                self._has_tasks = bool(line.get("tasks"))
            case "result", _:
                if not self._has_tasks:
                    self._running.clear()
                self._do(BACKGROUND if self._has_tasks else THINKING, ts_ms)

    def _observe_answer(self, line: Mapping[str, Any], ts_ms: int) -> None:
        for block in content_blocks(line, "tool_use"):
            name = text_field(block, "name") or "unknown"
            self.tool_calls += 1
            if len(self._running) < MAX_RUNNING:
                argument = one_line(call_summary(name, block.get("input"), self._cwd), ARGUMENT_CHARS)
                self._running[text_field(block, "id") or ""] = _RunningTool(one_line(name, 60), argument, ts_ms)
        if line.get("parent_tool_use_id"):
            return
        if content_blocks(line, "text"):
            self._do(WRITING, ts_ms)
        elif content_blocks(line, "thinking"):
            self._do(THINKING, ts_ms)

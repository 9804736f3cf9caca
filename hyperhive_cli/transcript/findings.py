"""What the lines of turns say of the work done: files changed, commits, denied calls, missing servers. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hyperhive_cli.claude.denials import Denials
from hyperhive_cli.claude.missing_servers import mcp_troubles
from hyperhive_cli.core.events import BusEvent, Stream, TurnEnd, TurnStart
from hyperhive_cli.core.text import one_line
from hyperhive_cli.transcript.calls import relative
from hyperhive_cli.transcript.rows import AnswerRow, CallRow, Row
from hyperhive_cli.transcript.shapes import mapping, string
from hyperhive_cli.transcript.translate import Translator

# Most lines are texts, thoughts and partial outputs: they are not parsed.
_SAYS_SOMETHING = re.compile(
    rb'"tool_use"|"tool_result"|"mcp_servers"|"permission_denied"|"permission_denials":\s*\[\s*\{'
)
_EDITS = {"Write": "file_path", "Edit": "file_path", "MultiEdit": "file_path", "NotebookEdit": "notebook_path"}
# What `git commit` prints, and `cherry-pick` and `rebase` too: [main (root-commit) 1a2b3c4] Fix the flaky test
_COMMIT = re.compile(
    r"^\[(?P<branch>[^\[\]\n]{1,200}?)(?: \(root-commit\))? (?P<hash>[0-9a-f]{7,40})\] (?P<subject>.+)$", re.MULTILINE
)
_GIT = re.compile(r"\bgit\b")
_OUTPUT_CHARS = 64 * 1024  # of a command's output, in which commits are looked for
_SUBJECT_CHARS = 200
_PATH_CHARS = 400


@dataclass(slots=True)
class _OpenTurn:
    """The turn whose events come now."""

    turn_id: int
    translator: Translator = field(default_factory=Translator)
    denials: Denials = field(default_factory=Denials)
    calls: dict[str, CallRow] = field(default_factory=dict)  # without an answer so far
    cwd: str = ""


class Findings:
    """What was found in the events of these turns, observed in order. The fields are those of `report --json`."""

    def __init__(self, turns: Iterable[int]) -> None:
        self._unseen = dict.fromkeys(turns)  # turns whose start has not come
        self._turn: _OpenTurn | None = None
        self._files: dict[str, dict[str, Any]] = {}
        self._commits: dict[str, dict[str, Any]] = {}
        self.denials: dict[int, list[str]] = {}  # by turn: who denied calls, and what would allow them
        self._servers: dict[str, dict[str, Any]] = {}

    def observe(self, record: BusEvent) -> None:
        """Process the next event; one of another turn is ignored."""
        match record.kind:
            case TurnStart.kind:
                self._close_turn()
                turn_id = getattr(record.event, "turn_id", None)
                if turn_id in self._unseen:
                    del self._unseen[turn_id]
                    self._turn = _OpenTurn(turn_id)
            case TurnEnd.kind:
                self._close_turn()
            case Stream.kind if self._turn is not None and _SAYS_SOMETHING.search(record.payload) is not None:
                self._add_line(self._turn, record)

    def _close_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and turn.denials.count:
            self.denials[turn.turn_id] = turn.denials.remarks()

    def _add_line(self, turn: _OpenTurn, record: BusEvent) -> None:
        line = mapping(record.event.to_fields())
        turn.denials.observe(line)
        if line.get("type") == "system" and line.get("subtype") == "init":
            turn.cwd = string(line.get("cwd"))
            self._add_servers(turn.turn_id, mcp_troubles(line) or [])
        for row in turn.translator.rows(record):
            self._add_row(turn, row)

    def _add_servers(self, turn_id: int, troubles: Iterable[str]) -> None:
        for trouble in troubles:
            found = self._servers.setdefault(trouble, {"trouble": trouble, "turns": 0})
            if found.get("last") != turn_id:
                found |= {"turns": found["turns"] + 1, "last": turn_id}

    def _add_row(self, turn: _OpenTurn, row: Row) -> None:
        if isinstance(row, CallRow) and (row.name in _EDITS or row.name == "Bash"):
            turn.calls[row.call] = row
        elif isinstance(row, AnswerRow) and (call := turn.calls.pop(row.call, None)) is not None and not row.failed:
            given = mapping(call.given)
            if call.name == "Bash":
                self._add_commits(turn.turn_id, string(given.get("command")), row)
            elif path := string(given.get(_EDITS[call.name])):
                self._add_edit(one_line(relative(path, turn.cwd), _PATH_CHARS), row)

    def _add_edit(self, path: str, answer: AnswerRow) -> None:
        found = self._files.setdefault(path, {"path": path, "edits": 0, "added": 0, "removed": 0})
        found["edits"] += 1
        found["added"] += answer.figures.added or 0
        found["removed"] += answer.figures.removed or 0

    def _add_commits(self, turn_id: int, command: str, answer: AnswerRow) -> None:
        if _GIT.search(command) is None:
            return
        for found in _COMMIT.finditer(answer.output.raw[:_OUTPUT_CHARS]):
            subject = one_line(found["subject"], _SUBJECT_CHARS)
            fields = {"hash": found["hash"], "branch": one_line(found["branch"], 80), "subject": subject}
            self._commits.setdefault(found["hash"], {**fields, "turn_id": turn_id})

    def to_dict(self) -> dict[str, Any]:
        """Return what was found; `unseen`: the turns that were not observed from their start."""
        self._close_turn()
        return {
            "files": sorted(self._files.values(), key=lambda file: file["path"]),
            "commits": list(self._commits.values()),
            "mcp": list(self._servers.values()),
            "unseen": list(self._unseen),
        }

"""What the lines of turns say of the work done: files changed, commits, denied calls, missing servers. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hyperhive_cli.claude.denials import Denials
from hyperhive_cli.claude.missing_servers import mcp_troubles
from hyperhive_cli.core.events import BusEvent, Stream, TurnStart
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


@dataclass(slots=True)
class Findings:
    """What was found in the events of turns, fed turn by turn. The fields are those of `report --json`."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)
    denied: list[dict[str, Any]] = field(default_factory=list)
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)  # turns whose events are no longer in the history

    def add_turn(self, turn_id: int, events: Iterable[BusEvent]) -> None:
        """Look through the events of one turn."""
        translator, denials, calls, is_whole = Translator(), Denials(), dict[str, CallRow](), False
        cwd = ""
        for record in events:
            is_whole = is_whole or record.kind == TurnStart.kind
            if record.kind != Stream.kind or _SAYS_SOMETHING.search(record.payload) is None:
                continue
            line = mapping(record.event.to_fields())
            denials.observe(line)
            if line.get("type") == "system" and line.get("subtype") == "init":
                cwd = string(line.get("cwd"))
                self._add_servers(turn_id, mcp_troubles(line) or [])
            for row in translator.rows(record):
                self._add_row(turn_id, row, calls, cwd)
        if denials.count:
            self.denied.append({"turn_id": turn_id, "count": denials.count, "remarks": denials.remarks()})
        if not is_whole:
            self.missing.append(turn_id)

    def _add_servers(self, turn_id: int, troubles: Iterable[str]) -> None:
        for trouble in troubles:
            found = self.servers.setdefault(trouble, {"trouble": trouble, "turns": 0})
            if found.get("last") != turn_id:
                found |= {"turns": found["turns"] + 1, "last": turn_id}

    def _add_row(self, turn_id: int, row: Row, calls: dict[str, CallRow], cwd: str) -> None:
        if isinstance(row, CallRow) and (row.name in _EDITS or row.name == "Bash"):
            calls[row.call] = row
        elif isinstance(row, AnswerRow) and not row.failed and (call := calls.pop(row.call, None)) is not None:
            given = mapping(call.given)
            if call.name == "Bash":
                self._add_commits(turn_id, string(given.get("command")), row)
            elif path := string(given.get(_EDITS[call.name])):
                self._add_edit(one_line(relative(path, cwd), 400), row)

    def _add_edit(self, path: str, answer: AnswerRow) -> None:
        found = self.files.setdefault(path, {"path": path, "edits": 0, "added": 0, "removed": 0})
        found["edits"] += 1
        found["added"] += answer.figures.added or 0
        found["removed"] += answer.figures.removed or 0

    def _add_commits(self, turn_id: int, command: str, answer: AnswerRow) -> None:
        if _GIT.search(command) is None:
            return
        for found in _COMMIT.finditer(answer.output.raw[:_OUTPUT_CHARS]):
            subject = one_line(found["subject"], _SUBJECT_CHARS)
            fields = {"hash": found["hash"], "branch": one_line(found["branch"], 80), "subject": subject}
            self.commits.setdefault(found["hash"], {**fields, "turn_id": turn_id})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `report --json` that the history knows."""
        return {
            "files": sorted(self.files.values(), key=lambda file: file["path"]),
            "commits": list(self.commits.values()),
            "denied": self.denied,
            "mcp": list(self.servers.values()),
            "unseen": self.missing,
        }

"""Tool calls of a run that were denied: by whom, and the command that would allow them. Pure.

Seen with 2.1.332, 2.1.330 and 2.1.197:
- `result.permission_denials` lists the calls of its own stretch, including those of subagents; a later `result` does
  not repeat them.
- Who denied a call is in `system/permission_denied` and in the `tool_result_meta` of the call's answer (2.1.332),
  otherwise only in the text of the answer. A denial by a hook has no `permission_denied` line.
- A tool that a rule denies entirely is not offered to the model, so a call of it counts as one of an unknown tool.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hyperhive_cli.claude.stream import content_blocks

MAX_CALLS = 5_000  # a normal run has a few hundred; bounds the memory that an endless run takes
MAX_WORDS = 600  # characters kept of the text of a denial
MAX_REMARKS = 5  # a hook may give a new reason each time
MAX_NAMED = 4  # tools or rules listed in a sentence


class Denier(StrEnum):
    """Who denied a call."""

    MODE = "mode"  # the permission mode refuses it outright: dontAsk, plan
    PROMPT = "prompt"  # claude would ask a person, but there is none
    CHECK = "check"  # auto mode's safety check
    RULE = "rule"  # a `deny` rule
    HOOK = "hook"
    OTHER = "other"  # claude does not say


@dataclass(frozen=True, slots=True)
class Denial:
    """One denied call: its tool, who denied it, and the text of the answer; `rule` is the rule that would allow it."""

    tool: str
    denier: Denier
    words: str = ""
    rule: str = ""


@dataclass(slots=True)
class _Clues:
    tool: str = ""
    type: str = ""  # the type of the PermissionDecisionReason, or `hook`
    words: str = ""
    command: str = ""


@dataclass(slots=True)
class Denials:
    """Collects the denied calls of a run from its lines; `mode` is the permission mode that claude last reported."""

    mode: str = ""
    _clues: dict[str, _Clues] = field(default_factory=dict)  # by id, of every call that failed
    _denied: dict[str, None] = field(default_factory=dict)  # ids, in order

    def observe(self, line: Mapping[str, Any]) -> None:
        """Process a line of claude; malformed ones are ignored."""
        match line.get("type"):
            case "system":
                self._observe_system(line)
            case "user":
                self._observe_answers(line)
            case "result":
                self._observe_result(line)

    def _observe_system(self, line: Mapping[str, Any]) -> None:
        match line.get("subtype"):
            case "init" | "status":
                self.mode = _text(line.get("permissionMode")) or self.mode
            case "permission_denied":
                self._observe_denial(line)

    @property
    def count(self) -> int:
        """The number of denied calls."""
        return len(self._denied)

    def found(self) -> list[Denial]:
        """Return the denied calls in order."""
        return [_to_denial(self._clues.get(call, _Clues())) for call in self._denied]

    def remarks(self) -> list[str]:
        """Return a sentence for each denier: who denied calls, and the command that would allow them."""
        return list(denial_remarks(self.found(), self.mode))

    def _of(self, call: str) -> _Clues:
        if len(self._clues) >= MAX_CALLS and call not in self._clues:
            del self._clues[next(iter(self._clues))]
        return self._clues.setdefault(call, _Clues())

    def _add(self, call: str) -> None:
        if len(self._denied) < MAX_CALLS:
            self._denied[call] = None

    def _observe_denial(self, line: Mapping[str, Any]) -> None:
        call = _text(line.get("tool_use_id"))
        clues = self._of(call)
        clues.tool = _text(line.get("tool_name")) or clues.tool
        clues.type = _text(line.get("decision_reason_type")) or clues.type
        clues.words = clues.words or _text(line.get("message"))
        self._add(call)

    def _observe_answers(self, line: Mapping[str, Any]) -> None:
        reasons = dict(_reasons(line.get("tool_result_meta")))
        for block in content_blocks(line, "tool_result"):
            if block.get("is_error") is True:
                call = _text(block.get("tool_use_id"))
                clues = self._of(call)
                clues.words = _text(block.get("content")) or clues.words
                clues.type = clues.type or reasons.get(call, "")

    def _observe_result(self, line: Mapping[str, Any]) -> None:
        found = line.get("permission_denials")
        for denial in found if isinstance(found, list) else ():
            if isinstance(denial, Mapping):
                call = _text(denial.get("tool_use_id"))
                clues = self._of(call)
                clues.tool = _text(denial.get("tool_name")) or clues.tool
                given = denial.get("tool_input")
                clues.command = _text(given.get("command")) if isinstance(given, Mapping) else ""
                self._add(call)
        self._clues = {call: clues for call, clues in self._clues.items() if call in self._denied}


def _reasons(meta: object) -> Iterator[tuple[str, str]]:
    """Yield the calls in `tool_result_meta`, each with the type of the reason for its rejection."""
    for entry in meta if isinstance(meta, list) else ():
        decision = entry.get("permission_decision") if isinstance(entry, Mapping) else None
        if isinstance(decision, Mapping):
            reason = _text(decision.get("reason_type"))
            yield _text(entry.get("id")), "hook" if decision.get("source") == "hook" else reason


def _text(value: object) -> str:
    return value[:MAX_WORDS] if isinstance(value, str) else ""


_HOOK = re.compile(r"\b\w+:\S+ hook error: ")
_MODE = re.compile(r"because Claude Code is running in \S+ \S+ mode|while in \w+ mode")
_RULE = re.compile(r"^Permission to .{1,400} has been denied|denied by your permission settings", re.DOTALL)
_CHECK = re.compile(r"^(?:Auto mode|Permission for this action was denied by the Claude Code auto mode)")
_PROMPT = re.compile(r"haven't granted it yet|(?:requires|needs) approval|was blocked\. For security")
# claude's known sentences come before `type`: the type `rule` may be a rule that asks or one that denies.
_WORDS = (
    (_HOOK, Denier.HOOK),
    (_MODE, Denier.MODE),
    (_CHECK, Denier.CHECK),
    (_PROMPT, Denier.PROMPT),
    (_RULE, Denier.RULE),
)
_TYPES: Mapping[str, Denier] = {
    "hook": Denier.HOOK,
    "mode": Denier.MODE,
    "classifier": Denier.CHECK,
    "rule": Denier.RULE,
    "subcommandResults": Denier.RULE,
    "workingDir": Denier.PROMPT,
    "safetyCheck": Denier.PROMPT,
    "asyncAgent": Denier.PROMPT,
    "sandboxOverride": Denier.PROMPT,
}
_COMMAND = re.compile(r"[\w./-]{1,40}")  # the first word of a command, if it is a plain one


def _to_denial(clues: _Clues) -> Denial:
    tool = clues.tool or "unknown"
    denier = _denier(clues)
    words = _HOOK.sub("", clues.words, count=1).strip() if denier is Denier.HOOK else clues.words.strip()
    program = _COMMAND.match(clues.command.lstrip())
    rule = f"{tool}({program[0]}:*)" if tool == "Bash" and program else tool
    return Denial(tool, denier, words, rule)


def _denier(clues: _Clues) -> Denier:
    if clues.type == "hook":
        return Denier.HOOK
    for pattern, denier in _WORDS:
        if pattern.search(clues.words):
            return denier
    return _TYPES.get(clues.type, Denier.OTHER)


def denial_remarks(denials: Iterable[Denial], mode: str) -> Iterator[str]:
    """Yield a sentence for each denier and, for hooks, each reason: who denied calls, and what would allow them."""
    groups: dict[tuple[Denier, str], list[Denial]] = {}
    for denial in denials:
        words = denial.words if denial.denier in {Denier.HOOK, Denier.OTHER} else ""
        groups.setdefault((denial.denier, words), []).append(denial)
    for (denier, words), found in [*groups.items()][:MAX_REMARKS]:
        calls = "1 tool call was" if len(found) == 1 else f"{len(found)} tool calls were"
        yield f"{calls} denied ({_names(found)}) {_why(denier, words, mode)}{_advice(denier, found, mode)}"
    if rest := [denial for found in [*groups.values()][MAX_REMARKS:] for denial in found]:
        calls = "1 more tool call was" if len(rest) == 1 else f"{len(rest)} more tool calls were"
        yield f"{calls} denied for other reasons"


def _names(found: Sequence[Denial]) -> str:
    counts: dict[str, int] = {}
    for denial in found:
        counts[denial.tool] = counts.get(denial.tool, 0) + 1
    named = [f"{tool} {count} times" if count > 1 else tool for tool, count in counts.items()]
    rest = [f"{len(named) - MAX_NAMED} more"] if len(named) > MAX_NAMED else []
    return ", ".join([*named[:MAX_NAMED], *rest])


def _why(denier: Denier, words: str, mode: str) -> str:
    match denier:
        case Denier.MODE:
            return f"by the permission mode {mode or 'of claude'}"
        case Denier.PROMPT:
            return f"because no one can answer claude's question for permission (permission mode {mode or 'default'})"
        case Denier.CHECK:
            return f"by auto mode's safety check (permission mode {mode or 'auto'})"
        case Denier.RULE:
            return "by a `deny` rule of claude's settings"
        case Denier.HOOK:
            return f"by a hook: {words}" if words else "by a hook"
        case Denier.OTHER:
            return f"with the message: {words}" if words else "and claude does not say by whom"


_EDITS = frozenset({"Write", "Edit", "MultiEdit", "NotebookEdit"})
_ALLOWABLE = frozenset({Denier.MODE, Denier.PROMPT, Denier.CHECK})
_LAX_MODES = frozenset({"acceptEdits", "bypassPermissions"})


def allowing_command(line: Mapping[str, Any], asked: str, mode: str) -> str:
    """Return the command that would allow the call of a `permission_denied` line, "" if none would.

    `asked`: what the tool was asked, which for Bash is the command; `mode`: the permission mode.
    """
    words, kind = _text(line.get("message")), _text(line.get("decision_reason_type"))
    denial = _to_denial(_Clues(_text(line.get("tool_name")), kind, words, asked))
    return _command(denial.denier, [denial], mode)


def _advice(denier: Denier, found: Sequence[Denial], mode: str) -> str:
    if mode == "bypassPermissions" and denier in _ALLOWABLE:
        return "; an `ask` rule of claude's settings asks even in this mode"
    command = _command(denier, found, mode)
    return f"; `{command}` allows {'it' if len(found) == 1 else 'them'}" if command else ""


def _command(denier: Denier, found: Sequence[Denial], mode: str) -> str:
    if denier not in _ALLOWABLE or mode == "bypassPermissions":
        return ""
    rules = list(dict.fromkeys(denial.rule for denial in found))
    others = [f"'{rule}'" if "(" in rule else rule for rule in rules if rule not in _EDITS][:MAX_NAMED]
    command = "hyperhive run"
    if any(rule in _EDITS for rule in rules) and mode not in _LAX_MODES:
        command += " --permission-mode acceptEdits"
    if others:
        command += f" -- --allowedTools {' '.join(others)}"
    return command if command != "hyperhive run" else ""

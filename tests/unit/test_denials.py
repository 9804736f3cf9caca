"""Denied tool calls: each once, by whom, and what to type. The lines are those of the binary (2.1.332 and 2.1.197)."""

from typing import Any

import pytest

from hyperhive_cli.claude.denials import MAX_CALLS, MAX_REMARKS, Denials, Denier

Line = dict[str, Any]


def init(mode: str) -> Line:
    return {"type": "system", "subtype": "init", "permissionMode": mode}


def denied(call: str, tool: str, message: str, kind: str | None = None) -> Line:
    """Make the line that 2.1.332 prints before the answer."""
    line = {"type": "system", "subtype": "permission_denied", "tool_name": tool, "tool_use_id": call}
    return {**line, "message": message, **({} if kind is None else {"decision_reason_type": kind})}


def answer(call: str, text: str, *, source: str | None = None, is_error: bool = True) -> Line:
    block = {"type": "tool_result", "tool_use_id": call, "is_error": is_error, "content": text}
    line: Line = {"type": "user", "message": {"role": "user", "content": [block]}}
    if source is not None:
        decision = {"decision": "reject", "source": source}
        line["tool_result_meta"] = [{"id": call, "permission_decision": decision}]
    return line


def result(*calls: tuple[str, str, Line]) -> Line:
    found = [{"tool_use_id": call, "tool_name": tool, "tool_input": given} for call, tool, given in calls]
    return {"type": "result", "subtype": "success", "is_error": False, "permission_denials": found}


def seen(*lines: Line) -> Denials:
    denials = Denials()
    for line in lines:
        denials.observe(line)
    return denials


ASKED = "Claude requested permissions to write to /w/a.txt, but you haven't granted it yet."
DONT_ASK = "Permission to use Write has been denied because Claude Code is running in don't ask mode. IMPORTANT: You"
PLAN = "Cannot write to /w/a.txt while in plan mode."
CHECK = "Auto mode is unavailable: its safety check does not run for this session, so Bash was not run."
RULE = "Permission to use Bash with command curl -s http://127.0.0.1:1/ has been denied."
READ_RULE = "<tool_use_error>File is in a directory that is denied by your permission settings.</tool_use_error>"
BLOCKED = "touch in '/w/b.txt' was blocked. For security, Claude Code may only create or modify files in the allowed"
HOOK = "PreToolUse:Write hook error: [check.sh]: not on a Friday\n"
CURL = {"command": "curl -s http://127.0.0.1:1/"}

CASES: dict[str, tuple[str, str, str, str | None, Denier]] = {
    "no one to ask": ("default", "Write", ASKED, None, Denier.PROMPT),
    "a command": ("default", "Bash", "This command requires approval", "other", Denier.PROMPT),
    "an unusual command": ("default", "Bash", BLOCKED, None, Denier.PROMPT),
    "outside": ("acceptEdits", "Read", ASKED.replace("write to", "read from"), "workingDir", Denier.PROMPT),
    "a rule that asks": ("bypassPermissions", "Bash", ASKED, "rule", Denier.PROMPT),
    "dontAsk": ("dontAsk", "Write", DONT_ASK, "mode", Denier.MODE),
    "plan": ("plan", "Write", PLAN, "mode", Denier.MODE),
    "the check of auto mode": ("auto", "Bash", CHECK, "classifier", Denier.CHECK),
    "a rule that denies": ("bypassPermissions", "Bash", RULE, "subcommandResults", Denier.RULE),
    "a rule of folders": ("bypassPermissions", "Read", READ_RULE, None, Denier.RULE),
    "a hook": ("bypassPermissions", "Write", HOOK, None, Denier.HOOK),
    "words of someone's": ("default", "Write", "not on a Friday", None, Denier.OTHER),
}


@pytest.mark.parametrize("name", CASES)
def test_who_denied_a_call_is_found_by_its_words_alone(name: str) -> None:
    """As in 2.1.197, and of a hook's denial in every release."""
    mode, tool, words, _, denier = CASES[name]
    denials = seen(init(mode), answer("t1", words), result(("t1", tool, {})))
    assert [(one.tool, one.denier) for one in denials.found()] == [(tool, denier)]
    assert denials.count == 1


NEW_WORDS: dict[str, tuple[str, str, str, str | None, Denier]] = {
    "a rule": ("default", "Bash", "No, says a rule.", "rule", Denier.RULE),
    "a mode": ("quiet", "Bash", "Not now.", "mode", Denier.MODE),
    "a question": ("default", "Bash", "May it?", "safetyCheck", Denier.PROMPT),
    "a check": ("default", "Bash", "Hm.", "classifier", Denier.CHECK),
    "a reason not met yet": ("default", "Bash", "Hm.", "moon", Denier.OTHER),
}


@pytest.mark.parametrize("name", [*(name for name in CASES if name != "a hook"), *NEW_WORDS])
def test_who_denied_a_call_is_found_by_the_line_that_says_so(name: str) -> None:
    mode, tool, words, kind, denier = (CASES | NEW_WORDS)[name]
    lines = [init(mode), denied("t1", tool, words, kind), answer("t1", words), result(("t1", tool, {}))]
    denials = seen(*lines)
    assert [(one.tool, one.denier) for one in denials.found()] == [(tool, denier)]
    assert denials.count == 1
    assert denials.mode == mode


def test_a_hook_is_known_by_its_answer_where_claude_says_so() -> None:
    denials = seen(answer("t1", "not on a Friday", source="hook"), result(("t1", "Write", {})))
    assert denials.remarks() == ["1 tool call was denied (Write) by a hook: not on a Friday"]


def test_calls_count_once_however_often_they_are_named() -> None:
    """The releases of today do not repeat them in a later `result`; one that did would change nothing."""
    first: tuple[str, str, Line] = ("t1", "Write", {})
    second: tuple[str, str, Line] = ("t2", "Write", {})
    denials = seen(
        init("default"),
        denied("t1", "Write", ASKED),
        answer("t1", ASKED),
        result(first),
        answer("t2", ASKED),
        result(first, second),
        result(),
    )
    assert denials.count == 2
    [remark] = denials.remarks()
    assert remark.startswith("2 tool calls were denied (Write 2 times) because no one can answer")


def test_a_denial_counts_though_the_run_was_cut_off() -> None:
    denials = seen(init("dontAsk"), denied("t1", "Write", DONT_ASK, "mode"))
    assert denials.count == 1


def test_other_failed_calls_are_no_denials() -> None:
    denials = seen(answer("t1", "Exit code 7"), answer("t2", RULE, is_error=False), result())
    assert denials.count == 0
    assert denials.remarks() == []


@pytest.mark.parametrize(
    ("mode", "calls", "ending"),
    [
        ("default", [("t1", "Write", {})], "; `hyperhive run --permission-mode acceptEdits` allows it"),
        (
            "default",
            [("t1", "Edit", {}), ("t2", "Bash", CURL), ("t3", "WebFetch", {})],
            "; `hyperhive run --permission-mode acceptEdits -- --allowedTools 'Bash(curl:*)' WebFetch` allows them",
        ),
        ("acceptEdits", [("t1", "Bash", CURL)], "; `hyperhive run -- --allowedTools 'Bash(curl:*)'` allows it"),
        ("acceptEdits", [("t1", "Bash", {"command": "$(x) y"})], "; `hyperhive run -- --allowedTools Bash` allows it"),
        ("bypassPermissions", [("t1", "Write", {})], "; an `ask` rule of claude's settings asks even in this mode"),
        ("acceptEdits", [("t1", "Write", {})], "(permission mode acceptEdits)"),
    ],
)
def test_an_operator_is_told_what_to_type(mode: str, calls: list[tuple[str, str, Line]], ending: str) -> None:
    answers = [answer(call, ASKED) for call, _, _ in calls]
    [remark] = seen(init(mode), *answers, result(*calls)).remarks()
    assert remark.endswith(ending)


def test_a_mode_that_changes_in_mid_run_is_followed() -> None:
    change = {"type": "system", "subtype": "status", "permissionMode": "plan"}
    denials = seen(init("default"), change, denied("t1", "Write", PLAN, "mode"))
    [remark] = denials.remarks()
    assert remark.startswith("1 tool call was denied (Write) by the permission mode plan; `hyperhive run --perm")


def test_each_of_those_who_denied_has_a_sentence() -> None:
    calls = {"t1": ASKED, "t2": HOOK, "t3": HOOK.replace("Friday", "Monday"), "t4": RULE, "t5": RULE}
    answers = [answer(call, words) for call, words in calls.items()]
    remarks = seen(init("default"), *answers, result(*((call, "Bash", CURL) for call in calls))).remarks()
    assert [remark.split(")")[0] for remark in remarks] == [
        "1 tool call was denied (Bash",
        "1 tool call was denied (Bash",
        "1 tool call was denied (Bash",
        "2 tool calls were denied (Bash 2 times",
    ]
    assert [remark for remark in remarks if "hook" in remark] == [
        "1 tool call was denied (Bash) by a hook: [check.sh]: not on a Friday",
        "1 tool call was denied (Bash) by a hook: [check.sh]: not on a Monday",
    ]


@pytest.mark.parametrize(
    "line",
    [
        {"type": "result", "permission_denials": [None, {}, {"tool_use_id": 7, "tool_name": [], "tool_input": "x"}]},
        {"type": "result", "permission_denials": {"a": 1}},
        {"type": "system", "subtype": "permission_denied", "message": ["x"], "tool_use_id": None},
        {"type": "user", "message": {"content": [{"type": "tool_result", "is_error": True, "content": [1]}]}},
        {"type": "user", "tool_result_meta": [None, {"permission_decision": []}, {"permission_decision": {}}]},
        {"type": "system", "subtype": "init", "permissionMode": 7},
    ],
)
def test_odd_lines_do_no_harm(line: Line) -> None:
    denials = seen(line)
    assert denials.count <= 1
    assert all(isinstance(remark, str) for remark in denials.remarks())


def test_what_is_kept_has_a_bound() -> None:
    denials = Denials()
    for number in range(MAX_CALLS + 10):
        denials.observe(answer(f"t{number}", "x" * 100_000))
        denials.observe(denied(f"t{number}", "Write", "y" * 100_000))
    assert denials.count == MAX_CALLS
    assert all(len(denial.words) < 1000 for denial in denials.found())
    assert max(map(len, denials.remarks())) < 1000


def test_a_hook_that_has_a_new_reason_each_time_does_not_flood_the_operator() -> None:
    answers = [answer(f"t{number}", HOOK.replace("Friday", str(number))) for number in range(20)]
    remarks = seen(*answers, result(*((f"t{number}", "Bash", CURL) for number in range(20)))).remarks()
    assert len(remarks) == MAX_REMARKS + 1
    assert remarks[-1] == f"{20 - MAX_REMARKS} more tool calls were denied for other reasons"

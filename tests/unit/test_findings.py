"""What is found in the lines of turns: files, commits, denied calls, MCP servers."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.core.events import TurnEnd, TurnStart
from hyperhive_cli.transcript.findings import Findings
from tests.unit.made_events import answer, assistant, call, numbered, recorded_turn, said

INIT = {"type": "system", "subtype": "init", "cwd": "/work", "mcp_servers": [], "permissionMode": "default"}
START = TurnStart(sender="operator", body="do it", unread=0, turn_id=1)


def found_in(*lines: dict[str, Any], start: bool = True) -> dict[str, Any]:
    return found_of(1, events=[*([START] if start else []), *lines])


def found_of(*turns: int, events: list[Any]) -> dict[str, Any]:
    return observed(*turns, events=events).to_dict()


def observed(*turns: int, events: list[Any]) -> Findings:
    findings = Findings(turns)
    for record in numbered([*events, TurnEnd(ok=True)]):
        findings.observe(record)
    return findings


def edit(path: str, ident: str = "e1", *, is_error: bool = False) -> list[dict[str, Any]]:
    patch = [{"oldStart": 1, "oldLines": 1, "newStart": 1, "newLines": 2, "lines": ["-old", "+new", "+newer"]}]
    reply = {**answer(ident, "ok", is_error=is_error), "tool_use_result": {"structuredPatch": patch}}
    return [assistant(call(ident, "Edit", file_path=path, old_string="old", new_string="new")), reply]


def bash(command: str, output: str, ident: str = "b1") -> list[dict[str, Any]]:
    return [assistant(call(ident, "Bash", command=command)), answer(ident, output)]


def test_files_are_counted_by_their_path_in_the_workspace() -> None:
    found = found_in(
        INIT, *edit("/work/b.py"), *edit("/work/a.py", "e2"), *edit("/work/b.py", "e3"), *edit("/etc/x", "e4")
    )
    assert found["files"] == [
        {"path": "/etc/x", "edits": 1, "added": 2, "removed": 1},
        {"path": "a.py", "edits": 1, "added": 2, "removed": 1},
        {"path": "b.py", "edits": 2, "added": 4, "removed": 2},
    ]


def test_an_edit_that_failed_or_was_never_answered_changes_no_file() -> None:
    failed, (asked, _) = edit("/work/a.py", is_error=True), edit("/work/b.py", "e2")
    assert found_in(INIT, *failed, asked)["files"] == []


def test_commits_are_those_that_git_printed() -> None:
    output = "[main (root-commit) 1a2b3c4] Fix [the] flaky test\n 1 file changed\n[detached HEAD 5d6e7f8] Pick it\n"
    found = found_in(*bash("cd x && git commit -am fix", output), *bash("git log", output, "b2"))
    assert found["commits"] == [
        {"hash": "1a2b3c4", "branch": "main", "subject": "Fix [the] flaky test", "turn_id": 1},
        {"hash": "5d6e7f8", "branch": "detached HEAD", "subject": "Pick it", "turn_id": 1},
    ]
    assert found_in(*bash("cat CHANGES", output))["commits"] == []
    assert found_in(assistant(said(output)))["commits"] == []


def test_a_commit_is_found_as_git_itself_prints_it(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not here")
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path), "LC_ALL": "C"}
    names = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]

    def printed(*words: str) -> str:
        done = subprocess.run([git, *names, *words], cwd=tmp_path, env=own, capture_output=True, check=True, text=True)
        return done.stdout

    printed("init")
    first, second = (printed("commit", "--allow-empty", "-m", subject) for subject in ("Begin", "Fix it\n\nWhy."))
    found = found_in(*bash("git commit", first), *bash("git commit", second, "b2"))["commits"]
    assert [(one["branch"], one["subject"]) for one in found] == [("main", "Begin"), ("main", "Fix it")]
    assert [one["hash"] for one in found] == printed("log", "--reverse", "--format=%h").split()


def test_denied_calls_are_told_with_what_would_allow_them() -> None:
    denial = {"tool_name": "Bash", "tool_use_id": "d1", "tool_input": {"command": "make all"}}
    refused = answer("d1", "Claude requested permissions to use Bash, but you haven't granted it yet.", is_error=True)
    asked = assistant(call("d1", "Bash", command="make all"))
    findings = observed(1, events=[START, INIT, asked, refused, {"type": "result", "permission_denials": [denial]}])
    ((turn, (remark,)),) = findings.denials.items()
    assert turn == 1
    assert "hyperhive run -- --allowedTools 'Bash(make:*)'" in remark


def test_a_missing_server_is_counted_once_a_turn() -> None:
    init = INIT | {"mcp_servers": [{"name": "github", "status": "failed"}, {"name": "fine", "status": "connected"}]}
    turns = [[replace(START, turn_id=turn_id), init, init] for turn_id in (1, 2, 3)]
    assert found_of(1, 2, events=[event for turn in turns for event in turn])["mcp"] == [
        {"trouble": "github: failed", "turns": 2, "last": 2}
    ]


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_turn_without_its_start_is_said_to_be_missing(is_whole: bool) -> None:
    assert found_in(INIT, start=is_whole)["unseen"] == ([] if is_whole else [1])


def test_a_recorded_turn_is_read_whole() -> None:
    turn = [replace(one, turn_id=1) if isinstance(one, TurnStart | TurnEnd) else one for one in recorded_turn("tools")]
    found = found_of(1, events=turn)
    assert (found["files"], found["unseen"]) == ([{"path": "notes.txt", "edits": 1, "added": 2, "removed": 0}], [])


def test_odd_lines_are_no_error() -> None:
    odd = [assistant(call("x", "Edit")), answer("x", None), assistant(call("", "Bash", command=5)), answer("", [1])]
    assert found_in({"type": "system", "subtype": "init", "mcp_servers": 3, "cwd": []}, *odd)["files"] == []


def test_what_comes_after_a_turn_or_in_one_that_is_not_asked_for_is_ignored() -> None:
    end = TurnEnd(ok=True, turn_id=1)
    found = found_of(
        1, 3, events=[START, end, *edit("/a"), replace(START, turn_id=2), *edit("/b", "e2"), end, *edit("/c")]
    )
    assert (found["files"], found["unseen"]) == ([], [3])

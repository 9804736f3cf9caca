"""What the doctor says of what was seen: a case for each sign."""

import json
from pathlib import Path

import pytest

from hyperhive_cli.claude.argv import HOOK_EVENTS_FLAG, Launch, turn_argv
from hyperhive_cli.claude.compatibility import (
    NEWEST_TESTED,
    OLDEST_TESTED,
    USED_FLAGS,
    missing_flags,
    read_version,
    unknown_lines,
)
from hyperhive_cli.claude.sentences import SHOWN_ELSEWHERE
from hyperhive_cli.doctor.findings import (
    Finding,
    judge_cleanup,
    judge_config_folder,
    judge_help,
    judge_lines,
    judge_login,
    judge_neighbours,
    judge_processes,
    judge_rights,
    judge_scrub,
    judge_space,
    judge_terminal,
    judge_version,
)
from hyperhive_cli.transcript.lines import TYPE_CASES
from hyperhive_cli.transcript.system_lines import SYSTEM_CASES
from tests.conftest import recording, recording_index

SCRUB = "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"


def level(finding: Finding) -> str:
    assert (finding.advice is None) == (finding.level == "ok"), "what is not well has an advice"
    return finding.level.value


@pytest.mark.parametrize(
    ("way", "expected", "said"),
    [
        ("lists", "ok", "the kernel's lists of children"),
        ("table", "ok", "CONFIG_PROC_CHILDREN"),
        ("ps", "warning", "once a second"),
        ("blind", "warning", "outlives its turn"),
    ],
)
def test_how_the_processes_of_a_turn_are_found(way: str, expected: str, said: str) -> None:
    found = judge_processes(way)
    assert (level(found), said in found.finding) == (expected, True)


def test_the_flags_are_those_of_a_turn() -> None:
    launch = Launch(("claude",), permission_mode="plan", skip_permissions=True, partial=True)
    argvs = [turn_argv(launch, model="m", session_id="id", stream_input=True)]
    argvs += [turn_argv(launch, model="m", session_id=None, newest=True)]
    used = {word.split("=")[0] for argv in argvs for word in argv if word.startswith("--")}
    assert used == {*USED_FLAGS, HOOK_EVENTS_FLAG}


def test_every_recorded_line_is_known() -> None:
    names = [name for name in recording_index() if name.endswith(".jsonl")]
    assert len(names) > 30
    assert {name.split("/")[0] for name in names} >= {
        f"v{'.'.join(map(str, release))}" for release in (OLDEST_TESTED, NEWEST_TESTED)
    }
    lines = [json.loads(line) for name in names for line in recording(name) if line.startswith(b"{")]
    assert unknown_lines(line for line in lines if isinstance(line, dict)) == []


def test_what_the_console_shows_is_known_and_a_new_type_is_not() -> None:
    assert {f"system/{name}" for name in SYSTEM_CASES} | TYPE_CASES.keys() == SHOWN_ELSEWHERE
    lines: list[dict[str, object]]
    lines = [{"type": "system", "subtype": "novel"}, {"type": "novelty"}, {}, {"type": "x" * 100}, {"type": 5}]
    assert unknown_lines(lines) == ["5", "a line without a type", "novelty", "system/novel", "x" * 60]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2.1.330 (Claude Code)\n", (2, 1, 330)),
        ("claude 10.0.1-beta", (10, 0, 1)),
        ("", None),
        ("no version", None),
    ],
)
def test_a_release_is_read(said: str, expected: tuple[int, int, int] | None) -> None:
    assert read_version(said) == expected


def test_a_flag_is_missing_only_when_the_whole_word_is() -> None:
    text = " ".join(USED_FLAGS)
    assert missing_flags(text) == []
    assert missing_flags(text.replace("--model ", "--model-name ")) == ["--model"]


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (judge_version("2.1.330 (Claude Code)"), "ok"),
        (judge_version("2.1.197"), "ok"),
        (judge_version("2.1.333"), "warning"),
        (judge_version("2.0.999"), "warning"),
        (judge_version("hello"), "wrong"),
        (judge_help(" ".join(USED_FLAGS)), "ok"),
        (judge_help("--print"), "wrong"),
        (judge_login(0, {"loggedIn": True, "authMethod": "api_key"}), "ok"),
        (judge_login(0, {}), "ok"),
        (judge_login(0, {}, Path("/home/bee/.claude/.credentials.json")), "warning"),
        (judge_login(1, {"loggedIn": False}), "wrong"),
        (judge_login(0, {"loggedIn": False}), "wrong"),
        (judge_lines([{"type": "assistant"}]), "ok"),
        (judge_lines([]), "ok"),
        (judge_lines([{"type": str(number)} for number in range(9)]), "warning"),
        (judge_space(2 * 2**30), "ok"),
        (judge_space(2**30 - 1), "warning"),
        (judge_space(50 * 2**20), "wrong"),
        (judge_rights(is_root=False, skips_permissions=True, environ={}), "ok"),
        (judge_rights(is_root=True, skips_permissions=False, environ={}), "warning"),
        (judge_rights(is_root=True, skips_permissions=True, environ={"IS_SANDBOX": "0"}), "wrong"),
        (judge_rights(is_root=True, skips_permissions=True, environ={"IS_SANDBOX": "1"}), "ok"),
        (judge_scrub(has_bubblewrap=False, is_linux=True, environ={SCRUB: "1"}), "wrong"),
        (judge_scrub(has_bubblewrap=False, is_linux=True, environ={SCRUB: "0"}), "ok"),
        (judge_scrub(has_bubblewrap=False, is_linux=True, environ={}), "ok"),
        (judge_scrub(has_bubblewrap=True, is_linux=True, environ={SCRUB: "1"}), "ok"),
        (judge_scrub(has_bubblewrap=False, is_linux=False, environ={SCRUB: "1"}), "ok"),
        (judge_cleanup(None), "ok"),
        (judge_cleanup(365), "ok"),
        (judge_cleanup(7), "warning"),
        (judge_cleanup(0), "warning"),
        (judge_cleanup("never"), "warning"),
        (judge_cleanup(True), "warning"),
        (judge_config_folder(Path("/c"), None, 2**30), "ok"),
        (judge_config_folder(Path("/c"), None, 2**20), "wrong"),
        (judge_config_folder(Path("/c"), "/c is no folder", 2**30), "wrong"),
        (judge_neighbours([], by_login=True), "ok"),
        (judge_neighbours(["bee"], by_login=True), "warning"),
        (judge_neighbours(["bee"], by_login=False), "ok"),
        (judge_terminal(is_terminal=True, encoding="utf-8", columns=80, environ={"TERM": "xterm"}), "ok"),
        (judge_terminal(is_terminal=True, encoding="UTF8", columns=79, environ={}), "warning"),
        (judge_terminal(is_terminal=False, encoding="ascii", columns=80, environ={}), "warning"),
        (judge_terminal(is_terminal=False, encoding="utf-8", columns=20, environ={}), "ok"),
    ],
    ids=str,
)
def test_each_judgement(finding: Finding, expected: str) -> None:
    assert level(finding) == expected

"""Nothing that others said steers a terminal: every command in every form, over a history full of it."""

import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hyperhive_cli.cli.program import hyperhive
from hyperhive_cli.core.statistics import BY
from hyperhive_cli.core.terminal import UNSAFE, escape, escape_bytes
from tests.conftest import FakeClaude
from tests.harness import INIT, Hive, on_a_terminal

HOSTILE = (
    "=\x1b]0;title\x07 \x1b]52;c;aGk=\x07 \x1b[5m \x9b5m \x90q\x9c \x9d0;t\x9c over\rwrite \x08\x7f \u202egpj.exe"
    " \u2066x\u2069 \u2028 end"
)
# Our own colours (none of them blinks), and what the console and `agents` move the cursor with.
OURS = re.compile(r"\x1b\[(?!5m)[\d;]*m|\x1b\[\d+A|\x1b\[\?(?:25|7|2026)[hl]|\x1b\[[012]?[HJK]|\r(?=\r|\n|\x1b\[)|\r$")
# Each command, and the ways in which it prints: with others' words, or what it says where there is nothing to do.
WALKED: dict[str, list[str]] = {
    "send": ["hi", "hi --json", "hi --wait --timeout 0.01s"],
    "tail": ["--no-follow", "--no-follow --tools", "--no-follow --json"],
    "show": ["last", "last --full", "last --json", "1.1", "1.1 --json"],
    "export": ["", "--format md", "--format html"],
    "status": ["", "--json"],
    "history forget": ["--turn 1 --yes", "--turn 9 --yes"],
    "history list": ["", "--check", "--json"],
    "report": ["", "--json", "--markdown", "--html"],
    "quota": [""],
    "schedule add": ["nightly @daily hi"],
    "schedule edit": ["nightly --text other"],
    "schedule list": [""],
    "schedule pause": ["nightly"],
    "schedule resume": ["nightly"],
    "schedule run": ["nightly"],
    "schedule show": ["nightly", "nightly --json"],
    "schedule remove": ["nightly"],
    "search": ["write", "write --json", "--grep json"],
    "stats": ["", "--json", "--by tool", "--by model", *(f"--csv --by {by}" for by in BY)],
    "budget raise": ["3", "--day-cost 3"],
    "budget show": ["", "--json"],
    "agents": ["", "--json"],
    "agents move": ["x"],
    "agents remove": ["x"],
    "agents rename": ["x y"],
    "model set": ["haiku"],
    "model show": ["", "--json"],
    "inbox cancel": ["2", "--from nobody"],
    "inbox edit": ["2 other words"],
    "inbox list": ["", "--all", "--all --json"],
    "inbox move": ["2 --first"],
    "inbox restore": ["2"],
    "inbox retry": ["2", "--held", "--dead"],
    "inbox schedule": ["2 +2h", "2 tomorrow"],
    "inbox show": ["1", "1 --json"],
    "doctor": ["", "--json"],
    "config show": ["", "--json"],
    "backup": ["x.tar", "y.tar --json"],
    "new-session": [""],
    "compact": [""],
    "cancel": [""],
    "pause": [""],
    "stop": [""],
    "restart": [""],
    "restore": ["x.tar"],
    "resume": [""],
    "login": [""],
    "logout": [""],
    "run": ["--drain", "--drain --json", "--drain --quiet"],
    "completion": ["bash"],
    "help": [""],
    "demo": ["--fast"],
}  # fmt: skip
# They do not end by themselves, or need a database; what they print goes the same ways.
NOT_WALKED = {"attach", "web", "host", "hive drain", "hive grant", "hive init", "hive status"}


def leaves(group: click.Group, prefix: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, f"{prefix}{name} ")
            if command.invoke_without_command:
                yield f"{prefix}{name}"
        else:
            yield f"{prefix}{name}"


def test_the_walk_leaves_no_command_out() -> None:
    groups = {"budget", "config", "history", "inbox", "model", "schedule"}
    assert set(leaves(hyperhive)) - groups == {*WALKED, *NOT_WALKED}


@pytest.fixture
def poisoned(hive: Hive, fake_claude: FakeClaude) -> Hive:
    """Return an agent all of whose texts are hostile, the names of its tools and models too."""
    hive.state_dir = Path(hive.environment["HOME"], ".local/state/hyperhive/bee")
    hive.state_dir.mkdir(parents=True, mode=0o700)
    asked = {"type": "tool_use", "id": "t1", "name": HOSTILE, "input": {"command": HOSTILE}}
    answered = {"type": "tool_result", "tool_use_id": "t1", "content": HOSTILE}
    spoken = {"content": [{"type": "text", "text": HOSTILE}, asked], "model": HOSTILE}
    steps = [
        INIT,
        {"line": {"type": "assistant", "message": spoken}},
        {"line": {"type": "user", "message": {"content": [answered]}}},
        {"bytes": f"no json: {HOSTILE}\n"},
        {"stderr": f"{HOSTILE}\n"},
        {"line": {"type": "result", "subtype": "success", "is_error": False, "result": HOSTILE}},
    ]
    fake_claude.script(*[steps] * 9)
    hive.drain("--message", HOSTILE)
    hive.call("send", HOSTILE)
    with sqlite3.connect(hive.state_dir / "hyperhive-inbox.sqlite") as db:
        db.execute("UPDATE messages SET sender = ?, reason = ?", (HOSTILE, HOSTILE))
        db.execute("UPDATE turn_stats SET model = ?, note = ?, session_id = ?", (HOSTILE, HOSTILE, HOSTILE))
    db.close()
    poison_model(hive)
    (hive.workspace / "hyperhive.toml").write_text(f"[{json.dumps(HOSTILE)}]\n")
    return hive


def poison_model(hive: Hive) -> None:
    (hive.state_dir / "hyperhive-model").write_text(f"{HOSTILE}\n")


@pytest.mark.parametrize("command", WALKED)
def test_nothing_that_others_said_steers_a_terminal(command: str, poisoned: Hive) -> None:
    for form in WALKED[command]:
        poison_model(poisoned)
        claude = ["--claude", str(poisoned.claude)] if command == "run" else []
        shown = on_a_terminal(poisoned, *command.split(), *form.split(), *claude)
        assert shown, form
        rest = OURS.sub("", shown).replace("\r\n", "\n").replace("\r", "" if command in {"send", "compact"} else "\r")
        assert UNSAFE.search(rest) is None, (form, rest)
        if "--json" in form and "Error" not in shown:
            assert [json.loads(line) for line in shown.splitlines() if line.startswith(("{", "null"))], form


def test_json_says_the_same_on_a_terminal_and_in_a_pipe(poisoned: Hive) -> None:
    for words in (["model", "show", "--json"], ["stats", "--json"], ["tail", "--json", "--no-follow"]):
        shown = on_a_terminal(poisoned, *words)
        assert [json.loads(line) for line in shown.splitlines()] == poisoned.call(*words).json_lines()


def test_no_cell_is_a_formula(poisoned: Hive) -> None:
    for by in ("tool", "model"):
        rows = list(csv.DictReader(io.StringIO(poisoned.call("stats", "--csv", "--by", by).stdout)))
        assert [row[by] for row in rows] == [f"'{escape(HOSTILE)}"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_json_lines_stay_json_and_are_escaped_once(start: str) -> None:
    line = json.dumps({"x": start + HOSTILE}, ensure_ascii=False)
    shown = escape(line)
    assert UNSAFE.search(shown) is None
    assert json.loads(shown) == json.loads(line)
    assert escape(shown) == shown
    assert escape_bytes(line.encode()) == shown.encode()
    assert escape_bytes(b"\x9b5m\xff\n") == b"\\udc9b5m\\udcff\n"

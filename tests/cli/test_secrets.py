"""What a turn gets to see, what of it is shown and kept, and what a turn may not do: with the harness as a process."""

import json
import os
import pty
import re
import select
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.claude.prompt import WORD_JOINER
from tests.conftest import FakeClaude, Step
from tests.harness import INIT, LIMIT_S, SOURCE, TEXT, Done, Event, Hive, gated, of_kind, outcomes

VALUE = 'correct "horse"/battery\\staple'
KEY = "sk-ant-api03-made_up-0123456789abcdef"
BEARER = "eyJhbGciOi.J9-x1"
SAID = f"MY_SECRET={VALUE} key {KEY} Authorization: Bearer {BEARER}"
PARTS = ("correct", "battery", "staple", "made_up", BEARER)  # of what nobody may see
REFUSAL = "Error: a turn may not steer its own harness\nTry: hyperhive run --allow-self-control\n"
SGR = re.compile(r"\x1b\[[\d;]*m")


def says(text: str) -> list[Step]:
    """Play a turn in which a tool, the model, stderr and the result say something."""
    asked = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": f"echo '{text}'"}}
    answered = {"type": "tool_result", "tool_use_id": "t1", "content": text}
    inner = {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": json.dumps({"k": text})}]}
    return [
        INIT,
        {"line": {"type": "assistant", "message": {"content": [{"type": "text", "text": text}, asked]}}},
        {"line": {"type": "user", "message": {"content": [answered, inner]}, "tool_use_result": {"stdout": text}}},
        {"bytes": f"no json: {text}\n"},
        {"stderr": f"warning: {text}\n"},
        {"line": {"type": "result", "subtype": "success", "is_error": False, "result": text}},
    ]


@contextmanager
def on_a_terminal(command: list[str], variables: Mapping[str, str], folder: Path) -> Iterator[int]:
    """Run a program to its end with a terminal as its stdout; yield the terminal's other side."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, env=variables, cwd=folder)
        os.close(theirs)
        yield ours
        assert process.wait(LIMIT_S) is not None
    finally:
        os.close(ours)


def shown_on_a_terminal(hive: Hive, *arguments: str) -> str:
    shown = bytearray()
    variables = {**hive.variables(), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    with on_a_terminal(hive.command(*arguments), variables, hive.workspace) as terminal:
        while select.select([terminal], [], [], LIMIT_S)[0]:
            try:
                chunk = os.read(terminal, 65_536)
            except OSError:  # EIO: the other side is closed
                break
            shown += chunk
    return shown.decode()


def assert_hidden(text: str) -> None:
    assert [part for part in PARTS if part in text] == []


# --- secrets ---


def test_what_a_tool_prints_of_a_secret_is_nowhere_shown_or_kept(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(says(SAID))
    hive.environment = {**hive.environment, "MY_SECRET": VALUE}
    with hive.run("--partial") as program:
        sent = hive.call("send", f"use {VALUE}", "--wait", "--json")
        program.interrupt()
    clean = "MY_SECRET=[redacted MY_SECRET] key [redacted] Authorization: Bearer [redacted]"
    assert sent.json_lines()[0]["result"] == clean
    tail = hive.call("tail", "--json", "--no-follow", "--since", "0")
    for text in ("\n".join(program.stdout), tail.stdout):
        assert_hidden(text)
        assert text.count("[redacted MY_SECRET]") == 9  # the message, five blocks, two notes, and the result
    assert_hidden(hive.call("tail", "--no-follow").stdout)
    assert_hidden(hive.call("status", "--json").stdout)
    assert_hidden(shown_on_a_terminal(hive, "tail", "--no-follow"))
    assert fake_claude.calls()[0]["prompt"] == f"Message from operator:\n\nuse {VALUE}"  # claude itself gets it
    for name in ("hyperhive-events.sqlite", "hyperhive-events.sqlite-wal"):
        path = hive.state_dir / name
        assert_hidden(path.read_bytes().decode(errors="replace") if path.exists() else "")
    with sqlite3.connect(hive.state_dir / "hyperhive-inbox.sqlite") as inbox:
        assert inbox.execute("SELECT result_text FROM turn_stats").fetchall() == [(clean,)]
    inbox.close()


def test_the_live_console_hides_it_too(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(says(SAID))
    hive.environment = {**hive.environment, "MY_SECRET": VALUE}
    shown = shown_on_a_terminal(hive, "run", "--claude", str(hive.claude), "--drain", "--message", f"use {VALUE}")
    assert "[redacted MY_SECRET]" in SGR.sub("", shown)
    assert_hidden(shown)


def test_the_head_of_an_oversized_line_is_redacted(hive: Hive, fake_claude: FakeClaude) -> None:
    head = json.dumps({"type": "big", "key": KEY, "said": VALUE})[:-2]
    fake_claude.script([INIT, {"bytes": head}, {"repeat": 17, "steps": [{"bytes": "x" * (1 << 20)}]}, *says("\n")])
    hive.environment = {**hive.environment, "MY_SECRET": VALUE}
    events = hive.drain("--message", "go").json_lines()
    (note,) = [event["text"] for event in of_kind(events, "note") if "left out" in event["text"]]
    assert note.partition("): ")[2].startswith('{"type": "big", "key": "[redacted]", "said": "[redacted MY_SECRET]xxx')


# --- the environment ---


def test_claude_and_its_tools_see_what_they_need_and_what_the_operator_passes(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    own = {"PATH", "HOME", "LANG", "HYPERHIVE_TURN"}
    more = {"GH_TOKEN": "a", "CI_A": "b", "CI_B": "c", "CLAUDECODE": "1", "HYPERHIVE_X": "1", "NODE_OPTIONS": "-x"}
    hive.environment = {**hive.environment, **more}
    table: list[tuple[list[str], str, set[str]]] = [
        ([], "", set()),
        (["--pass-env", "GH_TOKEN", "--pass-env", "CI_*", "--pass-env", "UNSET"], "", {"GH_TOKEN", "CI_A", "CI_B"}),
        ([], "GH_TOKEN\nCI_A", {"GH_TOKEN", "CI_A"}),
        (["--pass-env", "*"], "", {"GH_TOKEN", "CI_A", "CI_B", "NODE_OPTIONS", "PYTHONPATH"}),
    ]
    for arguments, variable, expected in table:
        hive.environment = {**hive.environment, "HYPERHIVE_RUN_PASS_ENV": variable}
        assert hive.drain("--message", "hi", *arguments).status == 0
        assert set(fake_claude.calls()[-1]["env"]) - own - {"TMPDIR"} == expected
    assert hive.drain("--pass-env", "A=b").refusal(2) == "not a valid variable name: 'A=b'"


# --- who may steer ---

# Started by claude: runs commands one after the other, and writes down how each ended.
TOOL = """
import json, os, subprocess, sys, time
how, out, commands = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
environment = dict(os.environ, PYTHONPATH=sys.argv[4])
if how == "orphan":
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    os.setsid()
    while os.getppid() == parent:
        time.sleep(0.005)
folder = os.environ["HYPERHIVE_TURN"]
if "stopped" in how:
    with open(folder + "/harness.lock") as file:
        harness = json.load(file)["pid"]
    os.kill(harness, 19)
if "moved" in how:
    os.rename(folder + "/control.sock", folder + "/elsewhere.sock")
if "wiped" in how:
    environment = {name: environment[name] for name in ("PATH", "PYTHONPATH", "HOME")}
if "sandboxed" in how:
    commands = [["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", *one] for one in commands]
done = [subprocess.run(command, env=environment, capture_output=True, text=True) for command in commands]
if "stopped" in how:
    os.kill(harness, 18)
with open(out + ".new", "w") as file:
    json.dump([[one.returncode, one.stdout, one.stderr] for one in done], file)
os.rename(out + ".new", out)
"""

NAMESPACES = subprocess.run(
    ["sh", "-c", "unshare --user --map-root-user --pid --fork --mount-proc true"],
    capture_output=True,
    check=False,
)
NEEDS_NAMESPACES = pytest.mark.skipif(NAMESPACES.returncode != 0, reason="no process may be put into a namespace here")
STEERING = [
    ["send", "one more"], ["cancel"], ["compact"], ["new-session"], ["model", "set", "opus"],
    ["inbox", "cancel", "2"], ["inbox", "retry", "2"], ["web", "--show"], ["web", "--new-token"],
]  # fmt: skip
LOOKING = [["status", "--json"], ["tail", "--no-follow", "-n", "1", "--json"], ["inbox"], ["model", "show"]]


def from_within(hive: Hive, fake: FakeClaude, how: str, commands: list[list[str]], *options: str) -> list[Done]:
    """Let a tool of the first message's turn run commands, while a second message waits; return how each ended."""
    (fake.folder / "tool.py").write_text(TOOL)
    out = fake.folder / "out.json"
    words = json.dumps([hive.command(*command) for command in commands])
    tool = {"spawn": [sys.executable, str(fake.folder / "tool.py"), how, str(out), words, str(SOURCE)]}
    fake.script([INIT, tool, {"wait_for": out.name}, *TEXT], TEXT)
    assert hive.drain("--message", "one", "--message", "two", *options).status == 0
    return [Done(*one) for one in json.loads(out.read_text())]


@pytest.mark.parametrize("how", ["child", "orphan", "wiped", pytest.param("sandboxed", marks=NEEDS_NAMESPACES)])
@pytest.mark.few(1)
def test_a_tool_of_a_turn_cannot_steer_its_own_harness(how: str, hive: Hive, fake_claude: FakeClaude) -> None:
    # All of them by one; the others show that they are known for what they are.
    steering, looking = (STEERING, LOOKING) if how == "child" else (STEERING[:2], LOOKING[:1])
    done = from_within(hive, fake_claude, how, [*steering, *looking])
    for one in done[: len(steering)]:
        assert (one.status, one.stdout, one.stderr) == (1, "", REFUSAL)
    looked = done[len(steering) :]
    assert [one.status for one in looked] == [0] * len(looking)
    status = json.loads(looked[0].stdout)
    assert (status["running"], status["state"], status["unread"]) == (True, "thinking", 1)
    assert [message["body"] for message in hive.messages("--all")] == ["one", "two"]
    assert hive.status()["model"] == "haiku"
    assert [start["attempt"] for start in json_of_kind(hive, "turn_start")] == [1, 1]


@pytest.mark.parametrize(
    "how",
    [
        *("stopped", "moved", "stopped wiped", "moved wiped"),
        *(pytest.param(how, marks=NEEDS_NAMESPACES) for how in ("wiped sandboxed", "moved wiped sandboxed")),
    ],
)
def test_a_harness_that_does_not_answer_lets_no_turn_of_its_own_write_its_files(
    how: str, hive: Hive, fake_claude: FakeClaude
) -> None:
    commands = [["send", "one more"], ["model", "set", "opus"], ["new-session"]]
    done = from_within(hive, fake_claude, how, commands)
    expected = REFUSAL if how == "wiped sandboxed" else "Error: the harness of agent 'workspace' does not answer"
    assert [(one.status, one.stdout) for one in done] == [(1, "")] * 3
    assert [one.stderr[: len(expected)] for one in done] == [expected] * 3
    assert [message["body"] for message in hive.messages("--all")] == ["one", "two"]
    assert hive.call("model", "show").stdout == "haiku\n"


def test_an_operator_writes_the_files_of_a_harness_that_is_stopped(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run() as program:
        program.send(signal.SIGSTOP)
        assert hive.call("send", "one").status == 0
        program.send(signal.SIGCONT)
        program.wait_for_kind("turn_end")


def test_no_turn_moves_agents_or_drains_machines(hive: Hive, fake_claude: FakeClaude) -> None:
    url = "--hive=postgresql://127.0.0.1:1/hive"
    commands = [["agents", "move", "bee", "there", url], ["hive", "drain", "here", url]]
    for how in ("child", "wiped"):
        for one in from_within(hive, fake_claude, how, commands):
            assert (one.status, one.stdout, one.stderr) == (1, "", REFUSAL)


def json_of_kind(hive: Hive, kind: str) -> list[Event]:
    return hive.call("tail", "--no-follow", "--since", "0", "--kind", kind, "--json").json_lines()


def test_a_tool_may_steer_its_own_harness_where_that_is_allowed(hive: Hive, fake_claude: FakeClaude) -> None:
    commands = [["send", "one more"], ["model", "set", "opus"], ["inbox", "cancel", "2"], ["new-session"]]
    done = from_within(hive, fake_claude, "orphan", commands, "--allow-self-control")
    assert [one.status for one in done] == [0] * len(commands)
    assert [message["state"] for message in hive.messages("--all")] == ["done", "cancelled", "done"]
    assert hive.status()["model"] == "opus"


def test_a_tool_may_send_to_another_agent(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> None:
    other = tmp_path / "other"
    command = ["--state-dir", str(other), "send", "hello"]  # the last one given counts
    (done,) = from_within(hive, fake_claude, "child", [command])
    assert (done.status, done.stdout) == (0, "1\n")
    assert [message["body"] for message in hive.messages("--all")] == ["one", "two"]


def test_an_operator_steers_while_a_turn_runs(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with hive.run("--message", "one") as program:
        fake_claude.wait_for("before go on")
        # A shell with the mark of a turn that is over is an operator's.
        assert hive.call("send", "two", variables={"HYPERHIVE_TURN": str(hive.state_dir)}).status == 0
        assert hive.call("model", "set", "opus").status == 0
        assert hive.call("inbox", "cancel", "2").status == 0
        fake_claude.touch("go on")
        program.wait_for_kind("turn_end")
        assert program.interrupt() == 130


# --- files ---


def test_with_umask_0_all_is_for_the_owner_alone(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated())
    hive.state_dir /= "new"
    before = os.umask(0)
    try:
        with hive.run("--message", "one", "--model", "opus") as program:
            fake_claude.wait_for("before go on")
            modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in hive.state_dir.rglob("*")}
            fake_claude.touch("go on")
            program.interrupt()
    finally:
        os.umask(before)
    assert modes.keys() >= {"control.sock", "harness.lock", "hyperhive-model", "hyperhive-inbox.sqlite-wal"}
    assert modes.pop("history", 0o700) == 0o700
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(hive.state_dir.stat().st_mode) == 0o700


LINKED = {
    "hyperhive-inbox.sqlite": "the inbox",
    "harness.lock": "the lock",
    "control.sock": "exists and is not a socket",
}


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_link_in_place_of_a_file_is_refused(name: str, there: bool, hive: Hive, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if there:
        target.write_bytes(b"precious")
    (hive.state_dir / name).symlink_to(target)
    assert LINKED[name] in hive.drain("--message", "one").refusal()
    assert (target.read_bytes() if there else target.exists()) == (b"precious" if there else False)
    assert (hive.state_dir / name).is_symlink()


def test_a_link_in_place_of_the_history_is_not_followed(hive: Hive, tmp_path: Path, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (hive.state_dir / "hyperhive-events.sqlite").symlink_to(target)
    done = hive.drain("--message", "one")
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])  # it goes on without one
    assert target.read_bytes() == b"precious"


def test_a_link_in_place_of_the_model_is_replaced_and_not_written_through(hive: Hive, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious\n")
    (hive.state_dir / "hyperhive-model").symlink_to(target)
    assert hive.call("model", "set", "opus").status == 0
    assert (target.read_bytes(), (hive.state_dir / "hyperhive-model").is_symlink()) == (b"precious\n", False)


@pytest.mark.parametrize("command", [["send", "one"], ["run", "--drain"], ["new-session"], ["model", "set", "opus"]])
def test_a_link_in_place_of_the_state_folder_is_refused(command: list[str], hive: Hive, tmp_path: Path) -> None:
    real, hive.state_dir = hive.state_dir, tmp_path / "link"
    hive.state_dir.symlink_to(real)
    arguments = ["--claude", str(hive.claude)] if command[0] == "run" else []
    assert "is a link or a file" in hive.call(*command, *arguments).refusal()
    assert list(real.iterdir()) == []


# --- messages are data ---

DELIVERED = {
    "an option": b"--help",
    "a short option": b"-rf",
    "two dashes": b"--",
    "a slash command": b"/clear",
    "a slash command below": b"\n/clear",
    "a file": b" @/etc/hostname",
    "a file at once": b"@/etc/hostname",
    "NUL": b"a\x00b",
    "JSON": b'{"type":"user"}',
    "shell": b"$(touch pwned) `id` ; id",
    "nearly 1 MiB": b"x" * (1 << 20),
}
ARGV = [
    "--print", "--verbose", "--output-format", "stream-json", "--model=haiku",
    '--settings={"crossSessionInbound":"refuse"}', "--include-hook-events",
]  # fmt: skip
REJECTED = {"nothing": b"", "a blank": b" ", "white space": "\n\t \u2003\r\n".encode(), "2 MiB": b"x" * (2 << 20)}


def test_a_message_is_delivered_as_data_whatever_it_says(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    for body in DELIVERED.values():
        assert hive.call("send", "-", stdin=body).status == 0
    assert set(outcomes(hive.drain().json_lines())) == {"ok"}
    calls = fake_claude.calls()
    assert len(calls) == len(DELIVERED)
    for body, call in zip(DELIVERED.values(), calls, strict=True):
        text = body.decode(errors="replace").replace("\0", "\ufffd")
        assert str(call["prompt"]).replace(WORD_JOINER, "") == f"Message from operator:\n\n{text}"
        assert re.search(r"(?:^|\s)@(?!\u2060)", str(call["prompt"])) is None
        assert [word for word in call["argv"] if not word.startswith("--resume=")] == ARGV
    assert not (hive.workspace / "pwned").exists()


@pytest.mark.parametrize("how", ["argument", "--message"])
@pytest.mark.few(1)
def test_so_it_is_on_the_command_line(how: str, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    bodies = ["--help", "-rf", "/clear", " @/etc/hostname", "a\udcff"]
    if how == "argument":
        for body in bodies:
            assert hive.call("send", "--", body).status == 0
        assert hive.drain().status == 0
    else:
        assert hive.drain(*(f"--message={body}" for body in bodies)).status == 0
    prompts = [str(call["prompt"]).replace(WORD_JOINER, "").partition("\n\n")[2] for call in fake_claude.calls()]
    assert prompts == [*bodies[:-1], "a\ufffd"]


@pytest.mark.parametrize("body", REJECTED.values(), ids=REJECTED)
def test_what_is_no_message_is_rejected(body: bytes, hive: Hive) -> None:
    assert "a message" in hive.call("send", "-", stdin=body).refusal(2)
    assert hive.messages("--all") == []
    if len(body) < 100:
        assert "a message" in hive.drain("--message", body.decode()).refusal(2)


# --- the terminal ---

HOSTILE = (
    "begin \x1b]0;title\x07 \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ \x1b]52;c;aGk=\x07 \x9b31m \x90q\x9c "
    "over\rwrite \x08\x7f \u202egpj.exe \u2066x\u2069 [red]markup[/red] [link=http://evil]l[/link] "
    ":smile: \x1b[2J\x1b[999;1H\x1b[?1049h end"
)
OURS = re.compile(r"\x1b\[[\d;]*m|\x1b\[\d+A|\x1b\[[JK]|\x1b\[\?(?:25|7|2026)[hl]|\r\n|\r(?=\x1b\[|\r|$)")
FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("viewer", ["run", "tail"])
def test_hostile_text_on_a_terminal_is_text(viewer: str, hive: Hive, fake_claude: FakeClaude) -> None:
    asked: dict[str, Any] = {
        "type": "tool_use",
        "id": HOSTILE,
        "name": HOSTILE,
        "input": {"command": HOSTILE, HOSTILE: 1},
    }
    failed = {"type": "tool_result", "tool_use_id": HOSTILE, "content": HOSTILE, "is_error": True}
    result = {"type": "result", "subtype": "success", "is_error": True, "result": HOSTILE, "api_error_status": 400}
    fake_claude.script([
        INIT,
        {"line": {"type": "assistant", "message": {"content": [{"type": "text", "text": HOSTILE}, asked]}}},
        {"line": {"type": "user", "message": {"content": [failed]}}},
        {"line": {"type": HOSTILE, "subtype": HOSTILE}},
        {"bytes": HOSTILE.encode().decode("latin-1") + "\n"},
        {"stderr": HOSTILE + "\n"},
        {"line": result},
    ])  # fmt: skip
    run = ["run", "--claude", str(hive.claude), "--drain", "--message", HOSTILE]
    if viewer == "tail":
        assert hive.call(*run).status == 1
        shown = shown_on_a_terminal(hive, "tail", "--no-follow", "-n", "100")
    else:
        shown = shown_on_a_terminal(hive, *run)
    rest = OURS.sub("", shown)
    assert FORBIDDEN.findall(rest.replace("\n", "")) == []
    for word in ("begin", "[red]markup[/red]", ":smile:", r"\x1b]52;c;aGk=\x07", "gpj.exe", "end"):
        assert word in re.sub(r"\s+", " ", rest), word
    assert "bad request" in rest or "bad_request" in rest


BEDROCK = '{"env": {"CLAUDE_CODE_USE_BEDROCK": "1"}}'
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_REGION": "us-east-1"}
SETTINGS = {
    "user": ("home", ".claude/settings.json", []),
    "general": ("home", ".claude.json", []),
    "project": ("workspace", ".claude/settings.json", []),
    "local": ("workspace", ".claude/settings.local.json", []),
    "a file that is named": ("workspace", "x.json", ["--settings", "x.json"]),
}


@pytest.mark.parametrize(("where", "name", "words"), SETTINGS.values(), ids=SETTINGS)
@pytest.mark.few(2)
def test_a_cloud_that_claudes_own_settings_choose_gets_its_credentials(
    where: str, name: str, words: list[str], hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    hive.environment = {**hive.environment, **AWS}
    file = (Path(hive.environment["HOME"]) if where == "home" else hive.workspace) / name
    file.parent.mkdir(exist_ok=True)
    if words:  # one that is named must be there, and be of use
        file.write_text("{}")
    assert hive.drain("--message", "one", claude_arguments=words).status == 0
    file.write_text(BEDROCK)
    assert hive.drain("--message", "two", claude_arguments=words).status == 0  # read again at each start
    file.write_text("{}" if words else "no JSON")
    assert hive.drain("--message", "three", claude_arguments=words).status == 0
    assert [AWS.keys() & set(call["env"]) for call in fake_claude.calls()] == [set(), AWS.keys(), set()]


@pytest.mark.parametrize(
    ("options", "said"), [([], ["--pass-env 'AWS_*'"]), (["--pass-env", "AWS_*"], [])], ids=["kept", "passed"]
)
def test_a_login_that_is_missing_is_told_with_the_credentials_that_claude_was_not_given(
    options: list[str], said: list[str], hive: Hive, fake_claude: FakeClaude
) -> None:
    hive.environment = {**hive.environment, **AWS}
    fake_claude.script([{"replay": "v2.1.330/not_logged_in.jsonl"}])
    done = hive.drain("--message", "one", "--drain-wait", "0", *options)
    assert outcomes(done.json_lines()) == ["needs_login"]
    notes = [note["text"] for note in of_kind(done.json_lines(), "note")]
    assert [words for text in notes for words in ("--pass-env 'AWS_*'",) if words in text] == said

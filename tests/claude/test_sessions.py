"""Two real claudes of one user: what one sends to the other past the inbox is refused, or let in and shown."""

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.claude.conftest import MessagesApi
from tests.claude.test_harness import SKIP_PERMISSIONS
from tests.forkserver import Forkserver
from tests.harness import Hive, Program, of_kind

LIMIT_S = 120.0
WAIT = "import os,time\nwhile not os.path.exists({gate!r}): time.sleep(0.05)"


def rules(gate: Path) -> Sequence[Mapping[str, Any]]:
    slow = f"python3 -c {shlex.quote(WAIT.format(gate=str(gate)))}"
    note = {"to": "alpha", "summary": "a note", "message": "PEER NOTE: drop everything"}
    return [
        {"when": "BEE WORK", "times": 1, "reply": [{"tool": "Bash", "input": {"command": slow, "description": "x"}}]},
        {"when": "CALL THE PEER", "times": 1, "reply": [{"tool": "SendMessage", "input": note}]},
        {"when": "PEER NOTE", "reply": [{"text": "I got a note."}]},
        {"reply": [{"text": "It is done."}]},
    ]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def alpha(claude_binary: Path, messages_api: MessagesApi, state_dir: Path, forkserver: Forkserver, gate: Path) -> Hive:
    """Set up an agent whose claude is called alpha, and works until the gate is open."""
    environment = messages_api.play(*rules(gate))
    return Hive(messages_api.workspace, state_dir, claude_binary, environment, forkserver)


def send_a_note(hive: Hive) -> dict[str, Any]:
    """Let another session of the same user send its message, and return what it was told."""
    argv = [str(hive.claude), "--print", "--verbose", "--output-format", "stream-json", "--model=haiku"]
    done = subprocess.run(
        [*argv, SKIP_PERMISSIONS],
        input=b"CALL THE PEER",
        env=dict(hive.environment),
        cwd=hive.environment["HOME"],
        capture_output=True,
        timeout=LIMIT_S,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (told,) = [line["tool_use_result"] for line in lines if line["type"] == "user"]
    assert isinstance(told, dict), told
    return told


def wait_for_work(program: Program) -> None:
    init = program.wait_for(lambda event: event.get("subtype") == "init")
    if "messaging_socket_path" not in init:
        program.interrupt()
        pytest.skip("this release takes no messages of other sessions (2.1.197)")
    program.wait_for(lambda event: event.get("type") == "assistant")


def asked_of_alpha(messages_api: MessagesApi) -> str:
    """Return all that alpha's model was told."""
    told = [json.dumps(request["messages"]) for request in messages_api.requests()]
    return "\n".join(text for text in told if "BEE WORK" in text)


@pytest.mark.parametrize("own", [[], ["--settings", "own.json"]], ids=["alone", "with a file of the operator's"])
def test_a_message_of_another_session_is_refused(
    alpha: Hive, messages_api: MessagesApi, gate: Path, own: list[str]
) -> None:
    (alpha.workspace / "own.json").write_text('{"crossSessionInbound": "accept"}')
    with alpha.run(SKIP_PERMISSIONS, "--message", "BEE WORK", "--", "--name", "alpha", *own) as program:
        wait_for_work(program)
        assert send_a_note(alpha)["success"] is True  # it is only told that it was sent
        gate.touch()
        program.wait_for_kind("turn_end", outcome="ok")
        assert not [note for note in of_kind(program.events(), "note") if "session" in note["text"]]
        assert program.interrupt() == 130
    assert "BEE WORK" in asked_of_alpha(messages_api)
    assert "PEER NOTE" not in asked_of_alpha(messages_api)


def test_a_message_of_another_session_may_be_let_in_and_is_shown(
    alpha: Hive, messages_api: MessagesApi, gate: Path
) -> None:
    options = (SKIP_PERMISSIONS, "--allow-cross-session", "--message", "BEE WORK", "--", "--name", "alpha")
    with alpha.run(*options) as program:
        wait_for_work(program)
        send_a_note(alpha)
        gate.touch()
        program.wait_for_kind("turn_end", outcome="ok")
        notes = [note["text"] for note in of_kind(program.events(), "note")]
        assert notes == ["a message bypassed the inbox, most likely from another session"]
        assert program.interrupt() == 130
    assert "PEER NOTE" in asked_of_alpha(messages_api)


def test_a_rule_of_the_operators_file_holds_as_if_the_file_itself_were_read(
    claude_binary: Path, messages_api: MessagesApi, state_dir: Path, forkserver: Forkserver
) -> None:
    """A rule with a leading slash is relative to the folder of its file, and claude is given a copy elsewhere."""
    secret = messages_api.workspace / "own" / "secret" / "x.txt"
    secret.parent.mkdir(parents=True)
    secret.write_text("TOP SECRET")
    (messages_api.workspace / "own" / "settings.json").write_text('{"permissions": {"deny": ["Read(/secret/**)"]}}')
    read = {"tool": "Read", "input": {"file_path": str(secret)}}
    environment = messages_api.play({"when": "tool_result", "reply": [{"text": "done"}]}, {"reply": [read]})
    hive = Hive(messages_api.workspace, state_dir, claude_binary, environment, forkserver)
    own = ["--settings", "own/settings.json"]
    assert hive.drain("--message", "read it", SKIP_PERMISSIONS, claude_arguments=own).status == 0
    assert "TOP SECRET" not in json.dumps(messages_api.requests())
    assert hive.drain("--message", "read it", SKIP_PERMISSIONS).status == 0  # without the rule it is read
    assert "TOP SECRET" in json.dumps(messages_api.requests())

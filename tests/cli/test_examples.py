"""Each example is run, as its own head says."""

import configparser
import email.message
import email.policy
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from hyperhive_cli.claude.process import INTERRUPT_GRACE_S, SWEEP_LIMIT_S, TERMINATE_GRACE_S
from tests.conftest import FakeClaude
from tests.harness import BAD_REQUEST, SOURCE, Hive

EXAMPLES = SOURCE / "examples"


@pytest.fixture
def answering(hive: Hive, fake_claude: FakeClaude) -> Hive:
    fake_claude.script([{"recording": "v2.1.330/tools.jsonl"}])
    return hive


def test_send_and_wait_prints_the_result_and_sends_the_same_text_once(answering: Hive) -> None:
    script = str(EXAMPLES / "send_and_wait.sh")
    with answering.start("run", "--claude", str(answering.claude), "--quiet"):
        first, second = (answering.program(script, "look around", TIMEOUT="30") for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout
    assert "Done: wrote" in first.stdout
    assert len(answering.call("inbox", "--all", "--json").json_lines()) == 1


def test_send_and_wait_fails_with_what_the_agent_says_of_itself(answering: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(BAD_REQUEST)
    with answering.start("run", "--claude", str(answering.claude), "--quiet"):
        done = answering.program(str(EXAMPLES / "send_and_wait.sh"), "look around", TIMEOUT="30")
    assert done.returncode == 1
    assert "bad_request" in done.stderr


def test_watch_costs_sums_up_what_was_spent(answering: Hive) -> None:
    assert answering.drain("--message", "one", "--message", "two").status == 0
    done = answering.program(sys.executable, str(EXAMPLES / "watch_costs.py"), "--since", "0", "--no-follow")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == 2
    assert all("ok" in line and "Bash x3, Write x1, Read x1" in line for line in lines)
    turns = answering.call("tail", "--json", "--no-follow", "--kind", "turn_end").json_lines()
    assert f"${sum(turn['cost_usd'] for turn in turns):.4f} so far" in lines[-1]


def test_picture_draws_what_a_command_prints(answering: Hive) -> None:
    target = answering.workspace / "out.svg"
    words = json.dumps("an answer with <signs> & colours")
    done = answering.program(
        sys.executable, str(EXAMPLES / "picture.py"), str(target), sys.executable, "-c", f"print({words})"
    )
    assert done.returncode == 0, done.stderr
    drawn = target.read_text(encoding="utf-8")
    assert "&lt;signs&gt;" in drawn
    assert "url(http" not in drawn


def test_picture_draws_a_screen_in_which_something_is_typed(answering: Hive) -> None:
    target = answering.workspace / "out.svg"
    typed = ["--when", "ready", "half a sentence", "--", "sh", "-c", "echo ready; cat"]
    done = answering.program(sys.executable, str(EXAMPLES / "picture.py"), str(target), *typed)
    assert done.returncode == 0, done.stderr
    assert "half&#160;a&#160;sentence" in target.read_text(encoding="utf-8")


EVENT = {"seq": 7, "ts": 1, "kind": "turn_end", "ok": False, "outcome": "crashed", "note": 'said "no" & $(id) --'}
EVENT |= {"message_state": "dead", "denied": 2}


def notice(program: str, hive: Hive, folder: Path) -> list[str]:
    """Run the desktop notice with a stand-in for the desktop's own program; return the words that this got."""
    folder.mkdir()
    stub = folder / program
    stub.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {folder}/words\n")
    stub.chmod(0o700)
    path = f"{folder}{os.pathsep}{hive.environment['PATH']}"
    done = subprocess.run(
        [str(EXAMPLES / "notify.sh")],
        env={**hive.variables(), "PATH": path, "HYPERHIVE_AGENT": "bee"},
        input=json.dumps(EVENT).encode(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return (folder / "words").read_text().splitlines()


@pytest.mark.parametrize("program", ["notify-send", "osascript"])
def test_notify_shows_what_happened_and_runs_none_of_it(program: str, hive: Hive, tmp_path: Path) -> None:
    words = notice(program, hive, tmp_path / "desktop")
    assert words[-3:] == ["--", "hyperhive: bee", 'turn end: crashed dead said "no" & $(id) -- (calls were denied)']


REPORT = {"seq": 9, "ts": 1, "kind": "report", "since": 0, "until": 1, "text": "bee \u00b7 2\nBcc: x@example.org"}
REPORT |= {"markdown": "# bee\n\n- \u2713 Caf\u00e9 \\<1\\>\\\n  done\n"}


def test_mail_report_mails_the_report_and_nothing_in_it_becomes_a_header(hive: Hive, tmp_path: Path) -> None:
    stub = tmp_path / "sendmail"
    stub.write_text(f'#!/bin/sh\n[ "$1" = -t ] && cat > {tmp_path}/mail\n')
    stub.chmod(0o700)
    path = f"{tmp_path}{os.pathsep}{hive.environment['PATH']}"

    def mailed(event: dict[str, object]) -> subprocess.CompletedProcess[bytes]:
        words = [str(EXAMPLES / "mail_report.sh"), "me@example.org"]
        own = {**hive.variables(), "PATH": path}
        return subprocess.run(words, env=own, input=json.dumps(event).encode(), capture_output=True, check=False)

    assert mailed(EVENT).returncode == 1
    assert not (tmp_path / "mail").exists()
    done = mailed(REPORT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "mail").read_bytes().isascii()
    mail = email.message_from_bytes((tmp_path / "mail").read_bytes(), policy=email.policy.default)
    assert (mail["To"], mail["Subject"], mail["Bcc"]) == (
        "me@example.org", "hyperhive: bee \u00b7 2 Bcc: x@example.org", None,
    )  # fmt: skip
    assert isinstance(mail, email.message.EmailMessage)
    assert mail.get_content() == "# bee\n\n- \u2713 Caf\u00e9 <1>\n  done\n"


class Webhook(BaseHTTPRequestHandler):
    """Keeps what is posted to it."""

    posted: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.append((self.path, dict(self.headers.items()), body))
        self.send_response(500 if self.path == "/broken" else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def webhook() -> Iterator[str]:
    Webhook.posted.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_webhook_sends_the_event_from_a_run(hive: Hive, fake_claude: FakeClaude, webhook: str, tmp_path: Path) -> None:
    """By its address, and by a file that holds it."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not here: webhook.sh was not run")
    fake_claude.script(BAD_REQUEST)
    secret = tmp_path / "address"
    secret.write_text(f'url = "{webhook}/from-a-file"\n')
    for target in (f"{webhook}/hooks/1", str(secret)):
        done = hive.drain("--message", "one", "--on-event", f"{EXAMPLES / 'webhook.sh'} {target}")
        (ended,) = [event for event in done.json_lines() if event["kind"] == "turn_end"]
        path, headers, body = Webhook.posted.pop()
        assert path in {"/hooks/1", "/from-a-file"}
        assert (headers["Content-Type"], headers["X-Hyperhive-Agent"]) == ("application/json", "workspace")
        assert json.loads(body) == ended
        assert [event for event in done.json_lines() if event.get("source") == "hook"] == []
    done = hive.drain("--message", "one", "--on-event", f"{EXAMPLES / 'webhook.sh'} {webhook}/broken")
    (note,) = [event for event in done.json_lines() if event.get("source") == "hook"]
    assert "the hook failed: exit status 22" in note["text"]


UNIT = EXAMPLES / "hyperhive@.service"


def test_the_service_says_what_the_harness_needs(hive: Hive) -> None:
    unit = configparser.RawConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd tells upper from lower case
    unit.read_string(UNIT.read_text(encoding="utf-8"))
    service = unit["Service"]
    assert (service["KillMode"], service["Delegate"], service["UMask"]) == ("mixed", "yes", "0077")
    assert int(service["TimeoutStopSec"]) > INTERRUPT_GRACE_S + TERMINATE_GRACE_S + SWEEP_LIMIT_S
    program, *words = service["ExecStart"].replace("%i", "bee").split()
    assert program.endswith("/hyperhive")
    help_of_run = hive.call("run", "-h").stdout
    assert all(word in help_of_run for word in words if word.startswith("--"))


def test_systemd_knows_every_word_of_the_service(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here: the unit was parsed by us alone")
    copy = tmp_path / "hyperhive@bee.service"
    copy.write_text(UNIT.read_text(encoding="utf-8").replace("%h/.local/bin/hyperhive", sys.executable))
    words = [analyze, "verify", "--man=no", "--user", str(copy)]
    own = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(words, env=own, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_example_has_its_test() -> None:
    tested = {
        "send_and_wait.sh",
        "watch_costs.py",
        "picture.py",
        "panel.py",
        "notify.sh",
        "webhook.sh",
        "mail_report.sh",
    }
    assert {entry.name for entry in EXAMPLES.iterdir()} - tested == {
        UNIT.name,
        "console.svg",
        "growth.svg",
        "panel.png",
        "panel-dark.png",
    }
    assert all(os.access(EXAMPLES / name, os.X_OK) for name in tested)

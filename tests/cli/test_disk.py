"""Disks that are full, folders that may not be written, files that vanish, and backups: with whole commands."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyperhive_cli.control.client import call
from hyperhive_cli.store.file_place import wal_bytes
from tests.conftest import FakeClaude, wait_until
from tests.disk import fill_disk, small_disk
from tests.forkserver import Forkserver
from tests.harness import ANSWER, SOURCE, TEXT, Done, Hive, Program, gated, of_kind, outcomes

NOBODY = 65534
INBOX = "hyperhive-inbox.sqlite"


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with small_disk(request, tmp_path / "disk") as folder:
        yield folder


# --- a full disk ---


def test_a_turn_ends_on_a_full_disk_and_the_history_goes_on_when_there_is_space(
    hive: Hive, fake_claude: FakeClaude, disk: Path
) -> None:
    fake_claude.script(gated(), TEXT)
    hive.environment = {**hive.environment, "HYPERHIVE_EVENTS_DB": str(disk / "events")}
    with hive.run() as program:
        assert hive.call("send", "one").status == 0
        fake_claude.wait_for("before go on")
        filler = fill_disk(disk)
        # Until the last page of its log is used: the turn waits meanwhile.
        wait_until(lambda: tells(hive, program, "cannot be written"))
        fake_claude.touch("go on")
        assert program.wait_for_kind("turn_end")["outcome"] == "ok"
        filler.unlink()
        wait_until(lambda: tells(hive, program, "is written again; 0"))
        assert hive.call("send", "two", "--wait").stdout.startswith(ANSWER)
        assert program.interrupt() == 130
        shown = program.events()
    assert is_noted(shown, "cannot be written") == 1
    assert [event["seq"] for event in shown] == list(range(1, len(shown) + 1))
    stored = hive.call("tail", "--json", "--no-follow", "-n", "2000").json_lines()
    assert stored == shown


def tells(hive: Hive, program: Program, text: str) -> int:
    """Let the harness publish something, and count the notes with this text so far."""
    assert hive.call("model", "set", "x" * 190).status == 0
    return is_noted(program.events(), text)


def is_noted(events: list[dict[str, object]], text: str) -> int:
    return sum(text in str(event["text"]) for event in of_kind(events, "note"))


def test_a_life_that_began_without_a_history_works(hive: Hive, fake_claude: FakeClaude, disk: Path) -> None:
    fake_claude.script(TEXT)
    fill_disk(disk)
    hive.environment = {**hive.environment, "HYPERHIVE_EVENTS_DB": str(disk / "events")}
    done = hive.drain("--message", "one")
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
    assert is_noted(done.json_lines(), "going on without a history") == 1


def test_a_message_is_refused_with_the_reason_where_the_disk_is_full(hive: Hive, disk: Path) -> None:
    hive.state_dir = disk
    assert hive.call("send", "one").status == 0
    filler = fill_disk(disk)
    done = hive.call("send", "x" * 100_000)
    # Which of the two it is depends on the page for which there was no room.
    reasons = f"{INBOX} cannot be used: disk I/O error", "the inbox cannot be written: database or disk is full"
    assert done.refusal().endswith(reasons)
    assert done.stderr.endswith(("Try: free some space: the disk is full\n", "Try: check the disk's space\n"))
    changed = hive.call("model", "set", "opus")
    assert changed.refusal() == "the choice of model cannot be stored: No space left on device"
    assert [message["body"] for message in hive.messages()] == ["one"]  # reading works
    filler.unlink()
    assert hive.call("send", "two").stdout == "2\n"
    assert [message["body"] for message in hive.messages()] == ["one", "two"]


# A life that was killed before it could cut back its log, in which the same few pages stand again and again.
KILLED_WITH_A_LOG = """
import os, sys
from pathlib import Path
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.store.wal import shrink_wal
from hyperhive_cli.store.events import open_event_store
with open_event_store(Path(sys.argv[1])) as store:
    for seq in range(1, 150):
        assert store.append([BusEvent.make(seq, 1, Note(text="x" * 8_000))]) is None
        store.sweep(1)
        if seq == 10:
            shrink_wal(Path(sys.argv[1]))
    os._exit(0)
"""


def test_a_harness_begins_on_a_disk_that_its_own_log_has_filled(
    request: pytest.FixtureRequest, hive: Hive, fake_claude: FakeClaude, tmp_path: Path
) -> None:
    fake_claude.script(TEXT)
    with small_disk(request, tmp_path / "disk", size_kib=8192) as disk:
        hive.state_dir = disk
        history = disk / "hyperhive-events.sqlite"
        subprocess.run([sys.executable, "-c", KILLED_WITH_A_LOG, str(history)], cwd=SOURCE, check=True)
        fill_disk(disk)
        assert wal_bytes(history) > 3 * 2**20
        done = hive.drain("--message", "one")
        assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
        assert is_noted(done.json_lines(), "without") == 0


# --- a folder that may not be written ---


# The program as a user without privileges, who may not even be able to read it: it is loaded before.
AS_NOBODY = f"""
import os
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
    os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
"""


@dataclass
class Unprivileged:
    """An agent of such a user, its folders under one that is theirs."""

    folder: Path
    environment: dict[str, str]
    forkserver: Forkserver

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def call(self, *arguments: str) -> Done:
        claude = Path("/bin/true")
        hive = Hive(self.folder / "work", self.state_dir, claude, self.environment, self.forkserver, prelude=AS_NOBODY)
        return hive.call(*arguments)

    def make(self, name: str, mode: int = 0o700) -> Path:
        made = self.folder / name
        made.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(made, NOBODY, NOBODY)
        made.chmod(mode)
        return made


@pytest.fixture
def nobody(environment: dict[str, str], forkserver: Forkserver) -> Iterator[Unprivileged]:
    folder = Path(tempfile.mkdtemp(prefix="hh-"))
    user = Unprivileged(folder, {**environment, "HOME": str(folder)}, forkserver)
    for name in (".", "work", "state"):
        user.make(name)
    yield user
    for name in ("state", "history"):
        user.make(name)
    shutil.rmtree(folder)


def test_a_state_folder_that_may_not_be_written_is_refused_and_still_read(nobody: Unprivileged) -> None:
    run = ("run", "--claude", "/bin/true", "--drain", "--drain-wait", "0", "--quiet")
    assert nobody.call("send", "one").stdout == "1\n"
    nobody.call(*run)  # fills the history; where such a user may not run this Python, claude cannot be started
    before = nobody.call("tail", "--no-follow", "--json").stdout
    assert before.count("\n") > 3
    nobody.make("state", 0o500)
    names = sorted(nobody.state_dir.iterdir())
    for refused in (("send", "two"), run):
        done = nobody.call(*refused)
        assert (done.status, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            f"Error: the state folder {nobody.state_dir} is not writable",
            f"Try: chmod 700 {nobody.state_dir}, or --state-dir DIR",
        ]
    assert '"body":"one"' in nobody.call("inbox", "--all", "--json").stdout
    assert '"unread":1,' in nobody.call("status", "--json").stdout
    assert nobody.call("tail", "--no-follow", "--json").stdout == before
    assert sorted(nobody.state_dir.iterdir()) == names


def test_a_history_that_may_not_be_written_is_done_without(nobody: Unprivileged) -> None:
    history = nobody.make("history", 0o500)
    nobody.environment = {**nobody.environment, "HYPERHIVE_EVENTS_DB": str(history / "events")}
    done = nobody.call("run", "--claude", "/bin/true", "--drain", "--json")
    assert (done.status, done.stderr) == (0, "")
    assert "going on without a history" in done.stdout


# --- files that vanish ---


def test_an_inbox_that_is_removed_under_a_harness_loses_no_message(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(gated(), TEXT)
    with hive.run("--message", "one", "--message", "two") as program:
        fake_claude.wait_for("before go on")
        (hive.state_dir / INBOX).unlink()
        fake_claude.touch("go on")
        program.wait_for(lambda event: event["kind"] == "note" and "has been put back" in event["text"])
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["message_id"] == 2)
        (hive.state_dir / INBOX).unlink()
        call(hive.state_dir / "control.sock", "wake")
        assert hive.call("send", "three", "--wait").stdout.startswith(ANSWER)
        assert program.interrupt() == 130
    assert [(message["body"], message["state"]) for message in hive.messages("--all")] == [
        ("one", "done"),
        ("two", "done"),
        ("three", "done"),
    ]
    assert list(hive.state_dir.glob("*.replaced-*")) == []


# --- backups ---


def test_a_backup_of_a_running_agent_is_restored_and_runs(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> None:
    fake_claude.script(TEXT, gated(), TEXT)
    assert hive.call("model", "set", "opus").status == 0
    archive = tmp_path / "agent.tar.gz"
    with hive.run("--message", "one", "--message", "two", "--message", "three") as program:
        fake_claude.wait_for("before go on")
        made = hive.call("backup", str(archive), "--json")
        again = hive.call("backup", str(archive))
        forced = hive.call("backup", str(archive), "--force")
        stream = hive.program("/bin/sh", "-c", f"'{sys.executable}' -m hyperhive_cli backup - > '{tmp_path}/out'")
        fake_claude.touch("go on")
        program.wait_for(lambda event: event["kind"] == "turn_end" and event["message_id"] == 3)
        assert program.interrupt() == 130
    (found,) = made.json_lines()
    assert found.pop("bytes") > 0
    assert found.pop("events") > 5
    assert (found.pop("segments") > 0) == (found.pop("archived") > 0)
    assert found == {"file": str(archive), "messages": 3, "waiting": 2, "turns": 1, "missing": None, "left_out": []}
    assert again.refusal() == f"{archive} already exists"
    assert forced.stdout.startswith(f"{archive} (")
    assert ": 3 messages (2 waiting), 1 turn, " in forced.stdout
    assert (stream.returncode, "the backup: 3 messages" in stream.stderr) == (0, True)
    assert tarfile.is_tarfile(tmp_path / "out")

    hive.state_dir = tmp_path / "restored"
    hive.state_dir.mkdir(mode=0o700)
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(hive.state_dir)], check=True)
    assert [(message["body"], message["state"]) for message in hive.messages("--all")] == [
        ("one", "done"),
        ("two", "leased"),
        ("three", "ready"),
    ]
    assert (hive.status()["model"], hive.status()["workspace"]) == ("opus", str(hive.workspace))
    fake_claude.script(TEXT)
    done = hive.drain()
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok", "ok"])
    assert "Delivery 2" in (fake_claude.calls()[3]["prompt"] or "")
    numbers = [event["seq"] for event in hive.call("tail", "--json", "--no-follow", "-n", "1000").json_lines()]
    assert numbers == list(range(1, len(numbers) + 1))  # the history went on where the backup had it
    assert done.json_lines()[0]["seq"] > 5


def test_what_cannot_be_backed_up_is_refused(hive: Hive, tmp_path: Path) -> None:
    assert f"{INBOX} does not exist" in hive.call("backup", str(tmp_path / "a")).refusal()
    assert "written to stdout" in hive.call("backup", "-", "--json").refusal(2)
    assert not (tmp_path / "a").exists()

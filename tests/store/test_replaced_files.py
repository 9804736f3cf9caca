"""Something else in the place of a file of the state folder: every opening reports it immediately, and none hangs.

SQLite opens its files in C and begins again when a signal comes: only the end of the process ends its wait for a
pipe. So each is tried in a process of its own, which is given some seconds.
"""

import subprocess
import sys
from pathlib import Path

import pytest

import hyperhive_cli

ROOT = Path(hyperhive_cli.__file__).resolve().parents[1]

# For each kind of thing in the place of each file, runs one operation and prints how it ended.
EACH = """
import sqlite3, sys
from contextlib import closing
from pathlib import Path
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.store import db, events, facts, folder, history, inbox, model, rescue, report, wal
from hyperhive_cli.store.backup import write_backup
from hyperhive_cli.core.settings import paths_by_name
from tests.impostors import IMPOSTORS

home, operation = Path(sys.argv[1]), sys.argv[2]

def entered(opening):
    with opening:
        pass

for kind, put in IMPOSTORS.items():
    for suffix in sys.argv[3].split(","):
        state = home / f"{kind} {suffix}" / "bee"
        state.mkdir(parents=True, mode=0o700)
        paths = paths_by_name("bee", state, {"HOME": str(home)})
        files = {"inbox": paths.inbox_db, "events": paths.events_db, "model": paths.model_file, "lock": paths.lock_file}
        entered(inbox.open_inbox(paths.inbox_db))
        entered(events.open_event_store(paths.events_db))
        base, _, rest = suffix.partition("-")
        place = files[base].with_name(files[base].name + (f"-{rest}" if rest else ""))
        place.unlink(missing_ok=True)
        put(place)
        print(kind, suffix, end=": ", flush=True)
        try:
            found = eval(operation)
        except (HyperhiveError, OSError, sqlite3.Error) as error:
            print("refused" if f"it is {kind}, not a file" in str(error) else f"{type(error).__name__} {error}")
        else:
            print(f"reported" if f"it is {kind}, not a file" in str(found) else f"gave {found}")
"""
INBOX = "inbox,inbox-wal,inbox-shm,inbox-journal"
EVENTS = "events,events-wal,events-shm,events-journal"

OPERATIONS = {
    "entered(inbox.open_inbox(paths.inbox_db))": (INBOX, "refused"),
    "entered(inbox.open_inbox_reader(paths.inbox_db))": (INBOX, "refused"),
    "facts.stored_fact(paths.inbox_db, 'workspace')": (INBOX, "refused"),
    "db.find_damage(paths.inbox_db, limit_s=9)": (INBOX, "re"),
    "write_backup(paths, home / 'archive', force=True)": (INBOX, "refused"),
    "entered(events.open_event_store(paths.events_db))": (EVENTS, "refused"),
    "entered(events.open_event_reader(paths.events_db))": (EVENTS, "refused"),
    "entered(history.open_history(paths))": (EVENTS, "refused"),
    "history.history_trouble(paths)": (EVENTS, "reported"),
    "report.stored_status(paths, now_ms=1)['problems']": (f"{INBOX},{EVENTS},model", "reported"),
    "model.load_model(paths.model_file)": ("model", "refused"),
    "entered(folder.hold_lock(paths.lock_file, 'bee'))": ("lock", "refused"),
    "folder.lock_holder(paths.lock_file)": ("lock", "gave None"),
    "wal.shrink_wal(paths.inbox_db)": (INBOX, "gave "),
    "wal.checkpoint(paths.events_db)": (EVENTS, "gave None"),
    "[paths.agent for paths in folder.find_agents(state.parent)]": (INBOX, "gave ['bee']"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_in_the_place_of_a_file_is_named_at_once(operation: str, tmp_path: Path) -> None:
    suffixes, expected = OPERATIONS[operation]
    command = [sys.executable, "-c", EACH, str(tmp_path), operation, suffixes]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"it hangs: {(error.stdout or b'').decode().splitlines()[-1]}")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 4 * len(suffixes.split(","))
    assert [line for line in lines if not line.partition(": ")[2].startswith(expected)] == []


HUGE = """
import os, sys
from contextlib import closing
from pathlib import Path
from hyperhive_cli.store import db, events, folder, inbox, wal
state, suffix = Path(sys.argv[1]), sys.argv[2]
messages, history = state / "inbox.sqlite", state / "events.sqlite"
with inbox.open_inbox(messages) as opened:
    opened.send("operator", "one", now_ms=1)
with events.open_event_store(history):
    pass
for path in (messages, history):
    Path(f"{path}{suffix}").touch()
    os.truncate(f"{path}{suffix}", 2**40)
with inbox.open_inbox_reader(messages) as opened:
    assert len(opened.messages()) == 1
with inbox.open_inbox(messages) as opened:
    opened.check()
    assert opened.send("operator", "two", now_ms=1).id == 2
    wal.checkpoint_changes(messages)
with events.open_event_store(history), events.open_event_reader(history):
    assert db.find_damage(history, limit_s=5) is None
lock = state / "harness.lock"
lock.touch()
os.truncate(lock, 2**40)
assert folder.lock_holder(lock) is None
with folder.hold_lock(lock, "bee"):
    os.truncate(lock, 2**40)
    assert folder.lock_holder(lock) == 0
"""


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_terabyte_of_nothing_behind_a_file_is_not_read(suffix: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HUGE, str(tmp_path), suffix]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")

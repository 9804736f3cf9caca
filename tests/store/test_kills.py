"""Two hundred writers that are killed: what they had been told is stored, is stored."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import hyperhive_cli
from hyperhive_cli.store import db as database
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.inbox import open_inbox

ROOT = Path(hyperhive_cli.__file__).resolve().parents[1]
KILLS = 200

# Forks writers of both databases, which say what was committed through a pipe, and kills each by SIGKILL after a
# few such words: wherever it is then, in the middle of a transaction, a checkpoint or an opening. Prints the last
# number of each.
KILLER = """
import os, random, signal, sys
from pathlib import Path
from hyperhive_cli.core.events import BusEvent, Note
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.store.wal import checkpoint_changes

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
dice = random.Random(7)

def write(pipe):
    with open_event_store(folder / "events") as store, open_inbox(folder / "inbox") as inbox:
        seq = store.last_seq()
        while True:
            seq += 1
            text = "x" * dice.choice((10, 5_000))
            assert store.append([BusEvent.make(seq, 1, Note(text=text))]) is None
            os.write(pipe, b"e%d\\n" % seq)
            os.write(pipe, b"m%d\\n" % inbox.send("operator", text, now_ms=1).id)
            if not seq % 3:
                checkpoint_changes(folder / "inbox")

told = {"e": set(), "m": set()}
for _ in range(kills):
    read, pipe = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        try:
            write(pipe)
        finally:
            os._exit(1)
    os.close(pipe)
    with open(read, "rb") as words:
        for word in [words.readline() for _ in range(dice.randrange(4))]:
            told[chr(word[0])].add(int(word[1:]))
        for _ in range(dice.randrange(20_000)):
            pass
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "the writer failed by itself"
        for word in words.read().split(b"\\n")[:-1]:
            told[chr(word[0])].add(int(word[1:]))
print(sorted(told["e"]))
print(sorted(told["m"]))
"""


def test_what_a_killed_writer_had_been_told_is_stored_is_stored(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLER, str(tmp_path), str(KILLS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    events, messages = ({int(number) for number in line.strip("[]").split(",")} for line in done.stdout.splitlines())
    assert len(events) > KILLS
    assert len(messages) > KILLS / 4
    with open_event_store(tmp_path / "events") as store, open_inbox(tmp_path / "inbox") as inbox:
        assert store.moved is None  # sound
        inbox.check()
        stored = {number for (number,) in store.connection.execute("SELECT id FROM events")}
        assert events <= stored
        assert stored == set(range(1, store.last_seq() + 1))
        assert messages <= {message.id for message in inbox.messages()}
    with closing(database.open_reader(tmp_path / "inbox")) as db:
        database.check_soundness(db)

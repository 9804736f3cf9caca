"""A harness that is killed at any step of the archiving: each event is there once, as it was."""

import subprocess
import sys
from pathlib import Path

import hyperhive_cli
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.store.events import open_event_store
from tests.store.made_archive import archived

ROOT = Path(hyperhive_cli.__file__).resolve().parents[1]
STEPS = 60
AT_RANDOM = 20
KEPT = 20  # in place of 2,000
MOST_BYTES = 300_000  # in place of 1 GB

# Each child goes on where the one before was killed: it writes two turns, archives them sweeps and
# deletes the oldest segment, over and over. The
# first ones are killed before their nth statement on either database, or in the middle of it, when it has changed
# pages; the others at any moment. Prints the number up to which events were seen to be written.
KILLER = """
import os, random, signal, sqlite3, sys, time
from pathlib import Path
import trio
from hyperhive_cli.core.events import BusEvent, Note, TurnEnd, TurnStart
from hyperhive_cli.core.retention import HistoryRetention
from hyperhive_cli.feed import archiver
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store import archive as archives
from hyperhive_cli.store.chunk import pack
from hyperhive_cli.store.events import open_event_store

folder, kept, most_bytes, steps, at_random = Path(sys.argv[1]), *map(int, sys.argv[2:])
archiver.HISTORY_CAPACITY = kept
archives.LEAST_SEGMENT_BYTES = 20_000
dice = random.Random(7)
connect = sqlite3.connect
left = None  # statements before the end

class Deadly(sqlite3.Connection):
    def execute(self, statement, *values):
        global left
        if left is not None:
            left -= 1
            if left == 0:
                self.set_progress_handler(lambda: os.kill(os.getpid(), signal.SIGKILL), dice.choice((1, 20, 400)))
            elif left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(statement, *values)

def write(pipe, after):
    global left
    with open_event_store(folder / "events") as store:
        keep = HistoryRetention(30, most_bytes)
        archive = archives.Archive(folder / "history", keep, lambda rows: "word " * len(rows))
        archive.find_end()
        bus = Bus(store, archive)
        while True:
            for _ in range(2 if bus.current_seq - archive.upto < 28 else 0):
                bus.publish(TurnStart(sender="operator", body="x", unread=0, turn_id=bus.current_seq))
                for _ in range(12):
                    bus.publish(Note(text=f"{bus.current_seq + 1} " + os.urandom(900).hex()))
                bus.publish(TurnEnd(ok=True))
                os.write(pipe, b"%d\\n" % bus.current_seq)
            left = after if left is None else left
            trio.run(bus.sweep)

pack([BusEvent(1, 1, "note", b"{}")])  # loads the library once
told = 0
for at in range(steps + at_random):
    read, pipe = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        sqlite3.connect = lambda *args, **kwargs: connect(*args, **kwargs, factory=Deadly)
        try:
            write(pipe, 1 + at if at < steps else None)
        finally:
            os._exit(1)
    os.close(pipe)
    with open(read, "rb") as words:
        if at >= steps:
            words.readline()
            time.sleep(dice.random() / 10)
            os.kill(pid, signal.SIGKILL)
        for word in words.read().split(b"\\n")[:-1]:
            told = int(word)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "the writer failed by itself"
print(told)
"""


def test_a_harness_that_is_killed_while_it_archives_loses_and_doubles_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLER, str(tmp_path), *map(str, (KEPT, MOST_BYTES, STEPS, AT_RANDOM))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = int(done.stdout)
    cold = archived(tmp_path / "history")
    with open_event_store(tmp_path / "events") as store:
        assert store.moved is None
        hot = store.newest(told)
    first, last = cold[0].seq or 0, cold[-1].seq or 0
    assert [row.seq for row in cold] == list(range(first, last + 1))
    assert first > 1  # the oldest were deleted
    rows = {row.seq: row for row in cold}
    assert all(rows.get(row.seq, row) == row for row in hot)
    rows |= {row.seq: row for row in hot}
    newest = hot[-1].seq or 0
    assert list(rows) == list(range(first, newest + 1))
    assert told <= newest
    assert all(is_as_written(row) for row in rows.values())
    assert not list((tmp_path / "history").glob("*corrupt*"))


def is_as_written(row: BusEvent) -> bool:
    return row.kind != "note" or row.payload.startswith(b'{"text":"%d ' % (row.seq or 0))

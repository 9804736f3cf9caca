"""The bare chain from a writer to printing followers: `chain.py FOLDER FOLLOWERS`, standard library alone.

The relay reads lines from stdin, commits each chunk as our history does (WAL, synchronous=NORMAL), and sends it to a
socket for each follower, a process that prints what it receives; only the first one's output is kept. No search, no
parsing, no back-pressure. The wake-ups from claude's write to the eye are the same as ours.
"""

import os
import socket
import sqlite3
import sys

CHUNK_BYTES = 65_536


def main() -> None:
    """Start the followers, then relay until the writer has finished."""
    folder, count = sys.argv[1], int(sys.argv[2])
    followers = [start_follower(is_first=not number) for number in range(count)]
    db = sqlite3.connect(os.path.join(folder, "chain.sqlite"), isolation_level=None)  # noqa: PTH118 - as pacer.py
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE events(id INTEGER PRIMARY KEY, payload TEXT)")
    os.write(1, b"ready\n")
    rest = b""
    while chunk := os.read(0, CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO events(payload) VALUES (CAST(? AS TEXT))", [(line,) for line in lines])
        db.execute("COMMIT")
        for follower in followers:
            follower.sendall(chunk)


def start_follower(*, is_first: bool) -> socket.socket:
    """Start a process that prints what it receives; return the socket to it."""
    mine, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        return mine
    mine.close()
    sink = 1 if is_first else os.open(os.devnull, os.O_WRONLY)
    while data := theirs.recv(CHUNK_BYTES):
        os.write(sink, data)
    os._exit(0)


if __name__ == "__main__":
    main()

"""A program that writes at a steady rate, and when: `pacer.py lines|texts RATE COUNT GATE` or `socket RATE COUNT FD`.

As a claude it waits for its prompt and the gate, then writes lines that say when they were written, or texts of the
model. Into a socket it writes a byte at a time, and at the end when each was written.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Iterator

LINE = b'{"type":"system","subtype":"status","pad":"%s","at":%%d}\n' % (b"x" * 220)
TEXT = b'{"type":"assistant","message":{"content":[{"type":"text","text":"%s%%d"}]}}\n' % (b"word " * 12)


def main() -> None:
    """Do the one or the other."""
    how, rate, count, where = sys.argv[1:5]
    if how in {"lines", "texts"}:
        write_lines(int(rate), int(count), where, LINE if how == "lines" else TEXT)
    else:
        write_bytes(int(rate), int(count), int(where))


def beats(rate: int, count: int) -> Iterator[int]:
    """Wait for each beat; yield the time, ns of the machine's monotonic clock."""
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        yield time.monotonic_ns()


def write_lines(rate: int, count: int, gate: str, line: bytes) -> None:
    """Be a claude."""
    sys.stdin.read()
    while not os.path.exists(gate):  # noqa: PTH110 - pathlib would double the start
        time.sleep(0.01)
    for at in beats(rate, count):
        os.write(1, line % at)
    print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "ok"}), flush=True)


def write_bytes(rate: int, count: int, descriptor: int) -> None:
    """Be the other end of a socket."""
    with socket.socket(fileno=descriptor) as peer:
        sent = []
        for at in beats(rate, count):
            peer.send(b"x")
            sent.append(at)
        peer.sendall(json.dumps(sent).encode() + b"\n")


if __name__ == "__main__":
    main()

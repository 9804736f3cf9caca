"""A stand-in for claude that replays a recorded turn. Standard library only.

    python -I -S replay.py --recordings FOLDER --pace human|none [CLAUDE_ARGUMENTS…] < PROMPT

A recording is the stdout of a real run, named `N-NOUN.jsonl`. The first one whose noun is in the prompt is replayed, or
the first of all. There is no state, so the same prompt always gives the same turn. Of claude's arguments only `--print`
(required) and `--include-partial-messages` matter. SIGINT ends a turn as it does in claude: with a `result` that says
so and exit status 0.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]

# Seconds before a line: for the reader to follow, not what the recorded machine took.
_DELTA_S = {"thinking_delta": 0.07, "text_delta": 0.03, "input_json_delta": 0.2}
_ANSWER_S = 0.3  # until the model starts to answer
_TOOL_S = 0.42  # while a tool runs
_SUBAGENT_S = 0.35  # a subagent's lines are whole: the stream does not contain its deltas


def pause_s(line: Line) -> float:
    """Return the seconds to wait before a line."""
    match line:
        case {"type": "stream_event", "event": {"type": "message_start"}}:
            return _ANSWER_S
        case {"type": "stream_event", "event": {"delta": {"type": kind}}}:
            return _DELTA_S.get(kind, 0.0)
        case {"type": "user"}:
            return _TOOL_S
        case {"type": "assistant", "parent_tool_use_id": str()}:
            return _SUBAGENT_S
        case _:
            return 0.0


def pick(recordings: Sequence[Path], prompt: str) -> Path:
    """Choose the recording for a prompt by the noun in its name; `recordings` is not empty."""
    for path in recordings:
        if path.stem.partition("-")[2] in prompt.lower():
            return path
    return recordings[0]


def interrupted(last: bytes) -> Line:
    """Make the `result` of an interrupted turn from the recorded one, including the session's total cost."""
    result: Line = json.loads(last)
    result.pop("result", None)
    return result | {
        "subtype": "error_during_execution",
        "is_error": True,
        "terminal_reason": "aborted_streaming",
        "errors": ["the replay was interrupted"],
    }


def emit(line: bytes) -> None:
    """Write one line and flush it."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def wait(seconds: float) -> None:
    """Sleep. SIGINT is unblocked only here, so that it never cuts a line in two."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    time.sleep(seconds)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def replay(lines: Sequence[bytes], *, paced: bool, partial: bool) -> None:
    """Write the lines byte for byte; raises KeyboardInterrupt only between two lines."""
    for raw in lines:
        line: Line = json.loads(raw)
        # Lines that are left out take their time too, as with claude.
        wait(pause_s(line) if paced else 0.0)
        if partial or line["type"] != "stream_event":
            emit(raw)


def parse(argv: Sequence[str] | None) -> tuple[list[Path], bool, bool]:
    """Read the command line: the recordings, whether to pause, whether to write partial messages."""
    parser = argparse.ArgumentParser(prog="replay.py", allow_abbrev=False)
    parser.add_argument("--recordings", type=Path, required=True, help="folder of N-NOUN.jsonl files")
    parser.add_argument("--pace", choices=("human", "none"), required=True)
    parser.add_argument("--print", action="store_true", dest="turn")
    parser.add_argument("--include-partial-messages", action="store_true", dest="partial")
    known, _claudes_own = parser.parse_known_args(argv)
    if not known.turn:
        parser.error("--print is missing: only a turn can be replayed")
    recordings = sorted(known.recordings.glob("*-*.jsonl"))
    if not recordings:
        parser.error(f"no recordings (N-NOUN.jsonl) in {known.recordings}")
    return recordings, known.pace == "human", known.partial


def main(argv: Sequence[str] | None = None) -> int:
    """Replay one turn for the prompt on stdin."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # exit silently if the reader goes away
    signal.signal(signal.SIGINT, signal.default_int_handler)  # even if our parent ignored it
    recordings, paced, partial = parse(argv)
    lines = recordings[0].read_bytes().splitlines(keepends=True)
    try:
        prompt = sys.stdin.buffer.read().decode(errors="replace")
        lines = pick(recordings, prompt).read_bytes().splitlines(keepends=True)
        replay(lines, paced=paced, partial=partial)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
        emit(json.dumps(interrupted(lines[-1])).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

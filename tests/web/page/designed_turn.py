"""A turn with one of everything that the feed draws, as a script of the fake claude."""

import base64
import struct
import zlib
from typing import Any

from tests.conftest import Step

OUTPUT_LINES = 3_000
RED, GREEN, BOLD, RESET = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"


def line(content: object, kind: str = "assistant", **more: object) -> Step:
    return {"line": {"type": kind, "message": {"role": kind, "content": content}, "parent_tool_use_id": None, **more}}


def said(words: str, parent: str | None = None) -> Step:
    return line([{"type": "text", "text": words}], parent_tool_use_id=parent)


def thought(words: str) -> Step:
    return line([{"type": "thinking", "thinking": words}])


def call(ident: str, name: str, parent: str | None = None, **given: object) -> Step:
    return line([{"type": "tool_use", "id": ident, "name": name, "input": given}], parent_tool_use_id=parent)


def answer(
    ident: str, content: object, structured: object = None, parent: str | None = None, *, failed: bool = False
) -> Step:
    block = {"type": "tool_result", "tool_use_id": ident, "content": content, "is_error": failed}
    return line([block], "user", parent_tool_use_id=parent, tool_use_result=structured)


def system(subtype: str, **fields: object) -> Step:
    return {"line": {"type": "system", "subtype": subtype, **fields}}


def retry(attempt: int) -> Step:
    fields = {"attempt": attempt, "max_retries": 10, "retry_delay_ms": 1_000 * attempt}
    return system("api_retry", error="overloaded", error_status=529, **fields)


def _png(width: int, height: int) -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        b"\0" + b"".join(bytes([x * 255 // width, y * 255 // height, 150]) for x in range(width)) for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def image(kind: str = "image/png", data: str = "") -> dict[str, Any]:
    source = {"type": "base64", "media_type": kind, "data": data or _png(160, 96)}
    return {"type": "image", "source": source}


STARTED: Step = {"recording": "v2.1.330/text.jsonl", "lines": [0, 1], "session_id": "from_argv"}
ENDED: Step = {
    "line": {
        "type": "result", "subtype": "success", "is_error": False, "result": "Done.", "total_cost_usd": 0.31,
        "usage": {
            "input_tokens": 400, "cache_read_input_tokens": 38_800, "cache_creation_input_tokens": 2_000,
            "output_tokens": 3_100,
        },
    }
}  # fmt: skip
FAILURE = "\n".join(
    [
        "Exit code 1",
        f"{RED}F{RESET}{GREEN}.......{RESET}",
        *(f"line {number} of the log" for number in range(OUTPUT_LINES - 2)),
        f"{RED}{BOLD}1 failed{RESET}",
    ]
)
CHANGE = {
    "structuredPatch": [
        {
            "oldStart": 3,
            "newStart": 3,
            "lines": [
                " class Queue:",
                "-        row = self.db.execute('select', ('ready',)).fetchone()",
                "-        return row[0]",
                "+        row = self.db.execute(sql).fetchone()",
                "+        return row[0] if row else None",
            ],
        }
    ]
}
TASKS = [
    {"content": "Reproduce the failure", "status": "completed"},
    {"content": "Run the test 200 times", "status": "in_progress"},
    {"content": "Push the branch", "status": "pending"},
]
SUMMARY = "This session is being continued.\n\nThe summary of it."
DESIGNED: list[Step] = [
    {"wait_for_prompt": True},
    STARTED,
    thought("The race is most likely in claim_next."),
    said("I will look at the failing test first."),
    call("b1", "Bash", command="pytest -q", description="Run it"),
    answer("b1", FAILURE, failed=True),
    call("r1", "Read", file_path="hyperhive/queue.py"),
    answer("r1", "1\tclass", {"type": "text", "file": {"numLines": 84, "totalLines": 84}}),
    thought("Now the callers.\nThere may be some."),
    call("g1", "Grep", pattern="claim_next"),
    answer("g1", "a\nb", {"numLines": 7}),
    call("e1", "Edit", file_path="hyperhive/queue.py", old_string="a", new_string="b"),
    answer("e1", "ok", CHANGE),
    said("It is one statement now: `UPDATE … RETURNING`."),
    call("t1", "Task", description="Find the callers", prompt="Find every caller of `claim_next`."),
    call("g2", "Grep", "t1", pattern="claim_next("),
    answer("g2", "worker.py", {"numFiles": 1}, "t1"),
    answer("t1", "x", {
        "status": "completed", "totalTokens": 12_940, "totalToolUseCount": 1,
        "content": [{"type": "text", "text": "Three callers."}],
    }),
    call("d1", "TodoWrite", todos=TASKS[:1]),
    answer("d1", "ok"),
    call("d2", "TodoWrite", todos=TASKS),
    answer("d2", "ok"),
    call("i1", "Read", file_path="plots/waits.png"),
    answer("i1", [image()]),
    retry(1),
    retry(2),
    system("compact_boundary", compact_metadata={"pre_tokens": 168_000, "post_tokens": 24_000}),
    line(SUMMARY, "user"),
    call("w1", "Write", file_path="notes.txt", content="x\n" * 10_000),
    answer("w1", "ok", {"type": "create", "content": "x\n" * 10_000}),
    said("### Fixed\n\n| File | Lines |\n|---|---|\n| `queue.py` | +4 |\n\n```python\ndef f():\n    return 'hi'\n```"),
    ENDED,
]  # fmt: skip
CRASHED: list[Step] = [{"wait_for_prompt": True}, STARTED, call("c1", "Bash", command="sleep 600"), {"exit": 1}]
QUIET: list[Step] = [{"wait_for_prompt": True}, STARTED, said("Good."), ENDED]

"""What a fake claude writes in the benchmarks: files of lines, the same for the same seed."""

import json
import random
import string
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

SEED = 20261122
LETTERS = string.ascii_letters + string.digits + '    .,"\\\n/äß'

Line = dict[str, Any]


def write_corpus(path: Path, kind: str, lines: int) -> None:
    """Write so many lines: `mixed`, `deltas` (partial) or `stored` (as short, and not partial)."""
    chance = random.Random(SEED)  # noqa: S311 - the same lines each time are what is wanted
    make = {"mixed": _mixed, "deltas": _delta, "stored": _stored}[kind]
    with path.open("w", encoding="utf-8") as file:
        for line in _lines(make, chance, lines):
            file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")


def _lines(make: Callable[[random.Random], Line], chance: random.Random, lines: int) -> Iterator[Line]:
    pool = [make(chance) for _ in range(min(lines, 4_000))]  # enough that no cache holds them
    return (pool[n % len(pool)] for n in range(lines))


def _text(chance: random.Random, length: int) -> str:
    words = chance.choices(LETTERS, k=min(length, 400))
    return ("".join(words) * (length // len(words) + 1))[:length]


def _envelope(chance: random.Random) -> Line:
    return {"session_id": "0b1f5d3c-7a4e-4a57-9d0e-1c2f3a4b5c6d", "uuid": f"{chance.getrandbits(128):032x}"}


def _delta(chance: random.Random) -> Line:
    delta = {"type": "text_delta", "text": _text(chance, 80)}
    event = {"type": "content_block_delta", "index": 0, "delta": delta}
    return {"type": "stream_event", "event": event, "parent_tool_use_id": None, **_envelope(chance)}


def _stored(chance: random.Random) -> Line:
    return {"type": "system", "subtype": "status", "status": _text(chance, 120), **_envelope(chance)}


def _assistant(chance: random.Random) -> Line:
    content: list[Line] = [{"type": "text", "text": _text(chance, 500)}]
    tool = {"type": "tool_use", "id": f"toolu_{chance.getrandbits(64):x}", "name": "Bash"}
    content.append({**tool, "input": {"command": _text(chance, 200)}})
    usage = {"input_tokens": 4, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 20_000}
    message: Line = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5"}
    message |= {"content": content, "stop_reason": None, "usage": {**usage, "output_tokens": 120}}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, **_envelope(chance)}


def _tool_result(chance: random.Random) -> Line:
    length = min(50_000, round(200 * 250 ** chance.random()))
    block = {
        "type": "tool_result",
        "tool_use_id": f"toolu_{chance.getrandbits(64):x}",
        "content": _text(chance, length),
    }
    message = {"role": "user", "content": [block]}
    return {"type": "user", "message": message, "parent_tool_use_id": None, **_envelope(chance)}


def _result(chance: random.Random) -> Line:
    times = {"duration_ms": 1_000, "duration_api_ms": 900, "num_turns": 3, "total_cost_usd": 0.01}
    usage = {"input_tokens": 4, "output_tokens": 120}
    said = {"subtype": "success", "is_error": False, "result": _text(chance, 500)}
    return {"type": "result", **said, **times, "usage": usage, **_envelope(chance)}


_KINDS = ((_delta, 72.0), (_assistant, 17.5), (_tool_result, 10.0), (_result, 0.5))
_UPTO = list(accumulate(share for _, share in _KINDS))


def _mixed(chance: random.Random) -> Line:
    (make,) = chance.choices([make for make, _ in _KINDS], cum_weights=_UPTO)
    return make(chance)

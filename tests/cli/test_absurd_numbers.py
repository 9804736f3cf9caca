"""Figures from outside that no machine holds, or that mean the end of the world: they end and hold up nothing."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.control.client import call, open_events
from hyperhive_cli.core.errors import HyperhiveError
from tests.conftest import RECORDINGS, FakeClaude, Step
from tests.harness import TEXT, Hive, of_kind

ABSURD = [-1, 2**63 - 1, 2**63, 2**64 - 1, 10**30, 10**400, 1e15, 1e300, -1e300, 0.5]
STREAMS = ["v2.1.330/tools", "v2.1.330/subagent", "v2.1.330/compact", "endings/v2.1.332/usage_limit"]
# What is looked at afterwards: each reads the figures in its own way.
LOOKS = [
    ["status"], ["status", "--json"], ["tail", "--no-follow", "-n", "999"], ["tail", "--no-follow", "--json"],
    ["show", "last"], ["show", "last", "--json"], ["export"], ["export", "--format", "html"], ["inbox", "--all"],
    ["inbox", "show", "1"], ["stats"], ["stats", "--by", "model", "--json"], ["stats", "--csv", "--by", "tool"],
    ["budget"], ["agents"], ["doctor"],
]  # fmt: skip


def with_numbers(value: Any, number: Any) -> Any:  # noqa: ANN401 - as JSON
    """Put this number in place of each that stands in a value, as far down as it goes."""
    if isinstance(value, dict):
        return {key: with_numbers(one, number) for key, one in value.items()}
    if isinstance(value, list):
        return [with_numbers(one, number) for one in value]
    return number if isinstance(value, int | float) and not isinstance(value, bool) else value


def limit_line(number: Any) -> dict[str, Any]:  # noqa: ANN401
    window = {"status": "rejected", "resetsAt": number, "utilization": number}
    info = {**window, "rateLimitType": "five_hour", "unifiedWindows": {"five_hour": window, "seven_day": window}}
    return {"type": "rate_limit_event", "rate_limit_info": info}


def mutated(stream: str, number: Any) -> list[Step]:  # noqa: ANN401
    lines = [json.loads(line) for line in (RECORDINGS / f"{stream}.jsonl").read_text().splitlines()]
    wait = {"type": "system", "subtype": "api_retry", "attempt": 1, "retry_delay_ms": 1, "error": "rate_limit"}
    first, *rest = lines
    return [
        {"line": first},
        *({"line": with_numbers(line, number)} for line in (limit_line(1), wait)),
        *({"line": with_numbers(line, number)} for line in rest),
    ]


@contextmanager
def answering(path: Path, told: dict[str, Any]) -> Iterator[None]:
    """Answer each request on a socket with this state."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(json.dumps({"ok": True, **told}).encode() + b"\n")

    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen(16)
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
            path.unlink()


def look(hive: Hive) -> None:
    for words in LOOKS:
        done = hive.call(*words)
        said = done.stdout + done.stderr
        for fault in (
            "OverflowError",
            "ValueError",
            "OSError",
            "TypeError",
            "not readable",
            "not printable",
            "Infinity",
        ):
            assert fault not in said, (words, said)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_of_absurd_numbers_is_a_turn_as_any_other(stream: str, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(*(mutated(stream, number) for number in ABSURD), TEXT)
    words = [word for n in range(len(ABSURD)) for word in ("--message", f"no {n}")]
    done = hive.drain(*words)
    assert "Traceback" not in done.stderr
    assert of_kind(done.json_lines(), "turn_end"), done.stderr
    look(hive)


@pytest.mark.parametrize("number", ABSURD, ids=lambda number: str(number)[:12])
def test_a_request_with_an_absurd_number_is_refused_and_no_fault(number: Any, hive: Hive) -> None:  # noqa: ANN401
    with hive.run():
        for op, arguments in (
            ("inbox_cancel", {"id": number}),
            ("inbox_retry", {"id": number}),
            ("inbox_restore", {"id": number}),
            ("inbox_edit", {"id": number, "body": "x"}),
            ("inbox_move", {"id": 1, "before": number}),
            ("inbox_schedule", {"id": number, "at": "+1h"}),
            ("budget_raise", {"message_id": number, "tool_calls": number}),
            ("budget_raise", {"day_cost": number}),
            ("send", {"body": "x", "at": str(number)}),
        ):
            with pytest.raises(HyperhiveError) as refused:
                call(hive.state_dir / "control.sock", op, **arguments)
            assert "the harness failed" not in refused.value.message, op
        with open_events(hive.state_dir / "control.sock", number) as (snapshot, _):
            assert snapshot["running"] is True


@pytest.mark.parametrize("number", ABSURD, ids=lambda number: str(number)[:12])
def test_a_harness_that_tells_absurd_numbers_is_shown_all_the_same(number: Any, hive: Hive) -> None:  # noqa: ANN401
    """A turn may put a socket of its own in place of its harness's."""
    hive.call("send", "x")
    with hive.run("--max-day-cost", "1") as program:
        told = dict(call(hive.state_dir / "control.sock", "status"))
        assert program.interrupt() == 130
    activity = {
        "doing": "x",
        "tool": None,
        "argument": None,
        "since": 1,
        "tools_running": 1,
        "tool_calls": 1,
        "tokens": 1,
    }
    told |= {"waits_until": 1, "activity": activity, "prewarmed": {"pid": 1, "since": 1, "rss_bytes": 1}}
    with answering(hive.state_dir / "control.sock", with_numbers(told, number)):
        look(hive)


def test_absurd_words_of_the_command_line_are_refused(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "x")
    for number in ("9223372036854775807", "9223372036854775808", "1" + "0" * 400, "-1", "1e300", "inf", "nan"):
        for words in (
            ["show", number], ["inbox", "show", number], ["inbox", "cancel", number], ["inbox", "retry", number],
            ["inbox", "edit", number, "x"], ["inbox", "schedule", number, "+1h"], ["inbox", "restore", number],
            ["inbox", "move", number, "--first"], ["inbox", "move", "1", "--before", number],
            ["tail", "--no-follow", "--since", number], ["tail", "--no-follow", "-n", number],
            ["tail", "--no-follow", "--turn", number], ["stats", "--days", number], ["export", "--turn", number],
            ["budget", "raise", "--day-cost", number], ["budget", "raise", "--message", number, "--tool-calls", "5"],
            ["send", "x", "--at", f"+{number}s"],
            ["run", "--drain", "--turn-timeout", number, "--claude", str(fake_claude.path)],
        ):  # fmt: skip
            done = hive.call(*words)
            assert done.status in {0, 1, 2, 3, 124}, words
            assert not re.search(r"[A-Z]\w+Error", done.stdout + done.stderr), (words, done.stderr)

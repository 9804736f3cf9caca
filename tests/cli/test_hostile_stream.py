"""Whatever stands on claude's stdout and stderr, the turn ends as it should and the harness stays small."""

import json
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from tests.conftest import FakeClaude, Step
from tests.harness import INIT, SOON_AGAIN, TEXT, Done, Hive, Program, of_kind, outcomes

MIB = 1 << 20
MOST_GROWTH_KIB = 64 * 1024
RESULT = b'{"type":"result","subtype":"success","is_error":false,"result":"done"}'


def line(data: bytes) -> Step:
    return {"bytes": (data + b"\n").decode("latin-1")}


def stored_texts(hive: Hive) -> list[str]:
    """Return the payloads of the history, oldest first."""
    with sqlite3.connect(hive.state_dir / "hyperhive-events.sqlite") as db:
        rows = db.execute("SELECT payload_json FROM events ORDER BY id").fetchall()
    db.close()
    return [row[0] for row in rows]


def memory_kib(program: Program, field: str) -> int:
    """Read from /proc how much memory a program has (VmRSS), or had at most (VmHWM)."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:"))


@pytest.fixture
def growth(hive: Hive, fake_claude: FakeClaude) -> Callable[[list[Step]], tuple[int, list[str], Program]]:
    """Play steps in a second turn; gives by how much the harness had grown at most, in KiB, and how turns ended."""

    def play(steps: list[Step]) -> tuple[int, list[str], Program]:
        fake_claude.script(TEXT, steps)
        with hive.run("--message", "one") as program:
            program.wait_for_kind("turn_end")
            before = memory_kib(program, "VmRSS")
            assert hive.call("send", "two").status == 0
            program.wait_for_kind("turn_end", turn_id=2)
            most = memory_kib(program, "VmHWM")
            assert program.interrupt() == 130
        return most - before, outcomes(program.events()), program

    return play


@pytest.mark.exhaustive
def test_a_line_of_300_mib_is_left_out_and_costs_little(
    growth: Callable[[list[Step]], tuple[int, list[str], Program]],
) -> None:
    big: list[Step] = [
        {"bytes": '{"type":"big","pad":"'},
        {"repeat": 300, "steps": [{"bytes": "x" * MIB}]},
        line(b'"}'),
    ]
    grown_kib, ended, program = growth([INIT, *big, line(b'{"type":"next"}'), line(RESULT)])
    assert (ended, grown_kib < MOST_GROWTH_KIB) == (["ok", "ok"], True), grown_kib
    digest = sha256(b'{"type":"big","pad":"')
    for _ in range(300):
        digest.update(b"x" * MIB)
    digest.update(b'"}')
    (note,) = [event["text"] for event in of_kind(program.events(), "note") if event["source"] == "stdout"]
    assert note.startswith(f"line of {300 * MIB + 23} bytes left out (sha256 {digest.hexdigest()}): ")
    assert of_kind(program.events(), "stream")[-2]["type"] == "next"


def test_64_mib_of_stderr_cost_little_and_hold_up_nothing(
    growth: Callable[[list[Step]], tuple[int, list[str], Program]],
) -> None:
    noise = {"repeat": 1024, "steps": [{"stderr": "warning " + "x" * (64 * 1024 - 9) + "\n"}]}
    grown_kib, ended, program = growth([INIT, noise, line(RESULT)])
    assert (ended, grown_kib < MOST_GROWTH_KIB) == (["ok", "ok"], True), grown_kib
    notes = [event for event in of_kind(program.events(), "note") if event["source"] == "stderr"]
    assert {len(note["text"]) for note in notes} == {2_000}


def drained(hive: Hive, fake_claude: FakeClaude, *steps: Step) -> Done:
    fake_claude.script(list(steps))
    return hive.drain("--message", "go")


@pytest.mark.parametrize(
    "tail", [b'{"type":"assistant","message":{"content":[{"type":"te', b"no newline", b"\xf0\x9f", b'"'], ids=repr
)
def test_a_cut_off_last_line_is_one_note(tail: bytes, hive: Hive, fake_claude: FakeClaude) -> None:
    done = drained(hive, fake_claude, INIT, line(RESULT), {"bytes": tail.decode("latin-1")})
    events = done.json_lines()
    assert (done.status, outcomes(events)) == (0, ["ok"])
    notes = [event["text"] for event in of_kind(events, "note") if event["source"] == "stdout"]
    assert notes == [tail.decode(errors="replace")]


def test_a_stream_without_any_newline_has_not_started(hive: Hive, fake_claude: FakeClaude) -> None:
    hive.constants = SOON_AGAIN
    done = drained(hive, fake_claude, {"repeat": 17, "steps": [{"bytes": "x" * MIB}]}, {"exit": 1})
    assert (done.status, set(outcomes(done.json_lines()))) == (2, {"not_started"})
    assert "left out" in of_kind(done.json_lines(), "note")[0]["text"]


def test_lone_surrogates_in_the_answer_and_the_result_end_the_turn(hive: Hive, fake_claude: FakeClaude) -> None:
    said = rb'{"type":"assistant","message":{"content":[{"type":"text","text":"a \ud83d b"}]}}'
    result = rb'{"type":"result","subtype":"success","is_error":false,"result":"\udc1d c \ud83d\udc1d"}'
    fake_claude.script([INIT, line(said), line(result)])
    with hive.run() as program:
        sent = hive.call("send", "go", "--wait")
        program.interrupt()
    assert (sent.status, sent.stdout) == (0, "\ufffd c \U0001f41d\n")
    answer = next(event for event in of_kind(program.events(), "stream") if event["type"] == "assistant")
    assert answer["message"]["content"][0]["text"] == "a \ufffd b"


# Each is one stored event: those that are a JSON object a stream with its own text, the others a note.
STREAMS = [
    *(b'{"type":"x","a":18446744073709551616}', b'{"type":"x","a":1,"a":2}'),
    *(b'{"type":5}', b'{"type":"unknown"}', b"{}", b'{"type":["x"],"subtype":{}}'),
    b'{"a":' * 1000 + b"1" + b"}" * 1000,
]  # fmt: skip
NOTES = [
    *(b"[" * 100_000, b'{"a":' * 100_000),
    *(b'{"a":"\x00"}', b'{"a":\xff}', b"5", b"[1]", b"null"),
]  # fmt: skip
MENDED = {
    b'\xef\xbb\xbf{"type":"marked"}': '{"type":"marked"}',
    b'{"type":"bad","a":"\xff"}': '{"type":"bad","a":"\ufffd"}',
    b'{"a":NaN}': '{"a":null}',
    b'{"long":' + b"9" * 5_000 + b"}": '{"long":null}',
}


def test_each_odd_line_is_one_stored_event_and_the_turn_goes_on(hive: Hive, fake_claude: FakeClaude) -> None:
    done = drained(hive, fake_claude, INIT, *map(line, [*STREAMS, *NOTES, *MENDED]), line(RESULT))
    events = [orjson.loads(one) for one in done.stdout.split("\n")[:-1]]  # the standard library's goes less deep
    assert (done.status, outcomes(events)) == (0, ["ok"])
    stored = stored_texts(hive)
    for raw in STREAMS:
        assert stored.count(raw.decode()) == 1, raw[:50]
    for text in MENDED.values():
        assert stored.count(text) == 1
    notes = [event["text"] for event in of_kind(events, "note") if event["source"] == "stdout"]
    assert notes == [raw.decode(errors="replace").replace("\0", "\ufffd")[:500] for raw in NOTES]


def test_a_line_spliced_into_another_costs_these_two_alone(hive: Hive, fake_claude: FakeClaude) -> None:
    limit = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 2_000_000_000}}
    half = b'{"type":"assistant","message":{"content":[{"type":"text","text":"hel'
    spliced = half + json.dumps(limit).encode() + b'\nlo"}]}}'
    done = drained(hive, fake_claude, INIT, line(spliced), line(RESULT))
    events = done.json_lines()
    assert (done.status, outcomes(events)) == (0, ["ok"])
    assert len([event for event in of_kind(events, "note") if event["source"] == "stdout"]) == 2
    assert of_kind(events, "stream")[-1]["type"] == "result"


def test_a_flood_from_a_child_that_reads_nothing_can_be_cancelled(hive: Hive, fake_claude: FakeClaude) -> None:
    flood = {"repeat": 10_000, "steps": [{"line": {"type": "flood", "pad": "x" * 1_000}}, {"sleep": 0.001}]}
    fake_claude.script([{"never_read_stdin": True}, INIT, flood])
    with hive.run() as program:
        body = b"x" * MIB  # more than a pipe holds
        assert hive.call("send", "-", stdin=body).status == 0
        program.wait_for(lambda event: event.get("type") == "flood")
        assert hive.call("cancel").status == 0
        assert program.wait_for_kind("turn_end")["outcome"] == "cancelled"
        assert program.interrupt() == 130

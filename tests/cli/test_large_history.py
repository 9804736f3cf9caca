"""A history is read in bounded memory, however large it is: page by page."""

import json
import os
import subprocess

import pytest

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.retention import HistoryRetention
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.events import PAGE_BYTES, open_event_store, read_archivable
from tests.harness import Event, Hive

LINES = 1_200
LINE_BYTES = 100_000
MOST_BYTES = 40 * 2**20  # beside what the command takes for a small history: a page as rows, as text and as JSON


def fill(hive: Hive, lines: int) -> None:
    """Write a turn with so many long answers of a tool; the first half is in the archive."""
    hive.state_dir.mkdir(parents=True, exist_ok=True)
    block = {"type": "tool_result", "tool_use_id": "t", "content": "a line of much\n" * (LINE_BYTES // 15)}
    answer = {"kind": "stream", "type": "user", "message": {"role": "user", "content": [block]}}
    events: list[Event] = [
        {"kind": "turn_start", "from": "operator", "body": "much", "unread": 0, "turn_id": 1},
        *[answer] * lines,
        {"kind": "turn_end", "ok": True, "outcome": "ok", "turn_id": 1, "duration_ms": 5},
    ]
    with open_event_store(hive.state_dir / "hyperhive-events.sqlite") as store:
        first = store.last_seq() + 1
        for seq, event in enumerate(events, first):
            record = BusEvent.from_json(json.dumps({"seq": seq, "ts": 1_700_000_000_000, **event}).encode())
            assert store.append([record]) is None
        archive = Archive(hive.state_dir / "history", HistoryRetention(), lambda _: "")
        archive.find_end()
        archive.prepare()
        while archive.upto < first + lines / 2 and archive.append(read_archivable(store, archive.upto)):
            pass
        while store.sweep(0, archive.upto):
            pass
        assert first + lines / 2 <= archive.upto


def peak_bytes(hive: Hive, *words: str) -> int:
    """Run a command whose output goes nowhere, and return the most memory that it had."""
    with subprocess.Popen(
        hive.command(*words), env=hive.variables(), cwd=hive.workspace, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in {0, 1}  # the doctor finds no claude here
    return usage.ru_maxrss * 1024


@pytest.mark.parametrize(
    "words",
    [
        ["show", "1"],
        pytest.param(["tail", "--no-follow", "--since", "0"], marks=pytest.mark.exhaustive),
        pytest.param(["tail", "--no-follow", "--json", "--turn", "1"], marks=pytest.mark.exhaustive),
        pytest.param(["tail", "--no-follow", "--grep", "nothing of it"], marks=pytest.mark.exhaustive),
        pytest.param(["export"], marks=pytest.mark.exhaustive),
        pytest.param(["export", "--turn", "last", "--format", "html"], marks=pytest.mark.exhaustive),
        pytest.param(["doctor"], marks=pytest.mark.exhaustive),
    ],
    ids=" ".join,
)
def test_a_large_history_takes_no_more_memory_than_a_page_of_it(words: list[str], hive: Hive) -> None:
    fill(hive, 1)
    small = peak_bytes(hive, *words)
    fill(hive, LINES)
    assert LINES * LINE_BYTES > 2 * (PAGE_BYTES + MOST_BYTES)
    assert peak_bytes(hive, *words) - small < MOST_BYTES

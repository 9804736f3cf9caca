"""What a machine may write into the hive's tables, however absurd, is no trouble of who looks."""

import json
import re

import pytest

from tests.harness import TEXT
from tests.hive.conftest import Database

LARGEST, LEAST = 2**63 - 1, -(2**63)
LOOKS = [
    ["hive", "status"], ["hive", "status", "--json"], ["agents"], ["agents", "--json"],
    *([["-a", "bee", *words] for words in (
        ["status"], ["status", "--json"], ["inbox", "--all"], ["inbox", "--all", "--json"], ["inbox", "show", "1"],
        ["inbox", "show", "1", "--json"], ["stats"], ["stats", "--json"], ["stats", "--by", "model", "--csv"],
        ["tail", "--no-follow"], ["tail", "--no-follow", "--json"],
    )]),
]  # fmt: skip


def no_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


CHANGES = """
    UPDATE hyperhive.agent SET owner = 'a', until = '{moment}', seq = 9223372036854775807;
    UPDATE hyperhive.report SET changed = '{moment}';
    UPDATE hyperhive.event SET ts = {number};
    UPDATE hyperhive.inbox SET created = {number}, changed = {number}, not_before = {number}, place = '{figure}';
    UPDATE hyperhive.turn SET cost_usd = '{figure}', duration_ms = {number}, input_tokens = {number},
        output_tokens = {number}, cache_read_input_tokens = {number}, context_tokens = {number}, started = {number};
"""


@pytest.mark.parametrize(
    "absurd",
    [
        {"number": LARGEST, "figure": "infinity", "moment": "infinity"},
        {"number": LEAST, "figure": "NaN", "moment": "-infinity"},
        {"number": LARGEST, "figure": "-infinity", "moment": "290000-01-01"},
    ],
)
def test_absurd_rows_are_shown_all_the_same(absurd: dict[str, object], database: Database) -> None:
    with database.machines("a", runs=TEXT) as (a,):
        a.send("bee", "one")
        with a.run("bee") as program:
            program.wait_for_kind("turn_end")
            a.await_owner("bee")
            assert program.interrupt() == 130
        for change in CHANGES.format(**absurd).split(";"):
            database.change(change) if change.strip() else None
        for words in LOOKS:
            done = a.call("elsewhere", *words)
            assert (done.status, done.stderr) == (0, ""), (words, done)
            assert not re.search(r"[A-Z]\w+Error|not readable", done.stdout), (words, done.stdout)
            if "--json" in words:
                for line in done.stdout.splitlines():
                    json.loads(line, parse_constant=no_constant)

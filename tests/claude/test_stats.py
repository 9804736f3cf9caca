"""`stats` against the ledger of a long run of the real binary: turns, tools, a subagent, a compaction, resumes."""

from pathlib import Path

import pytest

from tests.claude.conftest import MessagesApi
from tests.forkserver import Forkserver
from tests.harness import Event, Hive

SKIP_PERMISSIONS = "--dangerously-skip-permissions"
# Dollars a million tokens: in, out, read from the cache, written into it.
OLD_PRICES, PRICES = (1.0, 5.0, 0.1, 1.25), (0.1, 0.5, 0.01, 0.125)
COUNTERS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
TOOLS = {"Bash": 3, "Read": 1, "Write": 1}


def ledger_of(requests: int) -> list[int]:
    """Return the tokens of so many requests of the scripted API, by hand, the tools' five and a subagent's among them.

    One is 12 in, 42 out, 5,600 read and 340 written; the tools' five are 229 out and 34,500 read, the subagent's
    own is 900 read.
    """
    return [12 * requests, 42 * (requests - 5) + 229, 5_600 * (requests - 6) + 34_500 + 900, 340 * requests]


def test_the_account_of_a_long_run_is_that_of_its_requests(
    claude_binary: Path,
    messages_api: MessagesApi,
    state_dir: Path,
    forkserver: Forkserver,
    request: pytest.FixtureRequest,
) -> None:
    hive = Hive(messages_api.workspace, state_dir, claude_binary, {}, forkserver)

    def run(scenario: str, *arguments: str) -> None:
        hive.environment = messages_api.start(scenario)
        done = hive.drain("--message", scenario, *arguments)
        assert done.status == 0, done.stderr

    plan = ["text", "tools", "subagent", "text"]
    for scenario in plan:
        run(scenario, *([SKIP_PERMISSIONS] if scenario != "text" else []))
    prices = OLD_PRICES if "old" in request.node.callspec.id else PRICES

    def found() -> Event:
        stats: Event = hive.call("stats", "--json").json_lines()[0]
        ledger = ledger_of(len(messages_api.requests()))
        assert [stats["total"][name] for name in COUNTERS] == ledger
        price = sum(count * dollars for count, dollars in zip(ledger, prices, strict=True)) / 1e6
        assert stats["total"]["cost_usd"] == pytest.approx(price)
        return stats

    assert found()["total"]["turns"] == len(plan)
    requests = len(messages_api.requests())
    with hive.run() as program:
        assert hive.call("compact").status == 0
        program.interrupt()
    assert len(messages_api.requests()) > requests  # the compaction's own
    found()
    run("text")
    stats = found()
    assert (stats["outcomes"], stats["total"]["unpriced"]) == ({"ok": 6}, 0)
    # The tool that starts a subagent is called otherwise in each release.
    assert (stats["tools"] | TOOLS, sum(stats["tools"].values())) == (stats["tools"], sum(TOOLS.values()) + 1)
    (report,) = hive.call("report", "--json", "--since", "1h").json_lines()
    assert {name: report["usage"][name] for name in stats["total"]} == stats["total"]
    assert ([file["path"] for file in report["files"]], report["unseen"]) == (["notes.txt"], [])
    assert (len(report["messages"]), len(report["compactions"]), report["failures"]) == (5, 1, [])

"""`stats` against the ledger of a long run of the real binary: turns, tools, a subagent, a compaction, resumes."""

from pathlib import Path

import pytest

from tests.claude.conftest import MessagesApi
from tests.forkserver import Forkserver
from tests.harness import Hive

SKIP_PERMISSIONS = "--dangerously-skip-permissions"
# What claude itself reckons for one request of the scripted API, for the tools' five, and the subagent's turn.
OLD_COSTS = {"text": 0.001207, "tools": 0.00678, "subagent": 0.003151}
COUNTERS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
COSTS = {"text": 0.0001207, "tools": 0.000678, "subagent": 0.0004358}


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
    before = hive.call("stats", "--json").json_lines()[0]["total"]
    costs = OLD_COSTS if "old" in request.node.callspec.id else COSTS
    assert before["cost_usd"] == pytest.approx(sum(costs[scenario] for scenario in plan))
    requests = len(messages_api.requests())
    # The tools' five requests read 34,500 from the cache, the subagent's own 900, every other one 5,600.
    cached = 34_500 + 900 + 5_600 * (requests - 6)
    assert [before[name] for name in COUNTERS] == [12 * requests, 340 * requests, cached]

    with hive.run() as program:
        assert hive.call("compact").status == 0
        program.interrupt()
    run("text")
    found = hive.call("stats", "--json").json_lines()[0]
    requests = len(messages_api.requests())
    assert found["total"]["input_tokens"] == 12 * requests
    assert found["total"]["cache_creation_input_tokens"] == 340 * requests
    assert found["total"]["cost_usd"] > before["cost_usd"] + costs["text"]  # the compaction's requests too
    assert (found["outcomes"], found["total"]["unpriced"]) == ({"ok": 6}, 0)
    assert found["tools"] == {"Bash": 3, "Read": 1, "Write": 1, **found["tools"]}
    assert sum(found["tools"].values()) == 6

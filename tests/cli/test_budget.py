"""`hyperhive budget` and the limits of `run` as processes."""

from pathlib import Path

import pytest

from tests.conftest import FakeClaude, Step
from tests.harness import INIT, TEXT, Hive, gated, of_kind, outcomes


def calls(count: int) -> list[Step]:
    """Play a turn that calls tools, and says nothing before it is interrupted."""
    blocks = [{"type": "tool_use", "id": f"t{number}", "name": "Bash"} for number in range(count)]
    lines: list[Step] = [{"line": {"type": "assistant", "message": {"id": "m", "content": [one]}}} for one in blocks]
    return [INIT, {"on_signal": "SIGINT", "steps": [{"exit": 0}]}, *lines, {"wait_for": "a gate that stays shut"}]


def test_a_runaway_in_a_drain_and_its_second_chance(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(calls(5), TEXT)
    done = hive.drain("--message", "do it", "--max-tool-calls", "3")
    assert (done.status, outcomes(done.json_lines())) == (1, ["budget"])
    # The calls come in one piece or in several.
    assert hive.messages()[0]["reason"].endswith(" of 3 tool calls")
    assert hive.messages()[0]["reason"].startswith("the turn's budget is used up: ")
    assert "budget" in hive.call("stats", "--by", "outcome").stdout
    assert "✗" in hive.call("status").stdout
    assert "budget raise --message" in hive.call("tail", "--no-follow").stdout

    refused = hive.call("budget", "raise", "--message", "1", "--tool-calls", "2").refusal()
    assert refused == "tool-calls is already 3"
    assert (
        hive.call("budget", "raise", "--message", "1", "--turn-cost", "2")
        .refusal()
        .startswith("no turn-cost limit is set")
    )
    assert "no message 7" in hive.call("budget", "raise", "--message", "7", "--tool-calls", "9").refusal()
    assert (
        hive.call("budget", "raise", "--message", "1", "--tool-calls", "9").stdout
        == "a turn of message 1 may use 9 tool calls\n"
    )
    shown = hive.call("budget").stdout
    assert shown.splitlines() == ["a turn     at most 3 tool calls", "message 1  at most 9 tool calls"]
    assert hive.call("inbox", "retry", "1").status == 0
    assert hive.drain("--max-tool-calls", "3").status == 0
    assert hive.call("budget", "--json").json_lines()[0]["messages"] == {}
    assert hive.call("budget", "raise", "--message", "1", "--tool-calls", "9").refusal() == "message 1 is done"


def test_a_raise_says_what_it_is_to_the_turn_that_runs(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([INIT, {"on_signal": "SIGINT", "steps": [{"exit": 0}]}, {"wait_for": "a gate"}])
    limits = ("--max-tool-calls", "3", "--max-turn-cost", "2", "--max-day-cost", "1.5")
    message = ("budget", "raise", "--message", "1")
    with hive.run("--message", "do it", *limits) as program:
        program.wait_for_kind("stream", type="system")
        held = "claude was started with $1.50, which still limits this turn"
        more = "a turn of message 1 may use {} tool calls, also for the running turn\n"
        assert hive.call(*message, "--tool-calls", "9").stdout == more.format(9)
        assert hive.call("budget", "raise", "1.5").stdout == "today's limit is now $1.50\n"
        assert hive.call("budget", "raise", "--day-cost", "9").stdout == f"today's limit is now $9.00; {held}\n"
        both = hive.call(*message, "--tool-calls", "12", "--turn-cost", "4")
        both_words = more.format("12 tool calls, $4.00").replace("$4.00 tool calls", "$4.00").strip()
        assert both.stdout == f"{both_words}; {held}\n"
        assert hive.call(*message, "--tool-calls", "15").stdout == more.format(15)


def test_a_day_that_is_spent(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)  # $0.0001207 in all, however often it is resumed
    with hive.run("--max-day-cost", "0.0001", "--message", "one", "--message", "two") as program:
        program.wait_for_kind("status_changed", status="over_budget")
        found = hive.status()
        assert (found["status"], found["unread"], found["budget"]["today"]["limit_usd"]) == ("over_budget", 1, 0.0001)
        status = hive.call("status").stdout
        assert "over budget, waits until " in status
        assert "budget      today $0.0001 of $0.0001" in status
        assert "budget is used up" in hive.call("compact").refusal()
        assert hive.call("inbox", "retry", "2").status == 0  # for that alone no day may cost more
        assert hive.status()["budget"]["today"]["limit_usd"] == 0.0001
        assert hive.call("budget", "raise", "--day-cost", "1").status == 0
        program.wait_for_kind("turn_end", message_id=2)
        assert hive.call("resume").stdout == "nothing to resume: the agent is not paused or waiting\n"
    again = hive.call("budget", "show", "--json").json_lines()[0]
    assert again["today"] | {"day": ""} == {
        "day": "", "cost_usd": 0.0001207, "limit_usd": 1, "raised": True, "unpriced": 0,
    }  # fmt: skip
    assert hive.call("budget").stdout == "today  $0.0001 of $1.00, raised for today\n"


def test_without_limits_and_without_an_agent(hive: Hive, fake_claude: FakeClaude) -> None:
    for _ in range(2):
        done = hive.call("budget")
        assert (done.status, done.stdout, "no limits are set" in done.stderr) == (0, "", True)
        assert hive.call("budget", "--json").stdout == "null\n"
        hive.call("budget", "raise", "--day-cost", "5").refusal()
        fake_claude.script(TEXT)
        hive.drain("--message", "one")


def test_an_inbox_that_cannot_be_read_is_no_agent_without_limits(hive: Hive) -> None:
    (hive.state_dir / "hyperhive-inbox.sqlite").write_bytes(b"no database" * 500)
    for words in (["budget"], ["budget", "--json"], ["budget", "raise", "--day-cost", "5"]):
        assert "file is not a database" in hive.call(*words).refusal()


@pytest.mark.parametrize(
    "words",
    [
        ["budget", "raise"],
        ["budget", "raise", "--tool-calls", "5"],
        ["budget", "raise", "--message", "5"],
        ["budget", "raise", "--day-cost", "0"],
        ["budget", "raise", "0"],
        ["budget", "raise", "5", "--day-cost", "6"],
        ["budget", "raise", "--day-cost", "inf"],
        ["budget", "raise", "--message", "1", "--tool-calls", "1000000000000001"],
        ["run", "--max-turn-cost", "-1"],
        ["run", "--max-turn-tokens", "1.5"],
        ["run", "--max-turn-cost", "1", "--", "--max-budget-usd", "2"],
        ["run", "--max-day-cost", "1", "--", "--max-budget-usd=2"],
        ["run", "--compact-at", "101"],
    ],
    ids=" ".join,
)
def test_what_is_no_limit_is_a_usage_error(words: list[str], hive: Hive) -> None:
    if words[0] == "run":
        words = ["run", "--claude", str(hive.claude), *words[1:]]
    assert hive.call(*words).status == 2


def test_a_workspace_may_not_set_its_own_limits(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> None:
    fake_claude.script(TEXT)
    file = hive.workspace / "hyperhive.toml"
    file.write_text("[run]\nmax-day-cost = 100\n")
    assert "'max-day-cost' is not allowed in a workspace file" in hive.drain().refusal(2)
    file.write_text('[run]\ncompact-at = 70\ncompact-instructions = "keep names"\n')
    own = tmp_path / "config" / "hyperhive"
    own.mkdir(parents=True)
    (own / "config.toml").write_text("[run]\nmax-day-cost = 20\nmax-tool-calls = 300\n")
    hive.environment = {
        **hive.environment,
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "HYPERHIVE_RUN_MAX_TURN_COST": "2",
    }
    assert hive.drain("--message", "hi", "--max-tool-calls", "30").status == 0
    limits = hive.call("budget", "--json").json_lines()[0]["limits"]
    assert limits == {"turn_cost": 2, "day_cost": 20, "turn_tokens": None, "tool_calls": 30}
    shown = hive.call("config", "show").stdout
    assert "max-day-cost" in shown
    assert "keep names" in shown


def test_a_turn_cannot_raise_its_own_budget(hive: Hive, fake_claude: FakeClaude) -> None:
    command = " ".join(f"'{word}'" for word in hive.command("budget", "raise", "--day-cost", "9"))
    says = f"{command} >'{fake_claude.folder}/said' 2>&1; touch '{fake_claude.folder}/asked'"
    fake_claude.script([INIT, {"spawn": ["sh", "-c", says]}, {"wait_for": "asked"}, *TEXT], gated())
    done = hive.drain("--message", "one", "--max-day-cost", "5")
    assert done.status == 0, done.stderr
    assert "may not steer" in (fake_claude.folder / "said").read_text()
    assert hive.call("budget", "--json").json_lines()[0]["today"]["limit_usd"] == 5
    assert of_kind(done.json_lines(), "turn_end")[0]["ok"]

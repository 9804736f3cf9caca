"""The real binary and the limits: a runaway is stopped, a day is spent, a conversation is compacted over its mark."""

from collections.abc import Callable, Sequence

import pytest

from tests.claude.conftest import MessagesApi
from tests.harness import Event, Hive, of_kind, outcomes

SKIP_PERMISSIONS = "--dangerously-skip-permissions"


def calls_before(events: Sequence[Event], text: str) -> int:
    """Return how many tools had been called when the one note with this text came, which must say so."""
    (at,) = [at for at, event in enumerate(events) if event["kind"] == "note" and text in event["text"]]
    lines = [event["message"] for event in of_kind(events[:at], "stream") if event["type"] == "assistant"]
    count: int = sum([block["type"] == "tool_use" for line in lines for block in line["content"]])
    assert events[at]["text"].endswith(f"{text}{count} of 5 tool calls")
    return count


@pytest.mark.newest_release
@pytest.mark.parametrize(
    "warm", [pytest.param([], id="cold"), pytest.param(["--prewarm"], id="warm", marks=pytest.mark.exhaustive)]
)
def test_a_runaway_is_stopped_after_so_many_tool_calls(
    warm: list[str], start: Callable[[str], Hive], messages_api: MessagesApi
) -> None:
    hive = start("runaway")
    done = hive.drain("--message", "go on", SKIP_PERMISSIONS, "--max-tool-calls", "5", *warm)
    events = done.json_lines()
    assert (done.status, outcomes(events)) == (1, ["budget"])
    (message,) = hive.messages()
    assert message["state"] == "dead"
    nearly, over = (calls_before(events, text) for text in ("budget is nearly used up: ", "interrupting claude: "))
    assert 4 <= nearly < over > 5  # one call at a time, unless a busy machine lets two lines come in one piece
    assert message["reason"].startswith(f"the turn's budget is used up: {over} of 5 tool calls")
    asked = len(messages_api.requests())
    assert 6 <= asked <= 8  # the interrupt takes a moment
    # The conversation goes on, and what was cut off costs nothing of the next turn's limits.
    hive.environment = messages_api.start("text")
    assert outcomes(hive.drain("--message", "hello", "--max-tool-calls", "5").json_lines()) == ["ok"]


@pytest.mark.newest_release
def test_a_runaway_is_stopped_by_its_tokens(start: Callable[[str], Hive]) -> None:
    hive = start("runaway")
    done = hive.drain("--message", "go on", SKIP_PERMISSIONS, "--max-turn-tokens", "20000")
    assert (done.status, outcomes(done.json_lines())) == (1, ["budget"])
    assert "23,812 of 20,000 tokens" in hive.messages()[0]["reason"]  # four requests of 5,952, a placeholder each


def test_a_runaway_is_stopped_by_its_dollars_and_a_spent_day_holds_the_agent(
    start: Callable[[str], Hive], messages_api: MessagesApi, request: pytest.FixtureRequest
) -> None:
    one = 0.001207 if "old" in request.node.callspec.id else 0.0001207  # a request of the scripted API
    hive = start("text")
    limits = ["--max-day-cost", f"{5.5 * one:.7f}", "--max-turn-cost", f"{2.5 * one:.7f}", "--drain-wait", "0"]
    assert hive.drain("--message", "one", *limits).status == 0
    hive.environment = messages_api.start("runaway")
    done = hive.drain("--message", "two", "--message", "three", "--message", "four", SKIP_PERMISSIONS, *limits)
    events = done.json_lines()
    # Three requests each: the one that goes over the limit is paid for.
    assert (done.status, outcomes(events)) == (1, ["budget", "budget"])
    assert [end["cost_usd"] for end in of_kind(events, "turn_end")] == pytest.approx([3 * one, 2 * one], rel=0.01)
    assert of_kind(events, "status_changed")[-1]["status"] == "over_budget"
    assert [message["state"] for message in hive.messages()] == ["dead", "dead", "ready"]
    found = hive.call("budget", "--json").json_lines()[0]["today"]
    assert found["cost_usd"] == pytest.approx(6 * one)
    hive.call("budget", "raise", "--day-cost", f"{20 * one:.7f}")
    hive.environment = messages_api.start("text")
    assert outcomes(hive.drain(*limits).json_lines()) == ["ok"]


def test_a_context_over_the_mark_is_compacted_and_thrash_ends_in_a_new_session(
    start: Callable[[str], Hive], messages_api: MessagesApi
) -> None:
    hive = start("text")
    mark = ["--compact-at", "0.1", "--compact-instructions", "keep the word heliotrope"]
    bodies: list[str] = []
    notes: list[str] = []
    for word in ("one", "two", "three"):  # over restarts
        done = hive.drain("--message", word, *mark)
        events = done.json_lines()
        ends = of_kind(events, "turn_end")
        assert {end["outcome"] for end in ends if end["message_id"] is not None} == {"ok"}
        bodies += [event["body"] for event in of_kind(events, "turn_start")]
        notes += [event["text"] for event in of_kind(events, "note")]
    compact = "/compact keep the word heliotrope"
    assert bodies == ["one", compact, "two", compact, "three"]
    assert any(note.startswith("the context is compacted: from 5,994 to ") for note in notes)
    assert sum("2 compactions in a row did not bring the context below 0.1 %" in note for note in notes) == 1
    sessions = {turn["session_id"] for turn in hive.call("show", "last", "--json").json_lines()}
    assert len(sessions) == 1
    found = hive.status()["last_compaction"]
    assert (found["before"], 0 < found["after"] < found["before"]) == (5_994, True)
    asked = [str(one["messages"]) for one in messages_api.requests()]
    assert any("keep the word heliotrope" in one for one in asked)

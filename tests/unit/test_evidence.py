"""What the stdout of a run shows: the recordings of both releases as a table, odd shapes, single lines."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.evidence import MAX_STRETCHES, Evidence, version_numbers
from hyperhive_cli.claude.stream import tool_names
from hyperhive_cli.core.settings import MAX_FIGURE
from hyperhive_cli.core.usage import TokenUsage, context_of
from tests.conftest import recording, recording_index

OLD, NEW, NEWEST = "v2.1.197", "v2.1.330", "v2.1.332"
Line = dict[str, Any]


def recorded_lines(name: str) -> list[Line]:
    return [orjson.loads(line) for line in recording(name)]


def observe(*lines: Line) -> Evidence:
    seen = Evidence()
    for line in lines:
        seen.observe_stream(line)
    return seen


@dataclass(frozen=True)
class Expected:
    """What a recording shows; costs are those of the old release and of the new one."""

    cost_usd: tuple[float | None, float | None] = (0.0, 0.0)
    requests: int = 0  # of 5,952 tokens in and 42 out each
    context_tokens: int | None = None
    tools: str = ""
    results: int = 1
    is_error: bool = False
    inits: int = 1
    has_window: bool = True


ONE_ANSWER = Expected((0.001207, 0.0001207), requests=1, context_tokens=5952)
A_TOOL = Expected((0.002414, 0.0002414), requests=2, context_tokens=5952, tools="Bash")
FAILED = Expected(is_error=True, has_window=False)
RETRYING = Expected((None, None), results=0, has_window=False)
EXPECTED = {
    "auth_401": RETRYING,
    "background": A_TOOL,
    "big_output": A_TOOL,
    "credit_low": FAILED,
    "empty_stdin": Expected((None, None), results=0, inits=0, has_window=False),
    "model_missing": FAILED,
    "not_logged_in": FAILED,
    "overloaded_then_ok": ONE_ANSWER,
    "partial": ONE_ANSWER,
    "prompt_too_long": FAILED,
    "rate_limit_429": RETRYING,
    "text": ONE_ANSWER,
    "unknown_session": Expected(is_error=True, inits=0, has_window=False),
}
# In the new release a resumed run's cost continues from the session's; in the old one it starts again.
CONTINUED = Expected((0.001207, 0.0002414), requests=1, context_tokens=5952)
WORKED = Expected((0.00678, 0.000678), context_tokens=8452, tools="Bash Write Bash Read Bash")
PER_RELEASE = {
    **{f"{release}/{name}.jsonl": expected for name, expected in EXPECTED.items() for release in (OLD, NEW)},
    **{f"{release}/continue.jsonl": CONTINUED for release in (OLD, NEW)},
    **{
        f"{release}/{name}.jsonl": WORKED
        for name in ("tools", "tools_denied", "tools_partial")
        for release in (OLD, NEW)
    },
    f"{NEWEST}/text.jsonl": ONE_ANSWER,
    f"{NEWEST}/tools.jsonl": WORKED,
    f"{OLD}/compact.jsonl": Expected((0.001207, None), context_tokens=656),
    f"{NEW}/compact.jsonl": Expected((None, 0.0004828), context_tokens=2627),
    f"{OLD}/cut.jsonl": Expected((0.001002, None), context_tokens=5952, is_error=True),
    f"{NEW}/cut.jsonl": ONE_ANSWER,
    f"{OLD}/subagent.jsonl": Expected((0.003151, None), requests=2, context_tokens=5952, tools="Task"),
    f"{NEW}/subagent.jsonl": Expected(
        (None, 0.0004358), requests=3, context_tokens=5952, tools="Task", results=2, inits=2
    ),
    f"{OLD}/unknown_command.jsonl": Expected(has_window=False),
    f"{NEW}/unknown_command.jsonl": ONE_ANSWER,
}


def test_the_table_has_a_row_for_each_recording() -> None:
    assert set(PER_RELEASE) == set(recording_index())


@pytest.mark.parametrize(("name", "expected"), PER_RELEASE.items(), ids=PER_RELEASE)
def test_a_recording_shows_what_is_expected_of_it(name: str, expected: Expected) -> None:
    lines = recorded_lines(name)
    seen = observe(*lines)
    is_new = not name.startswith(OLD)
    assert (seen.inits, seen.results, seen.own.is_error) == (expected.inits, expected.results, expected.is_error)
    assert seen.total_cost_usd == pytest.approx(expected.cost_usd[is_new])
    assert seen.context_tokens == expected.context_tokens
    assert seen.context_window == ((1_000_000 if is_new else 200_000) if expected.has_window else None)
    assert Counter(tool for line in lines for tool in tool_names(line)) == Counter(expected.tools.split())
    assert (seen.background_tasks, seen.running_tools) == (0, {})
    assert seen.compacted is ("compact" in name)
    assert seen.answering is (expected.results == 0 and expected.inits > 0)
    if expected.inits:
        assert seen.claude_version == name.partition("/")[0].removeprefix("v")
        assert {line["session_id"] for line in lines} == {seen.session_id}
    else:
        assert (seen.claude_version, seen.session_id) == (None, None)


@pytest.mark.parametrize(("name", "expected"), PER_RELEASE.items(), ids=PER_RELEASE)
def test_the_usage_of_a_recording_is_the_sum_of_its_results(name: str, expected: Expected) -> None:
    usage = observe(*recorded_lines(name)).usage
    if expected is WORKED:  # five requests whose context grows
        assert usage == TokenUsage(60, 229, 34_500, 1_700)
    else:
        n = expected.requests
        assert usage == TokenUsage(12 * n, 42 * n, 5600 * n, 340 * n)


def test_the_sum_over_a_turn_with_tools_is_not_the_size_of_its_context() -> None:
    seen = observe(*recorded_lines(f"{NEW}/tools.jsonl"))
    assert seen.context_tokens == 8452
    assert seen.usage.context_tokens() == 36_260


@pytest.mark.parametrize(("name", "most"), [("subagent", 1), ("background", 0), ("tools", 0)])
def test_background_tasks_are_counted_while_they_run(name: str, most: int) -> None:
    seen, counts = Evidence(), []
    for line in recorded_lines(f"{NEW}/{name}.jsonl"):
        seen.observe_stream(line)
        counts.append(seen.background_tasks)
    assert (max(counts), counts[-1]) == (most, 0)


def test_a_release_that_counts_no_tasks_is_counted_by_their_starts_and_ends() -> None:
    seen = Evidence()
    for task in ("a", "b"):
        seen.observe_stream({"type": "system", "subtype": "task_started", "task_id": task})
    assert seen.background_tasks == 2
    seen.observe_stream({"type": "system", "subtype": "task_notification", "task_id": "a", "status": "completed"})
    assert seen.background_tasks == 1


def test_a_second_stretch_of_work_makes_the_run_unanswered_again() -> None:
    init: Line = {"type": "system", "subtype": "init"}
    seen, course = Evidence(), []
    for line in (init, ASSISTANT, {"type": "result"}, init, ASSISTANT, {"type": "result"}):
        seen.observe_stream(line)
        course.append((seen.results, seen.answering))
    assert course == [(0, True), (0, True), (1, False), (1, True), (1, True), (2, False)]


def test_the_text_is_that_of_the_last_result() -> None:
    assert observe(*recorded_lines(f"{NEW}/subagent.jsonl")).answer == "The subagent counted four words.\n"


def test_a_later_failure_takes_no_answer_back() -> None:
    seen = Evidence()
    seen.observe_stream({"type": "result", "is_error": False, "result": "all is well"})
    seen.observe_stream({"type": "result", "is_error": True, "errors": ["[ede_diagnostic] x", "it broke"]})
    assert (seen.own.ended_well, seen.answer) == (True, "all is well")
    assert (seen.current.ended_well, seen.current.errors) == (False, ("it broke",))


SAID: Line = {"type": "assistant", "message": {"model": "haiku", "content": [{"type": "text", "text": "It is done."}]}}


@pytest.mark.parametrize("empty", [{"result": ""}, {"result": None}, {}])
def test_where_the_result_is_empty_the_answer_is_the_last_text_of_the_main_thread(empty: Line) -> None:
    subagent = {**SAID, "parent_tool_use_id": "t", "message": {"content": [{"type": "text", "text": "aside"}]}}
    synthetic = {**SAID, "message": {"model": "<synthetic>", "content": [{"type": "text", "text": "No response"}]}}
    seen = observe(SAID, subagent, synthetic, {"type": "result", "is_error": False, **empty})
    assert seen.answer == "It is done."


def test_stretches_are_cut_at_results_and_their_number_is_bounded() -> None:
    seen = observe(ASSISTANT, {"type": "result"}, {"type": "system", "subtype": "status"}, ASSISTANT)
    assert [stretch.ended for stretch in seen.stretches] == [True, False]
    for number in range(MAX_STRETCHES * 2):
        seen.observe_stream({"type": "result", "result": f"{number}"})
    assert len(seen.stretches) == MAX_STRETCHES
    assert seen.own.answers == 1
    assert seen.answer == f"{MAX_STRETCHES * 2 - 1}"


@pytest.mark.parametrize(("release", "denied"), [(OLD, 1), (NEW, 2)])
def test_denied_tool_calls_are_counted(release: str, denied: int) -> None:
    assert observe(*recorded_lines(f"{release}/tools_denied.jsonl")).denials.count == denied


@pytest.mark.parametrize("release", [OLD, NEW])
def test_a_retry_that_was_answered_leaves_no_error(release: str) -> None:
    lines = recorded_lines(f"{release}/overloaded_then_ok.jsonl")
    seen, errors = Evidence(), []
    for line in lines:
        seen.observe_stream(line)
        errors.append(seen.current.retry_error)
    assert "overloaded" in errors
    assert errors[-1] is None


@pytest.mark.parametrize(
    ("release", "is_per_session"), [(OLD, False), (NEW, True)], ids=["of the process", "of the session"]
)
def test_the_release_says_whose_cost_the_total_is(release: str, is_per_session: bool) -> None:
    assert observe(*recorded_lines(f"{release}/text.jsonl")).cost_is_per_session is is_per_session


@pytest.mark.parametrize(
    ("version", "is_per_session"),
    [
        ("2.1.276", False),
        ("2.1.277", True),
        ("2.1.277-beta.1", True),
        ("2.2.0", True),
        ("3", True),
        (None, False),
        ("next", True),
    ],
)
def test_the_cost_belongs_to_the_session_from_release_2_1_277_on(version: str | None, is_per_session: bool) -> None:
    assert Evidence(claude_version=version).cost_is_per_session is is_per_session


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("2.1.330", (2, 1, 330)),
        ("2.1.330-beta.4", (2, 1, 330)),
        ("3", (3,)),
        *((odd, (1_000_000,)) for odd in ("next", "2.x", "2..1", "v2.1.330", "9" * 5000)),
        (None, (0,)),  # of the oldest, which did not name it
        ("", (0,)),
    ],
)
def test_a_version_is_read_as_numbers_and_an_odd_one_counts_as_the_newest(
    version: str | None, numbers: tuple[int, ...]
) -> None:
    assert version_numbers(version) == numbers


USAGE = {"input_tokens": 12, "output_tokens": 1, "cache_read_input_tokens": 5600, "cache_creation_input_tokens": 340}
ASSISTANT: Line = {"type": "assistant", "message": {"model": "haiku", "usage": USAGE}, "parent_tool_use_id": None}
BOUNDARY: Line = {"type": "system", "subtype": "compact_boundary", "compact_metadata": {"post_tokens": 656}}


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        (ASSISTANT, 5952),
        ({**ASSISTANT, "parent_tool_use_id": "toolu_1"}, None),
        ({**ASSISTANT, "message": {"model": "<synthetic>", "usage": USAGE}}, None),
        ({**ASSISTANT, "message": {"model": "haiku"}}, None),
        ({**ASSISTANT, "message": "text"}, None),
        ({**ASSISTANT, "type": "user"}, None),
        ({"type": "result", "usage": USAGE}, None),
        (BOUNDARY, 656),
        ({**BOUNDARY, "compact_metadata": {"trigger": "manual", "pre_tokens": 5994}}, None),
        ({**BOUNDARY, "compact_metadata": {}}, None),
        ({**BOUNDARY, "compact_metadata": {"post_tokens": "656"}}, None),
        ({**BOUNDARY, "compact_metadata": None}, None),
        ({**BOUNDARY, "subtype": "status"}, None),
        ({**BOUNDARY, "type": "user"}, None),
        ({}, None),
    ],
)
def test_a_line_shows_the_size_of_the_main_threads_context_or_nothing(line: Line, tokens: int | None) -> None:
    assert context_of(line) == tokens


def test_a_line_that_shows_no_context_leaves_the_last_one() -> None:
    subagent = {**ASSISTANT, "parent_tool_use_id": "toolu_1", "message": {"model": "haiku", "usage": {}}}
    assert observe(ASSISTANT, subagent, {"type": "result", "usage": USAGE}).context_tokens == 5952


def test_a_tool_runs_from_its_call_to_its_answer() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "Bash"}
    asked: Line = {"type": "assistant", "message": {"content": [call, {**call, "id": "toolu_2", "name": "Read"}]}}
    answered: Line = {
        "type": "user",
        "message": {"content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}]},
    }
    assert observe(asked).running_tools == {"toolu_1": "Bash", "toolu_2": "Read"}
    assert observe(asked, answered).running_tools == {"toolu_2": "Read"}


def test_no_tool_runs_on_after_a_result_but_in_the_background() -> None:
    call: Line = {
        "type": "assistant",
        "message": {"content": [{"type": "tool_use", "id": "toolu_1", "name": "Bash"}]},
    }
    task: Line = {"type": "system", "subtype": "task_started", "task_id": "a"}
    assert observe(call, {"type": "result"}).running_tools == {}
    assert observe(call, task, {"type": "result"}).running_tools == {"toolu_1": "Bash"}


def init_of(session_id: str | None, source: str | None = None) -> Line:
    return {"type": "system", "subtype": "init", "session_id": session_id, "apiKeySource": source}


@pytest.mark.parametrize(
    ("asked", "inits", "session_id", "other"),
    [
        (None, ["a"], "a", None),
        (None, ["a", "b"], "b", None),
        ("a", ["a"], "a", None),
        ("a", ["a", "a"], "a", None),
        ("a", ["b"], None, "b"),
        ("a", ["a", "b"], "a", "b"),
        ("a", [None], None, None),
    ],
)
def test_a_session_that_was_not_asked_for_is_never_taken_for_ours(
    asked: str | None, inits: list[str | None], session_id: str | None, other: str | None
) -> None:
    seen = Evidence(asked_session=asked)
    for found in inits:
        seen.observe_stream(init_of(found))
    assert (seen.session_id, seen.other_session) == (session_id, other)


@pytest.mark.parametrize(
    ("expected", "lines", "is_wrong"),
    [
        ("none", [], False),
        ("none", [{"type": "system", "subtype": "status"}], False),
        ("none", [init_of("s", "none")], False),
        ("none", [init_of("s", "ANTHROPIC_API_KEY")], True),
        ("none", [init_of("s")], True),
        (None, [init_of("s", "ANTHROPIC_API_KEY")], False),
    ],
)
def test_only_init_tells_the_source_of_the_credentials(expected: str | None, lines: list[Line], is_wrong: bool) -> None:
    seen = Evidence(expected_auth=expected)
    for line in lines:
        seen.observe_stream(line)
    assert seen.is_wrong_auth is is_wrong


@pytest.mark.parametrize("name", ["text", "compact", "unknown_command", "tools"])
@pytest.mark.parametrize("release", [OLD, NEW])
def test_no_recorded_run_is_empty(release: str, name: str) -> None:
    assert not observe(*recorded_lines(f"{release}/{name}.jsonl")).is_empty


def test_a_refusal_for_the_account_is_no_authentication_failure() -> None:
    line = {"type": "system", "subtype": "api_retry", "error_status": 403, "error": "verification_required"}
    assert observe(line).current.retry_error == "verification_required"


@pytest.mark.parametrize(
    ("answered", "window"), [("small", 200_000), ("main", 1_000_000), ("other", 1_000_000), (None, 1_000_000)]
)
def test_the_window_is_that_of_the_model_that_answered_else_of_the_one_used_most(
    answered: str | None, window: int
) -> None:
    models = {
        "small": {"cacheReadInputTokens": 10, "contextWindow": 200_000},
        "main[1m]": {"cacheReadInputTokens": 9_000, "contextWindow": 1_000_000},
        "odd": None,
    }
    lines = [] if answered is None else [{"type": "assistant", "message": {"model": answered, "usage": USAGE}}]
    result = {"type": "result", "modelUsage": models}
    assert observe(*lines, result).context_window == window
    # `/compact` ends without an answer: there it is the one that claude was started with.
    started = {"type": "system", "subtype": "init", "model": answered or "other"}
    assert observe(started, result).context_window == window


@pytest.mark.parametrize("odd", ["a\0b", "x" * 65, "a b", "../x", "", "-" * 200_000, 7])
def test_what_can_be_no_sessions_id_is_not_taken_for_one(odd: object) -> None:
    assert observe({"type": "system", "subtype": "init", "session_id": odd}).session_id is None


@pytest.mark.parametrize(("status", "error"), [(401, "authentication_failed"), (403, "unknown"), (None, "unknown")])
def test_a_retry_after_a_401_alone_is_an_authentication_failure_whatever_it_is_called(
    status: int | None, error: str
) -> None:
    line = {"type": "system", "subtype": "api_retry", "error_status": status, "error": "unknown"}
    assert observe(line).current.retry_error == error


@pytest.mark.parametrize(
    ("line", "rejected", "resets_at"),
    [
        ({"rate_limit_info": {"status": "rejected", "resetsAt": 1_795_370_000}}, True, 1_795_370_000),
        ({"status": "rejected", "resetsAt": 1_795_370_000}, True, 1_795_370_000),
        ({"rate_limit_info": {"status": "rejected"}}, True, None),
        ({"rate_limit_info": {"status": "rejected", "resetsAt": 1_795_370_000_000}}, True, 1_795_370_000),
        ({"rate_limit_info": {"status": "rejected", "resetsAt": "soon"}}, True, None),
        ({"rate_limit_info": {"status": "allowed_warning", "resetsAt": 1_795_370_000}}, False, None),
        ({"rate_limit_info": {"status": "allowed"}}, False, None),
        ({}, False, None),
    ],
)
def test_a_rejected_limit_and_its_reset_are_kept(line: Line, rejected: bool, resets_at: int | None) -> None:
    seen = observe({"type": "rate_limit_event", **line})
    assert (seen.current.limit_rejected, seen.refusal and seen.refusal.limit.resets_at) == (rejected, resets_at)


@pytest.mark.parametrize("depth", [300, 1000])
@pytest.mark.parametrize(
    "shape",
    [
        '{"type":%s}',
        '{"type":"system","subtype":%s}',
        '{"type":"system","subtype":"init","session_id":%s,"claude_code_version":%s,"apiKeySource":%s}',
        '{"type":"assistant","error":%s,"message":{"content":[{"type":"tool_use","id":%s,"name":%s}]}}',
        '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":%s}]}}',
        '{"type":"result","errors":[%s],"result":%s,"usage":%s,"modelUsage":%s,"total_cost_usd":%s}',
        '{"type":"rate_limit_event","rate_limit_info":%s}',
    ],
)
def test_deep_nesting_where_a_text_is_expected_is_no_error(shape: str, depth: int) -> None:
    observe(orjson.loads(shape.replace("%s", "[" * depth + "]" * depth)))


FIELDS = st.sampled_from(
    [
        *("subtype", "session_id", "claude_code_version", "apiKeySource", "error", "error_status", "message", "tasks"),
        *("compact_metadata", "usage", "total_cost_usd", "is_error", "result", "terminal_reason", "api_error_status"),
        *("prevent_continuation", "prompt_submit_outcome", "deferred_tool_use", "structured_output", "stop_reason"),
        *("text", "reason", "input", "rateLimitType", "api_error"),
        *("errors", "permission_denials", "modelUsage", "rate_limit_info", "parent_tool_use_id", "status", "resetsAt"),
        *("content", "model", "id", "name", "tool_use_id", "type", "post_tokens", "input_tokens", "contextWindow"),
        "cacheReadInputTokens",
    ]
)
WORDS = st.sampled_from(["tool_use", "tool_result", "<synthetic>", "rejected", "2.1.330", ""]) | st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=3),
    max_leaves=6,
)
ODD_LINES = st.builds(
    lambda fields, known: {**fields, **known},
    st.dictionaries(FIELDS, JSON, max_size=5),
    st.sampled_from(
        [
            *({"type": kind} for kind in ("assistant", "user", "result", "rate_limit_event", "stream_event")),
            *({"type": "system", "subtype": kind} for kind in ("init", "api_retry", "compact_boundary", "status")),
            {"type": "system", "subtype": "background_tasks_changed"},
            {"type": "system", "subtype": "informational"},
            {"type": "system"},
            {},
        ]
    ),
)


@given(st.lists(ODD_LINES, max_size=3))
def test_odd_shapes_are_no_error_and_each_finding_has_its_type(lines: list[Line]) -> None:
    seen = observe(*lines)
    texts = [seen.session_id, seen.answer, seen.model]
    numbers = [seen.context_tokens, seen.context_window, seen.refusal and seen.refusal.limit.resets_at]
    for stretch in seen.stretches:
        texts += [stretch.result_text, stretch.text, stretch.synthetic_error, stretch.retry_error, stretch.subtype]
        texts += [stretch.terminal_reason, stretch.stop_reason, stretch.blocked, stretch.deferred]
        numbers += [stretch.api_error_status, stretch.retry_status]
        assert all(isinstance(error, str) for error in stretch.errors)
    for value in texts:
        assert value != ""
        assert type(value) in {str, type(None)}
    for number in numbers:
        assert type(number) in {int, type(None)}
        assert abs(number or 0) <= 3 * MAX_FIGURE  # the sum of three counters
    assert type(seen.total_cost_usd) in {float, type(None)}
    assert all(isinstance(word, str) for pair in seen.running_tools.items() for word in pair)


def test_a_type_of_a_later_release_shows_nothing() -> None:
    assert observe({"type": "later", "is_error": True, "session_id": "x"}) == Evidence(lines=1)

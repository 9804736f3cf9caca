"""The account's limits, as claude tells them."""

from typing import Any

import pytest

from hyperhive_cli.claude.limits import Limit, limit_name, limit_of_model, line_to_limits, unix_seconds

RESETS_AT = 1_795_800_000


def event(**info: object) -> dict[str, Any]:
    return {"type": "rate_limit_event", "rate_limit_info": info, "session_id": "s"}


def test_a_line_is_read_whole() -> None:
    report = line_to_limits(
        event(
            status="rejected",
            resetsAt=RESETS_AT,
            rateLimitType="seven_day_opus",
            utilization=1.02,
            overageStatus="rejected",
            isUsingOverage=False,
            unifiedWindows={
                "five_hour": {"utilization": 0.2, "resetsAt": RESETS_AT - 60, "status": "allowed"},
                "seven_day": {"utilization": 0.4, "resetsAt": RESETS_AT},
            },
        )
    )
    assert report is not None
    assert report.limit == Limit("seven_day_opus", "rejected", 1.02, RESETS_AT)
    assert report.windows == (
        Limit("five_hour", "allowed", 0.2, RESETS_AT - 60),
        Limit("seven_day", None, 0.4, RESETS_AT),
    )
    assert (report.refused, report.limit.of_model, report.limit.resets_at) == (True, True, RESETS_AT)
    assert [(one["type"], one["name"], one["of_model"]) for one in report.to_list()] == [
        ("five_hour", "5-hour limit", False),
        ("seven_day", "weekly limit", False),
        ("seven_day_opus", "weekly Opus limit", True),
    ]


def test_the_limit_that_is_spoken_of_has_the_last_word_on_its_window() -> None:
    window = {"utilization": 0.93, "resetsAt": RESETS_AT}
    info = {"status": "allowed_warning", "rateLimitType": "five_hour", "resetsAt": RESETS_AT}
    report = line_to_limits(event(**info, unifiedWindows={"five_hour": window}))
    assert report is not None
    assert report.to_list() == [Limit("five_hour", "allowed_warning", 0.93, RESETS_AT).to_dict()]


def test_fields_beside_the_type_are_read_too() -> None:
    report = line_to_limits({"type": "rate_limit_event", "status": "rejected", "resetsAt": RESETS_AT})
    assert report is not None
    assert (report.refused, report.limit.of_model, report.limit.resets_at) == (True, False, RESETS_AT)
    assert report.to_list() == []


@pytest.mark.parametrize("field", ["isUsingOverage", "overageInUse"])
def test_usage_credits_pay_for_what_a_limit_would_refuse(field: str) -> None:
    report = line_to_limits(event(status="rejected", rateLimitType="five_hour", resetsAt=RESETS_AT, **{field: True}))
    assert report is not None
    assert not report.refused


@pytest.mark.parametrize(
    ("kind", "name", "of_model"),
    [
        ("five_hour", "5-hour limit", False),
        ("seven_day", "weekly limit", False),
        ("seven_day_opus", "weekly Opus limit", True),
        ("seven_day_sonnet", "weekly Sonnet limit", True),
        ("seven_day_overage_included", "weekly Fable limit", True),
        ("five_hour_haiku", "5-hour Haiku limit", True),
        ("overage", "usage credits", False),
        ("seven_day_cowork", "weekly cowork limit", False),
        ("thirty_day", "thirty day limit", False),
        ("", "rate limit", False),
    ],
)
def test_each_type_has_a_name_unknown_ones_too(kind: str, name: str, *, of_model: bool) -> None:
    assert (limit_name(kind), limit_of_model(kind)) == (name, of_model)


@pytest.mark.parametrize("line", [{}, {"type": "result"}, {"type": "system", "subtype": "init"}])
def test_other_lines_say_nothing_of_limits(line: dict[str, Any]) -> None:
    assert line_to_limits(line) is None


@pytest.mark.parametrize("odd", [None, [], "x", {"a": 1}, True, float("nan"), float("inf"), -1, 10**30, 1e300])
def test_odd_fields_count_as_missing(odd: object) -> None:
    windows = {"five_hour": odd, "seven_day": {"utilization": odd, "resetsAt": odd, "status": odd}}
    report = line_to_limits(event(status=odd, rateLimitType=odd, resetsAt=odd, utilization=odd, unifiedWindows=windows))
    assert report is not None
    assert (report.limit.resets_at, report.limit.utilization, report.refused) == (None, None, False)
    assert line_to_limits(event(unifiedWindows=odd)) is not None
    assert line_to_limits({"type": "rate_limit_event", "rate_limit_info": odd}) is not None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(RESETS_AT, RESETS_AT), (RESETS_AT * 1000, RESETS_AT), (1.5, 1), (10**16, None), (None, None), (True, None)],
)
def test_a_moment_is_in_seconds_whatever_it_was_meant_in(value: object, seconds: int | None) -> None:
    assert unix_seconds(value) == seconds

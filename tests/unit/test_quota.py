"""The plan's windows: what is kept of each, what the pace leads to, and what is reserved."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.limits import line_to_limits
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.quota import (
    MAX_SAMPLES,
    IdleHold,
    Reserve,
    Window,
    Windows,
    json_to_windows,
    observe,
    open_windows,
    windows_to_json,
)
from hyperhive_cli.render.quota_rows import quota_to_rows
from hyperhive_cli.transcript.quota_words import forecast_words, quota_words, reserve_words
from tests.unit.made_events import same_world  # noqa: F401 - a fixture: the time zone
from tests.unit.recorded_limits import NOW, RESETS_AT, recorded_limits

HOUR = 3600
START = 1_795_800_000
END = START + 5 * HOUR


def window(*samples: tuple[float, float], kind: str = "five_hour", resets_at: int = END) -> Window:
    """Return a window with these shares at these hours after its start."""
    known: Windows = {}
    for hours, used in samples:
        known = observe(known, [(kind, used, resets_at)], START + round(hours * HOUR))
    return known[kind]


def replayed(release: str) -> Windows:
    """Return what is kept after the recorded lines, a minute apart."""
    known: Windows = {}
    for minute, line in enumerate(recorded_limits(release)):
        report = line_to_limits(line)
        assert report is not None
        known = observe(known, report.plan(), NOW + 60 * minute)
    return known


def test_recorded_lines_are_kept_as_one_sample_for_each_change() -> None:
    known = replayed("2.1.332")
    assert {kind: one.resets_at for kind, one in known.items()} == RESETS_AT
    shares = [(round((at - NOW) / 60), used) for at, used in known["five_hour"].samples]
    assert shares == [(0, 0.62), (1, 0.63), (2, 0.64), (3, 0.65), (4, 0.66), (5, 0.91)]
    assert known["seven_day"].samples == ((NOW, 0.4), (NOW + 300, 0.41))
    assert known["seven_day"].seen == NOW + 300
    assert json_to_windows(json.loads(json.dumps(windows_to_json(known)))) == known


def test_a_release_that_lists_no_windows_names_one_that_is_nearly_used_up() -> None:
    first, second = map(line_to_limits, recorded_limits("2.1.197"))
    assert first is not None
    assert second is not None
    assert first.plan() == [("five_hour", None, RESETS_AT["five_hour"])]
    assert second.plan() == [("five_hour", 0.91, RESETS_AT["five_hour"])]
    assert [(one.type, one.used) for one in replayed("2.1.197").values()] == [("five_hour", 0.91)]


def test_a_later_reset_starts_a_window_anew_and_one_that_is_over_is_not_shown() -> None:
    known = {"five_hour": window((1, 0.4), (2, 0.9))}
    assert open_windows(known, END) == {}
    found = observe(known, [("five_hour", 0.02, END + 5 * HOUR)], END + 60)
    assert found["five_hour"].samples == ((END + 60, 0.02),)
    moved = observe(known, [("five_hour", 0.91, END + 60)], START + 3 * HOUR)  # the same one, given more exactly
    assert [used for _, used in moved["five_hour"].samples] == [0.4, 0.9, 0.91]


def test_a_clock_that_is_set_back_starts_the_samples_again() -> None:
    found = window((2, 0.5)).observed(0.6, END, START + HOUR)
    assert found.samples == ((START + HOUR, 0.6),)


@pytest.mark.parametrize(("used", "resets_at"), [(None, END), (0.5, None), (0.5, START - 1), (0.5, START + 10**9)])
def test_a_report_without_figures_or_with_an_impossible_reset_is_left_out(
    used: float | None, resets_at: int | None
) -> None:
    assert observe({}, [("five_hour", used, resets_at)], START) == {}


def test_at_a_steady_pace_the_range_is_that_of_the_rounding() -> None:
    found = window((0, 0.0), (1, 0.2), (2, 0.4)).forecast(START + 2 * HOUR)
    assert found is not None
    assert found.low <= 1 <= found.high
    assert found.full_until is None, "within the rounding it may last until the reset"
    assert found.full_from is not None
    assert END - HOUR / 4 < found.full_from < END


def test_a_faster_end_widens_the_range_upwards_and_a_rest_downwards() -> None:
    now = START + round(2.5 * HOUR)
    (steady, faster, rest) = (
        window((0, 0), *shares).forecast(now)
        for shares in (((1.5, 0.24), (2.5, 0.4)), ((1.5, 0.1), (2.5, 0.4)), ((1.5, 0.4), (2.5, 0.4)))
    )
    assert steady is not None
    assert faster is not None
    assert rest is not None
    assert (round(steady.low, 1), round(steady.high, 1)) == (0.8, 0.8)
    assert faster.low == pytest.approx(0.79, abs=0.01)
    assert faster.full_until is None
    assert faster.high > 1.1
    assert faster.full_from is not None
    assert rest.low == 0.4, "nothing more, if the rest goes on"
    assert rest.high == pytest.approx(0.81, abs=0.01)


def test_one_report_alone_gives_the_average_pace() -> None:
    found = window((2, 0.3)).forecast(START + 2 * HOUR)
    assert found is not None
    assert found.low == pytest.approx(0.74, abs=0.03)
    assert found.high == pytest.approx(0.76, abs=0.03)


@pytest.mark.parametrize(
    ("found", "hours"),
    [
        (window((0.1, 0.05)), 0.24),
        (window((1, 0.5)), 5),
        (window((2, 1.0)), 3),
        (window((1, 0.5), kind="thirty_day"), 2),
    ],
    ids=["too early", "over", "used up", "of unknown length"],
)
def test_there_is_no_forecast(found: Window, hours: float) -> None:
    assert found.forecast(START + round(hours * HOUR)) is None


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 120)), min_size=1, max_size=20),
    st.floats(0.25, 4.99),
)
def test_a_forecast_is_a_range_that_never_passes_the_reset(samples: list[tuple[float, int]], hours: float) -> None:
    now = START + hours * HOUR
    before = sorted((at, used / 100) for at, used in samples if at < hours) or [(0.1, 0.01)]
    known = window(*before)
    found = known.forecast(now)
    assert (found is None) == (known.used >= 1)
    if found is not None:
        assert known.used - 0.011 <= found.low <= found.high
        for moment in (found.full_from, found.full_until):
            assert moment is None or int(now) <= moment < END
        assert found.full_until is None or (found.full_from or END) <= found.full_until


def test_a_flood_of_reports_is_bounded() -> None:
    known: Windows = {}
    for number in range(1_000):
        known = observe(known, [("five_hour", number % 7 / 10, END), (f"kind {number}", 0.1, END)], START + number)
    assert len(known) == 16
    assert len(known["five_hour"].samples) == MAX_SAMPLES


@pytest.mark.parametrize(
    "odd", [None, {}, [[]], [["five_hour", END, START]], [["five_hour", END, START, []]], [[7, END, START, [[1, 0.1]]]],
            [["five_hour", -1, START, [[1, 0.1]]]], [["five_hour", END, True, [[1, 0.1]]]],
            [["five_hour", END, START, [[1], "x", [None, 2], [1, -1]]]]],
)  # fmt: skip
def test_a_file_that_something_else_has_written_knows_nothing(odd: object) -> None:
    assert json_to_windows(odd) == {}


# --- the reserve ---


def test_a_reserve_is_read_and_written() -> None:
    reserve = Reserve.from_texts(["5h=20", "week=7"])
    assert reserve.shares == (("five_hour", 0.2), ("seven_day", 0.07))
    assert (reserve.share_of("seven_day"), reserve.share_of("other")) == (0.07, None)
    assert reserve.to_text() == "5h=20 week=7"
    assert Reserve.from_text(reserve.to_text()) == reserve
    assert Reserve.from_text(None) == Reserve.from_text("nonsense") == Reserve()
    assert Reserve.from_texts([f"5h={percent}" for percent in range(1, 101)]).to_text() == "5h=100"


@pytest.mark.parametrize(
    "text", ["", "5h", "5h=", "5h=0", "5h=101", "5h=20%", "month=5", "5h=-1", "5h=2.5", "5h=²", "5h=99999"]
)
def test_an_unusable_reserve_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="not a valid reserve") as caught:
        Reserve.from_texts([text])
    assert caught.value.hint == "--reserve 5h=20 --reserve week=10"


@pytest.mark.parametrize(("used", "is_held"), [(0.79, False), (0.8, True), (1.2, True)])
def test_idle_messages_wait_from_the_reserve_on(used: float, *, is_held: bool) -> None:
    hold = Reserve.from_texts(["5h=20"]).hold({"five_hour": window((1, used))}, START + HOUR)
    assert (hold is not None) == is_held
    if hold is not None:
        assert hold == IdleHold(END, f"5h {used:.0%} used, 20% reserved")


def test_of_two_used_up_windows_the_later_reset_counts_and_an_unknown_one_holds_nothing_up() -> None:
    five, week = window((1, 0.9)), window((1, 0.95), kind="seven_day", resets_at=END + 86_400)
    reserve = Reserve.from_texts(["5h=20", "week=10"])
    hold = reserve.hold({"five_hour": five, "seven_day": week}, START + HOUR)
    assert hold == IdleHold(END + 86_400, "week 95% used, 10% reserved")
    assert reserve.hold({"seven_day": week._replace(samples=((START, 0.5),))}, START + HOUR) is None
    assert reserve.hold({"five_hour": five}, END) is None, "it has reset"
    assert Reserve().hold({"five_hour": five}, START + HOUR) is None


# --- in words ---


def words(found: Window, now: float, reserved: float | None = None) -> dict[str, str]:
    shown = found.to_dict(now, reserved)
    return {"quota": quota_words([shown], now), "forecast": forecast_words(shown, now), "reserve": reserve_words(shown)}


def test_the_recorded_windows_in_words() -> None:
    now = NOW + 300
    quota = [one.to_dict(now) for one in replayed("2.1.332").values()]
    assert quota_words(quota, now) == "5h 91% · resets 23:35 · week 41%"
    rows = [(name, "".join(text for text, _ in spans)) for name, spans in quota_to_rows(quota, now, plain=True)]
    assert [name for name, _ in rows] == ["5h", "", "week", ""]
    assert rows[0][1] == " 91%  resets 23:35 (in 1h 55m) · seen just now"
    assert rows[1][1].startswith("at this pace used up between 21:")
    assert rows[3][1].endswith(" at the reset")


def test_each_forecast_in_words() -> None:
    now = START + 2 * HOUR
    assert words(window((0, 0), (1, 0.05), (2, 0.1)), now)["forecast"] == "at this pace 22 to 29% at the reset"
    assert words(window((0, 0), (1, 0.2), (2, 0.4)), now)["forecast"].endswith(" at the earliest")
    assert words(window((0, 0), (1, 0.4), (2, 0.8)), now)["forecast"].startswith("at this pace used up between ")
    assert words(window((2, 1.0)), now)["forecast"] == ""
    assert words(window((2, 0.8)), now, 0.2)["reserve"] == "20% reserved, so idle messages wait"
    assert words(window((2, 0.7)), now, 0.2)["reserve"] == "20% reserved"
    assert words(window((2, 0.7)), now)["reserve"] == ""

"""What the signals that end a program mean, by the order and the time of their arrival."""

import signal

import pytest

from hyperhive_cli.harness.signals import SAME_WISH_S, Wish, Wishes

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
STOP, NOW = Wish.STOP, Wish.STOP_NOW


@pytest.mark.parametrize(
    ("arrivals", "wishes", "status"),
    [
        ([], [], None),
        ([(TERM, 0.0)], [STOP], 143),
        ([(TERM, 5.0), (TERM, 5.0)], [STOP, None], 143),
        ([(HUP, 5.0), (TERM, 5.9)], [STOP, None], 129),
        ([(INT, 5.0), (INT, 5.0 + SAME_WISH_S)], [STOP, None], 130),
        ([(INT, 5.0), (INT, 6.1)], [STOP, NOW], 130),
        ([(INT, 5.0), (INT, 5.1), (INT, 6.1)], [STOP, None, NOW], 130),
        ([(INT, 5.0), (TERM, 60.0), (TERM, 60.0)], [STOP, NOW, NOW], 130),
    ],
)
def test_signals_within_a_second_of_the_first_are_the_same_wish(
    arrivals: list[tuple[int, float]], wishes: list[Wish | None], status: int | None
) -> None:
    taken = Wishes()
    assert [taken.take(number, now_s) for number, now_s in arrivals] == wishes
    assert taken.exit_status == status
    assert taken.is_hard is (NOW in wishes)

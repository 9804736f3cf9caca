"""For how long messages that have ended are kept: the words, both ways."""

import pytest

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.retention import KEEP_ALL, KEEP_DEFAULT, Retention


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d,10000", KEEP_DEFAULT),
        ("10000,30d", KEEP_DEFAULT),
        ("7d", Retention(7, 0)),
        ("500", Retention(0, 500)),
        ("0", Retention(0, 0)),
        ("0d, 5", Retention(0, 5)),
        ("all", KEEP_ALL),
    ],
)
def test_what_is_kept_is_read_and_written(text: str, expected: Retention) -> None:
    found = Retention.from_text(text)
    assert found == expected
    assert Retention.from_text(found.to_text()) == found


@pytest.mark.parametrize(
    "text", ["", "x", "1.5d", "-1", "1d,2d", "5,6", "36501d", "1000000001", "d", "30 d", "all,1", "³d", "9" * 5_000]
)
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Retention.from_text(text)
    assert "30d" in str(caught.value.hint)

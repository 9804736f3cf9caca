"""For how long messages that have ended, and events, are kept: the words, both ways."""

import pytest

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.retention import KEEP_ALL, KEEP_DEFAULT, Retention, text_to_size


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


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1GB", 10**9),
        ("1 gb", 10**9),
        ("1g", 10**9),
        ("1.5GiB", 3 * 2**29),
        ("500MB", 5 * 10**8),
        ("1000KB", 10**6),
        ("2000000", 2_000_000),
        ("1TB", 10**12),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size_bytes: int) -> None:
    assert text_to_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "x", "0", "1", "999KB", "-1GB", "1e9", "1.GB", "1XB", "GB", "9999TB", "³GB"])
def test_any_other_size_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        text_to_size(text)
    assert "1.5GiB" in str(caught.value.hint)

"""The sixty faults: each is shown by a test that carries its number, as `test_t07_…`."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
OF_THE_PAGE = {51}  # shown in a browser
REAL = {1, 2, 8, 15, 29, 58}  # shown with the real claude too


def numbers(folder: Path) -> set[int]:
    names = [
        name for path in folder.rglob("test_*.py") for name in re.findall(r"def test(_t\d\d\w*)\(", path.read_text())
    ]
    return {int(number) for name in names for number in re.findall(r"_t(\d\d)(?=_)", name)}


def test_each_fault_has_a_test() -> None:
    assert set(range(1, 61)) - numbers(TESTS) == OF_THE_PAGE


def test_the_faults_of_the_binary_are_shown_with_the_real_one() -> None:
    assert REAL - numbers(TESTS / "claude") == set()

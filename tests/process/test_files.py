"""claude's own files, whatever lies in their place."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperhive_cli.claude import files
from hyperhive_cli.claude.files import read_json

ODD: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "empty": Path.touch,
    "no JSON": lambda path: path.write_text("{"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe{}"),
    "nested too deep": lambda path: path.write_text("[" * 100_000),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_no_file_of_json_is_nothing(make: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    make(path)
    assert read_json(path) is None
    assert read_json(path / "below") is None


def test_a_file_of_json_is_read_with_a_byte_order_mark_too(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes('\ufeff{"ü": 1}'.encode())
    assert read_json(path) == {"ü": 1}


def test_a_file_that_is_too_large_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_text("[1]")
    assert read_json(path) == [1]
    monkeypatch.setattr(files, "LIMIT_BYTES", 2)
    assert read_json(path) is None

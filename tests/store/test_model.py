"""The choice of model: one line in a file, of which a reader sees the old or the new, never a part."""

import os
import stat
import threading
from pathlib import Path

import pytest

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.settings import DEFAULT_MODEL
from hyperhive_cli.store.model import load_model, read_model, write_model
from tests.impostors import IMPOSTORS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hyperhive-model"


def test_without_a_choice_the_model_is_haiku(path: Path) -> None:
    assert DEFAULT_MODEL == "haiku"
    assert read_model(path) == "haiku"


@pytest.mark.parametrize("content", [b"", b"\n", b"  \t\r\n \n", b"opus\xff\n", b"\xff\xfe"])
def test_an_empty_or_undecodable_file_means_the_default(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert read_model(path) == "haiku"


def test_a_folder_in_its_place_means_the_default(path: Path) -> None:
    path.mkdir()
    assert read_model(path) == "haiku"


@pytest.mark.parametrize("content", ["opus", "opus\n", "  opus \r\n", "\n\nopus\nsonnet\n", "opus\n\n# mine\n"])
def test_the_model_is_the_first_line_without_blanks_around_it(path: Path, content: str) -> None:
    path.write_bytes(content.encode())
    assert read_model(path) == "opus"


def test_a_choice_is_one_line_in_a_private_file(path: Path) -> None:
    write_model(path, "claude-opus-4-1[1m]")
    assert path.read_text() == "claude-opus-4-1[1m]\n"
    assert read_model(path) == "claude-opus-4-1[1m]"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_sees_only_the_old_model_or_the_new_while_it_is_set(path: Path) -> None:
    models = ("short", "a-much-longer-name-" * 5)
    write_model(path, models[0])
    seen: set[str] = set()
    started, over = threading.Event(), threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(path.read_text())
            seen.add(read_model(path) + "\n")
            started.set()

    reader = threading.Thread(target=read)
    reader.start()
    started.wait()
    for turn in range(200):
        write_model(path, models[turn % 2])
    over.set()
    reader.join()
    assert seen <= {f"{model}\n" for model in models}


def test_a_choice_that_cannot_be_written_leaves_the_old_one_and_nothing_else(path: Path) -> None:
    write_model(path, "opus")
    with pytest.raises(UnicodeEncodeError):
        write_model(path, "a\ud800")  # fails after the draft was begun
    assert read_model(path) == "opus"
    assert list(path.parent.iterdir()) == [path]


def test_a_choice_that_cannot_be_put_in_place_leaves_nothing_behind(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be stored: Is a directory"):
        write_model(path, "opus")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", [kind for kind in IMPOSTORS if kind != "a folder"])
def test_a_choice_takes_the_place_of_what_a_tool_has_put_there(kind: str, path: Path) -> None:
    IMPOSTORS[kind](path)
    write_model(path, "opus")
    assert (path.is_symlink(), load_model(path)) == (False, "opus")


def test_a_huge_file_is_an_error_and_is_not_read(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(StoreError, match=r"cannot be read: it is larger than 65,536 bytes") as caught:
        load_model(path)
    assert (caught.value.hint, read_model(path)) == ("hyperhive model set NAME", "haiku")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be stored: No such file"):
        write_model(tmp_path / "nowhere" / "hyperhive-model", "opus")

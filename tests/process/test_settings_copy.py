"""The operator's settings file: its copy merged with ours, refreshed before each turn, readable by no other user."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive_cli.agent.settings_copy import LIMIT_BYTES, SettingsCopy, open_settings, read_settings
from hyperhive_cli.core.errors import StoreError, UsageError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "claude.json"
    path.write_text('{"env": {"TOKEN": "one"}}')
    return path


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def copy(source: Path, state_dir: Path, told: list[str]) -> Iterator[SettingsCopy]:
    with open_settings(source, state_dir, told.append) as copy:
        assert copy is not None
        yield copy


def token(path: Path) -> str:
    found: str = json.loads(path.read_text())["env"]["TOKEN"]
    return found


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("claude-settings-*"))


def test_the_copy_holds_both_and_only_we_may_read_it(copy: SettingsCopy, state_dir: Path) -> None:
    path = copy.refresh()
    assert json.loads(path.read_text()) == {"env": {"TOKEN": "one"}, "crossSessionInbound": "refuse"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert copies(state_dir) == [path]


def test_while_the_file_is_the_same_the_copy_is(copy: SettingsCopy) -> None:
    assert copy.refresh() == copy.refresh()


def test_a_changed_file_has_a_copy_of_another_name_and_no_old_one(
    copy: SettingsCopy, source: Path, state_dir: Path
) -> None:
    first = copy.refresh()
    source.write_text('{"env": {"TOKEN": "two!"}}')
    second = copy.refresh()
    assert (first != second, token(second)) == (True, "two!")
    assert copies(state_dir) == [second]


def test_an_unusable_file_is_reported_once_and_the_earlier_settings_are_used(
    copy: SettingsCopy, source: Path, told: list[str]
) -> None:
    first = copy.refresh()
    source.write_text("{ half of it")
    assert [copy.refresh(), copy.refresh()] == [first, first]
    source.unlink()
    assert copy.refresh() == first
    assert token(first) == "one"
    assert len(told) == 2
    assert all(text.endswith("; continuing with the earlier settings") for text in told)
    source.write_text('{"env": {"TOKEN": "three"}}')
    assert token(copy.refresh()) == "three"
    source.unlink()
    copy.refresh()
    assert len(told) == 3


def test_a_copy_that_was_removed_is_written_again(copy: SettingsCopy, source: Path) -> None:
    copy.refresh().unlink()
    assert token(copy.refresh()) == "one"
    copy.refresh().unlink()
    source.unlink()
    assert token(copy.refresh()) == "one"


def test_a_copy_that_cannot_be_written_is_reported_and_the_earlier_one_is_used(
    copy: SettingsCopy, source: Path, state_dir: Path, told: list[str]
) -> None:
    first = copy.refresh()
    (state_dir / "claude-settings-2.json").mkdir()  # in the way of the next
    source.write_text('{"env": {"TOKEN": "two!"}}')
    assert copy.refresh() == first
    assert token(first) == "one"
    (text,) = told
    assert "cannot be written" in text
    (state_dir / "claude-settings-2.json").rmdir()
    assert token(copy.refresh()) == "two!"


def test_copies_of_an_earlier_life_are_removed_and_at_the_end_every_copy_is(source: Path, state_dir: Path) -> None:
    left = state_dir / "claude-settings-7.json"
    left.write_text("{}")
    with open_settings(None, state_dir, print) as none:
        assert none is None
        assert copies(state_dir) == []
    left.write_text("{}")
    with open_settings(source, state_dir, print) as copy:
        assert copy is not None
        assert copies(state_dir) == [copy.refresh()]
    assert copies(state_dir) == []


def test_a_link_in_the_place_of_the_copy_is_not_followed(source: Path, state_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (state_dir / "claude-settings-1.json").symlink_to(target)
    with open_settings(source, state_dir, print):
        pass
    assert target.read_text() == "mine"


def test_without_a_place_for_the_copy_there_is_no_start(source: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"), open_settings(source, tmp_path / "none", print):
        pass


def test_rules_are_relative_to_where_the_file_really_lies(tmp_path: Path, source: Path) -> None:
    source.write_text('{"permissions": {"deny": ["Read(/secret/**)"]}}')
    link = tmp_path / "link" / "settings.json"
    link.parent.mkdir()
    link.symlink_to(source)
    assert json.loads(read_settings(link))["permissions"]["deny"] == [f"Read(/{tmp_path.resolve()}/secret/**)"]


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "not JSON", "too large", "nul"])
def test_what_is_no_settings_file_is_refused_with_a_reason(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "settings.json"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "not JSON":
            path.write_text("{")
        case "too large":
            path.write_text("{}" + " " * LIMIT_BYTES)
        case "nul":
            path = tmp_path / "a\0b"
    with pytest.raises(UsageError, match=r"claude's settings .* (cannot be read|are not|are larger)"):
        read_settings(path)

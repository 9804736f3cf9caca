"""What the README says of permissions, with the real binary: no one is there to allow what claude would ask about."""

import re
import shlex
from collections.abc import Callable

import pytest

from tests.harness import Hive, of_kind
from tests.pages import README

(FIRST,) = re.findall(r"^(hyperhive run .*) --message '", README.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize(("words", "is_written"), [(shlex.split(FIRST)[2:], True), ([], False)], ids=["told", "bare"])
def test_the_first_command_of_the_readme_can_edit_files_and_a_bare_run_can_only_read(
    words: list[str], is_written: bool, start: Callable[[str], Hive]
) -> None:
    hive = start("tools")
    events = hive.drain("--message", "look around", *words).json_lines()
    (ended,) = of_kind(events, "turn_end")
    assert ended["outcome"] == "ok"
    assert (hive.workspace / "notes.txt").exists() == is_written
    assert is_written or ended["denied"]

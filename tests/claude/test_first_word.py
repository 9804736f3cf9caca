"""The benchmarks of the first word find it: in the binary alone, in one that waits, and behind a harness."""

from pathlib import Path

import pytest

from tests.benchmarks import binary
from tests.claude.conftest import VARIABLE


@pytest.mark.newest_release
def test_the_first_word_of_the_binary_and_of_a_harness_is_found(
    claude_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(claude_binary))
    monkeypatch.setattr(binary, "SETTLE_S", 0.0)
    with binary.open_setting(tmp_path) as setting:
        bare = setting.bare()
        assert bare.ask("hello") > 0
        first = bare.session
        assert bare.ask_waiting("again") > 0
        assert bare.session == first
        with setting.harness(tmp_path / "state", "--prewarm") as harness:
            assert harness.ask_waiting("hello") > 0
            assert harness.ask("again") > 0

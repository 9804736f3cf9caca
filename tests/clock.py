"""A wall clock that a test sets under a program that runs, by libfaketime. The steady clocks go on as in truth."""

from dataclasses import dataclass
from pathlib import Path

import pytest

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of the programs that have its `variables`. In its file libfaketime looks at each question."""

    file: Path

    def put(self, ahead_s: int) -> None:
        """Let it be so far ahead of the true one from now on; a negative number is behind."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{ahead_s:+d}\n")
        fresh.chmod(0o644)
        fresh.rename(self.file)

    def variables(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


def make_clock(folder: Path) -> Clock:
    """Return a clock that is right so far; the test is skipped where there is no libfaketime."""
    if LIBRARY is None:
        pytest.skip("libfaketime is not here: NO CLOCK WAS SET UNDER A PROGRAM THAT RUNS (apt-get install libfaketime)")
    clock = Clock(folder / "clock")
    clock.put(0)
    return clock

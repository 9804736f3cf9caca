"""A wall clock of its own for a program, which can be set while the program runs: libfaketime, if it is there."""

from pathlib import Path

LIBRARIES = [
    *sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")),
    *sorted(Path("/usr/local/lib").glob("**/libfaketimeMT.so.1")),
]
SHARED = Path("/dev/shm")  # noqa: S108 - where the library has it
MISSING = "libfaketime is not here (apt-get install faketime): NO CLOCK JUMPS"


class Clock:
    """The wall clock of one program and of nothing that it starts, for claude's environment is not ours."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @property
    def can_jump(self) -> bool:
        return bool(LIBRARIES)

    @property
    def environment(self) -> dict[str, str]:
        """What a program has to be started with. The file is read at each look at the clock, which takes 10 us."""
        if not self.can_jump:
            return {}
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    @staticmethod
    def forget(pid: int) -> None:
        """Remove what the library shares between processes; one that was killed has left it behind."""
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            (SHARED / name).unlink(missing_ok=True)

    def set(self, offset_s: int) -> None:
        """Let the clock be so much ahead of the machine's own from now on; below 0, behind it."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{offset_s:+d}\n")
        draft.replace(self._file)

"""What the tests share: the fake claude, throw-away folders, a clean environment, and looks at real processes."""

import json
import os
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.forkserver import Forkserver

# The same examples each time, and for them as long as a busy machine takes: the limit of the whole test still holds.
PATIENT: dict[str, Any] = {"derandomize": True, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("house", max_examples=30, **PATIENT)
settings.register_profile("exhaustive", max_examples=300, **PATIENT)
settings.load_profile("house")

# A script that starts the tests in its background lets them ignore Ctrl-C, and `nohup` the end of a terminal: so would
# whatever they start.
for ending, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(ending) is signal.SIG_IGN:
        signal.signal(ending, usual)

TESTS = Path(__file__).resolve().parent
RECORDINGS = TESTS / "recordings"
# Ends a wait for what never comes. What does come may take many times as long on a busy machine as on a quiet one.
LIMIT_S = 120.0
# The first is the engine alone, without a browser's windows: a page costs it a third.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
LONGEST_FIRST = ["hive", "web/page", "claude", "web", "cli", "process"]  # folders, by how long one of their tests takes
Step = dict[str, Any]
T = TypeVar("T")


class Call(TypedDict):
    """One start of the fake; `prompt` is None when the run never reads stdin."""

    start: int
    argv: list[str]
    cwd: str
    env: list[str]
    pid: int
    pgid: int
    session: int
    prompt: str | None
    prompt_ended: bool


class RecordedEnding(TypedDict):
    """What is known of a run in `recordings/endings`; `outcome` is what was agreed on."""

    exit_status: int
    stderr: str
    resumed: str | None  # the session that was asked for
    outcome: str
    answer: str | None  # the first line of it, where it is ok
    later: NotRequired[list[str]]  # the outcomes of what failed after the answer


class RecordingFacts(TypedDict):
    prompt: str
    scenario: str
    extra_args: list[str]
    logged_in: bool
    exit_status: int | None
    cut_off_by_recorder: bool
    stderr: str


def recording(name: str) -> list[bytes]:
    """Return a recording's lines without their newlines; a name is `v2.1.330/tools.jsonl`."""
    return (RECORDINGS / name).read_bytes().split(b"\n")[:-1]


def recording_index() -> dict[str, RecordingFacts]:
    """Return what is known of each recording, by name."""
    index: dict[str, RecordingFacts] = json.loads((RECORDINGS / "index.json").read_text())
    return index


def process_state(pid: int) -> str | None:
    """Return the letter that /proc has for a process (`Z` is a zombie, `T` stopped), None if it is gone."""
    fields = _process_fields(pid)
    return fields[0] if fields else None


def parent_of(pid: int) -> int:
    """Return the id of a process's parent; ProcessLookupError when it is gone."""
    fields = _process_fields(pid)
    if not fields:
        raise ProcessLookupError(pid)
    return int(fields[1])


def kill(pid: int) -> None:
    """Kill a process that may have ended by now."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], T], timeout_s: float = LIMIT_S) -> T:
    """Poll until the condition is true, and return its value; TimeoutError after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {value!r} after {timeout_s} s")
        time.sleep(0.005)
    return value


def recorded_endings() -> dict[str, RecordedEnding]:
    """Return what is known of each run in `recordings/endings`, by name.

    They are runs of 2.1.197 to 2.1.332, many of them driven over stdin: each way to end, as the binary writes it.
    """
    index: dict[str, RecordedEnding] = json.loads((RECORDINGS / "endings" / "index.json").read_text())
    return index


def ending_lines(name: str) -> list[bytes]:
    """Return the lines of a run in `recordings/endings` without their newlines."""
    return recording(f"endings/{name}")


@dataclass(frozen=True, slots=True)
class FakeClaude:
    """A claude that plays a script; `path` is the program to start. Its words: `tests/fake_claude.py`."""

    path: Path

    @property
    def folder(self) -> Path:
        return self.path.parent

    def script(
        self,
        *runs: list[Step],
        logged_in: bool | Literal["file"] = True,
        waiting: Sequence[list[Step]] = (),
        auth: Mapping[str, str] | None = None,
    ) -> None:
        """Let the next start play the first run, the one after it the second; the last one repeats.

        `waiting` is what those play, one after the other, that wait for a message; `auth` are facts of `auth status`.
        """
        script = {
            "runs": runs,
            "logged_in": logged_in,
            "auth": {**(auth or {})},
            "first_start": self._count("starts"),
            "waiting": waiting,
            "first_waiting": self._count("waiting"),
        }
        draft = self.folder / "script.json.new"
        draft.write_text(json.dumps(script), encoding="utf-8")
        draft.replace(self.folder / "script.json")

    def calls(self) -> list[Call]:
        """Return the records of all starts so far whose stdin is at its end, or which are over."""
        path = self.folder / "calls.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        records: list[Call] = [json.loads(line) for line in lines]
        return sorted(records, key=lambda call: call["start"])

    def touch(self, name: str) -> None:
        (self.folder / name).touch()

    def wait_for(self, name: str, timeout_s: float = LIMIT_S) -> None:
        """Wait until the fake has touched a gate file."""
        wait_until((self.folder / name).exists, timeout_s)

    def started(self) -> list[int]:
        """Return the ids of all processes of the fake that were started, dead ones too."""
        return [pid for pid, _ in self._pids("started.txt")]

    def spawned(self) -> list[int]:
        """Return the ids of all children that the fake left behind, dead ones too."""
        return [pid for pid, _ in self._pids("spawned.txt")]

    def end_all(self) -> None:
        """Kill what is left of the fake's processes and of their children."""
        for pid, start_time in (*self._pids("started.txt"), *self._pids("spawned.txt")):
            fields = _process_fields(pid)
            if fields and fields[0] != "Z" and fields[19] == start_time:  # not another process with its id
                kill(pid)

    def _pids(self, name: str) -> list[tuple[int, str]]:
        path = self.folder / name
        words = path.read_text().split() if path.exists() else []
        return list(zip(map(int, words[::2]), words[1::2], strict=True))

    def _count(self, name: str) -> int:
        starts = self.folder / name
        return starts.stat().st_size if starts.exists() else 0


def pytest_xdist_auto_num_workers() -> int:
    """Let `-n auto` be two workers a core: a test waits half of its time, for a disk, a timer or a process."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: workers then have small ones left to share at the end. Carry out `few`."""

    def place(item: pytest.Item) -> int:
        folder = item.path.parent.relative_to(TESTS).as_posix()
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)
    seen = Counter[str]()
    for item in items:
        if (few := item.get_closest_marker("few")) is not None:
            name = item.nodeid.partition("[")[0]
            seen[name] += 1
            if seen[name] > few.args[0]:
                item.add_marker(pytest.mark.exhaustive)


@pytest.fixture(autouse=True)
def _no_children_left() -> Iterator[None]:
    """Fail a test that leaves children of the test process behind, zombies too; they have LIMIT_S to go."""
    before = _children()
    yield
    deadline = time.monotonic() + LIMIT_S
    while left := _children() - before:
        if time.monotonic() > deadline:
            pytest.fail("left behind: " + ", ".join(f"{pid} ({_command(pid)})" for pid in sorted(left)))
        time.sleep(0.01)


@pytest.fixture
def fake_claude(tmp_path: Path) -> Iterator[FakeClaude]:
    folder = tmp_path / "fake"
    folder.mkdir()
    fake = FakeClaude(folder / "claude")
    write_program(fake.path, folder / "script.json")
    fake.script([])
    yield fake
    fake.end_all()


@pytest.fixture(scope="session")
def forkserver() -> Iterator[Forkserver]:
    server = Forkserver()
    yield server
    server.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """Yield an empty folder with mode 0700 and a path short enough for a unix socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="hh-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return all variables for a child: no HYPERHIVE_*, CLAUDE* or XDG_* of the person who runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    programs = Path(sys.executable).parent
    kept = {name: os.environ[name] for name in ("TMPDIR",) if name in os.environ}
    return {**kept, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "LANG": "C.UTF-8"}


def write_program(path: Path, script: Path) -> None:
    """Write the executable that knows its script, since the product filters its child's environment.

    No shell where it can be helped: it would add variables of its own to those that the fake reports.
    """
    body = (
        f"import sys\nsys.path.insert(0, {str(TESTS)!r})\n"
        f"import fake_claude\nfake_claude.main({str(script)!r}, sys.argv[1:])\n"
    )
    head = f"#!{sys.executable} -IS\n"
    if " " in sys.executable or len(head) > 120:  # a kernel's limits for such a line
        module = path.with_suffix(".py")
        module.write_text(body, encoding="utf-8")
        head, body = "#!/bin/sh\n", f"exec '{sys.executable}' -IS '{module}' \"$@\"\n"
    path.write_text(head + body, encoding="utf-8")
    path.chmod(stat.S_IRWXU)


def _process_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _children() -> set[int]:
    """Return the ids of the children of this process, whichever thread started them."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended by now
            found.update(map(int, path.read_text().split()))
    return found


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    return b" ".join(words).decode(errors="replace").strip() or "zombie"

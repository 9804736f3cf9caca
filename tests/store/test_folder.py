"""The state folder and the harness's lock, with holders that are processes of their own."""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import hyperhive_cli
from hyperhive_cli.core.errors import AgentConflictError, StoreError
from hyperhive_cli.store import folder
from hyperhive_cli.store.folder import hold_lock, lock_holder, prepare_state_dir, read_lock, silent_holder, who_holds
from hyperhive_cli.store.holder import Holder, HolderKind
from tests.conftest import process_state, wait_until

ROOT = Path(hyperhive_cli.__file__).resolve().parents[1]

HOLDER = """
import sys
from pathlib import Path
from hyperhive_cli.store.folder import hold_lock
with hold_lock(Path(sys.argv[1]), "other"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "harness.lock"


@contextmanager
def holder(lock: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Hold the lock in a child until the block ends."""
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child


def test_a_missing_folder_is_created_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        prepare_state_dir(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    made = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in made] == [0o700] * 3


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tmp_path.chmod(0o755)
    prepare_state_dir(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert (tmp_path / "file").exists()


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777, 0o1777])
def test_a_folder_where_others_may_write_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    with pytest.raises(StoreError, match="other users can write to the state folder") as caught:
        prepare_state_dir(state)
    assert caught.value.hint == f"chmod 700 {state}"
    state.chmod(0o700)
    prepare_state_dir(state)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 12_345, -1)
    with pytest.raises(StoreError, match="belongs to another user"):
        prepare_state_dir(state)


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        prepare_state_dir(tmp_path / "state")
    with pytest.raises(StoreError, match="cannot be used"):
        prepare_state_dir(tmp_path / "state" / "below")


@pytest.mark.parametrize("there", [True, False], ids=["to a folder", "to nothing"])
def test_a_link_in_its_place_is_refused(tmp_path: Path, there: bool) -> None:
    target = tmp_path / "target"
    if there:
        target.mkdir()
    (tmp_path / "state").symlink_to(target)
    with pytest.raises(StoreError, match=r"the state folder .* (is a link or a file|cannot be used)"):
        prepare_state_dir(tmp_path / "state")
    assert target.exists() == there


def test_a_second_holder_is_refused_and_told_the_pid_of_the_first(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LOCK_WAIT_S", 0.05)
    with holder(lock) as child:
        with pytest.raises(AgentConflictError) as caught, hold_lock(lock, "mine"):
            pass
        assert caught.value.message == f"a harness is already running for agent 'mine' (pid {child.pid})"
        assert caught.value.hint == "hyperhive -a mine status"
        assert lock_holder(lock) == child.pid  # its name was not overwritten


def test_a_lock_says_what_its_holder_does(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LOCK_WAIT_S", 0.05)
    with hold_lock(lock, "mine", "login"):
        entry = read_lock(lock)
        assert entry is not None
        assert entry[:2] == (os.getpid(), "login")
        assert who_holds(lock) == Holder(HolderKind.HARNESS, (os.getpid(),), doing="login")
        assert silent_holder(lock) is None  # no harness is to be waited for
        with (
            pytest.raises(AgentConflictError, match="a login is in progress for agent 'mine'"),
            hold_lock(lock, "mine"),
        ):
            pass
    assert read_lock(lock) is None
    with hold_lock(lock, "mine"):
        entry = read_lock(lock)
        assert entry is not None
        assert entry.doing is None


def test_a_second_holder_in_the_same_process_is_refused_too(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LOCK_WAIT_S", 0.05)
    with hold_lock(lock, "mine"):
        with pytest.raises(AgentConflictError, match=f"pid {os.getpid()}"), hold_lock(lock, "mine"):
            pass
        assert lock_holder(lock) == os.getpid()


def test_the_lock_is_free_when_its_holder_was_killed(lock: Path) -> None:
    with holder(lock) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert json.loads(lock.read_text())["pid"] == child.pid  # what is left does not count
        assert lock_holder(lock) is None
        with hold_lock(lock, "mine"):
            assert lock_holder(lock) == os.getpid()


def test_the_lock_is_free_after_the_block_whatever_ended_it(lock: Path) -> None:
    with hold_lock(lock, "mine"):
        pass
    assert (lock_holder(lock), lock.read_bytes()) == (None, b"")
    with pytest.raises(KeyboardInterrupt), hold_lock(lock, "mine"):
        raise KeyboardInterrupt
    assert lock_holder(lock) is None
    with hold_lock(lock, "mine"):
        pass


def test_a_holder_that_ends_shortly_is_waited_for(lock: Path) -> None:
    with holder(lock) as child:
        # The child's end takes a moment; the lock is asked for before it.
        child.send_signal(signal.SIGTERM)
        with hold_lock(lock, "mine"):
            assert lock_holder(lock) == os.getpid()


def test_nobody_holds_a_lock_that_was_never_taken_and_asking_creates_no_file(lock: Path) -> None:
    assert lock_holder(lock) is None
    assert not lock.exists()


def test_a_holder_that_did_not_say_who_it_is_is_still_a_holder(lock: Path) -> None:
    for content in ("", "nonsense", "[1]", '{"pid": null}'):
        with hold_lock(lock, "mine"):
            lock.write_text(content)
            assert lock_holder(lock) == 0


def test_asking_for_the_holder_disturbs_neither_the_holder_nor_the_next_one(lock: Path) -> None:
    over, answers = threading.Event(), set[int | None]()

    def ask() -> None:
        while not over.is_set():
            answers.add(lock_holder(lock))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(20):
            with hold_lock(lock, "mine"):
                assert json.loads(lock.read_text())["pid"] == os.getpid()
    finally:
        over.set()
        for asker in askers:
            asker.join()
    assert answers <= {None, 0, os.getpid()}


# --- who holds it really ---

HOLDS_BESIDE = """
import sys
sys.path.append(sys.argv[1])
from hyperhive_cli.claude import guard
if sys.argv[3] == "marked":
    guard.mark_as_holder(int(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def sharing(lock: int, how: str = "marked") -> "Iterator[subprocess.Popen[bytes]]":
    """Share a lock of this process with a child; `marked`: the child marks it as a guard does."""
    command = [sys.executable, "-c", HOLDS_BESIDE, str(ROOT), str(lock), how]
    with subprocess.Popen(command, pass_fds=[lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child


def take(lock: Path, named: object) -> int:
    """Take a lock as a harness does that then dies, if this descriptor is closed."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.pwrite(descriptor, json.dumps({"pid": named}).encode(), 0)
    return descriptor


@pytest.fixture
def dead() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


def test_a_harness_that_lives_is_its_holder_whoever_shares_the_lock(lock: Path) -> None:
    with hold_lock(lock, "mine") as descriptor, sharing(descriptor), sharing(descriptor):
        assert who_holds(lock) == Holder(HolderKind.HARNESS, (os.getpid(),))
    assert who_holds(lock) is None


def test_the_guards_of_a_dead_harness_are_its_holders_and_all_are_named(lock: Path, dead: int) -> None:
    descriptor = take(lock, dead)
    with sharing(descriptor) as one, sharing(descriptor) as two, sharing(descriptor) as three:
        os.close(descriptor)
        guards = sorted(child.pid for child in (one, two, three))
        assert who_holds(lock) == Holder(HolderKind.GUARDS, tuple(guards))
        assert f"guard (pid {', '.join(map(str, guards))}) holds" in who_holds(lock).words  # type: ignore[union-attr]
        two.send_signal(signal.SIGSTOP)
        wait_until(lambda: process_state(two.pid) == "T")
        held = who_holds(lock)
        assert held is not None
        assert (held.is_stopped, held.advice) == (True, f"kill -CONT {' '.join(map(str, guards))}")
        for child in (one, two, three):
            child.kill()
    assert who_holds(lock) is None


def test_a_guard_is_the_holder_when_the_number_of_its_harness_is_another_ones_by_now(lock: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        descriptor = take(lock, stranger.pid)
        with sharing(descriptor) as one:
            os.close(descriptor)
            assert who_holds(lock) == Holder(HolderKind.GUARDS, (one.pid,))
            one.kill()
        stranger.kill()


@pytest.mark.parametrize("named", ["dead", 0, -1, 2**70, "x", None])
def test_another_process_that_holds_it_is_found_by_its_open_files(lock: Path, dead: int, named: object) -> None:
    descriptor = take(lock, dead if named == "dead" else named)
    with sharing(descriptor, "unmarked") as one:
        os.close(descriptor)
        assert who_holds(lock) == Holder(HolderKind.OTHER, (one.pid,))
        one.kill()


def test_a_guard_that_sweeps_is_waited_for_and_one_that_is_stopped_is_not(
    lock: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LOCK_WAIT_S", 0.05)
    descriptor = take(lock, dead)
    with sharing(descriptor) as one:
        os.close(descriptor)
        one.send_signal(signal.SIGSTOP)
        wait_until(lambda: process_state(one.pid) == "T")
        with pytest.raises(AgentConflictError) as caught, hold_lock(lock, "mine"):
            pass
        assert caught.value.message == (
            f"agent 'mine' cannot start: the harness is gone; its guard (pid {one.pid}, stopped) holds the lock"
        )
        assert caught.value.hint == f"kill -CONT {one.pid}"
        one.send_signal(signal.SIGCONT)
        ending = threading.Timer(0.5, one.kill)
        ending.start()
        with hold_lock(lock, "mine"):
            assert lock_holder(lock) == os.getpid()
        ending.join()


# --- something else in its place ---


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize("make", [os.mkfifo, make_socket, Path.mkdir], ids=["a pipe", "a socket", "a folder"])
def test_what_is_no_regular_file_is_refused_at_once(lock: Path, make: Callable[[Path], None]) -> None:
    make(lock)
    with pytest.raises(StoreError, match=", not a file") as caught, hold_lock(lock, "mine"):
        pass
    assert caught.value.hint == f"mv {lock} {lock}.moved"
    assert (lock_holder(lock), who_holds(lock)) == (None, None)


def test_a_huge_file_in_its_place_is_a_lock_like_any_other(lock: Path) -> None:
    with lock.open("wb") as file:
        file.truncate(1 << 40)
    with hold_lock(lock, "mine"):
        assert lock_holder(lock) == os.getpid()
        lock.write_bytes(b"[" * 100_000)
        assert lock_holder(lock) == 0


def test_the_lock_file_is_private_and_no_link_is_followed(lock: Path, tmp_path: Path) -> None:
    with hold_lock(lock, "mine"):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path / "target")
    with pytest.raises(StoreError, match="symbolic link"), hold_lock(linked, "mine"):
        pass
    assert lock_holder(linked) is None
    assert not (tmp_path / "target").exists()

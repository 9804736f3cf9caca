"""State folders: permissions, the lock that admits one harness per folder, and the list of agents."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperhive_cli.core.errors import AgentConflictError, HyperhiveError, NotRunningError, StoreError, UsageError
from hyperhive_cli.core.files import NotAFileError, make_folder, open_file
from hyperhive_cli.core.settings import INBOX_NAME, AgentPaths, check_agent_name, paths_by_name

if TYPE_CHECKING:
    from hyperhive_cli.store.holder import Holder

LOCK_WAIT_S = 0.5  # a process that asks for the holder takes the lock for a moment
SWEEP_WAIT_S = 15.0  # the guard of a killed harness holds the lock until the processes of the turn are gone
LOCK_POLL_S = 0.02
NAME_BYTES = 4096  # of a lock file; ours are shorter


def prepare_state_dir(folder: Path) -> None:
    """Create the folder (0700) if it is missing; raises StoreError if other users could tamper with it."""
    try:
        make_folder(folder)
    except OSError as error:
        raise StoreError(f"the state folder {folder} cannot be used: {error.strerror}") from error
    check_state_dir(folder)


def check_state_dir(folder: Path) -> None:
    """Raise StoreError if the folder is missing, not writable, or other users could tamper with it."""
    try:
        found = folder.lstat()
    except OSError as error:
        raise StoreError(f"the state folder {folder} cannot be used: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        hint = f"--state-dir {folder.resolve()}" if folder.is_symlink() else "--state-dir DIR"
        raise StoreError(f"the state folder {folder} is a link or a file, not a folder", hint)
    if found.st_uid != os.getuid():
        raise StoreError(f"the state folder {folder} belongs to another user", "hyperhive --state-dir DIR …")
    if found.st_mode & 0o022:
        raise StoreError(f"other users can write to the state folder {folder}", f"chmod 700 {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"the state folder {folder} is not writable", f"chmod 700 {folder}, or --state-dir DIR")


@contextmanager
def hold_lock(path: Path, agent: str, doing: str | None = None) -> Iterator[int]:
    """Hold the harness's lock during the block; yields its descriptor. `doing` as in `LockEntry`.

    The kernel releases the lock when its last holder exits, so a stale lock is impossible. Guards are holders too:
    after a harness was killed, this waits until its guard has killed the leftovers. Raises AgentConflictError, which
    names the holder, and StoreError if the file cannot be opened or is not a regular one.
    """
    descriptor = _open_lock(path)
    try:
        _take(descriptor, path, agent)
        os.ftruncate(descriptor, 0)
        write_holder(descriptor, doing)
        yield descriptor
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    try:
        return open_file(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        hint = f"mv {path} {path}.moved" if isinstance(error, NotAFileError) else None
        raise StoreError(f"the lock {path} cannot be used: {error.strerror}", hint) from error


def write_holder(descriptor: int, doing: str | None = None) -> None:
    """Write this process into the lock file; on a full disk the lock holds without a name."""
    more = "" if doing is None else f', "doing": "{doing}"'
    with suppress(OSError):  # macOS has no namespaces
        more += f', "pid_namespace": "{Path("/proc/self/ns/pid").readlink()}"'
    with suppress(OSError):
        os.pwrite(descriptor, f'{{"pid": {os.getpid()}{more}}}'.encode(), 0)


def _take(descriptor: int, path: Path, agent: str) -> None:
    started = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited_s = time.monotonic() - started
            if waited_s > LOCK_WAIT_S:
                holder = _find_holder(path, descriptor)
                if holder.is_harness or holder.is_stopped or waited_s > SWEEP_WAIT_S:
                    raise _refusal(holder, agent) from None
            time.sleep(LOCK_POLL_S)
        else:
            return


def _refusal(holder: "Holder", agent: str) -> AgentConflictError:
    if holder.doing is not None:
        return AgentConflictError(
            f"a {holder.doing} is in progress for agent {agent!r} (pid {holder.pid})",
            f"finish it, or kill {holder.pid}",
        )
    if not holder.is_harness:
        return AgentConflictError(f"agent {agent!r} cannot start: {holder.words}", holder.advice)
    message = f"a harness is already running for agent {agent!r} (pid {holder.pid})"
    if holder.is_stopped:
        return AgentConflictError(f"{message}, but it is stopped", holder.advice)
    return AgentConflictError(message, f"hyperhive -a {agent} status")


class LockEntry(NamedTuple):
    """What the holder of a lock has written into it: its pid (0: nothing), its purpose, its PID namespace.

    `doing` is None for a harness, else its work, such as `login`.
    """

    pid: int = 0
    doing: str | None = None
    pid_namespace: str | None = None


def read_lock(path: Path) -> LockEntry | None:
    """Return the entry of a held lock, None if the lock is free."""
    with _open_if_held(path) as descriptor:
        return None if descriptor is None else _read_entry(descriptor)


def lock_holder(path: Path) -> int | None:
    """Return the pid in a held lock (0: none is written), None if the lock is free."""
    entry = read_lock(path)
    return None if entry is None else entry.pid


def is_held_by_harness(path: Path) -> bool:
    """Return True if a harness or its guards hold the lock."""
    entry = read_lock(path)
    return entry is not None and entry.doing is None


def who_holds(path: Path) -> "Holder | None":
    """Find the actual holder of a lock, None if it is free. For a harness that does not answer. Blocking."""
    with _open_if_held(path) as descriptor:
        return None if descriptor is None else _find_holder(path, descriptor)


def _find_holder(path: Path, descriptor: int) -> "Holder":
    from hyperhive_cli.store.holder import find_holder  # noqa: PLC0415 - most commands find the lock free: 1 ms

    return find_holder(path, descriptor, *_read_entry(descriptor)[:2])


def silent_holder(path: Path) -> "Holder | None":
    """Find the holder of a lock whose harness does not answer; None if no harness should answer. Blocking."""
    holder = who_holds(path)
    return None if holder is None or holder.doing is not None else holder


def no_answer(paths: AgentPaths) -> HyperhiveError:
    """Return the error for a harness that does not answer: there is none, or something holds its lock."""
    holder = silent_holder(paths.lock_file)
    return NotRunningError(paths.agent) if holder is None else HyperhiveError(holder.words, holder.advice)


@contextmanager
def _open_if_held(path: Path) -> Iterator[int | None]:
    try:
        descriptor = open_file(path)
    except OSError:
        yield None
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        yield descriptor
    else:
        yield None
    finally:
        os.close(descriptor)


def _read_entry(descriptor: int) -> LockEntry:
    import json  # noqa: PLC0415 - 7 ms that a command saves if the lock is free

    found: Any = None
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(os.pread(descriptor, NAME_BYTES, 0))
    pid, doing, namespace = map((found if isinstance(found, dict) else {}).get, ("pid", "doing", "pid_namespace"))
    namespace = namespace if isinstance(namespace, str) else None
    if not isinstance(pid, int) or pid <= 0:
        return LockEntry(pid_namespace=namespace)
    return LockEntry(pid, doing if isinstance(doing, str) and doing.isalpha() else None, namespace)


def find_agents(folder: Path) -> list[AgentPaths]:
    """Return the agents in a folder, sorted by name: every subfolder with a valid name and an accessible inbox.

    Raises HyperhiveError if the folder cannot be read.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if os.access(entry / INBOX_NAME, os.F_OK))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HyperhiveError(f"{folder} cannot be read: {error.strerror}") from error
    return [paths_by_name(entry.name, entry, os.environ) for entry in entries if _is_name(entry.name)]


def _is_name(name: str) -> bool:
    try:
        check_agent_name(name)
    except UsageError:
        return False
    return True


def is_gone(folder: str) -> bool:
    """Return True if a folder no longer exists; one that cannot be checked counts as existing."""
    try:
        return not Path(folder).is_dir()
    except OSError:
        return False


def bound_elsewhere(agent: str, bound: str, *, running: bool = False) -> AgentConflictError:
    """Return the error for an agent that is bound to another folder, with the possible ways out.

    `running`: the command was `run`, not one that only sends to or asks the agent.
    """
    own = """-a OTHER, or `agent = "OTHER"` in hyperhive.toml, for an agent of this folder"""
    if is_gone(bound):
        return AgentConflictError(
            f"agent {agent!r} is bound to {bound}, which no longer exists",
            f"hyperhive -a {agent} run --workspace NEW, if the folder was moved; {own}",
        )
    that = f"hyperhive run --workspace {bound}" if running else f"hyperhive -a {agent} …"
    return AgentConflictError(
        f"agent {agent!r} is bound to {bound}, not to this folder", f"{that} for that agent; {own}"
    )

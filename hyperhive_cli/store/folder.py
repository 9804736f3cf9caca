"""State folders: one harness a folder, by its lock, and nobody else's hands in it; and which agents have one."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperhive_cli.core.errors import AgentConflictError, HyperhiveError, NotRunningError, StoreError, UsageError
from hyperhive_cli.core.files import NotAFileError, make_folder, open_file
from hyperhive_cli.core.settings import INBOX_NAME, AgentPaths, check_agent_name, paths_by_name

if TYPE_CHECKING:
    from hyperhive_cli.store.holder import Holder

LOCK_WAIT_S = 0.5  # an asker for the holder takes the lock for a moment
SWEEP_WAIT_S = 15.0  # the guard of a harness that was killed holds it until its turn's processes are gone
LOCK_POLL_S = 0.02
NAME_BYTES = 4096  # of what the lock holds: more is not ours


def prepare_state_dir(folder: Path) -> None:
    """Create the folder (0700) where it is missing; raises StoreError for one that others could tamper with."""
    try:
        make_folder(folder)
    except OSError as error:
        raise StoreError(f"the state folder {folder} cannot be used: {error.strerror}") from error
    check_state_dir(folder)


def check_state_dir(folder: Path) -> None:
    """Raise StoreError for a folder that is missing, may not be written, or that others could tamper with."""
    try:
        found = folder.lstat()
    except OSError as error:
        raise StoreError(f"the state folder {folder} cannot be used: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"the state folder {folder} is no folder but a link or a file")
    if found.st_uid != os.getuid():
        raise StoreError(f"the state folder {folder} belongs to another user", "hyperhive --state-dir DIR …")
    if found.st_mode & 0o022:
        raise StoreError(f"others may write in the state folder {folder}", f"chmod 700 {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"the state folder {folder} may not be written", f"chmod 700 {folder}, or --state-dir DIR")


@contextmanager
def hold_lock(path: Path, agent: str, doing: str | None = None) -> Iterator[int]:
    """Hold the harness's lock during the block and give its descriptor; `doing`: as `lock_purpose`.

    The kernel frees it when its last holder dies, so that no stale lock can be left behind. A guard is such a
    holder: after a harness was killed, this waits until the guard has swept. Raises AgentConflictError, which
    names the holder, and StoreError where the file cannot be opened or is no regular one.
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
    """Write into a lock that this process has it; on a full disk it holds without a name."""
    more = "" if doing is None else f', "doing": "{doing}"'
    with suppress(OSError):  # macOS has no namespaces
        more += f', "pid_namespace": "{Path("/proc/self/ns/pid").readlink()}"'
    with suppress(OSError):
        os.pwrite(descriptor, f'{{"pid": {os.getpid()}{more}}}'.encode(), 0)


def _take(descriptor: int, path: Path, agent: str) -> None:
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited_s = time.monotonic() - began
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
            f"a {holder.doing} is under way for agent {agent!r} (pid {holder.pid})", f"finish it, or kill {holder.pid}"
        )
    if not holder.is_harness:
        return AgentConflictError(f"agent {agent!r} cannot start: {holder.words}", holder.advice)
    said = f"a harness runs for agent {agent!r} already (pid {holder.pid})"
    if holder.is_stopped:
        return AgentConflictError(f"{said}, and is stopped", holder.advice)
    return AgentConflictError(said, f"hyperhive -a {agent} status")


def lock_holder(path: Path) -> int | None:
    """Return the pid that a lock which is held names, None when it is free. 0: whoever holds it did not say who."""
    with _open_if_held(path) as descriptor:
        return None if descriptor is None else _read_name(descriptor)[0]


def is_held_by_harness(path: Path) -> bool:
    """Return whether a harness holds the lock, or its guards do."""
    with _open_if_held(path) as descriptor:
        return descriptor is not None and _read_name(descriptor)[1] is None


def lock_namespace(path: Path) -> str | None:
    """Return the namespace in which the pid that a held lock names is counted; None: not known."""
    with _open_if_held(path) as descriptor:
        found = {} if descriptor is None else _read_fields(descriptor)
    namespace = found.get("pid_namespace")
    return namespace if isinstance(namespace, str) else None


def who_holds(path: Path) -> "Holder | None":
    """Find out who really holds a lock, None when it is free: for a harness that does not answer. Blocking."""
    with _open_if_held(path) as descriptor:
        return None if descriptor is None else _find_holder(path, descriptor)


def _find_holder(path: Path, descriptor: int) -> "Holder":
    from hyperhive_cli.store.holder import find_holder  # noqa: PLC0415 - most commands find the lock free: 1 ms

    return find_holder(path, descriptor, *_read_name(descriptor))


def silent_holder(path: Path) -> "Holder | None":
    """Find out who holds a lock under which no harness answers; None where none is expected to. Blocking."""
    holder = who_holds(path)
    return None if holder is None or holder.doing is not None else holder


def no_answer(paths: AgentPaths) -> HyperhiveError:
    """Return the error for a harness that does not answer: there is none, or its lock is held all the same."""
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


def lock_purpose(path: Path) -> str | None:
    """Return what the holder of a lock does with it; None: it is a harness, or the lock is free."""
    with _open_if_held(path) as descriptor:
        return None if descriptor is None else _read_name(descriptor)[1]


def _read_name(descriptor: int) -> tuple[int, str | None]:
    """Read the pid that a lock names (0: none), and what that process does with it (None: it is a harness)."""
    found = _read_fields(descriptor)
    pid, doing = found.get("pid"), found.get("doing")
    if isinstance(pid, int) and pid > 0:
        return pid, doing if isinstance(doing, str) and doing.isalpha() else None
    return 0, None


def _read_fields(descriptor: int) -> dict[str, Any]:
    import json  # noqa: PLC0415 - most commands find the lock free and nothing to parse

    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(os.pread(descriptor, NAME_BYTES, 0))
        return found if isinstance(found, dict) else {}
    return {}


def find_agents(folder: Path) -> list[AgentPaths]:
    """Find the agents below a folder, by name: each has an inbox in a folder of its name, which is open to us.

    Raises HyperhiveError.
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

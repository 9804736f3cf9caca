"""State folders: one harness a folder, by its lock, and nobody else's hands in it; and which agents have one."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hyperhive_cli.errors import AgentConflictError, HyperhiveError, StoreError, UsageError
from hyperhive_cli.settings import INBOX_NAME, AgentPaths, check_agent_name, paths_by_name

LOCK_WAIT_S = 0.5  # an asker for the holder takes the lock for a moment
SWEEP_WAIT_S = 15.0  # the guard of a harness that was killed holds it until its turn's processes are gone
LOCK_POLL_S = 0.02


def prepare_state_dir(folder: Path) -> None:
    """Create the folder (0700) where it is missing; raises StoreError for one that others could tamper with."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
    """Hold the harness's lock during the block and give its descriptor; `doing`: as `lock_work`.

    The kernel frees it when its last holder dies, so that no stale lock can be left behind. A guard is such a
    holder: after a harness was killed, this waits until the guard has swept. Raises AgentConflictError, which
    names the holder, and StoreError where the file cannot be opened or is a link.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"the lock {path} cannot be used: {error.strerror}") from error
    try:
        _take(descriptor, path, agent)
        os.ftruncate(descriptor, 0)
        name_holder(descriptor, doing)
        yield descriptor
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def name_holder(descriptor: int, doing: str | None = None) -> None:
    """Write into a lock that this process has it; on a full disk it holds without a name."""
    more = "" if doing is None else f', "doing": "{doing}"'
    with suppress(OSError):
        os.pwrite(descriptor, f'{{"pid": {os.getpid()}{more}}}'.encode(), 0)


def _take(descriptor: int, path: Path, agent: str) -> None:
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read_holder(path)
            pid, doing = holder.get("pid"), holder.get("doing")
            if time.monotonic() - began > (SWEEP_WAIT_S if _is_dead(pid) else LOCK_WAIT_S):
                if doing is not None:
                    raise AgentConflictError(
                        f"a {doing} is under way for agent {agent!r} (pid {pid})", f"finish it, or kill {pid}"
                    ) from None
                raise AgentConflictError(
                    f"a harness runs for agent {agent!r} already (pid {pid})", f"hyperhive -a {agent} status"
                ) from None
            time.sleep(LOCK_POLL_S)
        else:
            return


def _is_dead(pid: object) -> bool:
    try:
        os.getpgid(pid if isinstance(pid, int) else 0)
    except ProcessLookupError:
        return True
    return False


def lock_holder(path: Path) -> int | None:
    """Give the pid of the harness that holds the lock, None when it is free. 0: it holds it and did not say who."""
    try:
        # NONBLOCK: a pipe in its place must hold up nobody.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(_read_holder(path).get("pid") or 0)
    else:
        return None
    finally:
        os.close(descriptor)


def lock_work(path: Path) -> str | None:
    """Return what the holder of a lock does with it; None: it is a harness. Only while `lock_holder` names one."""
    doing = _read_holder(path).get("doing")
    return None if doing is None else str(doing)


def _read_holder(path: Path) -> dict[str, Any]:
    import json  # noqa: PLC0415 - most commands find the lock free and nothing to parse

    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
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

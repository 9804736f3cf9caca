"""Whether a command runs in a turn of the agent that it controls: then the agent's harness has to allow it.

The harness learns from the kernel who asks. If it does not answer (it is stopped, slow, or its socket was moved), a
command that may run in such a turn is refused: it would write the agent's files itself.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from hyperhive_cli.control.client import GoneError, call
from hyperhive_cli.control.peer import ancestors, is_below, pid_namespace
from hyperhive_cli.core.errors import HyperhiveError, RefusedError
from hyperhive_cli.core.settings import ANSWER_LIMIT_S, TURN_VARIABLE, AgentPaths, default_agents_home, paths_by_name
from hyperhive_cli.store.folder import LockEntry, find_agents, is_held_by_harness, read_lock

ASK_AGAIN_S = 0.1


def check_may_steer(paths: AgentPaths) -> None:
    """Raise RefusedError if this may be a turn of the agent, and its harness does not allow it."""
    if not is_held_by_harness(paths.lock_file) or not _may_be_in_turn(paths) or _is_allowed(paths):
        return
    if is_held_by_harness(paths.lock_file):  # it has not exited meanwhile
        raise RefusedError(
            f"the harness of agent {paths.agent!r} does not answer, and this command may run in one of its turns",
            "try again when it answers, or from another shell",
        )


def _is_allowed(paths: AgentPaths) -> bool:
    """Ask the harness; raises RefusedError if it refuses. False: it does not answer."""
    deadline = time.monotonic() + ANSWER_LIMIT_S
    while True:
        try:
            call(paths.socket, "may_steer", limit_s=ANSWER_LIMIT_S)
        except GoneError:
            if time.monotonic() >= deadline or not is_held_by_harness(paths.lock_file):
                return False
            time.sleep(ASK_AGAIN_S)  # at its start it has the lock before the socket: another agent of a host
        else:
            return True


def check_may_steer_hive() -> None:
    """Raise RefusedError if this may be a turn of any agent of this machine whose harness does not allow it."""
    found = []
    for folder in sorted({folder for mark in _marks(os.getpid()) if (folder := Path(mark)).is_dir()}):
        with suppress(HyperhiveError):  # its name is not an agent's
            found.append(paths_by_name(folder.name, folder, os.environ))
    with suppress(HyperhiveError):  # there is no such folder, or it cannot be read
        found += find_agents(default_agents_home(os.environ))
    for paths in found:
        check_may_steer(paths)


def _may_be_in_turn(paths: AgentPaths) -> bool:
    """Return True unless it is certain that this is not a turn: by marks (a tool may delete them) and ancestors."""
    entry = read_lock(paths.lock_file) or LockEntry()
    if entry.pid_namespace not in {None, pid_namespace()}:
        return True  # neither sees the other's processes
    wanted = paths.state_dir.resolve()
    is_marked = any(Path(mark).resolve() == wanted for mark in _marks(os.getpid()))
    return is_marked or (entry.pid > 0 and is_below(entry.pid))


def _marks(pid: int) -> Iterator[str]:
    """Yield the state folder of each turn whose mark is in the environment of this process or an ancestor."""
    mark = os.environ.get(TURN_VARIABLE)
    if mark is not None:
        yield mark
    for above in ancestors(pid):
        mark = _environment_of(above).get(TURN_VARIABLE)
        if mark is not None:
            yield mark


def _environment_of(pid: int) -> Mapping[str, str]:
    """Return the environment with which a process was started; empty if we may not read it."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = (os.fsdecode(entry).partition("=") for entry in entries)
    return {name: value for name, _, value in pairs}

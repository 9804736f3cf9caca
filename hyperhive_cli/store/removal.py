"""Removing an agent's state folder, and giving it another name; never while its harness runs."""

import os
import shutil
from pathlib import Path

from hyperhive_cli.core.errors import RefusedError, StoreError, UnknownError
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.facts import stored_fact
from hyperhive_cli.store.folder import check_state_dir, hold_lock


def check_agent(paths: AgentPaths) -> None:
    """Raise UnknownError if no agent has this state folder, StoreError if it is a link or another user's."""
    if not os.path.lexists(paths.state_dir):
        raise UnknownError(f"there is no agent {paths.agent!r} in {paths.state_dir.parent}", "hyperhive agents")
    check_state_dir(paths.state_dir)
    if not any(os.path.lexists(file) for file in (paths.inbox_db, paths.lock_file, _events(paths))):
        raise UnknownError(f"{paths.state_dir} is not the state folder of an agent", "hyperhive agents")


def remove_agent(paths: AgentPaths) -> None:
    """Delete the state folder with all that is in it; links in it are deleted and not followed.

    Raises AgentConflictError while a harness runs, UnknownError and StoreError as `check_agent`, and StoreError if not
    all of it could be deleted: the rest then lies beside it, under another name.
    """
    check_agent(paths)
    doomed = paths.state_dir.with_name(f".{paths.agent}.removed-{os.getpid()}")
    with hold_lock(paths.lock_file, paths.agent):
        try:
            paths.state_dir.rename(doomed)  # first, so that nothing half removed looks like an agent
            shutil.rmtree(doomed)
        except OSError as error:
            where = doomed if doomed.exists() else paths.state_dir
            raise StoreError(f"{where} could not be removed completely: {error}", "remove the rest by hand") from error


def rename_agent(paths: AgentPaths, new: AgentPaths) -> None:
    """Return an agent's state folder another name; raises as `remove_agent`, and RefusedError if that is taken.

    RefusedError also for an agent of a hive: its messages are there, under its name.
    """
    check_agent(paths)
    with hold_lock(paths.lock_file, paths.agent):
        if paths.inbox_db.exists() and stored_fact(paths.inbox_db, "hive_origin"):
            raise RefusedError(f"agent {paths.agent!r} was in a hive, which knows it by its name")
        if os.path.lexists(new.state_dir):
            raise RefusedError(f"there is an agent {new.agent!r} already", "hyperhive agents")
        try:
            paths.state_dir.rename(new.state_dir)
        except OSError as error:
            raise StoreError(f"{paths.state_dir} could not be renamed: {error.strerror}") from error


def _events(paths: AgentPaths) -> Path:
    return paths.state_dir / paths.events_db.name

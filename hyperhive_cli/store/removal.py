"""Removing and renaming an agent's state folder, never while its harness runs."""

import os
import shutil

from hyperhive_cli.core.errors import RefusedError, StoreError, UnknownError
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.facts import stored_fact
from hyperhive_cli.store.folder import check_state_dir, hold_lock


def check_agent(paths: AgentPaths) -> None:
    """Raise UnknownError if no agent has this state folder, StoreError if it is a link or belongs to another user."""
    if not os.path.lexists(paths.state_dir):
        raise UnknownError(f"there is no agent {paths.agent!r} in {paths.state_dir.parent}", "hyperhive agents")
    check_state_dir(paths.state_dir)
    if not any(
        os.path.lexists(file) for file in (paths.inbox_db, paths.lock_file, paths.state_dir / paths.events_db.name)
    ):
        raise UnknownError(f"{paths.state_dir} is not the state folder of an agent", "hyperhive agents")


def remove_agent(paths: AgentPaths) -> None:
    """Delete the state folder with its content; links in it are deleted, not followed.

    Raises AgentConflictError while a harness runs, UnknownError and StoreError as `check_agent` does, and StoreError if
    something could not be deleted: the rest is then beside the old path under another name.
    """
    check_agent(paths)
    doomed = paths.state_dir.with_name(f".{paths.agent}.removed-{os.getpid()}")
    with hold_lock(paths.lock_file, paths.agent):
        try:
            paths.state_dir.rename(doomed)  # first, so that a half-removed folder does not look like an agent
            shutil.rmtree(doomed)
        except OSError as error:
            where = doomed if doomed.exists() else paths.state_dir
            raise StoreError(f"{where} could not be removed completely: {error}", "remove the rest by hand") from error


def rename_agent(paths: AgentPaths, new: AgentPaths) -> None:
    """Rename an agent's state folder; raises the errors of `remove_agent`, and RefusedError if the name is taken.

    Also raises RefusedError for an agent of a hive, which stores its messages under its name.
    """
    check_agent(paths)
    with hold_lock(paths.lock_file, paths.agent):
        if paths.inbox_db.exists() and stored_fact(paths.inbox_db, "hive_origin"):
            raise RefusedError(f"agent {paths.agent!r} has been in a hive, which knows it by this name")
        if os.path.lexists(new.state_dir):
            raise RefusedError(f"an agent {new.agent!r} already exists", "hyperhive agents")
        try:
            paths.state_dir.rename(new.state_dir)
        except OSError as error:
            raise StoreError(f"{paths.state_dir} could not be renamed: {error.strerror}") from error

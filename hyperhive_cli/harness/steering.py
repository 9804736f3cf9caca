"""What an operator asks of an agent: its harness does it, or, if none answers, its files tell the next one.

Commands, the console and the table of agents ask here.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.folder import prepare_state_dir, silent_holder

if TYPE_CHECKING:
    from hyperhive_cli.store.inbox import MessageTable

NOTHING_TO_RESUME = "nothing to resume: the agent is not paused or waiting"


class Steered(Protocol):
    """An agent: its files, and how its harness is asked."""

    @property
    def paths(self) -> AgentPaths:
        """Its files."""

    def ask(self, op: str, **arguments: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 - JSON values
        """Ask the harness; None if none answers, and the files may be changed instead."""


def pause(agent: Steered) -> str:
    """Start no turn until `resume`, also after a restart; say what came of it."""
    _tell_or_keep(agent, "pause", lambda inbox: inbox.pause(time.time()))
    return "paused"


def resume(agent: Steered) -> str:
    """End a pause or a wait, and say what came of it."""
    from hyperhive_cli.store.inbox import open_inbox  # noqa: PLC0415 - SQLite costs 11 ms

    reply = agent.ask("resume")
    if reply is not None:
        return "continuing" if reply["rested"] else NOTHING_TO_RESUME
    holder = silent_holder(agent.paths.lock_file)
    why = "no harness is running" if holder is None else f"{holder.words} (try: {holder.advice})"
    with open_inbox(agent.paths.inbox_db) as inbox:
        was_paused = inbox.is_paused
        if was_paused:
            inbox.end_pause()
    return f"no longer paused; {why}" if was_paused else f"{why}, and the agent is not paused"


def start_new_session(agent: Steered) -> str:
    """Have the next turn start a new conversation; say what came of it."""
    _tell_or_keep(agent, "new_session", lambda inbox: inbox.put_facts(skip_continue="1"))
    return "the next turn starts a new session"


def set_model(agent: Steered, name: str) -> bool:
    """Use this model, a checked name, from the next turn on; return False if no harness has told its readers."""
    from hyperhive_cli.store.model import write_model  # noqa: PLC0415 - if no harness runs

    if agent.ask("set_model", model=name) is not None:
        return True
    prepare_state_dir(agent.paths.state_dir)
    write_model(agent.paths.model_file, name)
    return False


def _tell_or_keep(agent: Steered, op: str, keep: "Callable[[MessageTable], None]") -> None:
    """Ask the harness; if none answers, store what it would have stored. Raises StoreError."""
    if agent.ask(op) is not None:
        return
    from hyperhive_cli.store.inbox import open_inbox  # noqa: PLC0415 - SQLite costs 11 ms

    prepare_state_dir(agent.paths.state_dir)
    with open_inbox(agent.paths.inbox_db) as inbox:
        keep(inbox)

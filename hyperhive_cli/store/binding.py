"""Which folder an agent is bound to: its messages run there, and in no other folder of the same name."""

from pathlib import Path

from hyperhive_cli.core.errors import AgentConflictError


def is_gone(folder: str) -> bool:
    """Return True if there is no such folder any more; one that may not be looked at counts as there."""
    try:
        return not Path(folder).is_dir()
    except OSError:
        return False


def bound_elsewhere(agent: str, bound: str, *, running: bool = False) -> AgentConflictError:
    """Return the error for an agent that is bound to another folder, with the ways out.

    `running`: it was to be run, and not only to be sent to or asked.
    """
    own = """-a OTHER, or `agent = "OTHER"` in hyperhive.toml, for an agent of this folder"""
    if is_gone(bound):
        return AgentConflictError(
            f"agent {agent!r} is bound to {bound}, which is not there any more",
            f"hyperhive -a {agent} run --workspace NEW, if it was moved; {own}",
        )
    that = f"hyperhive run --workspace {bound}" if running else f"hyperhive -a {agent} …"
    return AgentConflictError(
        f"agent {agent!r} is bound to {bound}, not to this folder", f"{that} for that agent; {own}"
    )

"""The workspace that an agent is bound to: its messages run there, not in another folder of the same name."""

from pathlib import Path

from hyperhive_cli.core.errors import AgentConflictError


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

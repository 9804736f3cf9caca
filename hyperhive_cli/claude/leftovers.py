"""Describes the processes that a turn left running, for a person who has to kill them."""

from collections.abc import Sequence
from pathlib import Path

from hyperhive_cli.claude.guard import is_alive

COMMAND_CHARS = 200
MAX_NAMED = 5


def stuck_words(pids: Sequence[int]) -> str | None:
    """Return a sentence about the processes that SIGKILL does not end; None if there are none."""
    named = _named(pids)
    return f"could not be killed and is left: {named}" if named else None


def denied_words(pids: Sequence[int]) -> str | None:
    """Return a sentence about the running processes that we may not kill; None if there are none."""
    named = _named([pid for pid in pids if is_alive(pid)])
    return f"still running, no permission to kill it: {named}" if named else None


def _named(pids: Sequence[int]) -> str:
    named = [_describe(pid) for pid in pids[:MAX_NAMED]]
    more = [f"and {len(pids) - MAX_NAMED} more"] if len(pids) > MAX_NAMED else []
    return "; ".join([*named, *more])


def _describe(pid: int) -> str:
    folder = Path(f"/proc/{pid}")
    try:
        status = dict(line.partition(":")[::2] for line in (folder / "status").read_text(errors="replace").splitlines())
        words = (folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"process {pid}"
    user = status.get("Uid", "").split()[1:2]  # the effective one
    command = b" ".join(words).decode(errors="replace").strip() or status.get("Name", "").strip()
    shown = command if len(command) <= COMMAND_CHARS else f"{command[:COMMAND_CHARS]}…"
    return f"process {pid}{f' (uid {user[0]})' if user else ''}{f': {shown}' if shown else ''}"

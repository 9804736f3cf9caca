"""claude's command line and environment. Pure.

The prompt is not part of it: as an argument it would show in `ps`, break when it begins with `-`, and
meet the size limit of an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Launch:
    """What every turn of an agent passes to claude; `command` is the program with its own first arguments."""

    command: tuple[str, ...]
    permission_mode: str | None = None
    skip_permissions: bool = False
    partial: bool = False
    extra: tuple[str, ...] = ()


def turn_argv(launch: Launch, *, model: str, session_id: str | None, newest: bool = False) -> list[str]:
    """Build the command line of one turn.

    `session_id` resumes that conversation; `newest` (only without one) continues the folder's newest. Free
    values go as `--flag=value`, so that none can become a flag of its own.
    """
    argv = [*launch.command, "--print", "--verbose", "--output-format", "stream-json", f"--model={model}"]
    if session_id is not None:
        argv.append(f"--resume={session_id}")
    elif newest:
        argv.append("--continue")
    if launch.permission_mode is not None:
        argv.append(f"--permission-mode={launch.permission_mode}")
    if launch.skip_permissions:
        argv.append("--dangerously-skip-permissions")
    if launch.partial:
        argv.append("--include-partial-messages")
    return [*argv, *launch.extra]


# What tells a claude that it runs inside another one; it would refuse, or attach to the outer session.
_NESTED_SESSION = {"CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_SSE_PORT"}


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of claude: ours, without our own variables and those of an outer claude."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("HYPERHIVE_") and name not in _NESTED_SESSION
    }


def check_extra(extra: Sequence[str]) -> str | None:
    """Name the first extra argument that only the harness may set; None: all may pass."""
    for argument in extra:
        flag = argument.split("=", 1)[0]
        short = argument[:2]  # -rID and -pc name a short flag as well
        if flag in _OURS or (short in _OURS and short != "--"):
            return flag
    return None


_OURS = {
    "-p", "--print", "--output-format", "--input-format", "--verbose", "-c", "--continue", "-r", "--resume",
    "--session-id", "--fork-session", "--model", "-h", "--help", "-v", "--version",
}  # fmt: skip

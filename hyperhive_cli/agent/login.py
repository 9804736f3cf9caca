"""Is claude logged in? Asked with `claude auth status`, which needs no network."""

import subprocess
from collections.abc import Mapping, Sequence

import trio

PROBE_LIMIT_S = 20.0  # the very first start of a new binary takes 5 s


async def is_logged_in(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Ask claude; True only when it says so. One that cannot be started, or hangs, is not logged in."""
    with trio.move_on_after(PROBE_LIMIT_S):
        try:
            done = await trio.run_process(
                [*command, "auth", "status"],
                stdin=b"",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
                env=dict(environment),
            )
        except OSError:
            return False
        return done.returncode == 0
    return False

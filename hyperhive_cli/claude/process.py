"""The process of one turn: started in a session of its own, ended by a ladder of signals, always reaped.

The one home of spawning and killing. claude answers SIGINT by stopping its tools and sending a last
`result`; SIGTERM leaves its tools behind as orphans. Each Bash tool runs in a session of its own, so that
killing claude's process group reaches claude and what it started directly, not every tool's children.
"""

import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

INTERRUPT_GRACE_S = 5.0  # from SIGINT to SIGTERM: claude needs about 0.2 s
TERMINATE_GRACE_S = 5.0  # from SIGTERM to SIGKILL
KILL_GRACE_S = 5.0  # for the kernel to end what was killed


class ClaudeProcess:
    """A running claude with its three pipes."""

    def __init__(self, process: trio.Process) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("a process with three pipes is needed")
        self.stdin = process.stdin
        self.stdout = process.stdout
        self.stderr = process.stderr
        self.pid = process.pid
        self._process = process

    @property
    def exit_status(self) -> int | None:
        """The exit status (negative: a signal), None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until claude itself has exited; what it left behind may still hold its pipes."""
        return await self._process.wait()

    async def feed(self, prompt: bytes) -> None:
        """Write the prompt and close stdin. One that stops reading is no error: its exit tells why."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.stdin.send_all(prompt)
        await self.stdin.aclose()

    async def stop(self) -> None:
        """Climb the ladder until claude has exited: SIGINT, SIGTERM, SIGKILL. At most about 15 s."""
        self._signal(signal.SIGINT)
        with trio.move_on_after(INTERRUPT_GRACE_S):
            await self.wait()
            return
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped process would keep SIGTERM pending
        with trio.move_on_after(TERMINATE_GRACE_S):
            await self.wait()
            return
        self.kill_group()
        with trio.move_on_after(KILL_GRACE_S):
            await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.exit_status is None:
            self._process.send_signal(number)

    def kill_group(self) -> None:
        """Kill what is left of claude's process group, itself included. Works after its exit too."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


@asynccontextmanager
async def open_claude(
    argv: Sequence[str], *, workspace: Path, environment: Mapping[str, str]
) -> AsyncIterator[ClaudeProcess]:
    """Start claude in the workspace; at the end of the block nothing of its process group is left.

    Raises OSError or ValueError when it cannot be started (missing, not executable, no such folder, a NUL in
    an argument). The cleanup is shielded and bounded by KILL_GRACE_S: SIGKILL cannot be refused, and a
    process stuck in the kernel is left to init.
    """
    process = ClaudeProcess(
        await trio.lowlevel.open_process(
            list(argv),
            stdin=-1,
            stdout=-1,
            stderr=-1,
            cwd=workspace,
            env=dict(environment),
            start_new_session=True,
        )
    )
    try:
        yield process
    finally:
        process.kill_group()
        with trio.move_on_after(KILL_GRACE_S, shield=True):
            await process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            await trio.aclose_forcefully(stream)

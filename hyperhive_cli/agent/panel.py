"""`Panel`: the web panel beside the harness, as a process of its own: no fault or flood of it touches a turn.

It runs behind a guard as claude does, so that it ends with the harness, however that ends. The address that it
prints holds its token, so that it is shown and never noted: notes are kept.
"""

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from hyperhive_cli.bus import Bus
from hyperhive_cli.claude.process import ClaudeProcess, open_claude

END_LIMIT_S = 3.0  # when the harness ends; it needs some 0.2 s
COMPLAINT_LIMIT_BYTES = 4096
LAST_WORD_LIMIT_S = 1.0  # for what is in its pipe still when it has ended
CHUNK_BYTES = 4096

Show = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PanelConfig:
    """What is run, and where: the arguments of `hyperhive` up to and with those of `web`."""

    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(repr=False)

    @property
    def command(self) -> list[str]:
        """The command: this very program, and nothing that lies in the folder where it runs (`-P`)."""
        return [sys.executable, "-P", "-m", "hyperhive_cli", *self.arguments, "--json"]


class Panel:
    """One life's panel; `pid` is its process, while there is one."""

    def __init__(self, bus: Bus) -> None:
        self.pid: int | None = None
        self._bus = bus
        self._complaint = bytearray()

    async def run(self, config: PanelConfig, show: Show) -> None:
        """Run it until it ends, which is said, or until cancelled; then nothing of it is left."""
        try:
            async with open_claude(config.command, workspace=config.folder, environment=config.environment) as process:
                self.pid = process.pid
                try:
                    await self._listen(process, show)
                finally:
                    self.pid = None
                    with trio.move_on_after(END_LIMIT_S, shield=True):
                        await process.stop()
        except (OSError, ValueError) as error:
            self._bus.note(f"the web panel cannot be started: {error}", "warning")

    async def _listen(self, process: ClaudeProcess, show: Show) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear, process.stdout, show)
            heard_all = trio.Event()
            nursery.start_soon(self._hear_complaints, process.stderr, heard_all)
            status = await process.wait()
            self.pid = None
            with trio.move_on_after(LAST_WORD_LIMIT_S):
                await heard_all.wait()
            lines = [line.strip() for line in self._complaint.decode(errors="replace").splitlines() if line.strip()]
            why = f": {' '.join(lines[-2:])}" if lines else ""
            self._bus.note(f"the web panel has ended with status {status}; the agent works on{why}", "warning")
            nursery.cancel_scope.cancel()

    async def _hear(self, stream: trio.abc.ReceiveStream, show: Show) -> None:
        """Read its one line, the address, and show it; what else it prints is dropped."""
        heard = bytearray()
        while chunk := await stream.receive_some(CHUNK_BYTES):
            if b"\n" in heard:
                continue
            heard += chunk
            if b"\n" in heard:
                await show(f"web panel: {json.loads(heard)['url']}")

    async def _hear_complaints(self, stream: trio.abc.ReceiveStream, heard_all: trio.Event) -> None:
        while chunk := await stream.receive_some(CHUNK_BYTES):
            self._complaint += chunk
            del self._complaint[:-COMPLAINT_LIMIT_BYTES]
        heard_all.set()


@asynccontextmanager
async def open_panel(config: PanelConfig | None, panel: Panel, show: Show) -> AsyncIterator[None]:
    """Run the panel, if there is to be one, during the block."""
    async with trio.open_nursery() as nursery:
        if config is not None:
            nursery.start_soon(panel.run, config, show)
        yield
        nursery.cancel_scope.cancel()

"""`Panel`: the web panel beside the harness, in a process of its own, so that no fault of it touches a turn.

It runs behind a guard as claude does, so that it ends with the harness in any case. One that exits by itself is
started again. Its token is in the state folder, so that an open page goes on with the next one. The address that it
prints holds the token, so it is shown but never noted: notes are stored.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import trio

from hyperhive_cli.claude.exchange import Tail, exchange, last_line
from hyperhive_cli.claude.process import open_claude
from hyperhive_cli.core.text import duration
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.harness.config import PanelConfig

END_LIMIT_S = 3.0  # when the harness stops; it needs about 0.2 s
LAST_OUTPUT_LIMIT_S = 1.0  # for what its pipes still hold when it has exited
FIRST_RETRY_S = 1.0  # until a panel that has exited is started again, doubling
MAX_DEATHS = 5  # in a row; after the last the panel is given up
GOOD_S = 60.0  # after this long, earlier deaths no longer count
NOTE_LIMIT_CHARS = 300

Show = Callable[[str], Awaitable[None]]


class Panel:
    """One life's panel. `pid` is its process while there is one."""

    def __init__(self, bus: Bus) -> None:
        self.pid: int | None = None
        self._bus = bus
        self._shown: str | None = None  # the address

    async def run(self, config: PanelConfig, show: Show) -> None:
        """Run it, again if it exits by itself, until it is given up or cancelled; then nothing of it is left."""
        deaths = 0
        while True:
            began = trio.current_time()
            how = await self._run_once(config, show)
            deaths = 1 if trio.current_time() - began > GOOD_S else deaths + 1
            if deaths >= MAX_DEATHS:
                break
            retry_s = FIRST_RETRY_S * float(1 << (deaths - 1))
            self._bus.note(
                f"the web panel {how}; the agent goes on, the panel restarts in {duration(retry_s)}", "warning"
            )
            await trio.sleep(retry_s)
        text = f"the web panel {how}; giving up after {deaths} times in a row, the agent goes on"
        self._bus.note(f"{text}. By hand: {config.by_hand}", "error")

    async def _run_once(self, config: PanelConfig, show: Show) -> str:
        """Run it until it exits; return how it exited."""
        complaint = Tail()

        async def show_once(address: str) -> None:
            if address != self._shown:
                self._shown = address
                await show(address)

        try:
            async with open_claude(config.command, workspace=config.folder, environment=config.environment) as process:
                self.pid = process.pid
                try:
                    async with trio.open_nursery() as nursery:
                        take = _address_to(show_once, nursery)
                        status = await exchange(process, b"", take, complaint.add, drain_s=LAST_OUTPUT_LIMIT_S)
                        nursery.cancel_scope.cancel()
                finally:
                    self.pid = None
                    with trio.move_on_after(END_LIMIT_S, shield=True):
                        await process.stop()
        except (OSError, ValueError) as error:
            return f"cannot be started: {error}"
        printed = _last_error(complaint.text)
        return f"exited with status {status}{f': {printed}' if printed else ''}"


def _address_to(show: Show, nursery: trio.Nursery) -> Callable[[bytes], None]:
    """Return a callback that shows the first line (the URL) and ignores the rest."""
    taken = bytearray()

    def take(chunk: bytes) -> None:
        if b"\n" in taken:
            return
        taken.extend(chunk)
        line, end, _ = taken.partition(b"\n")
        if end:
            with suppress(ValueError, LookupError, TypeError):  # no turn ends because of what it prints
                nursery.start_soon(show, f"web panel: {json.loads(line)['url']}")

    return take


def _last_error(complaint: str) -> str:
    """Return the last line of its stderr, with the error before it if that line is only the hint."""
    last = last_line(complaint)
    if last.startswith("Try: "):
        last = f"{last_line(complaint[: complaint.rindex(last)])} {last}"
    return last[:NOTE_LIMIT_CHARS]


@asynccontextmanager
async def open_panel(config: PanelConfig | None, panel: Panel, show: Show) -> AsyncIterator[None]:
    """Run the panel, if there should be one, during the block."""
    async with trio.open_nursery() as nursery:
        if config is not None:
            nursery.start_soon(panel.run, config, show)
        yield
        nursery.cancel_scope.cancel()

"""`Panel`: the web panel beside the harness, as a process of its own: no fault or flood of it touches a turn.

It runs behind a guard as claude does, so that it ends with the harness, however that ends; one that ends by itself is
started anew. All have one token, so that an open page goes on with the next one. They are given it on stdin, where no
other process sees it; the address that they print holds it, so that it is shown and never noted: notes are kept.
"""

import json
import secrets
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from hyperhive_cli.claude.exchange import Tail, exchange, last_line
from hyperhive_cli.claude.process import open_claude
from hyperhive_cli.core.settings import PANEL_TOKEN_BYTES
from hyperhive_cli.core.text import duration
from hyperhive_cli.feed.bus import Bus

END_LIMIT_S = 3.0  # when the harness ends; it needs some 0.2 s
LAST_WORD_LIMIT_S = 1.0  # for what is in its pipes still when it has ended
AGAIN_FIRST_S = 1.0  # until a panel that has ended is started anew, doubling
MOST_DEATHS = 5  # in a row; after the last it is given up
GOOD_S = 60.0  # the death of one that has lived so long is the first in its row
NOTE_LIMIT_CHARS = 300

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
        return [sys.executable, "-P", "-m", "hyperhive_cli", *self.arguments, "--json", "--token-stdin"]

    @property
    def by_hand(self) -> str:
        """The same, for a person to type."""
        return shlex.join(("hyperhive", *self.arguments))


class Panel:
    """One life's panel; `pid` is its process, while there is one."""

    def __init__(self, bus: Bus) -> None:
        self.pid: int | None = None
        self._bus = bus
        self._token = secrets.token_urlsafe(PANEL_TOKEN_BYTES)
        self._shown: str | None = None  # the address

    async def run(self, config: PanelConfig, show: Show) -> None:
        """Run it, anew where it ends by itself, until that is given up or cancelled; then nothing of it is left."""
        deaths = 0
        while True:
            began = trio.current_time()
            how = await self._live(config, show)
            deaths = 1 if trio.current_time() - began > GOOD_S else deaths + 1
            if deaths >= MOST_DEATHS:
                break
            again_s = AGAIN_FIRST_S * float(1 << (deaths - 1))
            self._bus.note(
                f"the web panel {how}; the agent works on, a new one comes in {duration(again_s)}", "warning"
            )
            await trio.sleep(again_s)
        text = f"the web panel {how}; it is given up after {deaths} times in a row, the agent works on"
        self._bus.note(f"{text}. By hand: {config.by_hand}", "error")

    async def _live(self, config: PanelConfig, show: Show) -> str:
        """Run it to its end, and say how that came."""
        complaint, words = Tail(), f"{self._token}\n".encode()

        async def show_once(address: str) -> None:
            if address != self._shown:
                self._shown = address
                await show(address)

        try:
            async with open_claude(config.command, workspace=config.folder, environment=config.environment) as process:
                self.pid = process.pid
                try:
                    async with trio.open_nursery() as nursery:
                        hear = _address_to(show_once, nursery)
                        status = await exchange(process, words, hear, complaint.add, drain_s=LAST_WORD_LIMIT_S)
                        nursery.cancel_scope.cancel()
                finally:
                    self.pid = None
                    with trio.move_on_after(END_LIMIT_S, shield=True):
                        await process.stop()
        except (OSError, ValueError) as error:
            return f"cannot be started: {error}"
        said = _last_words(complaint.text)
        return f"has ended with status {status}{f': {said}' if said else ''}"


def _address_to(show: Show, nursery: trio.Nursery) -> Callable[[bytes], None]:
    """Give what hears its one line, the address, and has it shown; what else it prints is dropped."""
    heard = bytearray()

    def hear(chunk: bytes) -> None:
        if b"\n" in heard:
            return
        heard.extend(chunk)
        line, end, _ = heard.partition(b"\n")
        if end:
            with suppress(ValueError, LookupError, TypeError):  # whatever it says, no turn ends for it
                nursery.start_soon(show, f"web panel: {json.loads(line)['url']}")

    return hear


def _last_words(complaint: str) -> str:
    """Give the last line of its stderr, and the error before it where that line is only the hint."""
    last = last_line(complaint)
    if last.startswith("Try: "):
        last = f"{last_line(complaint[: complaint.rindex(last)])} {last}"
    return last[:NOTE_LIMIT_CHARS]


@asynccontextmanager
async def open_panel(config: PanelConfig | None, panel: Panel, show: Show) -> AsyncIterator[None]:
    """Run the panel, if there is to be one, during the block."""
    async with trio.open_nursery() as nursery:
        if config is not None:
            nursery.start_soon(panel.run, config, show)
        yield
        nursery.cancel_scope.cancel()

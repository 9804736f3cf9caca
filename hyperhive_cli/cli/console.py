"""The live console of `run` and `attach`: its terminal, its history, and what it does for the person who types."""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hyperhive_cli.cli import slash
from hyperhive_cli.cli.invocation import is_plain
from hyperhive_cli.cli.pager import page
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.files import open_file, read_file
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.harness.client import LocalClient
from hyperhive_cli.harness.live_console import LiveConsole
from hyperhive_cli.harness.signals import SAME_WISH_S, interrupt, on_resize
from hyperhive_cli.render.console.plain import PlainScreen
from hyperhive_cli.render.console.remarks import failure, remark
from hyperhive_cli.render.console.screen import Screen
from hyperhive_cli.render.console.terminal import Terminal
from hyperhive_cli.render.console.typing import Act, Asked
from hyperhive_cli.render.layout import Layout
from hyperhive_cli.render.output import is_terminal
from hyperhive_cli.transcript.status_fields import ASKED

if TYPE_CHECKING:
    from hyperhive_cli.doctor.findings import Finding

HISTORY_NAME = "console-history"
HISTORY_ENTRIES, HISTORY_BYTES = 500, 4 * 1024 * 1024
LIVE_FIELDS = ("status", "state", "since_unix", "why", "waits_until")  # of an agent whose harness is not followed
PLAIN_KEYS = "type a message, or /help for commands; output waits while you type"
ENTRY_CHARS = 10_000  # a longer text is not kept


def can_type(file: TextIO) -> bool:
    """Return True if keys can be read: stdin and this output are terminals."""
    return sys.stdin is not None and sys.stdin.isatty() and file.isatty()


class ConsoleActions:
    """Does what a console asks for, in threads of its own: nothing that is slow holds up a key."""

    def __init__(self, agent: slash.Agent, *, told: Sequence[str] = ()) -> None:
        self._agent = agent
        self._told = (*ASKED, "unread", *told)
        self.console: LiveConsole | None = None  # until it is made
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_refreshing = False
        self._stopped_s: float | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def commands(self) -> Sequence[tuple[str, str]]:
        """Return each `/command` with its arguments, and what it does."""
        return slash.listed()

    def history(self) -> list[str]:
        """Return what was sent from earlier consoles of this agent, oldest first."""
        try:
            lines = read_file(self._file, HISTORY_BYTES).splitlines()[-HISTORY_ENTRIES:]
            return [entry for line in lines if isinstance(entry := json.loads(line), str)]
        except (OSError, ValueError):  # none yet, or not ours any more: a console works without
            return []

    def act(self, asked: Asked) -> None:
        """Do what was asked for; called from the console's loop."""
        console = self.console
        if console is None:
            return
        match asked.act:
            case Act.SEND:
                self._keep(asked.text)
                self._do(console, partial(slash.send, self._agent, asked.text))
            case Act.COMMAND:
                self._keep(asked.text)
                self._command(console, asked.text)
            case Act.CODE:
                self._do(console, partial(slash.enter_code, self._agent, asked.text))
            case Act.INTERRUPT:
                self._do(console, partial(slash.interrupt, self._agent, asked.text))
            case Act.STOP:
                self._stop()
            case Act.LEAVE:
                console.close()
            case Act.KEYS:
                self._do(console, partial(slash.keys, self._agent, ""))

    def _stop(self) -> None:
        """Interrupt this process; a later time it ends immediately, but signals within SAME_WISH_S count as one."""
        now = time.monotonic()
        self._stopped_s = now if self._stopped_s is None else self._stopped_s
        wait_s = 0.0 if self._stopped_s == now else self._stopped_s + 1.1 * SAME_WISH_S - now
        timer = threading.Timer(max(0.0, wait_s), interrupt)
        timer.daemon = True
        timer.start()

    def refresh(self) -> None:
        """Find out what no event says; once at a time."""
        if not self._is_refreshing and self.console is not None:
            self._is_refreshing = True
            self._jobs.put(partial(self._look, self.console))

    def show_whole(self, text: str) -> None:
        """Show a text in $PAGER."""
        page([text])

    def end(self) -> None:
        """Do what was asked for so far, and nothing more."""
        self._jobs.put(None)

    def _look(self, console: LiveConsole) -> None:
        try:
            with suppress(HyperhiveError), self._agent.opened() as client:
                found = client.status()
                console.update(**{name: found[name] for name in self._told})
        finally:
            self._is_refreshing = False

    def _command(self, console: LiveConsole, line: str) -> None:
        name, _, words = line[1:].partition(" ")
        command = slash.COMMANDS.get(name)
        if command is None:
            console.say(failure(f"unknown command: /{name}", f"{slash.nearest(name)}; //{name} sends it as text"))
            return
        self._do(console, partial(command.run, self._agent, words.strip()), is_long=command.is_long, name=name)

    def _do(
        self, console: LiveConsole, run: Callable[[], slash.Said], *, is_long: bool = False, name: str = ""
    ) -> None:
        job = partial(self._run, console, run, name)
        if is_long:
            threading.Thread(target=job, daemon=True).start()
        else:
            self._jobs.put(job)

    def _run(self, console: LiveConsole, run: Callable[[], slash.Said], name: str) -> None:
        if name == "login":
            console.take_code(wanted=True)
        try:
            for said in run():
                if isinstance(said, str):
                    console.page(said)
                else:
                    console.say(said)
        except HyperhiveError as error:
            console.say(failure(error.message, error.hint))
        except OSError as error:
            console.say(failure(error.strerror or str(error)))
        finally:
            if name == "login":
                console.take_code(wanted=False)
        self.refresh()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    @property
    def _file(self) -> Path:
        return self._agent.paths.state_dir / HISTORY_NAME

    def _keep(self, text: str) -> None:
        if len(text) <= ENTRY_CHARS:
            self._jobs.put(partial(self._append, json.dumps(text).encode() + b"\n"))

    def _append(self, line: bytes) -> None:
        with suppress(OSError):
            descriptor = open_file(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)


def agent_of(
    paths: AgentPaths, hive: str | None, examine: "Callable[[], Sequence[Finding]] | None" = None
) -> slash.Agent:
    """Return the agent of a console: its inbox is in the hive, if it is in one. `examine` is `hyperhive doctor`."""
    local, plain = LocalClient(paths), is_plain() or not is_terminal(sys.stdout)
    if hive is None:
        return slash.Agent(paths, local, lambda: local, examine, plain)
    from hyperhive_cli.hive.client import HiveClient  # noqa: PLC0415 - for those in a hive

    return slash.Agent(paths, local, lambda: HiveClient(hive, paths.agent), examine, plain, is_in_hive=True)


def make_console(
    agent: slash.Agent,
    snapshot: Mapping[str, Any],
    file: TextIO,
    *,
    told: Sequence[str] = (),
    first_lines: Sequence[str] = (),
) -> LiveConsole:
    """Return the console of an agent on the terminal behind `file`; raises OSError if that cannot be opened.

    `told`: fields that it looks up now and then, beside those that no event carries. `first_lines` are printed first.
    """
    terminal, layout = Terminal(file.fileno()), Layout("/show")
    actions = ConsoleActions(agent, told=told)
    if agent.is_plain:
        console = LiveConsole(PlainScreen(snapshot, file, echoes=terminal.echoes, layout=layout), terminal, actions)
        facts = ", ".join(filter(None, (snapshot["agent"], snapshot["model"], snapshot["permission_mode"])))
        first_lines = [*(first_lines or [facts]), PLAIN_KEYS]
    else:
        screen = Screen(snapshot, file, styled=True, live=True, plain=False, layout=layout)
        console = LiveConsole(screen, terminal, actions)
    actions.console = console
    console.say(*map(remark, first_lines))
    on_resize(console.wake)
    return console

"""`Prewarmer`: starts the next claude while the agent is idle, to wait for its message on stdin.

At most one claude waits. Only a turn with the same command line uses it. It is discarded, with everything it has
started, as soon as another one is wanted, or none, and if the machine has slept for too long meanwhile. What it writes
stays in its pipes for the turn that uses it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import trio

from hyperhive_cli.agent.backoff import backoff_s
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import credentials_changed
from hyperhive_cli.claude import guard
from hyperhive_cli.claude.files import has_kept_jobs
from hyperhive_cli.claude.process import ClaudeProcess, open_claude
from hyperhive_cli.claude.runner import OpenClaude

USE_WITHIN_S = 600.0  # an unused one is discarded then, and no other started until a turn has run
POLL_EVERY_S = 5.0  # for a sleep of the machine, in which trio's clock stands still


@dataclass(frozen=True, slots=True)
class _Waiting:
    argv: Sequence[str]
    process: ClaudeProcess
    closing: AsyncExitStack
    since_unix: int
    since: float  # by the clock that also counts while the machine sleeps

    @property
    def is_stale(self) -> bool:
        """Whether it has waited for too long, the sleep of the machine included."""
        # It would use what it read at its start: a login that was renewed since, connections that have ended.
        return guard.steady_s() - self.since > USE_WITHIN_S + POLL_EVERY_S


class Prewarmer:
    """Keeps the claude that waits, if any. `run` does the work; the other methods return immediately."""

    def __init__(self, config: AgentConfig, now_ms: Callable[[], int]) -> None:
        self._config = config
        self._now_ms = now_ms
        self._wanted: Sequence[str] | None = None
        self._waiting: _Waiting | None = None
        self._keeping = trio.CancelScope()
        self._wake_event = trio.Event()
        self._is_off = False  # one has waited for too long, and no turn has run since
        self._deaths = 0  # in a row, while waiting
        self._not_before = -math.inf

    def want(self, argv: Sequence[str] | None) -> None:
        """Set the command line that the next turn would use; with None no claude waits."""
        if argv is not None and has_kept_jobs(self._config.workspace):  # it would run them while it waits
            argv = None
        if argv != self._wanted:
            self._wanted, self._waiting = argv, None
            self._keeping.cancel()
            self._wake_event.set()

    def take(self, argv: Sequence[str] | None) -> OpenClaude | None:
        """Return the claude that waits with this command line, for the caller to close; discard any other."""
        waiting = self._waiting
        opened = None
        is_sound = waiting is not None and not waiting.is_stale and not has_kept_jobs(self._config.workspace)
        if waiting is not None and is_sound and waiting.argv == argv and waiting.process.exit_status is None:
            opened = OpenClaude(waiting.process, waiting.closing.pop_all())
            self._deaths = 0
        self._is_off = False
        self.want(None)
        return opened

    def detail(self) -> Mapping[str, Any] | None:
        """Return the `prewarmed` field of `status --json`; None if none waits. Reads a file or two of /proc."""
        waiting = self._waiting
        if waiting is None:
            return None
        process = waiting.process
        return {"pid": process.pid, "since": waiting.since_unix, "rss_bytes": process.memory_bytes()}

    def freeze(self) -> None:
        """Stop the processes of the claude that waits."""
        if self._waiting is not None:
            self._waiting.process.freeze()

    def thaw(self) -> None:
        """Continue them."""
        if self._waiting is not None:
            self._waiting.process.thaw()

    async def run(self) -> None:
        """Keep a claude waiting whenever one is wanted, until cancelled; then it is discarded."""
        while True:
            self._wake_event = trio.Event()
            argv = None if self._is_off else self._wanted
            due = math.inf if argv is None else self._not_before
            if argv is not None and due <= trio.current_time():
                with trio.CancelScope() as self._keeping:
                    await self._keep(argv)
            else:
                with trio.move_on_at(due):
                    await self._wake_event.wait()

    async def _keep(self, argv: Sequence[str]) -> None:
        """Start one, and keep it until it is taken, has exited, is no longer wanted, or is too old."""
        config = self._config
        try:
            async with AsyncExitStack() as closing:
                opening = open_claude(
                    argv, workspace=config.workspace, environment=config.environment, kept=config.kept
                )
                process = await closing.enter_async_context(opening)
                await trio.lowlevel.checkpoint_if_cancelled()  # it may have become unwanted while it started
                self._waiting = _Waiting(argv, process, closing, self._now_ms() // 1000, guard.steady_s())
                try:
                    await self._watch(self._waiting)
                finally:
                    self._waiting = None
        except (OSError, ValueError):  # the turn, which cannot start one either, reports it
            self._count_death()

    async def _watch(self, waiting: _Waiting) -> None:
        with trio.move_on_after(USE_WITHIN_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_login, nursery.cancel_scope)
                nursery.start_soon(_watch_age, waiting, nursery.cancel_scope)
                await waiting.process.wait()
                self._count_death()
                nursery.cancel_scope.cancel()
            return
        self._is_off = True

    async def _watch_login(self, watching: trio.CancelScope) -> None:
        """End the wait when the credentials change: claude may have read the old ones already."""
        await credentials_changed(self._config.environment)
        watching.cancel()

    def _count_death(self) -> None:
        """Delay the next start: a claude that keeps dying must not keep the machine busy."""
        self._deaths += 1
        self._not_before = trio.current_time() + backoff_s(self._deaths, jitter=0.0)


async def _watch_age(waiting: _Waiting, watching: trio.CancelScope) -> None:
    """End the wait of one that is stale; the next one may start immediately."""
    while not waiting.is_stale:  # noqa: ASYNC110 - no event tells of a sleep
        await trio.sleep(POLL_EVERY_S)
    watching.cancel()

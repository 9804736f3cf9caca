"""`WaitKeeper`: starts and ends the agent's waits, shows them, and keeps a limit over restarts."""

import math
import random
from contextlib import suppress

import trio

from hyperhive_cli.agent.backoff import Delay
from hyperhive_cli.agent.compactor import Compactor
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import Signature, credentials_changed, credentials_signature
from hyperhive_cli.agent.kept_limit import KeptLimit, forget_limit, keep_limit, read_limit
from hyperhive_cli.agent.retrying_writer import RetryingWriter
from hyperhive_cli.agent.scheduler import Now, State
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.outcomes import NextStep, Outcome
from hyperhive_cli.core.status import Status
from hyperhive_cli.core.text import duration
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox


class WaitKeeper:
    """The waits of one life. `State.wait` is the one under way, if any."""

    def __init__(
        self, config: AgentConfig, state: State, inbox: Inbox, bus: Bus, writer: RetryingWriter, compactor: Compactor
    ) -> None:
        self._state = state
        self._environment = config.environment
        self._inbox = inbox
        self._bus = bus
        self._writer = writer
        self._compactor = compactor
        self._credentials: Signature | None = None  # at the start of a wait that a login ends

    def now(self) -> Now:
        """Return the moment on both clocks."""
        return Now(trio.current_time(), self._bus.now_ms() / 1000)

    def begin(self, delay: Delay, model: str | None = None) -> None:
        """Start a wait and show it. Choosing another model than `model`, if given, ends it too."""
        now = self.now()
        wait = self._state.begin_wait(delay, now, model)
        self._credentials = credentials_signature(self._environment) if wait.ends_with_login else None
        ends = math.isfinite(delay.seconds)
        if not ends:
            self._compactor.close()
        self._bus.current.know(wait=wait.to_wait(now))
        when = f"; continues in {duration(delay.seconds)}" if ends else ""
        self._bus.note(f"{delay.reason}{when}", "warning")

    def finish(self) -> None:
        """End the wait, and forget a limit that was kept."""
        self._state.wait = None
        self._bus.current.know(wait=None)
        self._writer.try_once(lambda: forget_limit(self._inbox))

    def begin_after(self, outcome: Outcome, model: str) -> None:
        """Start the wait that the outcome of a turn with this model asks for, if any."""
        jitter = random.random()  # noqa: S311 - jitter, not a secret
        now = self.now()
        delay = self._state.backoff.after(outcome, now=now.clock, now_unix=now.unix, jitter=jitter)
        if delay is None:
            return
        step = outcome.meaning.next
        ends_with_model = step is NextStep.WAIT_FOR_MODEL or outcome.of_model
        self.begin(delay, model if ends_with_model else None)
        if step is NextStep.WAIT_FOR_RESET and outcome.resets_at is not None:
            now_ms = self._bus.now_ms()
            limit = KeptLimit(now_ms // 1000, round(now_ms / 1000 + delay.seconds), model if ends_with_model else None)
            self._writer.try_once(lambda: keep_limit(self._inbox, limit))

    def begin_for_account(self, reason: str, until_unix: int | None) -> bool:
        """Wait as another agent of the account does, until then (None: until it says so). Return True if this began."""
        seconds = math.inf if until_unix is None else until_unix - self._bus.now_ms() / 1000
        if self._state.wait is not None or seconds <= 0:  # a limit that is over may not have been withdrawn yet
            return False
        self.begin(Delay(seconds, Status.WAITS_FOR_ACCOUNT, reason, until_unix=until_unix, why=reason))
        return True

    def take_up_limit(self) -> None:
        """Wait on for a limit that an earlier life has met."""
        with suppress(StoreError):
            now_unix = self._bus.now_ms() / 1000
            limit = read_limit(self._inbox, now_unix)
            if limit is not None and limit.model in {None, self._bus.current.refresh_model()}:
                reason, seconds = "rate limited, since an earlier start", limit.until - now_unix
                self.begin(Delay(seconds, Status.RATE_LIMITED, reason, until_unix=limit.until), limit.model)

    async def watch_login(self) -> None:
        """Return once claude's credentials have changed since the wait started; a login is looked for next."""
        self._credentials = await credentials_changed(self._environment, self._credentials)
        if self._state.wait is not None:
            self._state.wait.probe_at = -math.inf

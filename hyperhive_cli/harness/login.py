"""`LoginService`: logging in and out under a harness. claude's own commands run between two turns.

A login outlives the client that started it for a while, so that another one can take it over. A client that starts a
login while one is under way joins it.
"""

from typing import Any

import trio

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.control import AgentControl
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.harness.login_session import Login, log_in, log_out


class LoginService:
    """Holds the newest login, and runs the one under way. `serve` does the work."""

    def __init__(self, config: AgentConfig, control: AgentControl) -> None:
        self.login: Login | None = None
        self._config = config
        self._control = control
        self._wake_event = trio.Event()

    def detail(self) -> dict[str, Any] | None:
        """Return the newest login's fields, None before the first one."""
        return None if self.login is None else self.login.to_dict()

    def start(self) -> None:
        """Start a login, or join the one under way; raises RefusedError while a turn runs."""
        if self._current() is None:
            self._control.begin_login()
            self.login = Login()
            self._wake_event.set()

    async def follow(self) -> None:
        """Count a client of the login under way until it is over; cancelled when the client disconnects."""
        if (login := self._current()) is not None:
            with login.followed():
                await login.over.wait()

    def pass_on(self, code: str) -> None:
        """Pass the code to claude; raises RefusedError if no login waits for one, UsageError for an invalid one."""
        self.under_way().enter(code)

    async def cancel(self) -> None:
        """Stop the login under way and wait for its end; raises RefusedError if there is none."""
        login = self.under_way()
        login.stop("the login was cancelled")
        await login.over.wait()

    async def log_out(self) -> Login:
        """Log claude out, and return how it went; raises RefusedError while a turn or a login runs."""
        if self._current() is not None:
            raise RefusedError("a login is under way", "hyperhive login --cancel")
        self._control.begin_login(shown=False)
        is_gone = False
        try:
            logout = Login()
            is_gone = await log_out(self._config, logout)
            return logout
        finally:
            self._control.end_login(ok=False, lost=is_gone)

    async def serve(self) -> None:
        """Run each login that is started, until cancelled; a login that is under way then is stopped with it."""
        while True:
            await self._wake_event.wait()
            self._wake_event = trio.Event()
            if (login := self._current()) is not None:
                try:
                    await log_in(self._config, login)
                finally:
                    if login.ok is None:
                        login.finish(ok=False, note="the harness stopped")
                    self._control.end_login(ok=login.ok is True)

    def _current(self) -> Login | None:
        return self.login if self.login is not None and self.login.ok is None else None

    def under_way(self) -> Login:
        """Return the login under way; raises RefusedError if there is none."""
        login = self._current()
        if login is None:
            raise RefusedError("no login is under way", "hyperhive login")
        return login

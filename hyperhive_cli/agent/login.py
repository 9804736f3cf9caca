"""Logging in and out under the harness: `claude auth login` is run between two turns and talked with from outside.

A login survives the command that began it; who asks again joins it. The code goes to claude's stdin and nowhere
else. claude (both releases) waits for ever when its stdin ends or a code is incomplete, since a browser may still
answer; a login that nobody finishes is ended here.
"""

import codecs
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import is_logged_in
from hyperhive_cli.agent.loop import AgentLoop
from hyperhive_cli.claude.process import ClaudeProcess, open_claude
from hyperhive_cli.claude.talk import Hear, last_line, talk
from hyperhive_cli.errors import RefusedError, UsageError

LOGIN_LIMIT_S = 900.0
LOGOUT_LIMIT_S = 30.0  # it asks the service to revoke the login, and goes on without an answer
OUTPUT_LIMIT_CHARS = 64 * 1024
COMPLAINT_LIMIT_CHARS = 1000
CODE_LIMIT_CHARS = 4096
# A browser that claude opened would be a process of the harness, and be swept with the login.
NO_BROWSER = {"BROWSER": "true"}

_URL = re.compile(r"https?://[!-~]+(?=\s)")  # a whole one: what follows it is there


class Login:
    """One run of `claude auth login` or `logout`: what it said so far, and how it ended."""

    def __init__(self) -> None:
        self.output = ""
        self.complaint = ""  # its stderr alone
        self.ok: bool | None = None  # None: under way
        self.note: str | None = None  # why it is not ok
        self.over = trio.Event()
        self.ending = trio.Event()  # somebody asked for its end
        self.codes, self.passed_on = trio.open_memory_channel[str](8)

    def hear(self, text: str, is_complaint: bool) -> None:
        """Take what claude says; beyond the limit it is dropped."""
        if is_complaint:
            self.begin_line()  # claude leaves its prompt on an open one
            self.complaint = (self.complaint + text)[-COMPLAINT_LIMIT_CHARS:]
        self.output += text[: max(0, OUTPUT_LIMIT_CHARS - len(self.output))]

    def begin_line(self) -> None:
        """End an open line of the output."""
        if self.output and not self.output.endswith("\n"):
            self.output += "\n"

    def stop(self, note: str) -> None:
        """Ask for its end, for this reason; the first one counts."""
        if not self.ending.is_set():
            self.note = note
            self.ending.set()

    def finish(self, *, ok: bool, note: str | None = None) -> None:
        """Say how it ended; a reason that is known already stands."""
        self.ok = ok
        self.note = None if ok else self.note or note
        self.codes.close()
        self.over.set()

    def to_dict(self) -> dict[str, Any]:
        """Give the `login` field of `status --json`."""
        url = _URL.search(self.output)
        return {
            "url": None if url is None else url[0],
            "output": self.output,
            "finished": self.ok is not None,
            "ok": self.ok,
            "note": self.note,
        }


class LoginDesk:
    """Holds the newest login, and runs the one that is under way. `serve` does the work."""

    def __init__(self, config: AgentConfig, loop: AgentLoop) -> None:
        self.login: Login | None = None
        self._config = config
        self._loop = loop
        self._bell = trio.Event()

    def detail(self) -> dict[str, Any] | None:
        """Give the newest login's fields, None before the first one."""
        return None if self.login is None else self.login.to_dict()

    def begin(self) -> None:
        """Begin a login, or join the one under way; raises RefusedError while a turn runs."""
        if self._current() is None:
            self._loop.login_began()
            self.login = Login()
            self._bell.set()

    def pass_on(self, code: str) -> None:
        """Give claude the code; raises RefusedError when no login waits for one, UsageError for what is none."""
        login = self._required()
        code = code.strip()
        if not 0 < len(code) <= CODE_LIMIT_CHARS or not code.isprintable():
            raise UsageError("that is no login code", "one line, as the page shows it")
        try:
            login.codes.send_nowait(code)
        except trio.WouldBlock:
            raise RefusedError("claude takes no more codes", "hyperhive login --cancel") from None
        login.begin_line()  # as the Enter that followed the code would have shown

    async def cancel(self) -> None:
        """End the login under way and wait for that; raises RefusedError when there is none."""
        login = self._required()
        login.stop("the login was cancelled")
        await login.over.wait()

    async def log_out(self) -> Login:
        """Log claude out, and say how that went; raises RefusedError while a turn or a login runs."""
        if self._current() is not None:
            raise RefusedError("a login is under way", "hyperhive login --cancel")
        self._loop.login_began(shown=False)
        gone = False
        try:
            logout = Login()
            with trio.move_on_after(LOGOUT_LIMIT_S):
                status = await self._run("logout", logout)
                gone = status is not None and not await is_logged_in(self._config)
                still = None if gone else "claude is still logged in, by a variable or a setting of its own"
                logout.finish(ok=gone and status == 0, note=last_line(logout.complaint) or still)
            if logout.ok is None:
                logout.finish(ok=False, note=f"claude took longer than {LOGOUT_LIMIT_S:g} s")
            return logout
        finally:
            if gone:
                self._loop.login_lost()
            else:
                self._loop.login_ended(ok=False)

    async def serve(self) -> None:
        """Run what is begun, until cancelled; a login that is under way then is ended with it."""
        while True:
            await self._bell.wait()
            self._bell = trio.Event()
            if (login := self._current()) is not None:
                try:
                    await self._log_in(login)
                finally:
                    if login.ok is None:
                        login.finish(ok=False, note="the harness stopped")
                    self._loop.login_ended(ok=login.ok is True)

    async def _log_in(self, login: Login) -> None:
        status = await self._run("login", login)
        # An interrupted claude leaves with 0 as well, so what counts is whether it is logged in now.
        ok = status == 0 and not login.ending.is_set() and await is_logged_in(self._config)
        login.finish(ok=ok, note=last_line(login.complaint) or _how_it_ended(status))

    async def _run(self, verb: str, login: Login) -> int | None:
        """Run `claude auth VERB` to its end and give its exit status, None when it could not be started."""
        config = self._config
        try:
            async with open_claude(
                [*config.launch.command, "auth", verb],
                workspace=config.workspace,
                environment={**config.environment, **NO_BROWSER},
                kept=config.kept,
            ) as process:
                await _converse(process, login)
                return process.exit_status
        except (OSError, ValueError) as error:
            login.stop(f"claude cannot be started: {error}")
            return None

    def _current(self) -> Login | None:
        return self.login if self.login is not None and self.login.ok is None else None

    def _required(self) -> Login:
        login = self._current()
        if login is None:
            raise RefusedError("no login is under way", "hyperhive login")
        return login


async def _converse(process: ClaudeProcess, login: Login) -> None:
    """Let claude talk until it has exited, was ended, or its time is up."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pass_codes, process, login)
        nursery.start_soon(_end_in_time, process, login, nursery.cancel_scope)
        hear, hear_complaint = (_decoded(partial(login.hear, is_complaint=is_stderr)) for is_stderr in (False, True))
        await talk(process, None, hear, hear_complaint)
        nursery.cancel_scope.cancel()


async def _pass_codes(process: ClaudeProcess, login: Login) -> None:
    async for code in login.passed_on:
        await process.write(f"{code}\n".encode())


async def _end_in_time(process: ClaudeProcess, login: Login, scope: trio.CancelScope) -> None:
    with trio.move_on_after(LOGIN_LIMIT_S):
        await login.ending.wait()
    login.stop(f"nobody finished the login in {LOGIN_LIMIT_S / 60:g} min")
    await process.stop()
    scope.cancel()


def _decoded(hear: Callable[[str], None]) -> Hear:
    """Let somebody hear text where bytes come, whose characters may be cut in two."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda chunk: hear(decoder.decode(chunk))


def _how_it_ended(status: int | None) -> str:
    return "claude ended without a login" if status == 0 else f"claude ended with exit status {status}"

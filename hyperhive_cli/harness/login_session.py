"""`Login`: one run of `claude auth login` or `logout`, driven by a harness or by a command alone.

The code goes to claude's stdin and nowhere else. claude (all releases) waits forever if its stdin ends or a code is
incomplete, since a browser may still answer. So a login that no one finishes is stopped here, and so is one that no
one follows any more.
"""

import codecs
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import trio

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import ask_for_key, is_logged_in
from hyperhive_cli.claude.exchange import TakeBytes, exchange, last_line
from hyperhive_cli.claude.process import ClaudeProcess, open_claude
from hyperhive_cli.core.errors import RefusedError, UsageError

LOGIN_LIMIT_S = 900.0
CLIENT_GRACE_S = 60.0  # from the last client's end to the login's: time to connect again
PROMPT_LIMIT_S = 10.0  # for claude's question; a release that asks in another way gets its code after it
KEY_LIMIT_S = 5.0  # for claude to say which key it uses; a claude that hangs still gets its login
LOGOUT_LIMIT_S = 30.0  # it asks the service to revoke the login, and goes on without an answer
OUTPUT_LIMIT_CHARS = 64 * 1024
COMPLAINT_LIMIT_CHARS = 1000
CODE_LIMIT_CHARS = 4096
# A browser that claude opened would be killed with everything else that claude started.
NO_BROWSER = {"BROWSER": "true"}

_URL = re.compile(r"https?://[!-~]+(?=\s)")  # a complete one: something follows it

T = TypeVar("T")


class Login:
    """What a login or a logout has printed so far, how many clients follow it, and how it ended."""

    def __init__(self) -> None:
        self.output = ""
        self.complaint = ""  # its stderr alone
        self.ok: bool | None = None  # None: under way
        self.note: str | None = None  # why it failed
        self.clients = 0
        self.over = trio.Event()
        self.ending = trio.Event()  # it should stop
        self.asked = trio.Event()  # claude has printed its page, and waits for input on an open line
        self.codes, self.passed_on = trio.open_memory_channel[str](8)
        self._patience = trio.CancelScope()  # its deadline is set while no client follows

    def add(self, text: str, is_complaint: bool) -> None:
        """Take what claude prints; what exceeds the limit is dropped."""
        if is_complaint:
            self.end_line()  # claude leaves its prompt on an open one
            self.complaint = (self.complaint + text)[-COMPLAINT_LIMIT_CHARS:]
        self.output += text[: max(0, OUTPUT_LIMIT_CHARS - len(self.output))]
        if not self.output.endswith("\n") and _URL.search(self.output):
            self.asked.set()

    def end_line(self) -> None:
        """End an open line of the output."""
        if self.output and not self.output.endswith("\n"):
            self.output += "\n"

    def enter(self, code: str) -> None:
        """Pass a code on to claude; raises UsageError if it is not a code, RefusedError if claude takes no more."""
        code = code.strip()
        if not 0 < len(code) <= CODE_LIMIT_CHARS or not code.isprintable():
            raise UsageError("not a login code", "one line, as the page shows it")
        try:
            self.codes.send_nowait(code)
        except (trio.WouldBlock, trio.ClosedResourceError):
            raise RefusedError("claude takes no more codes", "hyperhive login --cancel") from None

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Count a client during the block. CLIENT_GRACE_S after the last one has gone, the login stops."""
        self.clients += 1
        self._patience.deadline = math.inf
        try:
            yield
        finally:
            self.clients -= 1
            if not self.clients:
                self._patience.deadline = trio.current_time() + CLIENT_GRACE_S

    async def wait_for_end(self) -> None:
        """Return when the login should stop: it was asked to, its time is up, or no one follows it any more."""
        with trio.move_on_after(LOGIN_LIMIT_S), self._patience:
            await self.ending.wait()
        if self._patience.cancelled_caught:
            self.stop(f"no one followed the login for {CLIENT_GRACE_S:g} s")
        self.stop(f"no one finished the login within {LOGIN_LIMIT_S / 60:g} min")

    def stop(self, note: str) -> None:
        """Ask it to stop, for this reason; the first reason counts."""
        if not self.ending.is_set():
            self.note = note
            self.ending.set()

    def finish(self, *, ok: bool, note: str | None = None) -> None:
        """Record how it ended; a reason that is known already is kept."""
        self.ok = ok
        self.note = None if ok else self.note or note
        self.codes.close()
        self.over.set()

    def to_dict(self) -> dict[str, Any]:
        """Return the `login` field of `status --json`."""
        url = _URL.search(self.output)
        return {
            "url": None if url is None else url[0],
            "output": self.output,
            "clients": self.clients,
            "finished": self.ok is not None,
            "ok": self.ok,
            "note": self.note,
        }


async def log_in(config: AgentConfig, login: Login) -> None:
    """Run `claude auth login` to its end; if claude will use a key instead, say so first. May be cancelled."""
    key = await _unless_ending(login, partial(ask_for_key, config, limit_s=KEY_LIMIT_S))
    if key is not None:
        login.add(f"Note: claude uses {key}, which takes precedence over a login.\n", is_complaint=False)
    status = None if login.ending.is_set() else await _run(config, "login", login)
    # An interrupted claude exits with 0 as well, so what counts is whether it is logged in now.
    ok = status == 0 and not login.ending.is_set() and await is_logged_in(config)
    login.finish(ok=ok, note=last_line(login.complaint) or _how_it_ended(status))


async def log_out(config: AgentConfig, logout: Login) -> bool:
    """Run `claude auth logout` to its end; return True if claude is no longer logged in."""
    gone = False
    with trio.move_on_after(LOGOUT_LIMIT_S):
        status = await _run(config, "logout", logout)
        gone = status is not None and not await is_logged_in(config)
        still = None if gone else "claude is still logged in, by a variable or a setting of its own"
        logout.finish(ok=gone and status == 0, note=last_line(logout.complaint) or still)
    if logout.ok is None:
        logout.finish(ok=False, note=f"claude took longer than {LOGOUT_LIMIT_S:g} s")
    return gone


async def _unless_ending(login: Login, ask: Callable[[], Awaitable[T]]) -> T | None:
    """Return an answer; None if the login should stop before it comes."""
    answer: T | None = None

    async def cancel_at_end() -> None:
        await login.ending.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_at_end)
        answer = await ask()
        nursery.cancel_scope.cancel()
    return answer


async def _run(config: AgentConfig, verb: str, login: Login) -> int | None:
    """Run `claude auth VERB` to its end; return its exit status, None if it could not be started."""
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
        login.stop(f"cannot start claude: {error}")
        return None


async def _converse(process: ClaudeProcess, login: Login) -> None:
    """Read and write until claude has exited, or was stopped because the login should stop."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pass_codes, process, login)
        nursery.start_soon(_stop_in_time, process, login, nursery.cancel_scope)
        take, take_complaint = (_decoded(partial(login.add, is_complaint=is_stderr)) for is_stderr in (False, True))
        await exchange(process, None, take, take_complaint)
        nursery.cancel_scope.cancel()


async def _pass_codes(process: ClaudeProcess, login: Login) -> None:
    """Write each code to claude. Measured, 2.1.197 and 2.1.332: it may lose one that comes before its question."""
    async for code in login.passed_on:
        with trio.move_on_after(PROMPT_LIMIT_S):
            await login.asked.wait()
        login.end_line()  # as the Enter after the code would have done on a terminal
        await process.write(f"{code}\n".encode())


async def _stop_in_time(process: ClaudeProcess, login: Login, scope: trio.CancelScope) -> None:
    await login.wait_for_end()
    await process.stop()
    scope.cancel()


def _decoded(take: Callable[[str], None]) -> TakeBytes:
    """Return a callback for bytes that passes text on; a character may be split between two calls."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda chunk: take(decoder.decode(chunk))


def _how_it_ended(status: int | None) -> str:
    return "claude exited without a login" if status == 0 else f"claude exited with status {status}"

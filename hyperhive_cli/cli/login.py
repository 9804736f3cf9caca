"""`hyperhive login` and `logout`: claude's own login, through the harness, or here if none runs."""

import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

import click

from hyperhive_cli.cli.declared import command, option, pass_context, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, print_json
from hyperhive_cli.cli.progress import Progress
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.control.client import GoneError, call, open_call
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError, RefusedError
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.harness.client import LocalClient
from hyperhive_cli.store.folder import read_lock

POLL_S = 0.2
STDIN = 0


@command()
@option("--cancel", is_flag=True, help="Stop the login that is under way, no matter who started it.")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON, and claude's output on stderr.")
@pass_invocation
@pass_context
def login(ctx: click.Context, invocation: Invocation, *, cancel: bool, as_json: bool) -> int:
    """Log claude in: under the running harness between two turns, or here if none runs.

    Shows claude's login page, and passes on the code that you enter or pipe in. A login under way in the harness
    is joined. Ctrl-C cancels it. It stops by itself after 15 minutes, or after a minute that no one follows it.

    \b
    Examples: hyperhive login
              hyperhive -a bee login --cancel
    """  # noqa: D301 - click's own mark
    paths = invocation.local(may_be_new=False).paths
    if cancel:
        _cancel(paths)
        echo("the login was cancelled")
        return 0
    out = sys.stderr if as_json else sys.stdout
    ended = _log_in_by_harness(paths, out)
    if ended is None:
        from hyperhive_cli.cli.login_here import log_in_here  # noqa: PLC0415 - trio costs 150 ms, which the harness saves

        ended = log_in_here(ctx, paths, lambda fetch, enter: Conversation(fetch, enter, out).follow(fetch()))
    if as_json:
        print_json(ended)
    elif ended["ok"]:
        echo("logged in")
    else:
        raise HyperhiveError(f"not logged in: {text.clean(ended['note'])}", "hyperhive login")
    return 0 if ended["ok"] else 1


@command()
@pass_invocation
@pass_context
def logout(ctx: click.Context, invocation: Invocation) -> None:
    """Log claude out. Refused while a turn runs; messages then wait for a login.

    \b
    Example: hyperhive logout
    """  # noqa: D301 - click's own mark
    paths = invocation.local(may_be_new=False).paths
    try:
        ended = call(paths.socket, "logout", limit_s=None)["logout"]
    except GoneError:
        from hyperhive_cli.cli.login_here import log_out_here  # noqa: PLC0415 - as above

        ended = log_out_here(ctx, paths)
    echo(text.clean(ended["output"]), nl=False)
    if not ended["ok"]:
        raise HyperhiveError(f"not logged out: {text.clean(ended['note'])}", "claude auth status")


def _cancel(paths: AgentPaths) -> None:
    try:
        call(paths.socket, "login_cancel", limit_s=None)
    except GoneError:
        entry = read_lock(paths.lock_file)
        if entry is not None and entry.doing == "login":
            raise RefusedError("the login runs in another command", f"Ctrl-C there, or kill {entry.pid}") from None
        raise RefusedError("no login is under way", "hyperhive login") from None


def _log_in_by_harness(paths: AgentPaths, out: IO[str]) -> Mapping[str, Any] | None:
    """Log claude in through the harness, and return the login's last fields; None if no harness runs."""
    try:
        with open_call(paths.socket, "login") as started:
            login = HarnessLogin(paths)
            return Conversation(login.fetch, login.enter, out).follow(started["login"])
    except GoneError:
        return None
    except KeyboardInterrupt:
        with suppress(HyperhiveError):  # it was over already
            LocalClient(paths).ask("login_cancel")
        raise


class HarnessLogin:
    """A login under the running harness."""

    def __init__(self, paths: AgentPaths) -> None:
        self._socket = paths.socket

    def fetch(self) -> Mapping[str, Any]:
        """Ask for its fields."""
        try:
            found: Mapping[str, Any] | None = call(self._socket, "status")["login"]
        except GoneError as error:
            raise HyperhiveError("the harness stopped during the login", "hyperhive login") from error
        if found is None:  # a new harness, which knows nothing of it
            raise HyperhiveError("the harness was restarted during the login", "hyperhive login")
        return found

    def enter(self, code: str) -> None:
        """Pass a code on through the harness."""
        with suppress(GoneError):  # the next `fetch` reports it
            call(self._socket, "login_code", code=code)


class Conversation:
    """Shows what claude's login prints as it comes, and passes lines of stdin on to it."""

    def __init__(self, fetch: Callable[[], Mapping[str, Any]], enter: Callable[[str], None], out: IO[str]) -> None:
        self._fetch = fetch
        self._enter = enter
        self._out = out
        self._shown = 0
        self._entered = False  # the terminal has echoed an Enter, which claude's output contains too
        self._line = b""
        self._reads = sys.stdin is not None
        self._progress = Progress("waiting for claude")

    def follow(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Go on until the login has ended, and return its last fields. Blocks for 15 minutes at most."""
        while True:
            self._show(found["output"], is_last=found["finished"])
            if found["finished"]:
                return found
            if self._entered or not self._shown:  # otherwise the terminal shows claude's own question
                self._progress.tick()
            self._wait_for_input()
            found = self._fetch()

    def _show(self, output: str, *, is_last: bool) -> None:
        shown = text.clean(output if is_last else output.removesuffix("\r"))
        fresh, self._shown = shown[self._shown :], len(shown)
        if fresh or is_last:
            self._progress.hide()
        if fresh and self._entered:
            fresh, self._entered = fresh.removeprefix("\n"), False
        if is_last and shown and not shown.endswith("\n"):
            fresh += "\n"
        self._out.write(fresh)
        self._out.flush()

    def _wait_for_input(self) -> None:
        if not self._reads:
            time.sleep(POLL_S)
        elif select.select([STDIN], [], [], POLL_S)[0]:
            chunk = os.read(STDIN, 4096)
            self._reads = bool(chunk)
            *lines, self._line = (self._line + chunk).split(b"\n")
            for line in lines if chunk else [self._line]:
                self._pass_on(line.decode(errors="replace").strip())

    def _pass_on(self, code: str) -> None:
        self._entered = os.isatty(STDIN) and os.isatty(self._out.fileno())
        if code:
            try:
                self._enter(code)
            except HyperhiveError as error:  # not a code; or the login has just ended, as the next `fetch` reports
                echo(error.message, err=True)

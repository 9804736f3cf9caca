"""`hyperhive login` and `logout`: claude's own login, talked with through the harness."""

import os
import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

import click

from hyperhive_cli.cli.invocation import Invocation, ask_harness, pass_invocation, print_json, require_harness
from hyperhive_cli.cli.progress import Progress
from hyperhive_cli.control.client import GoneError, call
from hyperhive_cli.errors import HyperhiveError, NotRunningError
from hyperhive_cli.render import text
from hyperhive_cli.settings import AgentPaths

POLL_S = 0.2
STDIN = 0


@click.command()
@click.option("--cancel", is_flag=True, help="End the login that is under way, whoever began it.")
@click.option("--json", "as_json", is_flag=True, help="Print how it ended as JSON; what claude says goes to stderr.")
@pass_invocation
def login(invocation: Invocation, *, cancel: bool, as_json: bool) -> int:
    """Log claude in under the running harness, between two turns; messages wait until then.

    Shows claude's page and passes the code on, from the terminal or a pipe, a line each. One that is under way
    is joined. Ctrl-C cancels it; after 15 minutes it ends by itself.

    \b
    Examples: hyperhive login
              hyperhive -a bee login --cancel
    """  # noqa: D301 - click's own mark
    paths = invocation.paths()
    if cancel:
        _ask(paths, "login_cancel")
        click.echo("the login was cancelled")
        return 0
    try:
        begun = _ask(paths, "login")["login"]
        ended = Talk(paths, sys.stderr if as_json else sys.stdout).follow(begun)
    except KeyboardInterrupt:
        with suppress(HyperhiveError):  # it was over already
            ask_harness(paths, "login_cancel")
        raise
    if as_json:
        print_json(ended)
    elif ended["ok"]:
        click.echo("logged in")
    else:
        raise HyperhiveError(f"not logged in: {text.clean(ended['note'])}", "hyperhive login")
    return 0 if ended["ok"] else 1


@click.command()
@pass_invocation
def logout(invocation: Invocation) -> None:
    """Log claude out. Refused while a turn runs; messages then wait for a login.

    \b
    Example: hyperhive logout
    """  # noqa: D301 - click's own mark
    ended = _ask(invocation.paths(), "logout")["logout"]
    click.echo(text.clean(ended["output"]), nl=False)
    if not ended["ok"]:
        raise HyperhiveError(f"not logged out: {text.clean(ended['note'])}", "claude auth status")


class Talk:
    """One end of a talk with claude's login: shows what it says as it comes, and passes lines of stdin on."""

    def __init__(self, paths: AgentPaths, out: IO[str]) -> None:
        self._paths = paths
        self._out = out
        self._shown = 0
        self._entered = False  # the terminal has shown an Enter, which claude's output holds as well
        self._line = b""
        self._reads = sys.stdin is not None
        self._progress = Progress("waiting for claude")

    def follow(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Go on until the login has ended, and give its last state. Blocks for 15 minutes at most."""
        while True:
            self._show(found["output"], is_last=found["finished"])
            if found["finished"]:
                return found
            if self._entered or not self._shown:  # else the terminal shows claude's own question
                self._progress.tick()
            self._wait_for_input()
            try:
                now = call(self._paths.socket, "status")["login"]
            except GoneError as error:
                raise HyperhiveError("the harness stopped during the login", "hyperhive run") from error
            if now is None:  # a new harness has taken the place of the one that knew of it
                raise HyperhiveError("the harness was started anew during the login", "hyperhive login")
            found = now

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
                call(self._paths.socket, "login_code", code=code)
            except HyperhiveError as error:  # no code at all; or the login has just ended, as the next look tells
                click.echo(error.message, err=True)
            except GoneError:
                pass  # the same


def _ask(paths: AgentPaths, op: str) -> Mapping[str, Any]:
    try:
        return require_harness(paths, op)
    except NotRunningError as error:
        verb = "logout" if op == "logout" else "login"
        raise NotRunningError(error.agent, f"hyperhive -a {error.agent} run, or claude auth {verb}") from error

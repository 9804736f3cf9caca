"""`hyperhive new-session`, `compact`, `cancel`, `stop`, `restart`, `pause` and `resume`: control of a running agent.

What a command does, and its words, are a function of their own: the console has the same (`cli/slash.py`).
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from hyperhive_cli.cli.declared import argument, command, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, print_json, say_new
from hyperhive_cli.cli.progress import Progress
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core.errors import NotRunningError, RefusedError, UsageError
from hyperhive_cli.core.outcomes import is_ok
from hyperhive_cli.harness import steering
from hyperhive_cli.harness.client import LocalClient
from hyperhive_cli.store.folder import lock_holder, no_answer, silent_holder

STOP_POLL_S = 0.05
COMPACTING = "waiting for the compaction"


@command("new-session")
@pass_invocation
def new_session(invocation: Invocation) -> None:
    """Start a new conversation with the next turn.

    \b
    Example: hyperhive new-session
    """  # noqa: D301 - click's own mark
    _change(invocation, steering.start_new_session)


def _change(invocation: Invocation, change: Callable[[LocalClient], str]) -> None:
    """Change the agent and print what came of it; say so if it was a new one."""
    client = invocation.local(changes=True)
    is_new = client.is_new
    words = change(client)
    if is_new:
        say_new(client)
    echo(words)


@command()
@option("--json", "as_json", is_flag=True, help="Print outcome, note and context_tokens as JSON.")
@pass_invocation
def compact(invocation: Invocation, *, as_json: bool) -> int:
    """Compact the conversation after the running turn, and wait until that is done.

    \b
    Examples: hyperhive compact
              hyperhive compact --json
    """  # noqa: D301 - click's own mark
    with Progress(COMPACTING) as progress:
        reply = invocation.local(may_be_new=False).require("compact", tick=progress.tick)
    fields = {name: reply[name] for name in ("outcome", "note", "context_tokens")}
    ok = is_ok(fields["outcome"]) and fields["note"] is None
    if as_json:
        print_json(fields)
    else:
        echo(compacted(fields))
    return 0 if ok else 1


def compacted(reply: Mapping[str, Any]) -> str:
    """Return what came of a compaction; raises RefusedError if there was none."""
    is_over = is_ok(reply["outcome"])
    if not is_over or reply["note"] is not None:
        what = "nothing was compacted" if is_over else f"the compaction ended {reply['outcome']}"
        raise RefusedError(f"{what}: {reply['note']}", "hyperhive tail")
    tokens = reply["context_tokens"]
    return "compacted" if tokens is None else f"compacted; the context now holds {tokens:,} tokens"


@command()
@argument("messages", nargs=-1, metavar="")
@pass_invocation
def cancel(invocation: Invocation, messages: tuple[str, ...]) -> None:
    """Interrupt the running turn. Its message is cancelled and will not run again.

    \b
    Example: hyperhive cancel
    """  # noqa: D301 - click's own mark
    if messages:
        raise UsageError(
            "`cancel` interrupts the running turn and names no message", f"hyperhive inbox cancel {messages[0]}"
        )
    echo(interrupt_turn(invocation.local(may_be_new=False)))


def interrupt_turn(client: LocalClient) -> str:
    """Interrupt the running turn; return what came of it."""
    client.require("cancel")
    return "the turn is being interrupted"


@command()
@option("--now", is_flag=True, help="Interrupt the running turn; its message goes back into the inbox.")
@pass_invocation
def stop(invocation: Invocation, *, now: bool) -> None:
    """Stop the harness after its running turn, and wait until it has exited. Messages are kept.

    With Ctrl-C this command stops waiting; the harness stops all the same. A service manager that restarts the harness
    has to be told too: systemctl stop.

    \b
    Examples: hyperhive stop
              hyperhive stop --now
    """  # noqa: D301 - click's own mark
    client = invocation.local(changes=True)
    before = lock_holder(client.paths.lock_file)
    if _ask_to_stop(client, now=now, again=False) is None:
        echo(f"no harness is running for agent {client.agent!r}", err=True)
        return
    with Progress("waiting for the end of the turn" if not now else "waiting for the harness") as progress:
        while before is not None and lock_holder(client.paths.lock_file) == before:
            progress.tick()
            time.sleep(STOP_POLL_S)
    echo("stopped")


@command()
@option("--now", is_flag=True, help="Interrupt the running turn; its message runs again after the restart.")
@pass_invocation
def restart(invocation: Invocation, *, now: bool) -> None:
    """Restart the running harness after its turn, with the same command line, in the same process.

    It reads its files again, and runs a new release if one was installed. --message is not sent again.

    \b
    Examples: hyperhive restart
              hyperhive restart --now
    """  # noqa: D301 - click's own mark
    client = invocation.local(changes=True)
    if _ask_to_stop(client, now=now, again=True) is None:
        raise NotRunningError(client.agent)
    echo("restarting" if now else "restarting after the running turn, if there is one")


def _ask_to_stop(client: LocalClient, *, now: bool, again: bool) -> Mapping[str, object] | None:
    """Ask the harness; None if none runs. Raises HyperhiveError if one does not answer."""
    answer = client.ask("stop", now=now, again=again)
    if answer is None and silent_holder(client.paths.lock_file) is not None:
        raise no_answer(client.paths)
    return answer


@command()
@pass_invocation
def pause(invocation: Invocation) -> None:
    """Stop starting turns until `hyperhive resume`, also after a restart.

    The running turn continues; messages keep waiting.

    \b
    Examples: hyperhive pause
              hyperhive pause && hyperhive cancel   # stop now, keep the messages
    """  # noqa: D301 - click's own mark
    _change(invocation, steering.pause)


@command()
@pass_invocation
def resume(invocation: Invocation) -> None:
    """Continue now: end a pause, a back-off, a wait for a limit or a login, or `failed`.

    \b
    Example: hyperhive resume
    """  # noqa: D301 - click's own mark
    echo(end_wait(invocation.local(changes=True)))


def end_wait(client: LocalClient) -> str:
    """End a pause or a wait; return what came of it. Raises NotRunningError for a new agent."""
    if client.is_new:
        raise NotRunningError(client.agent)
    return steering.resume(client)

"""`hyperhive inbox`."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, group, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, is_plain, now_ms, print_json, say_if_new
from hyperhive_cli.cli.send import read_stdin, start_of
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, no_header_option, print_piped, print_spans
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError, RefusedError, UsageError
from hyperhive_cli.render.inbox_table import PIPED_MESSAGE, held_for_plan, messages_to_spans, messages_to_values
from hyperhive_cli.render.turn_words import ended_words, moment
from hyperhive_cli.store.messages import WHOLE, Message, View

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hyperhive_cli.harness.client import AgentClient

WAITING = completers.messages("ready")
TABLE_CHARS = 1_000  # of each body; the table for a person shows one line of it


@group(alone="list")
def inbox() -> None:
    """List waiting, running, held and dead messages; edit, move, schedule, cancel or retry one.

    In a pipe: a line for each message, tabs between the values, nothing cut.

    \b
    Examples: hyperhive inbox
              hyperhive inbox --all --json
              hyperhive inbox retry 5
    """  # noqa: D301 - click's own mark


@inbox.command("list")
@option("--all", "ended", is_flag=True, help="Include done and cancelled messages.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per message.")
@no_header_option
@pass_invocation
def list_messages(invocation: Invocation, *, ended: bool, as_json: bool, no_header: bool) -> None:
    """List messages in the order in which they will run.

    A held message waits for `inbox retry`; its reason says what you should decide.

    \b
    Example: hyperhive inbox list --all
    """  # noqa: D301 - click's own mark
    is_whole = as_json or is_piped()
    with invocation.client() as client:
        messages = client.messages(ended=ended, view=WHOLE if is_whole else View(TABLE_CHARS))
    now = now_ms() / 1000
    if as_json:
        for message in messages:
            print_json(message.to_dict())
        return
    if any(one.idle and one.state == "ready" for one in messages):
        with invocation.client() as client:
            messages = held_for_plan(messages, client.status()["idle_until"])
    if is_piped():
        print_piped(PIPED_MESSAGE, messages_to_values(messages, now), no_header=no_header)
    elif messages:
        print_spans(messages_to_spans(messages, now, columns(), plain=is_plain()), no_header=no_header)
    if not messages:
        echo("no messages are waiting" if not ended else "no messages yet", err=True)
        say_if_new(client)
    if not is_piped():
        _say_schedules(client, now)


def _say_schedules(client: "AgentClient", now: float) -> None:
    """Tell a person what else will come."""
    from hyperhive_cli.render.status_rows import schedules_words  # noqa: PLC0415 - on a terminal alone

    with client:
        if client.is_new:
            return
        with client.schedules() as opened:
            found = [one.to_dict() for one in opened.schedules()]
    if found:
        echo(f"schedules: {schedules_words(found, now)} (hyperhive schedule)", err=True)


def _why(message: Message) -> str:
    wait_s = (message.not_before - now_ms()) / 1000
    reasons = [message.reason or ""] if message.state in {"dead", "held", "ready"} else []
    if message.state == "ready" and message.idle:
        reasons.append("idle")
    if message.state == "ready" and wait_s > 0:
        reasons.append(f"in {text.duration(wait_s)}")
    return ", ".join(filter(None, reasons))


@inbox.command("show")
@argument("message_id", type=int, metavar="ID", shell_complete=completers.messages())
@option("--json", "as_json", is_flag=True, help="Print the message as JSON, with its `turns`.")
@pass_invocation
def show_message(invocation: Invocation, message_id: int, *, as_json: bool) -> None:
    """Show a message in full, with the outcome of each of its turns.

    \b
    Example: hyperhive inbox show 5
    """  # noqa: D301 - click's own mark
    with invocation.client() as client, client.inbox(message_id) as opened:
        message, turns = opened.get(message_id), opened.turns(message_id)
    if as_json:
        print_json(message.to_dict() | {"turns": turns})
        return
    why = f", {_why(message)}" if _why(message) else ""
    now = now_ms() / 1000
    edited = "" if message.edited is None else f", edited {moment(message.edited / 1000, now)}"
    sent = f"sent {moment(message.created / 1000, now)}{edited}"
    echo(text.clean(f"message {message.id} from {message.sender}, {sent}: {message.state}{why}"))
    echo()
    echo(text.clean(message.body))
    for turn in turns:
        echo()
        echo(text.clean(_turn(turn)))


def _turn(turn: dict[str, Any]) -> str:
    head = f"turn {turn['turn_id']}, attempt {turn['attempt']}: {ended_words(turn, now_ms() / 1000)}"
    said = dict.fromkeys([head, turn["note"], turn["result_text"]])  # the note of an error is its result
    return "\n".join(filter(None, said))


@inbox.command("move")
@argument("message_id", type=int, metavar="ID", shell_complete=WAITING)
@option("--first", is_flag=True, help="Move it to the head of the queue.")
@option("--last", is_flag=True, help="Move it to the end.")
@option("--before", type=int, metavar="ID", shell_complete=WAITING, help="Move it before this message.")
@pass_invocation
def move_message(invocation: Invocation, message_id: int, before: int | None, *, first: bool, last: bool) -> None:
    """Move a waiting message within the queue.

    \b
    Examples: hyperhive inbox move 6 --first
              hyperhive inbox move 6 --before 4
    """  # noqa: D301 - click's own mark
    if first + last + (before is not None) != 1:
        raise UsageError("give one of --first, --last and --before ID", f"hyperhive inbox move {message_id} --first")
    if before == message_id:
        raise UsageError("a message cannot be moved before itself", f"hyperhive inbox move {message_id} --first")
    with invocation.client(changes=True) as client, client.inbox(message_id, changes=True) as opened:
        waiting = [message.id for message in opened.messages() if message.state == "ready" and message.id != message_id]
        target = (waiting[0] if waiting else None) if first else before
        opened.move(message_id, before=target, now_ms=now_ms())
        order = [str(message.id) for message in opened.messages() if message.state == "ready"]
    echo(f"the queue is now {' '.join(order)}")


@inbox.command("edit")
@argument("message_id", type=int, metavar="ID", shell_complete=WAITING)
@argument("new_text", required=False, metavar="[TEXT]")
@pass_invocation
def edit_message(invocation: Invocation, message_id: int, new_text: str | None) -> None:
    """Change the text of a waiting message that has not run yet.

    Without TEXT, it is edited in $VISUAL or $EDITOR; in a pipe, or with -, the new text is read from stdin.

    \b
    Examples: hyperhive inbox edit 6
              hyperhive inbox edit 6 'fix the failing test, then push'
    """  # noqa: D301 - click's own mark
    client = invocation.client(changes=True)
    is_typed = new_text is None and sys.stdin.isatty()
    body = new_text if new_text not in {None, "-"} else _typed(client, message_id) if is_typed else read_stdin()
    if body is None:
        echo(f"message {message_id} is unchanged", err=True)
        return
    try:
        with client as opened, opened.inbox(message_id, changes=True) as queue:
            queue.edit(message_id, body, now_ms=now_ms())
    except HyperhiveError:
        if is_typed:  # the message may have started meanwhile: what was typed is not lost
            echo(body)
        raise
    echo(f"message {message_id} is edited")


def _typed(client: "AbstractContextManager[AgentClient]", message_id: int) -> str | None:
    """Return the message's text as a person has edited it, None if it is unchanged."""
    import click  # noqa: PLC0415 - it takes longer to load than all else

    from hyperhive_cli.store.queue import EDIT, check_change  # noqa: PLC0415 - as above

    with client as opened, opened.inbox(message_id) as queue:
        message = queue.get(message_id)
    check_change(EDIT, message)
    body = (click.edit(message.body, extension=".md") or "").rstrip("\n")
    return None if body in {"", message.body.rstrip("\n")} else body


@inbox.command("schedule")
@argument("message_id", type=int, metavar="ID", shell_complete=WAITING)
@argument("when", metavar="TIME|now")
@pass_invocation
def schedule_message(invocation: Invocation, message_id: int, when: str) -> None:
    """Do not run a waiting message before TIME, or let it run now. It keeps its place in the queue.

    \b
    Examples: hyperhive inbox schedule 6 'tomorrow 9:00'
              hyperhive inbox schedule 6 now
    """  # noqa: D301 - click's own mark
    not_before, words = start_of(None if when == "now" else when)
    with invocation.client(changes=True) as client:
        with client.inbox(message_id, changes=True) as opened:
            opened.schedule(message_id, not_before=not_before, now_ms=now_ms())
        client.wake(ends_wait=False)
    echo(f"message {message_id} {words or 'is not scheduled any more'}")


@inbox.command("restore")
@argument(
    "message_ids", type=int, nargs=-1, required=True, metavar="ID...", shell_complete=completers.messages("cancelled")
)
@pass_invocation
def restore_messages(invocation: Invocation, message_ids: tuple[int, ...]) -> None:
    """Undo the cancelling of messages that have never run: each waits again, in its place.

    \b
    Example: hyperhive inbox restore 5
    """  # noqa: D301 - click's own mark
    with invocation.client(changes=True) as client:
        _change_chosen(client, Chosen(message_ids, (), None, is_class=False), "restore")


@inbox.command("cancel")
@argument("message_ids", type=int, nargs=-1, metavar="[ID]...", shell_complete=completers.messages("ready", "held"))
@option("--held", is_flag=True, help="Cancel all held messages.")
@option("--from", "sender", metavar="NAME", help="Cancel all waiting and held messages of this sender.")
@pass_invocation
def cancel_messages(invocation: Invocation, message_ids: tuple[int, ...], sender: str | None, *, held: bool) -> None:
    """Cancel waiting or held messages. To cancel the running one, use hyperhive cancel.

    \b
    Examples: hyperhive inbox cancel 3 5 7
              hyperhive inbox cancel --from ci
    """  # noqa: D301 - click's own mark
    chosen = Chosen(message_ids, ("held",) if held else ("ready", "held"), sender, is_class=held)
    with invocation.client(changes=True) as client:
        _change_chosen(client, chosen, "cancel")


@inbox.command("retry")
@argument(
    "message_ids", type=int, nargs=-1, metavar="[ID]...",
    shell_complete=completers.messages("dead", "held", "cancelled", "ready"),
)  # fmt: skip
@option("--held", is_flag=True, help="Retry all held messages.")
@option("--dead", is_flag=True, help="Retry all dead messages.")
@option("--from", "sender", metavar="NAME", help="Of the held and dead messages, those of this sender.")
@pass_invocation
def retry_messages(
    invocation: Invocation, message_ids: tuple[int, ...], sender: str | None, *, held: bool, dead: bool
) -> None:
    """Make dead, held, cancelled or waiting messages ready again.

    Their attempts start from zero, and they no longer wait for anything but a pause or the day's budget. The model is
    told if an earlier attempt may have had effects.

    \b
    Examples: hyperhive inbox retry 5 6
              hyperhive inbox retry --dead
    """  # noqa: D301 - click's own mark
    named = [state for state, is_named in (("held", held), ("dead", dead)) if is_named]
    chosen = Chosen(message_ids, tuple(named) or ("held", "dead"), sender, is_class=bool(named))
    with invocation.client(changes=True) as client:
        _change_chosen(client, chosen, "retry")


class Chosen(NamedTuple):
    """The messages that a command means: ids, and, by state and sender, a class of them."""

    ids: tuple[int, ...]
    states: tuple[str, ...]
    sender: str | None
    is_class: bool  # the states were named

    def of(self, client: "AgentClient") -> list[int]:
        """Return the ids without doubles."""
        found: list[int] = []
        if self.is_class or self.sender is not None:
            messages = client.messages(ended=False, view=View(0))
            found = [one.id for one in messages if one.state in self.states and self.sender in {None, one.sender}]
        return list(dict.fromkeys([*self.ids, *found]))

    @property
    def words(self) -> str:
        """The class in words."""
        whose = "" if self.sender is None else f" from {self.sender}"
        return f"{' or '.join('waiting' if state == 'ready' else state for state in self.states)} message{whose}"


def _change_chosen(client: "AgentClient", chosen: Chosen, verb: str) -> None:
    """Change the messages that were chosen, and print what became of each."""
    if not (chosen.ids or chosen.is_class or chosen.sender is not None):
        raise UsageError("no message is named", f"hyperhive inbox {verb} ID, --held or --from NAME")
    wanted = chosen.of(client)
    if not wanted:
        echo(f"there is no {chosen.words}", err=True)
        return
    for words in change_each(client, wanted, verb):
        echo(words)


def change_each(client: "AgentClient", wanted: Sequence[int], verb: str) -> Iterator[str]:
    """Change each message and yield what became of it; then raise RefusedError for those that were refused."""
    refusals = list[RefusedError]()
    with client.inbox(wanted[0], changes=True) as opened:
        change: Callable[..., Message] = getattr(opened, verb)
        for message_id in wanted:
            try:
                changed = change(message_id, now_ms=now_ms())
            except RefusedError as error:
                refusals.append(error)
            else:
                yield f"message {changed.id} is {changed.state}"
    if verb != "cancel" and len(refusals) < len(wanted):
        client.wake(ends_wait=verb == "retry")
    if refusals:
        raise RefusedError("; ".join(error.message for error in refusals), refusals[0].hint)

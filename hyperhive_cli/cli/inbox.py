"""`hyperhive inbox`."""

from typing import Any

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, group, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, now_ms, paint, print_json, print_lines, say_if_new
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import RefusedError, UsageError
from hyperhive_cli.render.turn_words import ended_words, moment
from hyperhive_cli.store.messages import WHOLE, Message, View

_STYLES = {"dead": "bad", "held": "warn", "leased": "fine", "cancelled": "quiet", "done": "quiet"}
WAITING = completers.messages("ready")
TABLE_CHARS = 1_000  # of each body; the table shows one line of it
NONE_HELD = "no message is held"


@group(alone="list")
def inbox() -> None:
    """List waiting, running, held and dead messages; show, move, cancel or retry one.

    \b
    Examples: hyperhive inbox
              hyperhive inbox --all --json
              hyperhive inbox retry 5
    """  # noqa: D301 - click's own mark


@inbox.command("list")
@option("--all", "ended", is_flag=True, help="Include done and cancelled messages.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per message.")
@pass_invocation
def list_messages(invocation: Invocation, *, ended: bool, as_json: bool) -> None:
    """List messages in the order in which they will run.

    A held message waits for `inbox retry`; its reason says what you should decide.

    \b
    Example: hyperhive inbox list --all
    """  # noqa: D301 - click's own mark
    with invocation.client() as client:
        messages = client.messages(ended=ended, view=WHOLE if as_json else View(TABLE_CHARS))
    if as_json:
        for message in messages:
            print_json(message.to_dict())
        return
    print_lines(_table(messages))
    if not messages:
        echo("no messages are waiting" if not ended else "no messages yet", err=True)
        say_if_new(client)


def _table(messages: list[Message]) -> list[str]:
    rows = [_row(message) for message in messages]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:4]
    left = max(20, columns() - sum(widths) - 8)
    lines = []
    for *cells, rest in rows:
        styles = ("", _STYLES.get(cells[1], ""), "", "")
        spans = [(f"{cell:<{size}}  ", style) for cell, size, style in zip(cells, widths, styles, strict=True)]
        lines.append(paint([*spans, (text.one_line(rest, left), "")]))
    return lines


def _why(message: Message) -> str:
    wait_s = (message.not_before - now_ms()) / 1000
    reasons = [message.reason or ""] if message.state in {"dead", "held", "ready"} else []
    if message.state == "ready" and wait_s > 0:
        reasons.append(f"in {text.duration(wait_s)}")
    return ", ".join(filter(None, reasons))


def _row(message: Message) -> tuple[str, ...]:
    age = text.ago((now_ms() - message.created) / 1000)
    why = f" ({_why(message)})" if _why(message) else ""
    return (str(message.id), message.state, age, text.one_line(message.sender, 16), f"{message.body}{why}")


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
    sent = moment(message.created / 1000, now_ms() / 1000)
    echo(text.clean(f"message {message.id} from {message.sender}, sent {sent}: {message.state}{why}"))
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


@inbox.command("cancel")
@argument("message_id", type=int, metavar="ID", shell_complete=completers.messages("ready", "held"))
@pass_invocation
def cancel_message(invocation: Invocation, message_id: int) -> None:
    """Cancel a waiting or held message. To cancel the running one, use hyperhive cancel.

    \b
    Example: hyperhive inbox cancel 5
    """  # noqa: D301 - click's own mark
    with invocation.client(changes=True) as client, client.inbox(message_id, changes=True) as opened:
        changed = opened.cancel(message_id, now_ms=now_ms())
    echo(f"message {changed.id} is {changed.state}")


@inbox.command("retry")
@argument(
    "message_ids", type=int, nargs=-1, metavar="[ID]...",
    shell_complete=completers.messages("dead", "held", "cancelled", "ready"),
)  # fmt: skip
@option("--held", is_flag=True, help="Retry all held messages.")
@pass_invocation
def retry_messages(invocation: Invocation, message_ids: tuple[int, ...], *, held: bool) -> None:
    """Make dead, held, cancelled or waiting messages ready again.

    Their attempts start from zero, and they no longer wait for anything but a pause or the day's budget. The model is
    told if an earlier attempt may have had effects.

    \b
    Examples: hyperhive inbox retry 5
              hyperhive inbox retry --held
    """  # noqa: D301 - click's own mark
    if not (message_ids or held):
        raise UsageError("give an ID or --held", "hyperhive inbox")
    refusals: list[RefusedError] = []
    with invocation.client(changes=True) as client:
        all_held = [one.id for one in client.messages(ended=False, view=View(0)) if one.state == "held"] if held else []
        wanted = list(dict.fromkeys([*message_ids, *all_held]))
        if not wanted:
            echo(NONE_HELD, err=True)
            return
        with client.inbox(wanted[0], changes=True) as opened:
            for message_id in wanted:
                try:
                    changed = opened.retry(message_id, now_ms=now_ms())
                except RefusedError as error:
                    refusals.append(error)
                else:
                    echo(f"message {changed.id} is {changed.state}")
        if len(refusals) < len(wanted):
            client.wake()
    if refusals:
        raise RefusedError("; ".join(error.message for error in refusals), refusals[0].hint)

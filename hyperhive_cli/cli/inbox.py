"""`hyperhive inbox`."""

import shutil
from typing import Any

import click

from hyperhive_cli.cli.invocation import Invocation, ask_harness, now_ms, pass_invocation, print_json
from hyperhive_cli.render import text
from hyperhive_cli.store.inbox import Message, open_inbox, open_inbox_reader


@click.group(invoke_without_command=True)
@click.option("--all", "ended", is_flag=True, help="Those that are done or cancelled as well.")
@click.option("--json", "as_json", is_flag=True, help="One message a line as JSON.")
@click.pass_context
def inbox(ctx: click.Context, *, ended: bool, as_json: bool) -> None:
    """List the messages that wait, run or are dead; cancel or retry one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_messages, ended=ended, as_json=as_json)


@inbox.command("list")
@click.option("--all", "ended", is_flag=True, help="Those that are done or cancelled as well.")
@click.option("--json", "as_json", is_flag=True, help="One message a line as JSON.")
@pass_invocation
def list_messages(invocation: Invocation, *, ended: bool, as_json: bool) -> None:
    """List messages, oldest first."""
    paths = invocation.paths()
    messages: list[Message] = []
    if paths.inbox_db.exists():
        with open_inbox_reader(paths.inbox_db) as reader:
            messages = reader.messages(ended=ended)
    if as_json:
        for message in messages:
            print_json(message.to_dict())
        return
    for line in _table(messages):
        click.echo(line)
    if not messages:
        click.echo("nothing waits" if not ended else "no messages yet", err=True)


def _table(messages: list[Message]) -> list[str]:
    width = shutil.get_terminal_size().columns
    rows = [_row(message) for message in messages]
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    lines = []
    for *cells, rest in rows:
        head = "  ".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True))
        lines.append(f"{head}  {text.one_line(rest, max(20, width - len(head) - 2))}")
    return lines


def _row(message: Message) -> tuple[str, ...]:
    age = text.duration((now_ms() - message.created) / 1000)
    reason = f" ({message.reason})" if message.reason and message.state in {"dead", "ready"} else ""
    return (str(message.id), message.state, age, text.one_line(message.sender, 16), f"{message.body}{reason}")


@inbox.command("cancel")
@click.argument("message_id", type=int, metavar="ID")
@pass_invocation
def cancel_message(invocation: Invocation, message_id: int) -> None:
    """Cancel a message that waits. The one that runs: hyperhive cancel."""
    _change(invocation, "cancel", message_id)


@inbox.command("retry")
@click.argument("message_id", type=int, metavar="ID")
@pass_invocation
def retry_message(invocation: Invocation, message_id: int) -> None:
    """Make a dead, cancelled or waiting message ready at once, with fresh attempts."""
    _change(invocation, "retry", message_id)
    ask_harness(invocation.paths(), "resume")


def _change(invocation: Invocation, verb: str, message_id: int) -> None:
    paths = invocation.steered_paths()
    with open_inbox(paths.inbox_db) as opened:
        changed: Any = getattr(opened, verb)(message_id, now_ms=now_ms())
    click.echo(f"message {changed.id} is {changed.state}")

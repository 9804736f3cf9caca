"""`hyperhive history`."""

import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.amount import NUMBER
from hyperhive_cli.cli.declared import group, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, print_json, say_if_new
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, no_header_option, print_piped, print_spans
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError, StoreError, UnknownError, UsageError
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.render.table import Cell, table_to_spans
from hyperhive_cli.store.archive_days import Day, archived_days, moved_aside
from hyperhive_cli.store.events import open_event_reader, open_event_store
from hyperhive_cli.store.folder import hold_lock
from hyperhive_cli.store.forget import forget_in_segments, forget_in_table, forget_result
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.store.words import words_of

PIPED = (
    "day", "segments", "events", "first_seq", "last_seq", "first", "last", "size_bytes", "raw_bytes", "damage",
)  # fmt: skip
HEADS = ["day", "events", "numbers", "size", "of", ""]
FORGET_LIMIT_S = 120.0  # a segment is written again in 10 s
NEWEST = "newest"  # those in the events table


@group(alone="list")
def history() -> None:
    """Show what is kept of the history, day by day, or remove a turn from it.

    \b
    Examples: hyperhive history
              hyperhive history list --check
              hyperhive history forget --turn 17
    """  # noqa: D301 - click's own mark


@history.command("list")
@option("--check", is_flag=True, help="Read everything and name what is damaged, about 100 MB a second.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per day; its fields: hyperhive help events.")
@no_header_option
@pass_invocation
def list_days(invocation: Invocation, *, check: bool, as_json: bool, no_header: bool) -> None:
    """List the archived days, oldest first, and the newest events.

    SIZE is what a day takes on the disk, OF how much its events are. Days are those of UTC. In a pipe: a line for
    each day, tabs between the values.

    \b
    Example: hyperhive history list --json
    """  # noqa: D301 - click's own mark
    client = invocation.local()
    try:
        days = archived_days(client.paths.history, check=check)
    except OSError as error:
        raise StoreError(f"{client.paths.history} cannot be read: {error.strerror}", "hyperhive doctor") from error
    newest = _newest(client.paths)
    found = [*days, *([] if newest is None else [newest])]
    if as_json:
        for day in found:
            print_json(day.to_dict())
    elif is_piped():
        print_piped(PIPED, map(_values, found), no_header=no_header)
    elif found:
        lines = table_to_spans(HEADS, [_row(day) for day in found], columns(), left=("day", ""), elastic="")
        print_spans([*lines, [(_sum(days), "quiet")]], no_header=no_header)
    for path in moved_aside(client.paths.history):
        echo(f"damaged, moved aside: {path.name}", err=True)
    if not found:
        echo("nothing is recorded yet", err=True)
        say_if_new(client)
    if any(day.damage for day in found):
        raise HyperhiveError("a part of the history is damaged", "hyperhive doctor")


@history.command()
@option(
    "--turn", "turn_id", type=NUMBER, metavar="ID", required=True, shell_complete=completers.turn_ids,
    help="The turn to remove.",
)  # fmt: skip
@option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_invocation
def forget(invocation: Invocation, turn_id: int, *, yes: bool) -> None:
    """Remove the events of a turn from the history, such as a secret that was printed in it.

    They are overwritten, and the words of the turn leave the index of `search`; its start, its end and its statistics
    stay, without texts. The message, backups, claude's own transcripts and a hive keep what they have.

    \b
    Example: hyperhive history forget --turn 17
    """  # noqa: D301 - click's own mark
    client = invocation.local(changes=True, may_be_new=False)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("this needs a confirmation", f"hyperhive history forget --turn {turn_id} --yes")
        click.confirm(f"remove the events of turn {turn_id}?", abort=True, err=True)
    answer = client.ask("history_forget", turn=turn_id, limit_s=FORGET_LIMIT_S)
    count = _forget_here(client.paths, turn_id) if answer is None else int(answer["events"])
    if not count:
        raise UnknownError(f"turn {turn_id} has nothing in the history that could be removed", "hyperhive search TEXT")
    echo(f"turn {turn_id}: {text.plural(count, 'event')} removed")


def _forget_here(paths: AgentPaths, turn_id: int) -> int:
    """Remove a turn while no harness runs."""
    with hold_lock(paths.lock_file, paths.agent, "removal"):
        with open_event_store(paths.events_db) as store:
            count = forget_in_table(store, turn_id)
        count = max(count, forget_in_segments(paths.history, turn_id, words_of))
        with open_inbox(paths.inbox_db) as inbox:
            forget_result(inbox, turn_id)
    return count


def _newest(paths: AgentPaths) -> Day | None:
    """Return the events table as a day, None if it is empty or cannot be read."""
    with suppress(StoreError), open_event_reader(paths.events_db) as store:
        first, (last, last_ts) = store.oldest(), store.end()
        if first is not None:
            size = paths.events_db.stat().st_size
            events = store.newest(1, upto=first)
            first_ts = events[0].ts if events else None
            return Day(NEWEST, 0, store.count(first, last), first, last, first_ts, last_ts, size, size)
    return None


def _values(day: Day) -> list[object]:
    """Return the row of a day in the columns of PIPED."""
    times = [None if ts is None else text.iso_time(ts / 1000) for ts in (day.first_ts, day.last_ts)]
    numbers = [day.segments, day.events, day.first_seq, day.last_seq]
    return [day.day, *numbers, *times, day.size_bytes, day.raw_bytes, "; ".join(day.damage) or None]


def _row(day: Day) -> Sequence[Cell | str]:
    numbers = "" if day.first_seq is None else f"{day.first_seq:,} to {day.last_seq:,}"
    raw = "" if day.day == NEWEST else text.size(day.raw_bytes)
    damage = Cell(("; ".join(day.damage),), "bad") if day.damage else ""
    return [day.day, f"{day.events:,}", numbers, text.size(day.size_bytes), raw, damage]


def _sum(days: Sequence[Day]) -> str:
    size, raw = sum(day.size_bytes for day in days), sum(day.raw_bytes for day in days)
    events = text.plural(sum(day.events for day in days), "event")
    return f"archived: {text.plural(len(days), 'day')}, {events}, {text.size(size)} of {text.size(raw)}"

"""One turn as a whole: its row of the statistics, and its events as far as the history has them."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hyperhive_cli.errors import StoreError, UnknownError, UsageError
from hyperhive_cli.events import BusEvent
from hyperhive_cli.settings import AgentPaths
from hyperhive_cli.sieve import events_of_turn, last_turn_id
from hyperhive_cli.store.ended import read_turn
from hyperhive_cli.store.events import read_history

LARGEST_ID = 2**63 - 1


Found = tuple[dict[str, Any] | None, list[BusEvent], bool]  # a turn's row, its events, whether those are all


def find_turn(paths: AgentPaths, named: str) -> Found:
    """Find a turn by its id, or `last`, of whose events a history that cannot be read has none.

    Raises where there is none.
    """
    history: list[BusEvent] = []
    with suppress(StoreError):
        history = read_history(paths.events_db)
    return find_turn_in(history, paths, named)


def find_turn_in(history: Sequence[BusEvent], paths: AgentPaths, named: str) -> Found:
    """Find a turn by its id, or `last`, in a history that was read. Raises where there is none."""
    turn_id = None if named == "last" else _to_id(named)
    row = read_turn(paths, turn_id)
    wanted = turn_id if row is None else int(row["turn_id"])
    wanted = last_turn_id(history) if wanted is None else wanted
    events, is_whole = ([], False) if wanted is None else events_of_turn(history, wanted)
    if row is None and not events:
        which = "no turn yet" if turn_id is None else f"no turn {turn_id}"
        raise UnknownError(f"there is {which}", "hyperhive tail --no-follow --kind turn_start")
    return row, events, is_whole


def turn_to_dict(row: dict[str, Any] | None, events: Sequence[BusEvent], *, is_whole: bool) -> dict[str, Any]:
    """Give the fields of `show --json` of what was found."""
    history = "none" if not events else "whole" if is_whole else "partial"
    return {**(row or {}), "history": history, "events": len(events)}


def _to_id(named: str) -> int:
    if not (named.isascii() and named.isdigit() and int(named[:30]) <= LARGEST_ID):
        raise UsageError(f"{named!r} is no turn", "its number, or last")
    return int(named)

"""The order of the messages that wait: a place each, the lowest first; one that was never moved has its id. Pure."""

from collections.abc import Sequence

from hyperhive_cli.core.errors import UsageError

IN_ORDER = "coalesce(place, id), id"


def refuse_itself(message_id: int, before: int | None) -> None:
    """Raise UsageError for a message that shall come before itself."""
    if message_id == before:
        raise UsageError(f"message {message_id} cannot be moved before itself", "hyperhive inbox")


def new_places(
    waiting: Sequence[tuple[int, float]], message_id: int, before: int | None, newest: int
) -> dict[int, float]:
    """Return the places that change, by their ids, so that a message comes before another one, or behind all (None).

    `waiting` are the others that wait, as (id, place) in their order; `newest` is the highest id ever given. Where no
    number is left between two neighbours, as after some 50 moves to one place, all get whole ones, below those yet to
    come.
    """
    order = [number for number, _ in waiting]
    at = len(order) if before is None else order.index(before)
    high = newest + 1 if at == len(order) else waiting[at][1]
    low = waiting[at - 1][1] if at else high - 2
    place = (low + high) / 2
    if low < place < high:
        return {message_id: place}
    order.insert(at, message_id)
    return {number: float(newest - len(order) + behind) for behind, number in enumerate(order, start=1)}

"""Numbers in JSON that others have written: plausible ones, or None. Pure."""

from hyperhive_cli.core.settings import MAX_FIGURE


def whole(value: object) -> int | None:
    """Return `value` if it is an integer from 0 to MAX_FIGURE, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_FIGURE else None


def number(value: object) -> float | None:
    """Return `value` as a float if it is a number from 0 to MAX_FIGURE, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MAX_FIGURE else None

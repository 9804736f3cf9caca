"""Tables for programs: a line for each row, tabs between its values, nothing cut. Pure: no I/O, no rich."""

import re
from collections.abc import Iterable

from hyperhive_cli.core import text

_ESCAPED = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_SPECIAL = re.compile(r"[\\\t\n\r]")


def values_to_line(values: Iterable[object]) -> str:
    r"""Return a row: `-` for None, plain figures, and in texts `\\`, `\t`, `\n` and `\r` for what would break it."""
    return "\t".join(map(_value_to_text, values))


def _value_to_text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return text.clean(_SPECIAL.sub(lambda found: _ESCAPED[found[0]], str(value)))

"""Values of unknown JSON, read as the shape that is wanted. Pure.

JSON objects are dicts: to ask for a Mapping takes five times as long.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def mapping(value: object) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def string(value: object) -> str:
    """Return `value` unchanged if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def blocks_in(content: object) -> Iterator[Mapping[str, Any]]:
    """Return the blocks of a message's content; a bare text counts as a text block."""
    if isinstance(content, list):
        yield from (block if isinstance(block, dict) else {"type": "text", "text": block} for block in content)
    elif content is not None:
        yield {"type": "text", "text": content}

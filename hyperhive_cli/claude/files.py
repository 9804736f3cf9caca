"""Safe reading of claude's own files, whatever is in their place."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hyperhive_cli.core.files import read_file

LIMIT_BYTES = 32 * 1024 * 1024  # a `.claude.json` grows to some MiB over years


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON in a file; None if it is missing, not a regular file, too large or invalid. Blocks briefly."""
    with suppress(OSError, ValueError, RecursionError):
        return json.loads(read_file(path, LIMIT_BYTES, links=True).decode("utf-8-sig"))
    return None

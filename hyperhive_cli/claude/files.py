"""claude's own files, read so that nothing that lies in their place can do harm."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hyperhive_cli.core.files import read_file

LIMIT_BYTES = 32 * 1024 * 1024  # a `.claude.json` of years has some MiB


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON in a file; None for one that is missing, no file, too large, or no JSON. Blocking, but short."""
    with suppress(OSError, ValueError, RecursionError):
        return json.loads(read_file(path, LIMIT_BYTES, links=True).decode("utf-8-sig"))
    return None

"""claude's own files, read so that nothing that lies in their place can do harm."""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

LIMIT_BYTES = 32 * 1024 * 1024  # a `.claude.json` of years has some MiB


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON in a file; None for one that is missing, no file, too large, or no JSON. Blocking, but short."""
    with suppress(OSError, ValueError, RecursionError):
        # NONBLOCK: a pipe in its place must not hold up the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and len(content := file.read(LIMIT_BYTES + 1)) <= LIMIT_BYTES:
                return json.loads(content.decode("utf-8-sig"))
    return None

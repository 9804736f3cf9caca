"""The claude program: where it is, and why it cannot be started, as far as its file tells.

If a script's interpreter or a binary's loader is missing, the system names the program itself as missing.
"""

import errno
import os
import shutil
from pathlib import Path

from hyperhive_cli.core.errors import HyperhiveError

LINE_LIMIT_BYTES = 256  # of a script's first line: what Linux reads
INSTALL = "npm install -g @anthropic-ai/claude-code"
KNOWN_PLACES = ("~/.local/bin/claude", "~/.claude/local/claude")


def find_claude(name: str) -> str:
    """Return claude's absolute path; raises HyperhiveError if it cannot be found or executed."""
    found = shutil.which(name)
    if found is None and name == "claude":
        # An alias of the operator's shell, or the short PATH of a service, hides where it was installed.
        found = next((str(place) for place in map(Path.expanduser, map(Path, KNOWN_PLACES)) if place.is_file()), None)
    if found is None:
        is_there = "/" in name and Path(name).exists()
        raise HyperhiveError(
            why_not(name, errno.EACCES) if is_there else f"claude not found: {name!r}",
            f"{INSTALL}, or --claude PATH; `hyperhive demo` needs none",
        )
    return str(Path(found).absolute())


def why_not(program: str, code: int) -> str:
    """Return a sentence on why this program could not be started; `code` is the error number of the system."""
    words = os.strerror(code)
    path = Path(program)
    try:
        if path.is_dir():
            return f"{program} is a directory"
        if path.exists() and not path.is_file():  # reading a pipe would block
            return f"{program} is not a file"
        with path.open("rb") as file:
            line = file.readline(LINE_LIMIT_BYTES)
    except FileNotFoundError:
        return f"{program} does not exist"
    except OSError:
        return f"{program}: {words}"
    if code == errno.EACCES and not os.access(path, os.X_OK):
        return f"{program} is not executable (chmod +x)"
    if code == errno.ENOEXEC:
        what = "is not a program for this system (wrong processor, damaged, or a script without #!)"
        return f"{program} {what if line else 'is empty'}"
    needed = _interpreter(line)
    if needed is not None and (Path(needed).is_dir() or not os.access(needed, os.X_OK)):
        return f"{program} needs the interpreter {needed}, which cannot be executed"
    if code == errno.ENOENT:
        return f"{program} was built for another system: its loader does not exist"
    return f"{program}: {words}"


def _interpreter(line: bytes) -> str | None:
    words = line[2:].split() if line.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else None

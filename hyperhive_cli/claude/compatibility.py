"""What hyperhive knows about releases of claude: tested versions, the flags it needs, the known lines. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hyperhive_cli.claude.sentences import KNOWN_LINES, line_name

OLDEST_TESTED = (2, 1, 197)
NEWEST_TESTED = (2, 1, 332)

# Every flag of a turn's command line except HOOK_EVENTS_FLAG, which a turn can do without; a test compares the two.
USED_FLAGS = """
    --print --verbose --output-format --input-format --model --resume --continue --permission-mode
    --dangerously-skip-permissions --include-partial-messages
""".split()  # noqa: SIM905 - easier to read than a list

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def read_version(text: str) -> tuple[int, int, int] | None:
    """Return the version in the output of `claude --version`, None if there is none."""
    found = _VERSION.search(text)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def missing_flags(help_text: str) -> list[str]:
    """Return the flags that hyperhive needs and that claude's help does not list."""
    listed = set(_FLAG.findall(help_text))
    return [flag for flag in USED_FLAGS if flag not in listed]


def unknown_lines(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of unknown lines, sorted, each once and cut to 60 characters per part."""
    return sorted({name for line in lines if (name := line_name(line)) not in KNOWN_LINES})

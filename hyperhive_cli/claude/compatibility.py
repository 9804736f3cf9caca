"""What hyperhive knows of claude's releases: which were tried, which flags it uses, which lines it has met. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hyperhive_cli.claude.sentences import KNOWN_LINES, line_name

OLDEST_TESTED = (2, 1, 197)
NEWEST_TESTED = (2, 1, 332)

# All that a turn's command line may hold but HOOK_EVENTS_FLAG, without which a turn runs too; a test compares it with
# what is built.
USED_FLAGS = (
    "--print",
    "--verbose",
    "--output-format",
    "--input-format",
    "--model",
    "--resume",
    "--continue",
    "--permission-mode",
    "--dangerously-skip-permissions",
    "--include-partial-messages",
)

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def read_version(text: str) -> tuple[int, int, int] | None:
    """Return the release that `claude --version` names, None when it names none."""
    found = _VERSION.search(text)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def missing_flags(help_text: str) -> list[str]:
    """Return the flags that we use and claude's help does not list any more."""
    listed = set(_FLAG.findall(help_text))
    return [flag for flag in USED_FLAGS if flag not in listed]


def unknown_lines(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the types of lines that are not known, sorted, each once and cut to 60 characters."""
    return sorted({name for line in lines if (name := line_name(line)) not in KNOWN_LINES})

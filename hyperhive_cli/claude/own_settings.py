"""The environment variables that claude's own settings add. Pure: files are read through an argument.

Measured, 2.1.197 and 2.1.332: `env` in `.claude.json` and in every settings file overrides the environment with which
claude was started. A settings file of the workspace can make MCP_TIMEOUT longer but not shorter.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hyperhive_cli.claude.files import config_folder, settings_file
from hyperhive_cli.claude.options import values_of

Read = Callable[[Path], Any]  # returns the JSON in a file, None if that is missing or unusable
SOURCES = ("user", "project", "local")


class ClaudeFiles(NamedTuple):
    """Where claude finds its settings: environment, folder and arguments; and how to read its files."""

    environ: Mapping[str, str]
    workspace: Path
    words: Sequence[str]
    read: Read

    def read_word(self, word: str) -> Any:  # noqa: ANN401 - JSON
        """Read an argument that is JSON or the path of a file."""
        if word.lstrip().startswith("{"):
            with suppress(ValueError, RecursionError):
                return json.loads(word)
            return None
        return self.read(self.workspace / word)


def claude_variables(files: ClaudeFiles) -> dict[str, str]:
    """Return claude's effective environment: its own, overridden by its settings."""
    found = dict(files.environ)
    for variables in _added(files):
        found |= variables
    return found


def added_values(files: ClaudeFiles, name: str) -> list[str]:
    """Return all values of a variable in claude's environment and settings, the one with precedence last."""
    given = [files.environ, *_added(files)]
    return [variables[name] for variables in given if name in variables]


def _added(files: ClaudeFiles) -> Iterator[dict[str, str]]:
    """Yield the `env` of each settings file, the one with precedence last."""
    own = files.workspace / ".claude"
    named = values_of(files.words, "--setting-sources")
    sources = {word.strip() for word in named[-1].split(",")} if named else set(SOURCES)
    by_source = {
        "user": config_folder(files.environ) / "settings.json",
        "project": own / "settings.json",
        "local": own / "settings.local.json",
    }
    yield _env(files.read(settings_file(files.environ)))
    for source in SOURCES:
        if source in sources:
            yield _env(files.read(by_source[source]))
    for word in values_of(files.words, "--settings")[-1:]:
        yield _env(files.read_word(word))


def _env(settings: object) -> dict[str, str]:
    env = settings.get("env") if isinstance(settings, Mapping) else None
    if not isinstance(env, Mapping):
        return {}
    return {name: str(value) for name, value in env.items() if isinstance(value, str | int | float)}

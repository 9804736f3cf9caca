"""claude's own settings, as far as they change the environment that claude has. Pure: files are read by an argument.

Measured, 2.1.197 and 2.1.332: `env` of `.claude.json` and of each settings file overrides the environment that claude
was started with. A file of the workspace may lengthen MCP_TIMEOUT there and not shorten it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hyperhive_cli.claude.options import values_of

Read = Callable[[Path], Any]  # the JSON in a file; None for one that is missing or cannot be used
SOURCES = ("user", "project", "local")


class ClaudeFiles(NamedTuple):
    """Where a claude finds its settings: its environment, its folder, its arguments, and how its files are read."""

    environ: Mapping[str, str]
    workspace: Path
    words: Sequence[str]
    read: Read

    @property
    def config_folder(self) -> Path:
        """The folder of claude's own files."""
        return Path(self.environ.get("CLAUDE_CONFIG_DIR") or Path(self.environ.get("HOME", "/")) / ".claude")

    @property
    def general_file(self) -> Path:
        """The file in which claude keeps what it knows of its user and of each folder."""
        return Path(self.environ.get("CLAUDE_CONFIG_DIR") or self.environ.get("HOME", "/")) / ".claude.json"

    def read_word(self, word: str) -> Any:  # noqa: ANN401 - JSON
        """Read an argument that is JSON itself, or names a file."""
        if word.lstrip().startswith("{"):
            with suppress(ValueError, RecursionError):
                return json.loads(word)
            return None
        return self.read(self.workspace / word)


def claude_variables(files: ClaudeFiles) -> dict[str, str]:
    """Return the environment as claude will have it: its own, and over that what its settings add."""
    found = dict(files.environ)
    for variables in _added(files):
        found |= variables
    return found


def added_values(files: ClaudeFiles, name: str) -> list[str]:
    """Return all values that a variable is given, by claude's environment and by its settings, the strongest last."""
    given = [files.environ, *_added(files)]
    return [variables[name] for variables in given if name in variables]


def _added(files: ClaudeFiles) -> Iterator[dict[str, str]]:
    """Yield the `env` of each settings file, the strongest last."""
    own = files.workspace / ".claude"
    named = values_of(files.words, "--setting-sources")
    sources = {word.strip() for word in named[-1].split(",")} if named else set(SOURCES)
    by_source = {
        "user": files.config_folder / "settings.json",
        "project": own / "settings.json",
        "local": own / "settings.local.json",
    }
    yield _env(files.read(files.general_file))
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

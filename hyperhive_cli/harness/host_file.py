"""The file of `hyperhive host`: agents of one or many machines, and which of them run where. Pure."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.settings import check_agent_name
from hyperhive_cli.core.times import text_to_seconds
from hyperhive_cli.hive.address import check_machine, check_pattern, fits

HOST_FILE = "hive.toml"
_TOP = ("hive", "machine", "max-turns-at-once", "stagger", "defaults", "agents", "placement")


@dataclass(frozen=True, slots=True)
class HostedAgent:
    """An agent of a host: its workspace, and its options of `run` by name."""

    name: str
    workspace: Path
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A host's file. `placement` maps patterns of agents' names to machines; the first match counts."""

    agents: tuple[HostedAgent, ...] = ()
    placement: tuple[tuple[str, tuple[str, ...]], ...] = ()
    hive: str | None = None
    machine: str | None = None
    max_turns: int | None = None
    stagger_s: float | None = None

    def agents_on(self, machine: str) -> list[HostedAgent]:
        """Return the agents that may run on a machine."""
        return [agent for agent in self.agents if is_placed(self.placement, agent.name, machine)]


def is_placed(rules: Sequence[tuple[str, Sequence[str]]], agent: str, machine: str) -> bool:
    """Return True if an agent may run on a machine: the first matching rule decides; without one it may."""
    for pattern, machines in rules:
        if fits(pattern, agent):
            return machine in machines
    return True


def read_plan(text: str, path: Path) -> HostPlan:
    """Parse a host's file; raises UsageError, which names the file and what is wrong in it.

    Workspaces are relative to the file's folder. The options are not checked here.
    """
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    for key in found.keys() - set(_TOP):
        raise UsageError(f"{path}: unknown setting: {key!r}", ", ".join(_TOP))
    defaults = _of_type(path, found, "defaults", dict, {})
    agents = _of_type(path, found, "agents", dict, {})
    placement = _of_type(path, found, "placement", dict, {})
    max_turns = _of_type(path, found, "max-turns-at-once", int, None)
    if max_turns is not None and max_turns < 1:
        raise UsageError(f"{path}: max-turns-at-once must be at least 1")
    stagger = _of_type(path, found, "stagger", (int, float, str), None)
    machine = _of_type(path, found, "machine", str, None)
    return HostPlan(
        tuple(_read_agent(path, name, table, defaults) for name, table in agents.items()),
        tuple((check_pattern(pattern), _read_machines(path, pattern, names)) for pattern, names in placement.items()),
        _of_type(path, found, "hive", str, None),
        None if machine is None else check_machine(machine),
        max_turns,
        None if stagger is None else max(0.0, _read_seconds(path, stagger)),
    )


def _of_type(path: Path, table: Mapping[str, Any], key: str, wanted: Any, default: Any) -> Any:  # noqa: ANN401
    value = table.get(key, default)
    if value is not default and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise UsageError(f"{path}: {key!r} has the wrong type")
    return value


def _read_seconds(path: Path, stagger: float | str) -> float:
    try:
        return text_to_seconds(str(stagger))
    except UsageError as error:
        raise UsageError(f"{path}: 'stagger': {error.message}", error.hint) from error


def _read_agent(path: Path, name: str, table: object, defaults: Mapping[str, Any]) -> HostedAgent:
    if not isinstance(table, dict) or not isinstance(table.get("workspace"), str):
        raise UsageError(f"{path}: agent {name!r} needs a workspace", f'[agents.{name}], workspace = "/a/folder"')
    options = {**defaults, **table}
    workspace = path.parent / Path(options.pop("workspace")).expanduser()
    return HostedAgent(check_agent_name(name), workspace, options)


def _read_machines(path: Path, pattern: str, names: object) -> tuple[str, ...]:
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise UsageError(f"{path}: [placement] {pattern!r}: expected a machine's name, or a list of names")
    return tuple(check_machine(name) for name in listed)


def options_to_words(options: Mapping[str, Any]) -> list[str]:
    """Return options of `run` as words of a command line; `claude-args` follow `--`."""
    words: list[str] = []
    for key, value in options.items():
        if key == "claude-args":
            continue
        values = value if isinstance(value, list) else [value]
        for one in values:
            if one is True:
                words.append(f"--{key}")
            elif one is not False:
                words += [f"--{key}", str(one)]
    return [*words, *(["--", *options["claude-args"]] if options.get("claude-args") else [])]

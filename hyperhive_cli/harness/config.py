"""`HarnessConfig`: everything that one life of a harness needs. It loads no event loop, so that it is cheap to make."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.core.retention import KEEP_DEFAULT, KEEP_HISTORY, HistoryRetention, Retention
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.harness.hook_command import ATTENTION

if TYPE_CHECKING:
    from hyperhive_cli.harness.display import Display


class Hive(NamedTuple):
    """The hive of an agent: its address, and this machine's name there."""

    url: str
    machine: str


@dataclass(frozen=True, slots=True)
class PanelConfig:
    """How the web panel is run: the arguments of `hyperhive` up to and including those of `web`, and the folder."""

    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(repr=False)

    @property
    def command(self) -> list[str]:
        """The command: this very program, without any module that lies in the folder where it runs (`-P`)."""
        return [sys.executable, "-P", "-m", "hyperhive_cli", *self.arguments, "--json"]

    @property
    def by_hand(self) -> str:
        """The same command, for a person to type."""
        return shlex.join(("hyperhive", *self.arguments))


@dataclass(frozen=True, slots=True)
class HarnessConfig:
    """Everything that one life of a harness needs. `messages` are put into the inbox first."""

    paths: AgentPaths
    agent: AgentConfig
    model: str | None = None
    messages: Sequence[tuple[str, str]] = ()  # sender, body
    display: "Display | None" = None
    has_console: bool = False  # the display is a console
    allow_self_control: bool = False
    on_event: tuple[str, ...] = ()  # the hook's command, its program an absolute path
    on_event_kinds: tuple[str, ...] = (ATTENTION,)
    report_at: str | None = None  # when the daily report is published, such as 08:00
    panel: PanelConfig | None = None
    announce: Callable[[str], None] | None = None  # shows the panel's address; None: it is shown with the events
    hive: Hive | None = None
    complain: Callable[[str], None] = print  # shows on stderr what cannot be shown with the events
    keep_messages: Retention = KEEP_DEFAULT
    keep_history: HistoryRetention = KEEP_HISTORY
    is_workspace_named: bool = False  # by the operator: an agent whose workspace was moved may be bound to it

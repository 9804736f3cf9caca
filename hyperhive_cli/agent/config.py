"""`AgentConfig` and `Account`: how an agent runs claude, and whom claude works for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hyperhive_cli.agent.compaction_policy import CompactionPolicy
from hyperhive_cli.agent.settings_copy import SettingsCopy
from hyperhive_cli.claude.argv import Launch
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.claude.watch import TimeLimits
from hyperhive_cli.core.budget import Budget


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """How an agent runs claude."""

    launch: Launch
    workspace: Path
    environment: Mapping[str, str]
    limits: TimeLimits = field(default_factory=TimeLimits)
    continue_newest: bool = False
    drain: bool = False
    drain_wait_s: float = 60.0
    kept: tuple[int, ...] = ()  # descriptors that a turn's guard holds: the harness's lock
    expect_auth: str | None = None  # the only source of credentials that may be used
    withheld: tuple[str, ...] = ()  # clouds whose credentials claude is not given: `AWS_*`
    redactor: Redactor = field(default_factory=lambda: Redactor({}))
    prewarm: bool = False  # let the next claude wait while the agent is idle
    budget: Budget = field(default_factory=Budget)
    compaction: CompactionPolicy = field(default_factory=CompactionPolicy)
    allow_cross_session: bool = False  # other sessions may put messages into claude
    settings_file: Path | None = None  # the operator's, which the launch does not name
    settings: SettingsCopy | None = None  # of that file, while the agent runs

    def with_settings(self, launch: Launch) -> Launch:
        """Return what the next claude is started with; reads the operator's settings file again if it has changed."""
        return launch if self.settings is None else replace(launch, settings=str(self.settings.refresh()))


@dataclass(frozen=True, slots=True)
class Account:
    """Whom claude works for, by digests, which tell nobody who that is.

    Agents with the same `name` share its limits. Those with the same `login` share what claude logs in with as well:
    a key wherever it is used, a login only where its file is.
    """

    name: str
    login: str

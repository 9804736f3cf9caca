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
from hyperhive_cli.core.quota import Reserve


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
    kept: tuple[int, ...] = ()  # descriptors that a turn's guard keeps open: the harness's lock
    expect_auth: str | None = None  # the only source of credentials that may be used
    withheld: tuple[str, ...] = ()  # clouds whose credentials claude is not given: `AWS_*`
    redactor: Redactor = field(default_factory=lambda: Redactor({}))
    prewarm: bool = False  # start the next claude while the agent is idle
    budget: Budget = field(default_factory=Budget)
    reserve: Reserve = field(default_factory=Reserve)  # of the plan, from messages that are idle
    accounts: Path | None = None  # the folder of what agents of one account share; None: nothing is kept
    compaction: CompactionPolicy = field(default_factory=CompactionPolicy)
    adopt_crons: bool = False  # claude's own jobs become schedules
    allow_cross_session: bool = False  # other sessions may put messages into claude
    settings_file: Path | None = None  # the operator's, in place of the one in `launch`
    settings: SettingsCopy | None = None  # of that file, while the agent runs

    def with_settings(self, launch: Launch) -> Launch:
        """Return the launch with the operator's settings; reads their file again if it has changed."""
        return launch if self.settings is None else replace(launch, settings=str(self.settings.refresh()))


@dataclass(frozen=True, slots=True)
class Account:
    """Whom claude works for, as digests that reveal nothing.

    Agents with the same `name` share its limits. Agents with the same `login` also share what claude logs in with: a
    key wherever it is used, a login only where its file is.
    """

    name: str
    login: str

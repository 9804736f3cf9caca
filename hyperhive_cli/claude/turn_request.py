"""`TurnRequest`: everything that one run of claude is given. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.claude.watch import TimeLimits


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """What one run of claude is started with, told, and allowed."""

    argv: Sequence[str]
    prompt: bytes
    workspace: Path
    environment: Mapping[str, str]
    limits: TimeLimits = field(default_factory=TimeLimits)
    kept: Sequence[int] = ()  # descriptors that the guard holds until nothing of the turn is left
    session_id: str | None = None  # the conversation that `argv` resumes
    expect_auth: str | None = None  # the only source of credentials (as `init` names it) allowed; None: any
    turn_limits: TurnLimits = field(default_factory=TurnLimits)  # its dollars are in `argv` as well
    redact: Redactor = field(default_factory=lambda: Redactor({}))  # sees each line before anything else does

    def new_evidence(self) -> Evidence:
        """Return the evidence of a run that has not started."""
        # A command such as `/clear` starts another session, and may do nothing else.
        is_command = self.prompt.lstrip().startswith(b"/")
        return Evidence(
            asked_session=None if is_command else self.session_id,
            expected_auth=self.expect_auth,
            cost_cap=self.turn_limits.cap_words,
        )

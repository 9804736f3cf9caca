"""An agent's conversation over its turns: which session the next turn resumes, and what it has cost so far. Pure.

A session in which claude's API refuses the request (400) may be poisoned for good: an image it cannot read, a
broken signature (anthropics/claude-code#34025, #16173). It is set aside, and the message tried once more in a
new one. Does that work, the new session stays; is the request refused there too, it was the message's fault and
the old session is taken up again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.outcomes import Outcome, OutcomeKind


@dataclass(frozen=True, slots=True)
class Session:
    """What a turn begins with. `id` is None for a fresh session, `dropped` when that is on purpose."""

    id: str | None = None
    dropped: bool = False
    spent_usd: float = 0.0  # claude's running total at the end of the turn before
    aside: str | None = None  # the session that was set aside for the turn before
    aside_spent_usd: float = 0.0

    @classmethod
    def from_facts(cls, fact: Callable[[str], str | None]) -> "Session":
        """Read it from the agent's facts."""
        known = fact("session_id")
        return cls(
            known or None,
            known == "",
            float(fact("session_cost_usd") or 0) if known else 0.0,
            fact("aside_session_id") or None,
            float(fact("aside_cost_usd") or 0),
        )

    def is_suspect(self, seen: Evidence, outcome: Outcome) -> bool:
        """Whether a refusal may be this session's fault, and not the message's."""
        refused = outcome.kind is OutcomeKind.BAD_REQUEST and seen.api_error_status == 400
        return refused and self.id is not None and self.aside is None

    def cost_usd(self, seen: Evidence) -> float | None:
        """Give a run's own cost: claude's last running total less what the session had spent before."""
        total = seen.total_cost_usd
        if total is None or not seen.cost_is_per_session or total < self.spent_usd:
            return total  # below what was spent before: claude began to count anew
        return total - self.spent_usd

    def facts_after(self, seen: Evidence, outcome: Outcome) -> dict[str, str]:
        """Give the facts that a turn in this session leaves; those not named stay."""
        if self.is_suspect(seen, outcome):
            return {**_session(None, 0.0), "aside_session_id": self.id or "", "aside_cost_usd": repr(self.spent_usd)}
        if self._was_the_message(outcome):
            return {**_session(self.aside, self.aside_spent_usd), **_NOTHING_ASIDE}
        facts: dict[str, str] = {}
        if outcome.kind is OutcomeKind.SESSION_LOST:
            facts |= _session(None, 0.0)
        elif seen.inits and seen.session_id:
            facts["session_id"] = seen.session_id
            if seen.total_cost_usd is not None:
                facts["session_cost_usd"] = repr(seen.total_cost_usd)
        return facts | (_NOTHING_ASIDE if self.aside and outcome.ok else {})

    def remark(self, seen: Evidence, outcome: Outcome) -> str | None:
        """Say what becomes of the session where that is not as usual."""
        if self.is_suspect(seen, outcome):
            return f"the request was refused in session {self.id}: once more in a new session"
        if self._was_the_message(outcome):
            return f"refused in a new session too: going on in session {self.aside}"
        if self.aside is not None and outcome.ok:
            return f"session {self.aside} is left behind: claude's API refuses it; going on in {seen.session_id}"
        return None

    def _was_the_message(self, outcome: Outcome) -> bool:
        return self.aside is not None and outcome.kind is OutcomeKind.BAD_REQUEST


_NOTHING_ASIDE = {"aside_session_id": "", "aside_cost_usd": ""}


def _session(session_id: str | None, spent_usd: float) -> dict[str, str]:
    return {"session_id": session_id or "", "session_cost_usd": repr(spent_usd) if session_id else ""}

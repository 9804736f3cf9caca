"""An agent's conversation over its turns: which session the next turn resumes, and what it has cost so far. Pure.

A session in which claude's API refuses the request (400) may be poisoned for good: an image it cannot read, a
broken signature (anthropics/claude-code#34025, #16173). It is set aside, and the message tried once more in a
new one. Does that work, the new session stays; is the request refused there too, it was the message's fault and
the old session is taken up again.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.outcomes import Outcome, OutcomeKind
from hyperhive_cli.usage import TokenUsage


@dataclass(frozen=True, slots=True)
class Session:
    """What a turn begins with. `id` is None for a fresh session, `dropped` when that is on purpose.

    `used` is None where an older hyperhive has kept the cost alone, and both totals are where another program has
    begun the session.
    """

    id: str | None = None
    dropped: bool = False
    spent_usd: float | None = 0.0  # claude's running total at the end of the turn before
    used: TokenUsage | None = field(default_factory=TokenUsage)  # the same of tokens
    aside: str | None = None  # the session that was set aside for the turn before
    aside_spent_usd: float = 0.0
    aside_used: TokenUsage | None = None

    @classmethod
    def from_facts(cls, fact: Callable[[str], str | None]) -> "Session":
        """Read it from the agent's facts."""
        known = fact("session_id")
        cost = fact("session_cost_usd") if known else None
        return cls(
            known or None,
            known == "",
            float(cost or 0),
            _read_usage(fact("session_tokens")) if cost else TokenUsage(),
            fact("aside_session_id") or None,
            float(fact("aside_cost_usd") or 0),
            _read_usage(fact("aside_tokens")),
        )

    def is_suspect(self, seen: Evidence, outcome: Outcome) -> bool:
        """Whether a refusal may be this session's fault, and not the message's."""
        refused = outcome.kind is OutcomeKind.BAD_REQUEST and seen.api_error_status == 400
        return refused and self.id is not None and self.aside is None

    def cost_usd(self, seen: Evidence) -> float | None:
        """Give a run's own cost, None where it cannot be told from what others have spent in its session."""
        return seen.own_cost_usd(self._totals_before(seen)[0])

    def usage(self, seen: Evidence) -> TokenUsage:
        """Give a run's own tokens: the growth of claude's running totals, which hold subagents and compactions too.

        A run that was cut off before its result shows each of its requests once, the output side as a
        placeholder. They count where nothing else will: from 2.1.277 on the next turn's totals hold them.
        """
        if not seen.results:
            requests = () if seen.cost_is_per_session else map(TokenUsage.from_usage, seen.requests.values())
            return sum(requests, TokenUsage())
        return seen.own_usage(self._totals_before(seen)[1])

    def _totals_before(self, seen: Evidence) -> tuple[float | None, TokenUsage | None]:
        """Give the totals with which the session of a run began, in so far as it is ours."""
        if seen.other_session is not None:  # whoever's that is
            return None, None
        if self.id is not None and seen.session_id not in {None, self.id}:  # a fresh one, after a raw `/clear`
            return 0.0, TokenUsage()
        return self.spent_usd, self.used

    def facts_after(self, seen: Evidence, outcome: Outcome) -> dict[str, str]:
        """Give the facts that a turn in this session leaves; those not named stay."""
        if self.is_suspect(seen, outcome):
            aside = {"aside_session_id": self.id or "", **_totals("aside", self.spent_usd, self.used)}
            return {**_NO_SESSION, **aside}
        if self._was_the_message(outcome):
            totals = _totals("session", self.aside_spent_usd, self.aside_used)
            return {"session_id": self.aside or "", **totals, **_NOTHING_ASIDE}
        facts: dict[str, str] = {}
        if outcome.kind is OutcomeKind.SESSION_LOST:
            facts |= _NO_SESSION
        elif seen.inits and seen.session_id:
            facts["session_id"] = seen.session_id
            facts |= self._totals_after(seen)
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

    def _totals_after(self, seen: Evidence) -> dict[str, str]:
        if seen.total_cost_usd is None:
            return {}
        if not seen.cost_is_per_session:  # and after an update a newer claude begins to count at nought
            return _totals("session", 0.0, TokenUsage())
        return _totals("session", seen.total_cost_usd, seen.total_usage or self.used)

    def _was_the_message(self, outcome: Outcome) -> bool:
        return self.aside is not None and outcome.kind is OutcomeKind.BAD_REQUEST


_NOTHING_ASIDE = {"aside_session_id": "", "aside_cost_usd": "", "aside_tokens": ""}
_NO_SESSION = {"session_id": "", "session_cost_usd": "", "session_tokens": ""}


def _totals(whose: str, spent_usd: float | None, used: TokenUsage | None) -> dict[str, str]:
    tokens = "" if used is None else json.dumps(used.to_dict())
    return {f"{whose}_cost_usd": repr(spent_usd or 0.0), f"{whose}_tokens": tokens}


def _read_usage(text: str | None) -> TokenUsage | None:
    with suppress(ValueError):
        return TokenUsage.from_usage(json.loads(text)) if text else None
    return None

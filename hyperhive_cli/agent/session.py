"""An agent's conversation over its turns: which session the next turn resumes, and what it has cost so far. Pure.

If a request is refused (a 400, or the model declines), the session itself may be the cause, for good: an image that
the API cannot read, a broken signature, a flagged text (anthropics/claude-code#34025, #16173). The message is tried
once more in a new session. If that works, the new session stays. If it is refused there too, it was the message, and
the next message starts another session, since both conversations contain the refused text.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.stream import is_session_id, session_id_of
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.store.inbox import Inbox


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a turn. Both totals are None if another program started it."""

    id: str | None = None  # None for a new session
    dropped: bool = False  # the new session is on purpose
    spent_usd: float | None = 0.0  # claude's running total at the end of the turn before
    used: TokenUsage | None = field(
        default_factory=TokenUsage
    )  # in tokens; None if an older hyperhive stored the cost only

    @classmethod
    def from_facts(cls, fact: Callable[[str], str | None]) -> "Session":
        """Read it from the agent's facts."""
        known = fact("session_id")
        if known and not is_session_id(known):  # of an older release, or damaged: no turn could start with it
            known = ""
        cost = fact("session_cost_usd") if known else None
        used = _read_usage(fact("session_tokens")) if cost else TokenUsage()
        return cls(known or None, known == "", float(cost or 0), used)

    def is_suspect(self, seen: Evidence, outcome: Outcome) -> bool:
        """Return True if this session, and not the message, may be the cause of a refusal."""
        return self.id is not None and _is_refused(seen, outcome)

    def cost_usd(self, seen: Evidence) -> float | None:
        """Return a run's own cost; None if others have spent an unknown part of its session's total."""
        return seen.own_cost_usd(self._totals_before(seen)[0])

    def usage(self, seen: Evidence) -> TokenUsage:
        """Return a run's own tokens: the growth of claude's running totals, including subagents and compactions.

        A run that was cut off before its result shows each of its requests once, the output as a placeholder. They
        count only for releases before 2.1.277: later ones add them to the next turn's totals.
        """
        if not seen.results:
            requests = () if seen.cost_is_per_session else map(TokenUsage.from_usage, seen.requests.values())
            return sum(requests, TokenUsage())
        return seen.own_usage(self._totals_before(seen)[1])

    def _totals_before(self, seen: Evidence) -> tuple[float | None, TokenUsage | None]:
        """Return the totals at the start of a run, as far as they are known."""
        if seen.other_session is not None:  # of another program
            return None, None
        if self.id is not None and seen.session_id not in {None, self.id}:  # a fresh one, after a raw `/clear`
            return 0.0, TokenUsage()
        return self.spent_usd, self.used

    def facts_after(self, seen: Evidence, outcome: Outcome) -> dict[str, str]:
        """Return the facts that a turn in this session changes."""
        if outcome.kind is OutcomeKind.SESSION_LOST or _is_refused(seen, outcome):
            return dict(_NO_SESSION)
        facts: dict[str, str] = {}
        if seen.inits and seen.session_id:
            facts["session_id"] = seen.session_id
            facts |= self._totals_after(seen)
        return facts

    def remark(self, seen: Evidence, outcome: Outcome) -> str | None:
        """Return a note if the session is not simply continued."""
        if self.is_suspect(seen, outcome):
            return f"refused in session {self.id}: trying again in a new session; the old one is left behind"
        if _is_refused(seen, outcome):
            return "refused in a new session too: the next message starts another one"
        return None

    def _totals_after(self, seen: Evidence) -> dict[str, str]:
        if seen.total_cost_usd is None:
            return {}
        if not seen.cost_is_per_session:
            # A newer claude continues from its own last total, whatever an older one has spent in between (measured:
            # 2.1.332, then 2.1.197, 2.1.100 or 2.0.77, then 2.1.332 again).
            return {} if seen.session_id == self.id else _totals(0.0, TokenUsage())
        return _totals(seen.total_cost_usd, seen.total_usage or self.used)


def _is_refused(seen: Evidence, outcome: Outcome) -> bool:
    return outcome.meaning.session_suspect and seen.own.api_error_status in {None, 400}  # a 422 is the message's own


_NO_SESSION = {"session_id": "", "session_cost_usd": "", "session_tokens": ""}


def request_new_session(inbox: Inbox) -> None:
    """Make the next turn start a new conversation; requested twice before that turn, it counts once."""
    inbox.put_facts(skip_continue="1")


def take_new_session_request(inbox: Inbox) -> bool:
    """Return True if a new conversation was requested; the request and the old session are then forgotten."""
    if inbox.fact("skip_continue") != "1":
        return False
    inbox.put_facts(skip_continue="", context_tokens="", **_NO_SESSION)
    return True


def keep_new_session(inbox: Inbox, line: Mapping[str, Any]) -> None:
    """Store the id of a new conversation as soon as claude names it: a harness that is killed now goes on in it."""
    if line.get("subtype") != "init" or line.get("type") != "system":
        return
    if (session_id := session_id_of(line)) is not None:
        with suppress(StoreError):  # the end of the turn writes it again, and says what is wrong
            if not inbox.fact("session_id"):  # a known id is the one that claude was asked to resume
                inbox.put_facts(**{**_NO_SESSION, "session_id": session_id})


def _totals(spent_usd: float | None, used: TokenUsage | None) -> dict[str, str]:
    tokens = "" if used is None else json.dumps(used.to_dict())
    return {"session_cost_usd": repr(spent_usd or 0.0), "session_tokens": tokens}


def _read_usage(text: str | None) -> TokenUsage | None:
    with suppress(ValueError):
        return TokenUsage.from_usage(json.loads(text)) if text else None
    return None

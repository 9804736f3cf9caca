"""`Compactor`: runs `/compact` between two turns: on request, if a message did not fit, or above the threshold."""

from functools import partial

import trio

from hyperhive_cli.agent.compaction_policy import CompactionPolicy, Remedy, after_futile
from hyperhive_cli.agent.retrying_writer import RetryingWriter
from hyperhive_cli.agent.session import request_new_session
from hyperhive_cli.agent.turn import TurnRunner
from hyperhive_cli.agent.turn_result import message_fate
from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind, meaning_of
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.messages import Message


class Compaction:
    """A requested compaction. `outcome` is set before `done`; it stays None if the compaction never ran."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.outcome: Outcome | None = None


class Compactor:
    """Runs compactions. The loop asks whether one is due, and has it run between two turns."""

    def __init__(
        self, policy: CompactionPolicy, turns: TurnRunner, inbox: Inbox, bus: Bus, writer: RetryingWriter
    ) -> None:
        self._policy = policy
        self._turns = turns
        self._inbox = inbox
        self._bus = bus
        self._writer = writer
        self._asked: Compaction | None = None

    def ask(self) -> Compaction:
        """Request one to run as soon as possible. Raises RefusedError if one is under way or there is no session."""
        if self._asked is not None:
            raise RefusedError("already compacting")
        if not self._has_session():
            raise RefusedError("there is no session yet to compact", "hyperhive send 'what to do'")
        self._asked = Compaction()
        return self._asked

    def close(self) -> None:
        """Tell anyone who waits for one that it will not run."""
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.done.set()

    @property
    def is_asked(self) -> bool:
        """Whether a compaction was requested."""
        return self._asked is not None

    async def run_asked(self) -> Outcome:
        """Run the requested one."""
        asked, outcome = self._asked, None
        try:
            outcome = await self._compact(None)
        finally:
            self._asked = None
            if asked is not None:
                asked.outcome = outcome
                asked.done.set()
        return outcome

    def is_due(self) -> bool:
        """Return True if the context is over the threshold, once after each message's turn, unless this is futile."""
        now = self._bus.current
        if not self._policy.is_over(now.context_tokens, now.context_window) or not self._has_session():
            return False
        newest = self._inbox.newest_turns(1)
        return (
            bool(newest) and newest[0]["message_id"] is not None and after_futile(self._futile()) is not Remedy.GIVE_UP
        )

    async def run_due(self) -> Outcome:
        """Run the one that is due, with the operator's instructions."""
        return await self._compact(self._policy.instructions)

    async def judge(self, seen: Evidence) -> None:
        """Judge the compaction before a message's turn by that turn, and act on it."""
        first = seen.first_context_tokens
        before = self._compaction_before()
        # One that a limit, a missing login or a stop prevented proves nothing.
        if self._policy.percent is None or first is None or before is None or not meaning_of(before).spent:
            return
        futile = self._futile() + 1 if self._policy.is_over(first, self._bus.current.context_window) else 0
        if futile != self._futile():
            await self._writer.retry_until(lambda: self._inbox.put_facts(compactions=self._policy.to_text(futile)))
        match after_futile(futile) if futile else Remedy.NOTHING:
            case Remedy.NEW_SESSION:
                text = f"{futile} compactions in a row did not bring the context below {self._policy.percent:g} %"
                self._bus.note(f"{text}: going on in a new session", "warning")
                await self._writer.retry_until(partial(request_new_session, self._inbox))
            case Remedy.GIVE_UP:
                text = f"not even a new session stays below {self._policy.percent:g} % of the context"
                self._bus.note(f"{text}: no longer compacting; start again with a higher --compact-at", "error")

    async def make_room(self, message: Message, seen: Evidence) -> Outcome | None:
        """Compact once, or start a new session. Return the outcome of a compaction that must be tried again later."""
        # A later attempt compacts only if none did before it, and a fresh session has nothing to compact.
        is_again = seen.asked_session is not None and self._compaction_before() != OutcomeKind.OK
        if self._inbox.fact("session_id") and (message.attempts == 1 or is_again):
            self._bus.note("the context is full: compacting, then trying again", "warning")
            compacted = await self._compact(self._policy.instructions)
            if compacted.ok and compacted.note is None:
                return None
            if not message_fate(compacted, attempts=1).spent:  # a limit, a missing login or a stop: the session is fine
                return compacted
        self._bus.note("the context is full: going on in a new session", "warning")
        await self._writer.retry_until(partial(request_new_session, self._inbox))
        return None

    def _compaction_before(self) -> str | None:
        """Return the outcome of the compaction just before the newest turn; None if there was none."""
        turns = self._inbox.newest_turns(2)
        return turns[1]["outcome"] if len(turns) == 2 and turns[1]["message_id"] is None else None

    async def _compact(self, instructions: str | None) -> Outcome:
        result = await self._turns.run_compact(instructions)
        outcome, seen = result.for_agent, result.seen
        if seen.compacted_from is not None:
            after = "an unknown size" if seen.context_tokens is None else f"{seen.context_tokens:,} tokens"
            self._bus.note(f"the context is compacted: from {seen.compacted_from:,} to {after}")
        return outcome

    def _has_session(self) -> bool:
        return bool(self._inbox.fact("session_id")) and not self._inbox.fact("skip_continue")

    def _futile(self) -> int:
        return self._policy.futile_from_text(self._inbox.fact("compactions"))

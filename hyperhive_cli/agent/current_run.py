"""`CurrentRun`: the run of claude that is under way, if any."""

from collections.abc import Sequence

import trio

from hyperhive_cli.agent.prewarm import Prewarmer
from hyperhive_cli.agent.refresh import Refresh
from hyperhive_cli.agent.turn_feed import TurnFeed
from hyperhive_cli.claude.outcome import Cause, Ending
from hyperhive_cli.claude.runner import Turn
from hyperhive_cli.claude.turn_request import TurnRequest
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.messages import Message
from hyperhive_cli.transcript.activity import Activity


class CurrentRun:
    """Runs claude, once at a time. `turn` is the run under way, `message` its message, `activity` what it does."""

    def __init__(self, bus: Bus, inbox: Inbox, refresh: Refresh, prewarmer: Prewarmer) -> None:
        self.turn: Turn | None = None
        self.message: Message | None = None
        self.activity = Activity()
        self._bus = bus
        self._inbox = inbox
        self._refresh = refresh
        self._prewarmer = prewarmer
        self._is_closing = False
        self._deadline_s: float | None = None

    async def run(
        self, request: TurnRequest, message: Message | None, waiting: Sequence[str] | None
    ) -> tuple[Turn, Ending]:
        """Run claude once: the one that waits with the command line `waiting`, or a new one.

        Cancelled, it returns all the same, so that the turn can be recorded; trio raises again at the next checkpoint.
        """
        evidence = request.new_evidence()
        feed = TurnFeed(self._bus, self.activity, evidence, self._inbox)
        turn = Turn(request, feed, evidence)
        if self._is_closing:
            turn.stop(Cause.INTERRUPTED)
        if self._deadline_s is not None:
            turn.set_deadline(self._deadline_s)
        self.turn, self.message = turn, message
        try:
            async with self._refresh.alone(turn):
                return turn, await turn.run(self._prewarmer.take(waiting))
        except (trio.Cancelled, BaseExceptionGroup) as error:  # noqa: ASYNC103
            if not _is_cut_off(error):
                raise
            return turn, turn.cut_off()  # noqa: ASYNC104
        finally:
            self.turn = self.message = None
            feed.close()

    def stop(self, cause: Cause) -> bool:
        """Ask the run to end, for this cause. Return False if there is none.

        INTERRUPTED is the end of the harness: it stops every later run, too.
        """
        self._is_closing = self._is_closing or cause is Cause.INTERRUPTED
        if self.turn is not None:
            self.turn.stop(cause)
        return self.turn is not None

    def set_deadline(self, deadline_s: float) -> None:
        """Set the deadline of this run and of later ones (`Turn.set_deadline`)."""
        self._deadline_s = deadline_s
        if self.turn is not None:
            self.turn.set_deadline(deadline_s)


def _is_cut_off(error: BaseException) -> bool:
    """Return True if this is a cancellation and nothing else."""
    return isinstance(error, trio.Cancelled) or (
        isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[1] is None
    )

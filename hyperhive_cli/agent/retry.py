"""What becomes of a message and of its agent after a turn, by the table of outcomes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperhive_cli.core.outcomes import MessageState, NextStep, Outcome


@dataclass(frozen=True, slots=True)
class Fate:
    """A message's next state. `spent`: the attempt counts. `acted`: the model must be told so at a redelivery."""

    state: MessageState
    spent: bool = True
    acted: bool = False


def message_fate(outcome: Outcome, attempts: int) -> Fate:
    """Return the fate of a message after its `attempts`-th attempt; when all attempts are used up it is dead.

    If the session is the suspect, the message is tried once more in a new one. `acted` is kept in every state: a
    person may run the message again.
    """
    meaning = outcome.meaning
    state = MessageState.READY if outcome.suspect else meaning.message
    spent = meaning.spent or outcome.counts
    if state is MessageState.READY and spent and attempts >= meaning.attempts:
        state = MessageState.DEAD
    return Fate(state, spent, meaning.acted or outcome.acted)


_WAITS = {NextStep.WAIT_FOR_RESET, NextStep.WAIT_FOR_LOGIN, NextStep.WAIT_FOR_MODEL, NextStep.WAIT_FOR_PERSON}


def outcome_for_agent(outcome: Outcome, later: Sequence[Outcome]) -> Outcome:
    """Return the outcome that decides what the agent does next.

    `later` is what failed in the same process after the message's own stretch: a limit or a lost login counts there.
    """
    return next((found for found in reversed(later) if found.meaning.next in _WAITS), outcome)

"""What becomes of a message after its turn, by the table of outcomes. Pure."""

from dataclasses import dataclass

from hyperhive_cli.outcomes import MessageState, Outcome


@dataclass(frozen=True, slots=True)
class Fate:
    """A message's next state. `spent`: the attempt counts. `acted`: a redelivery must say so to the model."""

    state: MessageState
    spent: bool = True
    acted: bool = False


def message_fate(outcome: Outcome, attempts: int) -> Fate:
    """Return the fate of a message whose `attempts`-th attempt ended so; attempts used up mean dead.

    Where the conversation is the suspect, the message is tried once more in a new one. `acted` is kept whatever the
    state: a person may run the message again.
    """
    meaning = outcome.meaning
    state = MessageState.READY if outcome.suspect else meaning.message
    if state is MessageState.READY and meaning.spent and attempts >= meaning.attempts:
        state = MessageState.DEAD
    return Fate(state, meaning.spent, meaning.acted or outcome.acted)

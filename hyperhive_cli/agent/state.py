"""`TurnState`: what the harness is doing right now."""

from enum import StrEnum


class TurnState(StrEnum):
    """Idle between turns, thinking in a message's turn, compacting in a `/compact` turn."""

    IDLE = "idle"
    THINKING = "thinking"
    COMPACTING = "compacting"

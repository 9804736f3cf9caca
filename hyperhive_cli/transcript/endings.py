"""How the end of a turn is shown: its word, sign and style, from the table of outcomes. Pure."""

from collections.abc import Iterator, Mapping

from hyperhive_cli.core import text
from hyperhive_cli.core.outcomes import MessageState, Tone, meaning_of, tone_of

STYLES: Mapping[Tone, str] = {Tone.OK: "fine", Tone.WARNING: "warn", Tone.FAILURE: "bad", Tone.NEUTRAL: "quiet"}
# States of a message that the outcome's word does not imply.
_TOLD_STATES = (MessageState.DEAD, MessageState.HELD)


def sign_of(outcome: str) -> tuple[str, str]:
    """Return an outcome's sign and its style; an unknown outcome counts as a failure."""
    return meaning_of(outcome).sign, STYLES[tone_of(outcome)]


def end_remarks(denied: object, message_state: object) -> Iterator[str]:
    """Return what an outcome's word does not say: how many tool calls were denied, that the message is dead or held."""
    if calls := text.count(denied):
        yield f"{calls} denied"
    if message_state in _TOLD_STATES:
        yield str(message_state)

"""How the end of a turn is shown: its word, sign and style, from the table of outcomes. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hyperhive_cli.core import text
from hyperhive_cli.core.outcomes import MessageState, OutcomeKind, Tone, is_ok, meaning_of, tone_of

if TYPE_CHECKING:
    from hyperhive_cli.core.events import TurnEnd  # its parser would double the time of `status`

STYLES: Mapping[Tone, str] = {Tone.OK: "fine", Tone.WARNING: "warn", Tone.FAILURE: "bad", Tone.NEUTRAL: "quiet"}
# States of a message that the outcome's word does not imply.
_TOLD_STATES = (MessageState.DEAD, MessageState.HELD)


def sign_of(outcome: str) -> tuple[str, str]:
    """Return an outcome's sign and its style; an unknown outcome counts as a failure."""
    return meaning_of(outcome).sign, STYLES[tone_of(outcome)]


def ok_count(outcomes: Sequence[str]) -> int:
    """Count the outcomes that are ok."""
    return sum(map(is_ok, outcomes))


def end_word(event: "TurnEnd") -> str:
    """Return the outcome's word. An event without one is ok or failed by its `ok`."""
    plain = OutcomeKind.OK if event.ok is True else OutcomeKind.FAILED
    return text.one_line(text.text_of(event.outcome), 30) or plain.value


def end_tone(event: "TurnEnd") -> Tone:
    """Return the tone in which the end of a turn is shown."""
    return tone_of(end_word(event), text.count(event.denied))


def end_sign(event: "TurnEnd") -> str:
    """Return the sign of a turn's end."""
    return meaning_of(end_word(event)).sign


def end_remarks(denied: object, message_state: object) -> Iterator[str]:
    """Return what an outcome's word does not say: how many tool calls were denied, that the message is dead or held."""
    if calls := text.count(denied):
        yield f"{calls} denied"
    if message_state in _TOLD_STATES:
        yield str(message_state)

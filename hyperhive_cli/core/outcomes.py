"""The outcomes of a turn, and the one table that says what follows from each.

Retry, back-off, console, `status`, `stats`, hook, `send --wait`, exit status and the web page all read `MEANINGS`. No
other module has such a table.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from hyperhive_cli.core.settings import MAX_ATTEMPTS


class OutcomeKind(StrEnum):
    """Every outcome, as in `turn_end` and the turn statistics."""

    OK = "ok"
    BLOCKED = "blocked"
    DEFERRED = "deferred"
    CAPPED = "capped"
    BUDGET = "budget"
    CONTEXT_FULL = "context_full"
    DECLINED = "declined"
    BAD_REQUEST = "bad_request"
    REFUSED = "refused"
    BAD_MODEL = "bad_model"
    SESSION_LOST = "session_lost"
    NEEDS_LOGIN = "needs_login"
    WRONG_AUTH = "wrong_auth"
    BILLING = "billing"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    NO_CONNECTION = "no_connection"
    NOT_STARTED = "not_started"
    FAILED = "failed"
    CRASHED = "crashed"
    STALLED = "stalled"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


class MessageState(StrEnum):
    """The states of a message. A `held` one does not run until a person releases it."""

    READY = "ready"
    LEASED = "leased"
    HELD = "held"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


class NextStep(StrEnum):
    """What the agent does after a turn."""

    GO_ON = "go on"  # with the next message, immediately
    BACK_OFF = "back off"  # for longer after each in a row
    AFTER_CRASH = "after a crash"  # back off briefly; after too many crashes wait for a person
    WAIT_FOR_RESET = "wait for the reset"  # of a limit, at a time that claude reports
    WAIT_FOR_LOGIN = "wait for a login"
    WAIT_FOR_MODEL = "wait for another model"
    WAIT_FOR_PERSON = "wait for a person"


class Tone(StrEnum):
    """How an outcome or status is coloured in the console, on the page and in figures."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    NEUTRAL = "neutral"


class Meaning(NamedTuple):
    """What an outcome means.

    - `message`: the message's next state; `spent`: whether the attempt counts; `attempts`: how many are allowed.
    - `acted`: the run may have acted, even without a visible tool call, so a redelivery must warn the model.
    - `session_suspect`: the conversation, not the message, may have been refused: try once in a new session.
    - `advice`: what a person can do; `{id}` stands for the message's number.
    """

    message: MessageState
    next: NextStep
    tone: Tone
    sign: str
    advice: str = ""
    needs_person: bool = False
    spent: bool = True
    attempts: int = MAX_ATTEMPTS
    acted: bool = False
    session_suspect: bool = False


RETRY = "`hyperhive inbox retry {id}` runs it again"
_READY, _HELD = MessageState.READY, MessageState.HELD


def _dead(advice: str, *, session_suspect: bool = False) -> Meaning:
    """Return the meaning of an outcome for which the message itself is the reason, so that it does not run again."""
    return Meaning(
        MessageState.DEAD,
        NextStep.GO_ON,
        Tone.FAILURE,
        "✗",
        f"{advice}; {RETRY}",
        needs_person=True,
        session_suspect=session_suspect,
    )


def _retried(step: NextStep, advice: str = RETRY, *, attempts: int = MAX_ATTEMPTS, acted: bool = False) -> Meaning:
    """Return the meaning of a failure that is retried a few times."""
    return Meaning(_READY, step, Tone.FAILURE, "✗", advice, attempts=attempts, acted=acted)


def _uncounted(step: NextStep, tone: Tone, advice: str = "", *, needs_person: bool = False) -> Meaning:
    """Return the meaning of an outcome that is not the message's fault: it is retried without counting the attempt."""
    sign = "✗" if tone is Tone.FAILURE else "·"
    return Meaning(_READY, step, tone, sign, advice, needs_person=needs_person, spent=False)


MEANINGS: Mapping[OutcomeKind, Meaning] = {
    OutcomeKind.OK: Meaning(MessageState.DONE, NextStep.GO_ON, Tone.OK, "✓"),
    OutcomeKind.BLOCKED: _dead("change the message or the hook"),
    OutcomeKind.DEFERRED: Meaning(
        _HELD,
        NextStep.GO_ON,
        Tone.WARNING,
        "?",
        f"decide on the tool call; {RETRY}, `hyperhive inbox cancel {{id}}` drops it",
        needs_person=True,
    ),
    OutcomeKind.CAPPED: _dead("ask for less, or raise the cap"),
    OutcomeKind.BUDGET: _dead("`hyperhive budget raise --message {id} …` gives it more"),
    OutcomeKind.DECLINED: _dead("word the message differently", session_suspect=True),
    OutcomeKind.BAD_REQUEST: _dead("change the message", session_suspect=True),
    OutcomeKind.REFUSED: Meaning(
        _HELD,
        NextStep.BACK_OFF,
        Tone.FAILURE,
        "✗",
        f"ask the owner of the account or proxy; {RETRY}",
        needs_person=True,
    ),
    OutcomeKind.BAD_MODEL: _uncounted(
        NextStep.WAIT_FOR_MODEL, Tone.FAILURE, "`hyperhive model set NAME`", needs_person=True
    ),
    OutcomeKind.NEEDS_LOGIN: _uncounted(NextStep.WAIT_FOR_LOGIN, Tone.WARNING, "`hyperhive login`", needs_person=True),
    OutcomeKind.WRONG_AUTH: _uncounted(
        NextStep.WAIT_FOR_PERSON,
        Tone.FAILURE,
        "give claude the expected credentials, then `hyperhive resume`",
        needs_person=True,
    ),
    OutcomeKind.BILLING: _uncounted(
        NextStep.WAIT_FOR_PERSON, Tone.WARNING, "top up the account, then `hyperhive resume`", needs_person=True
    ),
    OutcomeKind.RATE_LIMITED: _uncounted(NextStep.WAIT_FOR_RESET, Tone.WARNING),
    OutcomeKind.OVERLOADED: _uncounted(NextStep.BACK_OFF, Tone.WARNING),
    OutcomeKind.NO_CONNECTION: _uncounted(NextStep.BACK_OFF, Tone.WARNING),
    OutcomeKind.NOT_STARTED: _uncounted(NextStep.BACK_OFF, Tone.FAILURE, "`hyperhive doctor`"),
    OutcomeKind.CONTEXT_FULL: _retried(NextStep.GO_ON, f"put the text into a file and name it; {RETRY}"),
    OutcomeKind.SESSION_LOST: _retried(NextStep.GO_ON),
    OutcomeKind.FAILED: _retried(NextStep.BACK_OFF, attempts=2),
    OutcomeKind.CRASHED: _retried(NextStep.AFTER_CRASH, acted=True),
    OutcomeKind.STALLED: _retried(NextStep.AFTER_CRASH, acted=True),
    OutcomeKind.TIMED_OUT: _retried(NextStep.GO_ON, acted=True),
    # A person's doing.
    OutcomeKind.INTERRUPTED: Meaning(_READY, NextStep.GO_ON, Tone.NEUTRAL, "·", spent=False, acted=True),
    OutcomeKind.CANCELLED: Meaning(MessageState.CANCELLED, NextStep.GO_ON, Tone.NEUTRAL, "·", RETRY, acted=True),
}

# For outcomes that this release does not know: another machine of a hive may run a newer one.
UNKNOWN = _retried(NextStep.GO_ON)


def meaning_of(word: str | None) -> Meaning:
    """Return the meaning of an outcome's value, `UNKNOWN` for any other value."""
    try:
        return MEANINGS[OutcomeKind(word or "")]
    except ValueError:
        return UNKNOWN


def needs_person(word: str | None, message_state: str | None) -> bool:
    """Return True if a turn with this outcome, and its message in this state (None: no message), needs a person.

    A message that is still ready after an outcome that normally ends it will be retried in a new session.
    """
    found = meaning_of(word)
    is_stuck = message_state in {MessageState.DEAD, MessageState.HELD}
    return is_stuck or (found.needs_person and message_state in {None, found.message})


def is_ok(word: str | None) -> bool:
    """Return True if an outcome's value means that the turn succeeded."""
    return word == OutcomeKind.OK


def tone_of(word: str | None, denied: int = 0) -> Tone:
    """Return the tone of a turn's end: a successful turn with denied tool calls is a warning."""
    tone = meaning_of(word).tone
    return Tone.WARNING if denied and tone is Tone.OK else tone


def advice_of(word: str | None, message_id: int) -> str:
    """Return what a person can do about a message after this outcome, "" if nothing."""
    return meaning_of(word).advice.format(id=message_id)


def meanings_to_dict() -> dict[str, dict[str, Any]]:
    """Return the part of the table that the page needs, by outcome: `tone`, `sign`, `needs_person`."""
    return {
        kind.value: {"tone": found.tone.value, "sign": found.sign, "needs_person": found.needs_person}
        for kind, found in MEANINGS.items()
    }


class Outcome(NamedTuple):
    """An outcome, the sentence for `turn_end.note` (None if ok), and when a limit resets (Unix s).

    - `acted`: the run may have acted, so a redelivery must warn the model.
    - `suspect`: the conversation, not the message, may have been refused.
    - `of_model`: the limit applies to the model alone, not to the account.
    - `counts`: the attempt counts, whatever the table says.
    """

    kind: OutcomeKind
    note: str | None = None
    resets_at: int | None = None
    acted: bool = False
    suspect: bool = False
    of_model: bool = False
    counts: bool = False

    @property
    def ok(self) -> bool:
        """Whether the turn succeeded."""
        return self.kind is OutcomeKind.OK

    @property
    def meaning(self) -> Meaning:
        """What follows from it."""
        return MEANINGS[self.kind]

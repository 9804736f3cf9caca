"""The rules of a message, without a database: which change is allowed in which state."""

import pytest

from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.outcomes import MessageState
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.queue import CANCEL, MOVE, RETRY, Change, check_change

ALLOWED = {
    "cancel": (CANCEL, {"ready", "held", "cancelled"}),
    "retry": (RETRY, {"ready", "held", "dead", "cancelled"}),
    "move": (MOVE, {"ready"}),
}


def message(state: str, body: str = "do it") -> Message:
    return Message(7, None, "operator", body, False, state, 1, 1, False, 0, None, 0, 0, "uid")


@pytest.mark.parametrize("state", MessageState)
@pytest.mark.parametrize(("change", "states"), ALLOWED.values(), ids=ALLOWED)
def test_each_change_is_allowed_in_its_states_alone(change: Change, states: set[str], state: MessageState) -> None:
    if state in states:
        check_change(change, message(state))
        return
    with pytest.raises(RefusedError, match="message 7 is "):
        check_change(change, message(state))


def test_a_message_that_runs_is_cancelled_where_it_runs() -> None:
    with pytest.raises(RefusedError, match="message 7 is running") as caught:
        check_change(CANCEL, message("leased"), ", on its machine")
    assert caught.value.hint == "hyperhive cancel, on its machine"


def test_a_message_whose_text_was_deleted_is_not_retried() -> None:
    with pytest.raises(RefusedError, match="the text of message 7 is no longer kept"):
        check_change(RETRY, message("dead", body=""))

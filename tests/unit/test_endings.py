"""How the end of a turn is shown: word, sign, tone and remarks, in the console and in exports."""

from typing import Any

import pytest

from hyperhive_cli.core.events import TurnEnd
from hyperhive_cli.core.outcomes import MEANINGS, OutcomeKind, Tone
from hyperhive_cli.render.document import row_to_entry, rows_to_html, rows_to_markdown
from hyperhive_cli.transcript.endings import STYLES, end_remarks, sign_of
from hyperhive_cli.transcript.rows import FootRow
from hyperhive_cli.transcript.translate import Translator
from tests.unit.made_events import plain, record


def end(outcome: Any = "ok", **fields: Any) -> TurnEnd:  # noqa: ANN401 - odd values too
    return TurnEnd(ok=outcome == "ok", outcome=outcome, **fields)


def foot(event: TurnEnd) -> FootRow:
    (row,) = Translator().rows(record(event))
    assert isinstance(row, FootRow)
    return row


@pytest.mark.parametrize("outcome", list(OutcomeKind))
def test_sign_and_style_are_those_of_the_table(outcome: OutcomeKind) -> None:
    meaning, row = MEANINGS[outcome], foot(end(outcome.value))
    assert sign_of(outcome.value) == (row.sign, row.tone) == (meaning.sign, STYLES[meaning.tone])
    assert row.outcome == outcome.value


def test_each_tone_has_a_style_of_its_own() -> None:
    assert len(set(STYLES.values())) == len(Tone)


def test_an_unknown_outcome_is_a_failure_with_its_word() -> None:
    assert sign_of("new_one") == ("✗", "bad")
    assert "✗ new one" in plain(end("new_one"))


def test_an_event_without_an_outcome_has_its_ok() -> None:
    assert [foot(TurnEnd(ok=ok)).outcome for ok in (True, False)] == ["ok", "failed"]


def test_a_turn_with_denied_calls_is_a_warning_though_it_is_ok() -> None:
    assert foot(end(denied=3)).tone == STYLES[Tone.WARNING]
    assert foot(end("crashed", denied=3)).tone == STYLES[Tone.FAILURE]
    assert "✓ ok · 3 denied · 1.0s" in plain(end(denied=3, duration_ms=1000))


@pytest.mark.parametrize(
    ("state", "said"), [("dead", ["dead"]), ("held", ["held"]), ("done", []), ("ready", []), (None, []), ([{}], [])]
)
def test_what_became_of_the_message_is_said_where_the_outcome_does_not(state: object, said: list[str]) -> None:
    assert list(end_remarks(0, state)) == said


def test_the_documents_say_the_same() -> None:
    rows = Translator().rows(record(end("refused", denied=1, message_state="held", note="no")))
    assert "✗ refused · 1 denied · held" in "".join(rows_to_markdown("t", rows))
    assert '<section class="end failed"><div class="title">refused · 1 denied · held</div>' in "".join(
        rows_to_html("t", rows)
    )
    (waits,) = map(row_to_entry, Translator().rows(record(end("rate_limited"))))
    assert waits is not None
    assert (waits.sign, waits.failed) == ("·", False)

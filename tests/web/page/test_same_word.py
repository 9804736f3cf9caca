"""One situation, one word: every view of an agent's status says the same."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.cli.doctor import judge_agent
from hyperhive_cli.core.agent_report import read_report
from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import AgentPaths, paths_by_name
from hyperhive_cli.core.status import STATUSES, Retrying, Status, StatusInputs, Wait, status_of
from hyperhive_cli.doctor.findings import Level
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.render.agent_tables import agents_to_spans, hive_to_lines
from hyperhive_cli.render.console.cells import Span
from hyperhive_cli.render.console.state import state_row
from hyperhive_cli.render.status_rows import status_to_rows
from hyperhive_cli.store.folder import hold_lock
from hyperhive_cli.store.inbox import Inbox, open_inbox
from hyperhive_cli.store.report import stored_status, with_holder, with_live
from hyperhive_cli.transcript.endings import STYLES
from hyperhive_cli.transcript.status_fields import StatusFields
from hyperhive_cli.transcript.view import RowsView
from hyperhive_cli.web.api import capabilities
from tests.unit.made_events import NOW
from tests.web.page.node import needs_node, said_by_page

SOON = NOW + 600
DOT = "● "
WHY = "the disk is full"
LIMITED = Wait(Status.RATE_LIMITED, SOON, "a limit of five hours", "opus")
RETRIES = Retrying(2, 10, "overloaded", NOW + 5)
WAITS_OUT = Retrying(1, 10, "rate_limit", SOON, is_limit=True)
LONG_INBOX = {"unread": 1234, "held": 3, "dead": 17}


@dataclass(frozen=True, slots=True)
class Situation:
    """What each part of the harness knows of an agent, and `expected`, the words for its status."""

    name: str
    expected: str
    standing: StatusInputs = field(default_factory=StatusInputs)
    inbox: Mapping[str, int] = field(default_factory=dict)
    is_held: bool = False  # the lock, where no harness answers
    answers: bool = True
    turn: str = "idle"
    login: Mapping[str, Any] | None = None
    problems: tuple[str, ...] = ()


def waiting(status: Status, until: float | None = SOON, why: str | None = WHY) -> StatusInputs:
    return StatusInputs(wait=Wait(status, until, why))


PAGE = {"url": "https://claude.ai/oauth/authorize?x", "output": "", "finished": False, "ok": None, "error": None}
PAUSED = StatusInputs(is_paused=True)
SITUATIONS = [
    Situation("nothing is in the way", "online"),
    Situation("a turn runs", "online", turn="thinking"),
    Situation("much waits", "online", inbox=LONG_INBOX),
    Situation("an operator paused it", "paused", PAUSED),
    Situation("paused, and much waits", "paused", PAUSED, LONG_INBOX),
    Situation("paused in a turn", "paused", PAUSED, turn="thinking"),
    Situation("paused in a wait", "paused", StatusInputs(is_paused=True, wait=LIMITED), LONG_INBOX),
    Situation("claude tries again", "retrying", StatusInputs(retry=RETRIES), turn="thinking"),
    Situation("claude tries again without a moment", "retrying", StatusInputs(retry=Retrying(0, 0, "overloaded"))),
    Situation("claude waits for a limit", "rate limited", StatusInputs(retry=WAITS_OUT), turn="thinking"),
    Situation("a back-off", "backing off", waiting(Status.BACKING_OFF)),
    Situation("a limit", "rate limited", StatusInputs(wait=LIMITED), LONG_INBOX),
    Situation("a limit without a moment", "rate limited", waiting(Status.RATE_LIMITED, None)),
    Situation("a limit that is over by now", "rate limited", waiting(Status.RATE_LIMITED, NOW - 60)),
    Situation("the day is spent", "over budget", waiting(Status.OVER_BUDGET)),
    Situation("nobody is logged in", "needs login", waiting(Status.NEEDS_LOGIN_IDLE, None)),
    Situation("nobody is logged in, and a login has failed", "needs login", waiting(Status.NEEDS_LOGIN_IDLE, None),
              login={**PAGE, "finished": True, "ok": False}),
    Situation("somebody logs in", "login in progress", StatusInputs(is_logging_in=True), login=PAGE),
    Situation("somebody logs in, no page yet", "login in progress", StatusInputs(is_logging_in=True, wait=LIMITED),
              login={**PAGE, "url": None}),
    Situation("a login on a stand-by", "standby", StatusInputs(is_standby=True, is_logging_in=True), login=PAGE),
    Situation("another agent met a limit", "waits for account", waiting(Status.WAITS_FOR_ACCOUNT)),
    Situation("the model is not known", "bad model", waiting(Status.BAD_MODEL, None)),
    Situation("another machine has it", "standby", StatusInputs(is_standby=True), LONG_INBOX),
    Situation("another machine has it, paused", "standby", StatusInputs(is_standby=True, is_paused=True)),
    Situation("a write fails", "inbox unavailable", StatusInputs(write_trouble=WHY), LONG_INBOX),
    Situation("a write fails in a wait", "inbox unavailable", StatusInputs(write_trouble=WHY, wait=LIMITED)),
    Situation("it was given up", "failed", waiting(Status.FAILED, None)),
    Situation("no harness", "stopped", answers=False),
    Situation("no harness, and much waits", "stopped", inbox=LONG_INBOX, answers=False),
    Situation("no harness, and it was paused", "stopped", PAUSED, LONG_INBOX, answers=False),
    Situation("a harness that does not answer", "unreachable", is_held=True, answers=False),
    Situation("one that was paused does not answer", "unreachable", PAUSED, LONG_INBOX, is_held=True, answers=False),
    Situation("a damaged history", "paused", PAUSED, problems=("the history cannot be read",)),
    Situation("a damaged history, stopped", "stopped", answers=False, problems=("the history cannot be read",)),
]  # fmt: skip


def all_situations() -> Iterator[Situation]:
    """Yield every combination of what the parts may know at the same time."""
    waits = [None, *(Wait(status, SOON, WHY) for status in Status if status is not Status.ONLINE)]
    yes_or_no = (False, True)
    for values in product(yes_or_no, yes_or_no, yes_or_no, (None, WHY), waits, (None, RETRIES, WAITS_OUT)):
        standing = StatusInputs(*values)
        words = STATUSES[status_of(standing).status].words
        yield Situation(str(standing), words, standing, login=PAGE if standing.is_logging_in else None)


@dataclass(frozen=True, slots=True)
class Seen:
    """The input of the views: the fields of `status --json` before and in a situation, and the events between."""

    before: dict[str, Any]
    events: list[BusEvent]
    after: dict[str, Any]


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[AgentPaths]:
    folder = tmp_path / "bee"
    folder.mkdir(mode=0o700)
    found = paths_by_name("bee", folder, {})
    with open_inbox(found.inbox_db) as inbox:
        inbox.put_facts(workspace=str(tmp_path))
        yield found


def seen(situation: Situation, paths: AgentPaths, inbox: Inbox) -> Seen:
    """Set a bus and the agent's files as a harness would in this situation."""
    inbox.put_facts(paused="1" if situation.standing.is_paused else "")
    stored = (
        stored_status(paths, now_ms=int(NOW * 1000)) | dict(situation.inbox) | {"problems": list(situation.problems)}
    )
    bus = Bus(now=lambda: NOW)
    told = bus.subscribe()

    def live() -> dict[str, Any]:
        """Return what `harness.operations` adds to what the bus holds."""
        return {
            **bus.snapshot(),
            "running": True,
            "pid": 4711,
            "state": situation.turn,
            "login": situation.login,
            "paused": situation.standing.is_paused,
        }

    before = with_live(stored, live())
    bus.current.know(**{name: getattr(situation.standing, name) for name in StatusInputs._fields})
    after = with_live(stored, live()) if situation.answers else unanswered(stored, paths, is_held=situation.is_held)
    for found in (before, after):
        found |= {"capabilities": capabilities(found, answers=situation.answers)}
    return Seen(before, told.take()[1] if situation.answers else [], after)


def unanswered(stored: dict[str, Any], paths: AgentPaths, *, is_held: bool) -> dict[str, Any]:
    """Return the fields without an answering harness; the lock may be held, by this process."""
    with hold_lock(paths.lock_file, paths.agent) if is_held else nullcontext():
        return with_holder(stored, paths.lock_file)


def tone_of(style: str) -> str:
    return next(tone for tone, one in STYLES.items() if one == style)


ShownStatus = list[tuple[str, str | None]]  # the words, and their tone where the view has one
View = Callable[[list[Seen]], list[ShownStatus]]


def by_status(found: list[Seen]) -> list[ShownStatus]:
    """Return what `hyperhive status` prints."""
    shown: list[ShownStatus] = []
    for one in found:
        rows = dict(status_to_rows(one.after, NOW))
        [(words, style)] = rows["status"]
        shown.append([(words, tone_of(style))])
    return shown


def cell(lines: list[str], head: str) -> str:
    """Return the cell below a head in the first row of a table."""
    heads, row = (re.split(" {2,}", line.strip()) for line in lines[:2])
    return dict(zip(heads, row, strict=True))[head]


def with_word(state: str) -> str:
    """Return the state of a column with the word for its status, as the other views have it: online."""
    words = state.partition(" ")[2]
    return f"online: {words}" if words.startswith(("thinking", "idle")) else words


def by_agents(found: list[Seen]) -> list[ShownStatus]:
    """Return what `hyperhive agents` prints, and `hyperhive hive status` of the same agent."""
    hive = {"machine": "m", "lease_s": 5.0, "epoch": 1, "wanted": None, "leased": 0, "report_age_s": 1.0}
    shown: list[ShownStatus] = []
    for one in found:
        told = one.after | {"hive": hive}
        lines = ["".join(words for words, _ in line) for line in agents_to_spans([one.after], NOW, 250)]
        words = with_word(cell(lines, "STATE")), cell(hive_to_lines([told], [], 250), "STATUS")
        shown.append([(word, None) for word in words])
    return shown


def by_console(found: list[Seen]) -> list[ShownStatus]:
    """Return the state row, wide and narrow, of a `tail` that starts now, and of one that has followed the events.

    Of an agent that is online, it says what it does; of another, the word for a sentence that it has.
    """
    shown: list[ShownStatus] = []
    for one in found:
        begun, followed = StatusFields(one.after), StatusFields(one.before if one.events else one.after)
        for record in one.events:
            followed.observe(record)
        rows = [state_row(facts, NOW, width) for facts in (begun, followed) for width in (50, 200)]
        shown.append([said_by(row) for row in rows])
    return shown


SENTENCES = {
    r"paused since .*": "paused", r".* reached": "rate limited", r"API .*": "retrying", r"today's .*": "over budget",
    "claude is logged out": "needs login", "log in": "login in progress", r"stopped: .*": "failed",
    r"no harness runs for .*": "stopped",
}  # fmt: skip


def said_by(row: list[Span]) -> tuple[str, str | None]:
    (sign, style), (words, weight), *_ = row
    if weight != "head" or sign == DOT:
        return STATUSES[Status.ONLINE].words, "ok"
    word = next((word for sentence, word in SENTENCES.items() if re.fullmatch(sentence, words)), words)
    return word.partition(": ")[0], tone_of(style)


def by_doctor(found: list[Seen]) -> list[ShownStatus]:
    """Return the first line of `hyperhive doctor`."""
    shown: list[ShownStatus] = []
    for one in found:
        finding = judge_agent(one.after)
        needs_person = STATUSES[one.after["status"]].needs_person
        assert (finding.level is Level.WARNING) >= needs_person
        shown.append([(finding.finding, None)])
    return shown


VIEWS: dict[str, View] = {
    "status": by_status, "agents": by_agents, "console": by_console, "doctor": by_doctor,
}  # fmt: skip
ALL_WORDS = {meaning.words for meaning in STATUSES.values()}
every_view = pytest.mark.parametrize("view", VIEWS)


def check(view: str, situations: list[Situation], paths: AgentPaths) -> None:
    with open_inbox(paths.inbox_db) as inbox:
        found = [seen(situation, paths, inbox) for situation in situations]
    for situation, one, shown in zip(situations, found, VIEWS[view](found), strict=True):
        meaning = next(meaning for meaning in STATUSES.values() if meaning.words == situation.expected)
        assert STATUSES[Status(one.after["status"])] is meaning, situation.name
        for words, tone in shown:
            assert first_words(words) == situation.expected, (view, situation.name, words)
            assert tone in {None, meaning.tone}, (view, situation.name, words)


def first_words(shown: str) -> str | None:
    """Return the status with which a text starts: the longest one that matches whole words."""
    fitting = [words for words in ALL_WORDS if shown == words or shown.startswith(tuple(words + end for end in " ,:"))]
    return max(fitting, key=len, default=None)


@every_view
def test_every_view_says_the_same_word_for_a_situation(view: str, paths: AgentPaths) -> None:
    check(view, SITUATIONS, paths)


@pytest.mark.exhaustive
@every_view
def test_every_view_says_the_same_word_for_every_combination(view: str, paths: AgentPaths) -> None:
    check(view, list(all_situations()), paths)


def check_page(situations: list[Situation], paths: AgentPaths) -> None:
    with open_inbox(paths.inbox_db) as inbox:
        found = [seen(situation, paths, inbox) for situation in situations]
    given = [
        {
            "before": one.before if one.events else one.after,
            "records": [view.to_record(record) for view in [RowsView()] for record in one.events],
            "after": one.after,
        }
        for one in found
    ]
    for situation, one, (opened, followed) in zip(situations, found, said_by_page(given, NOW), strict=True):
        assert opened == followed, situation.name
        meaning = STATUSES[one.after["status"]]
        needs_person = meaning.needs_person or one.after["status"] == Status.NEEDS_LOGIN_IN_PROGRESS
        assert (opened["group"] == "needs") == needs_person, (situation.name, opened)


@needs_node
def test_the_page_says_the_same_opened_or_following_and_calls_for_a_person_when_one_is_needed(
    paths: AgentPaths,
) -> None:
    check_page(SITUATIONS, paths)


@needs_node
@pytest.mark.exhaustive
def test_the_page_does_so_for_every_combination(paths: AgentPaths) -> None:
    check_page(list(all_situations()), paths)


def test_the_table_has_every_status_and_a_long_inbox_for_most() -> None:
    assert {situation.expected for situation in SITUATIONS} == ALL_WORDS
    assert len({situation.expected for situation in SITUATIONS if situation.inbox}) >= 6


def test_what_a_machine_reports_to_a_hive_has_the_same_word(paths: AgentPaths) -> None:
    with open_inbox(paths.inbox_db) as inbox:
        for situation in SITUATIONS:
            one = seen(replace(situation, answers=True), paths, inbox)
            assert read_report(json.dumps(one.after))["status"] == one.after["status"]

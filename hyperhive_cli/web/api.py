"""The gateway's interface as a table: what can be changed by which operation of the control socket. Pure."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.statistics import BY
from hyperhive_cli.web.sse import MEDIA_TYPE

LARGEST = 2**63 - 1


class Field(NamedTuple):
    """A field of a request's JSON, or a parameter of a query."""

    kind: Literal["string", "integer"]
    text: str
    required: bool = False
    least: int | None = None
    most: int | None = None
    choice: tuple[str, ...] = ()


class Reading(NamedTuple):
    """What can be read: GET `path`, answered by the gateway's method `name`, with these parameters of the query."""

    path: str
    name: str
    text: str
    query: Mapping[str, Field] = {}
    media: str = "application/json"


class Change(NamedTuple):
    """A change: POST to `path` is the operation `op`, its fields in, its reply out (`gives`)."""

    path: str
    op: str
    text: str
    fields: Mapping[str, Field] = {}
    gives: tuple[str, ...] = ()


SINCE = Field("integer", "the number of the newest event that is known")
TS = Field("integer", "its `ts`: a history that was replaced by an older one is then noticed in any case")
VIEW = Field("string", "rows: what a person sees of each event, in place of its fields", choice=("rows",))
# Of one agent: under /agents/NAME, and without it where there is one agent alone.
READINGS = (
    Reading("/api/state", "state", "The agent's state: as `status --json`, with `seq`, `boot` and `capabilities`."),
    Reading(
        "/api/events",
        "events",
        "A page of the history: the events after `since`, or the newest.",
        {
            "since": SINCE,
            "ts": TS,
            "limit": Field("integer", "at most so many; default: 200", least=1, most=2_000),
            "view": VIEW,
        },
    ),
    Reading(
        "/api/stream",
        "stream",
        "The feed as server-sent events: `snapshot`, then each event under its number; `Last-Event-ID` goes on.",
        {
            "since": SINCE,
            "ts": TS,
            "partial": Field("integer", "1: the pieces of texts as well", most=1),
            "view": VIEW,
        },
        media=MEDIA_TYPE,
    ),
    Reading(
        "/api/inbox",
        "inbox",
        "A page of the messages that wait, run, are held or dead; `cut` ones are longer than is shown.",
        {
            "all": Field("integer", "1: those that are done or cancelled as well", most=1),
            "limit": Field("integer", "at most so many; default: 200", least=1, most=1_000),
            "offset": Field("integer", "behind so many"),
        },
    ),
    Reading("/api/inbox/{id}", "message", "One message as a whole."),
    Reading(
        "/api/stats",
        "stats",
        "The turns added up: as `stats --json`.",
        {
            "days": Field("integer", "the newest local days; default: 7", least=1, most=36_500),
            "by": Field("string", "a row for each of these; default: day", choice=BY),
        },
    ),
    Reading(
        "/api/turns",
        "turns",
        "The figures of the newest turns that have ended, oldest first.",
        {"limit": Field("integer", "at most so many; default: 40", least=1, most=1_000)},
    ),
    Reading("/api/turns/{id}", "turn", "One turn, by its number or `last`: as `show --json`."),
)
# Of all agents.
GLOBAL = (
    Reading("/api/agents", "overview", "The state of each agent; `hive` is null for those of this machine."),
    Reading("/api/hive", "hive", "The hive: `url` (null: none), `trouble`, `age_s` of what is known of its agents."),
    Reading("/api/openapi.json", "openapi", "This document."),
)
CHANGES = (
    Change(
        "/api/messages",
        "send",
        "Put a message into the inbox.",
        {
            "body": Field("string", "the text", required=True),
            "from": Field("string", "who sends it; default: operator"),
            "key": Field("string", "sending again with the same key and text is harmless"),
            "at": Field("string", "not before then: 14:30, +2h30m, tomorrow 9:00, 2026-11-23T09:00"),
        },
        ("id", "state", "not_before", "sent_before", "note"),
    ),
    Change(
        "/api/model",
        "set_model",
        "Use this model from the next turn on.",
        {"model": Field("string", "its name", required=True)},
        ("model",),
    ),
    Change("/api/new-session", "new_session", "Start a fresh conversation with the next turn."),
    Change(
        "/api/compact",
        "compact",
        "Run /compact on the conversation and wait until it is done.",
        gives=("outcome", "note", "context_tokens"),
    ),
    Change("/api/cancel", "cancel", "Interrupt the running turn; its message does not come back."),
    Change("/api/pause", "pause", "Begin no turn until it is told to go on."),
    Change("/api/resume", "resume", "Go on now: ends a pause, a back-off, a wait.", gives=("rested",)),
    Change("/api/inbox/{id}/cancel", "inbox_cancel", "Cancel a message that waits or is held.", gives=("message",)),
    Change("/api/inbox/{id}/retry", "inbox_retry", "Make a message ready at once.", gives=("message",)),
    Change("/api/login", "login", "Begin a login of claude's, or join the one under way.", gives=("login",)),
    Change("/api/login/join", "login_join", "Take part in the login under way, which then goes on.", gives=("login",)),
    Change(
        "/api/login/code",
        "login_code",
        "Pass a code on to the login under way.",
        {"code": Field("string", "the code that the page gave", required=True)},
    ),
    Change("/api/login/cancel", "login_cancel", "End the login under way."),
)
TAKES_PART = {"login", "login_join", "login_code"}  # in a login, which goes on while its clients are there


def check_fields(fields: Mapping[str, Field], given: object) -> dict[str, Any]:
    """Give the fields of a request, without those that are null; raises UsageError for what does not fit."""
    if not isinstance(given, dict):
        raise UsageError("the body is a JSON object", "{}")
    if unknown := sorted(given.keys() - fields.keys()):
        raise UsageError(f"there is no field {unknown[0]!r}", ", ".join(fields) or "{}")
    found = {name: value for name, value in given.items() if value is not None}
    for name, field in fields.items():
        if field.required and name not in found:
            raise UsageError(f"{name!r} is missing: {field.text}")
        if name in found and not isinstance(found[name], str):
            raise UsageError(f"{name!r} is a text: {field.text}")
    return found


def check_query(fields: Mapping[str, Field], given: Mapping[str, str]) -> dict[str, Any]:
    """Give the parameters of a query that are there; raises UsageError for what does not fit."""
    return {name: _check(name, field, given[name]) for name, field in fields.items() if name in given}


def _check(name: str, field: Field, text: str) -> int | str:
    if field.kind == "string":
        if text not in field.choice:
            raise UsageError(f"{name}={text!r} is none of {', '.join(field.choice)}")
        return text
    least, most = field.least or 0, LARGEST if field.most is None else field.most
    number = int(text[:20]) if text.isascii() and text.isdigit() else -1
    if not least <= number <= most:
        raise UsageError(f"{name}={text!r} is no number from {least} to {most}")
    return number


def capabilities(state: Mapping[str, Any], *, answers: bool) -> dict[str, bool]:
    """Say what can be done with an agent in this state; without a harness that answers nothing can."""
    login, idle = state["login"], state["state"] == "idle"
    can = {
        "steer": True,
        "send": True,
        "model": True,
        "inbox": True,
        "new_session": True,
        "compact": state["session_id"] is not None,
        "cancel": not idle,
        "pause": not state["paused"],
        "resume": state["paused"] or state["waits_until"] is not None or state["status"] != "online",
        "login": idle,
        "login_code": login is not None and not login["finished"],
    }
    return {name: answers and bool(able) for name, able in can.items()}

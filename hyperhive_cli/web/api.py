"""The gateway's routes as a table: what can be read, and which operation of the control socket changes what. Pure."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.statistics import BY
from hyperhive_cli.render.export import FORMS
from hyperhive_cli.transcript.limit_words import limit_words, open_limits
from hyperhive_cli.web.sse import MEDIA_TYPE

MAX_INTEGER = 2**63 - 1


class Field(NamedTuple):
    """A field of a request's JSON, or a parameter of a query."""

    kind: Literal["string", "integer", "number", "boolean"]
    text: str
    required: bool = False
    minimum: int = 0
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    argument: str = ""  # of the operation, if it has another name there


class ReadRoute(NamedTuple):
    """GET `path`: answered by the gateway's method `name`, with the parameters of `query`."""

    path: str
    name: str
    text: str
    query: Mapping[str, Field] = {}
    media: str = "application/json"


class ChangeRoute(NamedTuple):
    """POST to `path`: the operation `op` of the control socket. It takes `fields` and answers with `returns`."""

    path: str
    op: str
    text: str
    fields: Mapping[str, Field] = {}
    returns: tuple[str, ...] = ()


SINCE = Field("integer", "the `seq` of the newest event that you have")
TS = Field("integer", "the `ts` of that event, so that a history replaced by an older one is always noticed")
VIEW = Field("string", "rows: what a person sees of each event, in place of its fields", choices=("rows",))
# Of one agent: under /agents/NAME, and without that prefix if there is only one agent.
READ_ROUTES = (
    ReadRoute(
        "/api/state",
        "state",
        "The agent's state: the fields of `status --json`, `seq`, `boot`, `capabilities` and `limit_words`.",
    ),
    ReadRoute(
        "/api/open",
        "open",
        "What a page shows first: the `state`, the `inbox` and the newest `events`, in one answer. `head`: the event "
        "that started the turn within which they begin, or null.",
        {"limit": Field("integer", "at most N events; default: 100", minimum=1, maximum=2_000), "view": VIEW},
    ),
    ReadRoute(
        "/api/events",
        "events",
        "A page of the history: the events after `since`, before `before`, those of a turn, or the newest ones. "
        "`head`, of the newest and of those before: the event that started the turn within which they begin, or null.",
        {
            "since": SINCE,
            "ts": TS,
            "before": Field("integer", "the `seq` of the oldest event that you have"),
            "turn": Field("integer", "the number of a turn"),
            "limit": Field("integer", "at most N events; default: 200", minimum=1, maximum=2_000),
            "view": VIEW,
        },
    ),
    ReadRoute("/api/events/{seq}", "event", "One event, whole: no text of its rows is cut.", {"view": VIEW}),
    ReadRoute(
        "/api/events/{seq}/images/{number}", "image", "An image of an event's rows, by its `number`.", media="image/*"
    ),
    ReadRoute(
        "/api/search",
        "search",
        "Search the history, newest first, for 2 s: `found`, as `search --json`, and `next`, the parameters to add to "
        "go on; null: everything was searched. Without words, `tool` or `failed` nothing is found.",
        {
            "q": Field("string", 'words that all occur in the same text; `word*` and "a phrase" as of the command'),
            "grep": Field("string", "in place of `q`, a text anywhere, also within words"),
            "tool": Field("string", "only calls of this tool, and their answers"),
            "failed": Field("integer", "1: only failures", maximum=1),
            "turn": Field("integer", "only this turn"),
            "before": Field("integer", "only events before this number"),
            "since_ms": Field("integer", "only events not older than this time (Unix ms)"),
            "until_ms": Field("integer", "only events not newer than this time (Unix ms)"),
            "all": Field("integer", "1: of all agents of this machine that are served", maximum=1),
            "limit": Field("integer", "at most N places; default: 50", minimum=1, maximum=500),
        },
    ),
    ReadRoute(
        "/api/export",
        "export",
        "The transcript as a file, as `hyperhive export` writes it.",
        {
            "format": Field("string", "default: jsonl", choices=FORMS),
            "turn": Field("integer", "only this turn"),
        },
        media="*/*",
    ),
    ReadRoute(
        "/api/stream",
        "stream",
        "The feed as server-sent events: `snapshot`, then each event with its `seq` as id; `Last-Event-ID` resumes it. "
        "Or, with `agents`, the feeds of several agents.",
        {
            "since": SINCE,
            "ts": TS,
            "agents": Field("string", "in place of this agent several: NAME, NAME:SEQ or NAME:SEQ:TS, with commas"),
            "partial": Field("integer", "1: also text while it is being written", maximum=1),
            "view": VIEW,
        },
        media=MEDIA_TYPE,
    ),
    ReadRoute(
        "/api/inbox",
        "inbox",
        "A page of the messages that are ready, running, held or dead, and the `schedules`. One with `cut` is longer "
        "than shown.",
        {
            "all": Field("integer", "1: also messages that are done or cancelled", maximum=1),
            "past": Field("integer", "1: messages that are done or cancelled alone, newest first", maximum=1),
            "limit": Field("integer", "at most N messages; default: 200", minimum=1, maximum=1_000),
            "offset": Field("integer", "skip the first N"),
        },
    ),
    ReadRoute("/api/inbox/{id}", "message", "One message in full."),
    ReadRoute(
        "/api/stats",
        "stats",
        "Totals of the turns, as `stats --json`.",
        {
            "days": Field("integer", "the last N local days; default: 7", minimum=1, maximum=36_500),
            "by": Field("string", "what to group by; default: day", choices=BY),
        },
    ),
    ReadRoute(
        "/api/turns",
        "turns",
        "The figures of the last finished turns, oldest first.",
        {"limit": Field("integer", "at most N turns; default: 40", minimum=1, maximum=1_000)},
    ),
    ReadRoute("/api/turns/{id}", "turn", "One turn, by its number or `last`, as `show --json`."),
)
GLOBAL_ROUTES = (
    ReadRoute("/api/agents", "overview", "The state of each agent; `hive` is null for agents of this machine."),
    ReadRoute(
        "/api/hive", "hive", "The hive: `url` (null: none), `trouble`, and how old its agents' state is (`age_s`)."
    ),
    ReadRoute("/api/vocabulary", "vocabulary", "How outcomes and statuses are shown: `tone`, and `sign` or `words`."),
    ReadRoute("/api/push", "push", "The public key that signs push messages; null: this gateway sends none."),
    ReadRoute("/api/openapi.json", "openapi", "This document."),
)
# Of the gateway itself: they ask no harness.
GLOBAL_CHANGES = (
    ChangeRoute(
        "/api/push/add",
        "push_add",
        "Send push messages to a browser when an agent starts to need a person.",
        {
            "endpoint": Field("string", "the https address of the browser at its push service", required=True),
            "p256dh": Field("string", "the public key of its subscription, in base64url", required=True),
            "auth": Field("string", "the secret of its subscription, in base64url", required=True),
        },
    ),
    ChangeRoute(
        "/api/push/remove",
        "push_remove",
        "Send a browser no more push messages.",
        {"endpoint": Field("string", "its address at its push service", required=True)},
    ),
)
SCHEDULE_FIELDS: Mapping[str, Field] = {
    "expression": Field("string", "five fields of cron, or @hourly, @daily, @weekly, @monthly, @yearly"),
    "body": Field("string", "the text of its messages"),
    "zone": Field("string", "the time zone of the expression: Europe/Berlin; default: this machine's"),
    "from": Field("string", "the sender of its messages; default: operator"),
    "missed": Field("string", "slots that passed while no harness ran: skip, once (default) or all"),
    "overlap": Field("string", "a slot while an earlier message has not ended: skip (default) or queue"),
    "jitter_s": Field("integer", "run each message up to so many seconds later", maximum=86_400),
}
_SCHEDULE = "/api/schedules/{name}"
SCHEDULE_ROUTES = (
    ChangeRoute(
        "/api/schedules",
        "schedule_add",
        "Add a schedule: it sends its message at each slot of a cron expression.",
        {
            "name": Field("string", "its name; default: of the first words of its text"),
            **SCHEDULE_FIELDS,
            **{name: SCHEDULE_FIELDS[name]._replace(required=True) for name in ("expression", "body")},
        },
        ("schedule",),
    ),
    ChangeRoute(
        f"{_SCHEDULE}/edit", "schedule_edit", "Change a schedule's text, time or options.", SCHEDULE_FIELDS,
        ("schedule",),
    ),
    ChangeRoute(f"{_SCHEDULE}/pause", "schedule_pause", "Send nothing until `resume`.", returns=("schedule",)),
    ChangeRoute(f"{_SCHEDULE}/resume", "schedule_resume", "Send again, from the next slot on.", returns=("schedule",)),
    ChangeRoute(f"{_SCHEDULE}/run", "schedule_run", "Send its message now, beside its slots.", returns=("schedule",)),
    ChangeRoute(f"{_SCHEDULE}/remove", "schedule_remove", "Delete a schedule.", returns=("schedule",)),
)  # fmt: skip
CHANGE_ROUTES = (
    ChangeRoute(
        "/api/messages",
        "send",
        "Put a message into the inbox.",
        {
            "body": Field("string", "the text", required=True),
            "from": Field("string", "the sender's name; default: operator"),
            "key": Field("string", "an idempotency key: sending the same key and text again does nothing"),
            "at": Field("string", "start it no earlier than: 14:30, +2h30m, tomorrow 9:00, 2026-11-23T09:00"),
            "idle": Field("boolean", "run it only on what is left of the plan above the reserve"),
        },
        ("id", "state", "not_before", "sent_before", "note"),
    ),
    ChangeRoute(
        "/api/model",
        "set_model",
        "Use this model from the next turn on.",
        {"model": Field("string", "the model's name", required=True)},
        ("model",),
    ),
    ChangeRoute("/api/new-session", "new_session", "Start a new conversation with the next turn."),
    ChangeRoute(
        "/api/compact",
        "compact",
        "Run /compact on the conversation and wait until it has finished.",
        returns=("outcome", "note", "context_tokens"),
    ),
    ChangeRoute("/api/cancel", "cancel", "Interrupt the running turn; its message does not run again."),
    ChangeRoute("/api/pause", "pause", "Stop starting turns until `resume`."),
    ChangeRoute("/api/resume", "resume", "Continue now: end a pause, a back-off or a wait.", returns=("rested",)),
    ChangeRoute(
        "/api/inbox/{id}/cancel", "inbox_cancel", "Cancel a message that is ready or held.", returns=("message",)
    ),
    ChangeRoute("/api/inbox/{id}/retry", "inbox_retry", "Make a message ready immediately.", returns=("message",)),
    ChangeRoute(
        "/api/inbox/{id}/restore",
        "inbox_restore",
        "Undo the cancelling of a message that has never run: it waits again, in its place.",
        returns=("message",),
    ),
    ChangeRoute(
        "/api/inbox/{id}/edit",
        "inbox_edit",
        "Change the text of a message that waits and has never run.",
        {"body": Field("string", "the new text", required=True)},
        ("message",),
    ),
    ChangeRoute(
        "/api/inbox/{id}/move",
        "inbox_move",
        "Move a waiting message before another one, or to the end of the queue.",
        {"before": Field("integer", "the id of the other one; null: to the end")},
        ("message",),
    ),
    ChangeRoute(
        "/api/inbox/{id}/schedule",
        "inbox_schedule",
        "Do not run a waiting message before a time; it keeps its place in the queue.",
        {"at": Field("string", "as of `POST /api/messages`; null: run it as soon as it is its turn")},
        ("message",),
    ),
    ChangeRoute(
        "/api/budget/raise",
        "budget_raise",
        "Raise today's limit, until midnight; an agent that waits because it is used up goes on.",
        {"amount": Field("number", "the new limit in dollars", required=True, argument="day_cost")},
        ("budget",),
    ),
    ChangeRoute("/api/login", "login", "Start a login of claude, or join the one in progress.", returns=("login",)),
    ChangeRoute(
        "/api/login/join", "login_join", "Join the login in progress, which keeps it going.", returns=("login",)
    ),
    ChangeRoute(
        "/api/login/code",
        "login_code",
        "Pass a code to the login in progress.",
        {"code": Field("string", "the code from the login page", required=True)},
    ),
    ChangeRoute("/api/login/cancel", "login_cancel", "Stop the login in progress."),
    *SCHEDULE_ROUTES,
)
IN_INBOX = {"send", "inbox"}  # what the durable inbox takes while no harness runs
JOINS_LOGIN = {"login", "login_join", "login_code"}  # a login goes on as long as it has clients


def check_fields(fields: Mapping[str, Field], given: object) -> dict[str, Any]:
    """Return the arguments in a request's JSON except those that are null; raises UsageError for an invalid one."""
    if not isinstance(given, dict):
        raise UsageError("the body must be a JSON object", "{}")
    if unknown := sorted(given.keys() - fields.keys()):
        raise UsageError(f"unknown field: {unknown[0]!r}", ", ".join(fields) or "{}")
    found = {name: value for name, value in given.items() if value is not None}
    for name, field in fields.items():
        if field.required and name not in found:
            raise UsageError(f"missing field: {name!r}, {field.text}")
        if name in found and not _is_of_kind(field, found[name]):
            article = "an" if field.kind == "integer" else "a"
            raise UsageError(f"{name!r} must be {article} {field.kind}: {field.text}")
    return {fields[name].argument or name: value for name, value in found.items()}


_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
}  # fmt: skip


def _is_of_kind(field: Field, value: object) -> bool:
    is_switch = isinstance(value, bool)  # which is an integer to Python
    return isinstance(value, _KINDS[field.kind]) and is_switch == (field.kind == "boolean")


def check_query(fields: Mapping[str, Field], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the known parameters of a query; raises UsageError for an invalid one. Unknown ones are ignored."""
    return {name: _check(name, field, given[name]) for name, field in fields.items() if name in given}


def path_number(given: Mapping[str, str], name: str) -> int:
    """Return a number that is part of a path; raises UsageError."""
    return int(check_query({name: Field("integer", "")}, given)[name])


def _check(name: str, field: Field, text: str) -> int | str:
    if field.kind == "string":
        if field.choices and text not in field.choices:
            raise UsageError(f"{name}={text!r} is not one of {', '.join(field.choices)}")
        return text
    maximum = MAX_INTEGER if field.maximum is None else field.maximum
    number = int(text[:20]) if text.isascii() and text.isdigit() else -1
    if not field.minimum <= number <= maximum:
        raise UsageError(f"{name}={text!r} is not a number from {field.minimum} to {maximum}")
    return number


def capabilities(state: Mapping[str, Any], *, answers: bool) -> dict[str, bool]:
    """Return what can be done with an agent in this state: unless its harness answers, its inbox alone."""
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
    return {name: (answers or name in IN_INBOX) and bool(able) for name, able in can.items()}


def limits_in_words(state: Mapping[str, Any], now: float) -> list[str]:
    """Return the account's limits that have not reset yet, each in words with local times; `now` is Unix seconds."""
    return [limit_words(limit, now) for limit in open_limits(state.get("limits"), now)]

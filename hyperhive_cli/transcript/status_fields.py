"""What events change of the fields of `status --json`, so that a reader who follows them need not ask again. Pure."""

from collections.abc import Mapping
from typing import Any

from hyperhive_cli.core.events import BusEvent, LiveEvent, StatusChanged, Stream, TokenUsageChanged
from hyperhive_cli.core.usage import context_of
from hyperhive_cli.transcript.activity import Activity

KNOWN = (
    "agent", "status", "waits_until", "why", "model", "state", "since_unix", "session_id", "context_tokens",
    "context_window", "unread", "usage", "permission_mode",
)  # fmt: skip
ASKED = (  # no event carries them
    "activity", "budget", "consoles", "dead", "held", "limits", "next_due", "paused_since", "silence", "today",
    "workspace",
)  # fmt: skip


def changed_fields(event: LiveEvent) -> dict[str, Any]:
    """Return the fields that an event changes, by name; None: no longer known. The activity is not among them."""
    match event:
        case Stream():
            return _fields_of_line(event.line)
        case StatusChanged():
            return {"status": event.status, "waits_until": event.until_unix, "why": event.why}
        case TokenUsageChanged():
            found = {"context_tokens": event.context_tokens, "context_window": event.context_window}
            return {"usage": event.usage.to_dict()} | {key: value for key, value in found.items() if value is not None}
        case _:
            # The other kinds call their fields as `status` does.
            found = {key: getattr(event, key, None) for key in KNOWN}
            return {key: value for key, value in found.items() if value is not None}


def _fields_of_line(line: Mapping[str, Any]) -> dict[str, Any]:
    match line.get("type"), line.get("subtype"):
        case "assistant", _:
            used = context_of(line)
            return {"context_tokens": used} if used else {}
        case "system", "compact_boundary":
            return {"context_tokens": context_of(line)}  # older releases do not say
        case "system", "init":
            found = {"session_id": line.get("session_id"), "permission_mode": line.get("permissionMode")}
            return {name: value for name, value in found.items() if isinstance(value, str)}
        case _:
            return {}


class StatusFields:
    """The newest known value of each field of `status --json`; None if it is not known."""

    def __init__(self, snapshot: Mapping[str, Any] | None = None) -> None:
        self.fields: dict[str, Any] = dict.fromkeys((*KNOWN, *ASKED))
        self.activity = Activity()
        self.update(snapshot or {})

    def update(self, found: Mapping[str, Any]) -> None:
        """Take over the fields that are known by name and not None; of those that no event carries, also None."""
        known = ((key, value) for key, value in found.items() if key in self.fields)
        self.fields.update({key: value for key, value in known if value is not None or key in ASKED})

    def observe(self, record: BusEvent) -> None:
        """Take over what an event changes; one of an odd shape changes nothing."""
        self.fields.update(changed_fields(record.event))
        self.activity.observe(record.event, record.ts)
        if isinstance(record.event, Stream) and not record.event.line.get("heartbeat"):
            self.fields["silence"] = None

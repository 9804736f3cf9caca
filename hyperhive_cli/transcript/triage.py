"""Agents in the order in which a person looks at them: who needs a person first. Pure."""

import math
from collections.abc import Iterable, Mapping
from enum import IntEnum, auto
from typing import Any

from hyperhive_cli.core.status import Status, status_meaning
from hyperhive_cli.transcript.state_words import state_of

_QUIET = {Status.ONLINE, Status.STOPPED, Status.STANDBY}  # unless a message waits


class Triage(IntEnum):
    """What an agent asks of a person, the most urgent first."""

    NEEDS_PERSON = auto()
    RUNNING = auto()
    WAITING = auto()  # goes on by itself, or when it is resumed or run
    QUIET = auto()


def triage_of(found: Mapping[str, Any], now: float) -> Triage:
    """Return where an agent with these fields of `status --json` belongs; `now` is Unix seconds."""
    if found["problems"] or status_meaning(found["status"]).needs_person:
        return Triage.NEEDS_PERSON
    if state_of(found, now).doing is not None:
        return Triage.RUNNING
    return Triage.QUIET if found["status"] in _QUIET and not found["unread"] else Triage.WAITING


def by_triage(agents: Iterable[Mapping[str, Any]], now: float) -> list[Mapping[str, Any]]:
    """Sort agents: who needs a person, running, waiting, quiet; of each the longest first, then by name."""
    return sorted(agents, key=lambda found: (triage_of(found, now), _since(found), found["agent"]))


def _since(found: Mapping[str, Any]) -> float:
    """Return since when an agent is as it is (Unix s), as far as it is known: no event is newer than that."""
    event = found["last_event"]
    return found["since_unix"] or (event["ts"] / 1000 if event else math.inf)

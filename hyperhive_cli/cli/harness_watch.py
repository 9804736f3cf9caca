"""`HarnessWatch`: what no event says, for the displays of `tail` and `attach`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.core.status import Status
from hyperhive_cli.feed.agent_feed import AgentFeed
from hyperhive_cli.harness.client import LocalClient
from hyperhive_cli.store.report import with_holder

if TYPE_CHECKING:
    from hyperhive_cli.cli.displays import EventDisplay
    from hyperhive_cli.harness.live_console import LiveConsole

ASK_AGAIN_TICKS = 3  # without an event: a harness that is stopped or hung sends nothing


class HarnessWatch:
    """Tells the display how the agent is; a harness that has been silent is asked."""

    def __init__(self, paths: AgentPaths, feed: AgentFeed, display: "EventDisplay | LiveConsole") -> None:
        self._paths = paths
        self._feed = feed
        self._display = display
        self._shown: Mapping[str, Any] | None = {}
        self._silent_ticks = 0

    def look(self, event: BusEvent | None) -> None:
        """Look, after an event or a tick."""
        self._silent_ticks = self._silent_ticks + 1 if event is None else 0
        if self._feed.snapshot is not self._shown:
            self._shown = self._feed.snapshot
            self._display.update(**(self._shown or self._without_answer()))
        elif self._silent_ticks and self._silent_ticks % ASK_AGAIN_TICKS == 0:
            self._display.update(**(LocalClient(self._paths).ask("status") or self._without_answer()))

    def _without_answer(self) -> dict[str, Any]:
        """Return what is known if the harness has gone away or does not answer; nothing is waited for then."""
        found = with_holder({"status": Status.STOPPED}, self._paths.lock_file)
        return {"status": found["status"], "waits_until": 0}

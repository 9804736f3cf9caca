"""`AgentParts`: what one life of an agent is joined from. `AgentLoop` runs it, `AgentControl` steers it."""

import trio

from hyperhive_cli.agent.budget_keeper import BudgetKeeper
from hyperhive_cli.agent.compactor import Compactor
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.prewarm import Prewarmer
from hyperhive_cli.agent.quota_keeper import QuotaKeeper
from hyperhive_cli.agent.refresh import Refresh
from hyperhive_cli.agent.retrying_writer import RetryingWriter
from hyperhive_cli.agent.scheduler import State
from hyperhive_cli.agent.turn import TurnRunner
from hyperhive_cli.agent.wait_keeper import WaitKeeper
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox


class AgentParts:
    """The parts. `wake_event` says that there may be something to do; `waiting` ends what a stop need not wait for."""

    def __init__(self, config: AgentConfig, inbox: Inbox, bus: Bus) -> None:
        self.config = config
        self.inbox = inbox
        self.bus = bus
        self.state = State()
        self.wake_event = trio.Event()
        self.waiting = trio.CancelScope()
        self.writer = RetryingWriter(bus)
        self.prewarmer = Prewarmer(config, bus.now_ms)
        self.budget_keeper = BudgetKeeper(config.budget, inbox, bus)
        self.refresh = Refresh(config.environment, bus.note)
        self.quota_keeper = QuotaKeeper(config, inbox, bus)
        self.turns = TurnRunner(
            config, inbox, bus, self.writer, self.budget_keeper, self.quota_keeper, self.refresh, self.prewarmer
        )
        self.compactor = Compactor(config.compaction, self.turns, inbox, bus, self.writer)
        self.waits = WaitKeeper(config, self.state, inbox, bus, self.writer, self.compactor)

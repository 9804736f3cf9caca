"""`QuotaKeeper`: keeps what claude reports of the account's plan, and holds idle messages back for the reserve."""

from contextlib import suppress

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import account_name
from hyperhive_cli.claude.limits import LimitReport
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.quota import IdleHold, observe
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.inbox import Inbox
from hyperhive_cli.store.quota import keep_windows, read_windows


class QuotaKeeper:
    """The plan's windows as the agents of this account on this machine know them."""

    def __init__(self, config: AgentConfig, inbox: Inbox, bus: Bus) -> None:
        self._folder = config.accounts
        self._reserve = config.reserve
        self._environment = config.environment
        self._inbox = inbox
        self._bus = bus
        self._account: str | None = None  # of the run under way

    def begin_run(self) -> None:
        """Look again whose account it is when claude reports next: someone may have logged in meanwhile."""
        self._account = None
        with suppress(StoreError):  # the next turn looks again
            self._known_account()

    def observe(self, report: LimitReport) -> None:
        """Keep a report of claude's. Blocking, but short; it may fail."""
        reported = report.plan()
        if self._folder is None or not any(used is not None for _, used, _ in reported):
            return
        if self._account is None:
            self._account = self._find_account()
        now = int(self._now_unix)
        keep_windows(self._folder, self._account, observe(read_windows(self._folder, self._account), reported, now))

    def take_up_login(self) -> None:
        """Show the plan of the account that was logged in."""
        self._account = self._find_account()

    def _known_account(self) -> str | None:
        """Return the account as `status` knows it; it is looked for if others may have been told of its plan."""
        known = self._inbox.fact("account")
        return self._find_account() if known is None and self._folder is not None and self._folder.is_dir() else known

    def _find_account(self) -> str:
        account = account_name(self._environment)
        with suppress(StoreError):  # until the next turn, `status` does not know
            if self._inbox.fact("account") != account:
                self._inbox.put_facts(account=account)
        return account

    def idle_hold(self) -> IdleHold | None:
        """Return why idle messages must wait; None if they may run. Blocking, but short. Raises StoreError."""
        if not self._reserve.shares or self._folder is None:
            return None
        return self._reserve.hold(read_windows(self._folder, self._known_account()), self._now_unix)

    @property
    def _now_unix(self) -> float:
        return self._bus.now_ms() / 1000

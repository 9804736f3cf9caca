"""`Reporter`: keeps an agent's `status` in the hive up to date, for readers that cannot reach its harness."""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.hive import owner_sql
from hyperhive_cli.hive.connection import TrioConnection
from hyperhive_cli.hive.owner_sql import AgentLease
from hyperhive_cli.hive.shared_account import SharedAccount

REPORT_EVERY_S = 1.0

Report = Callable[[], Awaitable[Mapping[str, Any]]]  # the fields of `status --json`


class Reporter:
    """Sends one agent's report after each change, at most once in REPORT_EVERY_S."""

    def __init__(self, connection: TrioConnection, report: Report, shared_account: SharedAccount) -> None:
        self._connection = connection
        self._report = report
        self._shared_account = shared_account
        self._due = trio.Event()

    def wake(self) -> None:
        """Note that the report has changed."""
        self._due.set()

    async def run(self, current_lease: Callable[[], AgentLease | None]) -> None:
        """Send reports forever while there is a lease. One that fails is replaced by the next."""
        while True:
            await self._due.wait()
            self._due = trio.Event()
            if (lease := current_lease()) is not None:
                with suppress(StoreError):
                    await self.send(lease)
            await trio.sleep(REPORT_EVERY_S)

    async def send(self, lease: AgentLease) -> None:
        """Send the report now; raises StoreError."""
        put_report = partial(
            owner_sql.put_report, lease=lease, body=json.dumps(await self._report()),
            account=self._shared_account.account, login=self._shared_account.login,
        )  # fmt: skip
        await self._connection.call(put_report)

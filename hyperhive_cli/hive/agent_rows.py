"""`AgentRows`: reads and changes the rows of one agent in the hive. Blocking."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hyperhive_cli.hive.database import Connection, translated_errors


class AgentRows:
    """The rows of one agent, over an open connection."""

    def __init__(self, connection: "Connection", url: str, agent: str) -> None:
        self._connection = connection
        self._url = url
        self._agent = agent

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Open a transaction that locks the agent's row: others who send or change something wait here."""
        with self._transaction():
            self._all("SELECT FROM hyperhive.agent WHERE name = %(agent)s FOR NO KEY UPDATE")
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated_errors(self._url), self._connection.transaction():
            yield

    def _all(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        with translated_errors(self._url):
            return self._connection.execute(query.encode(), {"agent": self._agent, **values}).fetchall()

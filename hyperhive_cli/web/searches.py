"""`Searches`: the route that searches the history of one agent, or of every agent that is served, for two seconds."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext, suppress
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from hyperhive_cli.core.errors import RefusedError, StoreError
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.store.history import open_history
from hyperhive_cli.store.search import Search, Wanted, newest_hits, where_to_go_on
from hyperhive_cli.store.words import ANYTHING, Query
from hyperhive_cli.transcript.hits import hit_to_dict
from hyperhive_cli.web.gateway import Gateway
from hyperhive_cli.web.gateway import Query as Parameters
from hyperhive_cli.web.local import LocalAgent
from hyperhive_cli.web.responses import json_response

LIMIT_S = 2.0
COUNT = 50
AT_A_TIME = 2  # each keeps a processor busy


class Searches:
    """The searches in the histories of a gateway's agents."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._limiter = anyio.CapacityLimiter(AT_A_TIME)

    async def search(self, request: Request, query: Parameters) -> Response:
        """Return the newest places with the words, and how to go on."""
        is_of_all = query.get("all") == 1
        agents = await self._gateway.local_agents() if is_of_all else [await self._paths(request)]
        words, part = query.get("q", "").strip(), query.get("grep", "")
        asked = Query.from_part(part) if part else Query.from_text(words) if words else ANYTHING
        names = ("turn", "before", "since_ms", "until_ms")
        fields: dict[str, Any] = {name: query.get(name) for name in names}
        tool, failed = query.get("tool"), query.get("failed") == 1
        if not (asked.patterns or tool or failed):
            return json_response({"found": [], "next": None})
        if is_of_all:
            fields |= {"turn": None, "before": None}
        wanted = Wanted(query=asked, tool=tool, failed=failed, **fields)
        limit = query.get("limit", COUNT)
        return json_response(await run_sync(_search, agents, wanted, limit, is_of_all, limiter=self._limiter))

    async def _paths(self, request: Request) -> AgentPaths:
        agent = await self._gateway.find(request)
        if isinstance(agent, LocalAgent):
            return agent.paths
        raise RefusedError(
            f"the history of {agent.name!r} is searched on its own machine", f"there: hyperhive -a {agent.name} search"
        )


def _search(agents: Iterable[AgentPaths], wanted: Wanted, count: int, is_of_all: bool) -> dict[str, Any]:
    """Search, newest first. `next`: the parameters to add for what comes after, None if everything was searched."""
    is_over = _deadline(LIMIT_S)
    with ExitStack() as stack:
        searches = []
        for paths in agents:
            with suppress(StoreError) if is_of_all else nullcontext():
                history = stack.enter_context(open_history(paths))
                searches.append(Search(paths.agent, history, wanted, is_over))
        hits = list(newest_hits(searches, count))
        place = where_to_go_on(searches, hits[-1] if len(hits) >= count else None)
        found = [hit_to_dict(hit, wanted.query) for hit in hits]
    rest = None if place is None else {"until_ms": place.ts} if is_of_all else {"before": place.seq}
    return {"found": found, "next": rest}


def _deadline(limit_s: float) -> Callable[[], bool]:
    ends_at = time.monotonic() + limit_s
    return lambda: time.monotonic() > ends_at

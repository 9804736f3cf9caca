"""`Gateway`: the agents that a web panel serves, their open channels, and the routes of their state and of changes.

It changes nothing by itself. Changes are made by the harness, over its control socket. An agent of another machine is
reached through the hive.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hyperhive_cli.core.errors import UnknownError, UsageError
from hyperhive_cli.core.outcomes import meanings_to_dict
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.core.statistics import EndedTurn, days_until, midnight_ms, statistics_report
from hyperhive_cli.core.status import statuses_to_dict
from hyperhive_cli.core.zone import read_zone
from hyperhive_cli.harness.client import AgentClient
from hyperhive_cli.harness.inbox_operations import MESSAGE_CHANGES, change_message, send_message
from hyperhive_cli.harness.schedule_operations import SCHEDULE_CHANGES, change_schedule
from hyperhive_cli.store.messages import Message
from hyperhive_cli.transcript.endings import end_remarks
from hyperhive_cli.web.api import JOINS_LOGIN, ChangeRoute, check_fields, path_number
from hyperhive_cli.web.hive import HiveAgent, HiveView
from hyperhive_cli.web.inbox import InboxPage, read_inbox
from hyperhive_cli.web.local import LocalAgent
from hyperhive_cli.web.logins import FollowedLogins
from hyperhive_cli.web.open_feeds import OpenFeeds
from hyperhive_cli.web.openapi import document
from hyperhive_cli.web.overview import FindAgents, read_states
from hyperhive_cli.web.responses import json_response

BODY_LIMIT_BYTES = 4 * 1024 * 1024  # the longest message, with its JSON escapes

Query = Mapping[str, Any]


class Gateway:
    """The agents that are served, and their open `feeds`.

    Its routes are those about an agent's state; `FeedRoutes` has those of its feed.
    """

    def __init__(self, find_agents: FindAgents, hive: HiveView | None = None) -> None:
        self.closing = anyio.Event()
        self._find_agents = find_agents
        self._hive = hive
        self.feeds = OpenFeeds(find_agents, hive)
        self._logins = FollowedLogins(self.feeds)
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Run the tasks of the channels as long as the application runs."""
        async with anyio.create_task_group() as self._tasks:
            self.feeds.tasks = self._tasks
            if self._hive is not None:
                self._hive.tasks = self._tasks
            yield
            self._tasks.cancel_scope.cancel()
        if self._hive is not None:
            self._hive.close()

    def stop(self) -> None:
        """Close the streams, and interrupt threads that wait for the hive."""
        self.closing.set()
        if self._hive is not None:
            self._hive.hang_up()

    async def find(self, request: Request) -> LocalAgent | HiveAgent:
        """Return the agent that a request names, or the only one if it names none; raises UnknownError."""
        return await self.find_named(request.path_params.get("agent"))

    async def find_named(self, name: str | None) -> LocalAgent | HiveAgent:
        """Return the agent of this name, or the only one; raises UnknownError."""
        here = await run_sync(self._find_agents)
        if name is None:
            names = {*here, *({} if self._hive is None else await self._hive.agents())}
            if len(names) != 1:
                raise UnknownError("this gateway serves several agents" if names else "no agents yet", "/agents/NAME/…")
            (name,) = names
        if self._hive is not None and (found := await self._hive.find(name, here)) is not None:
            return found
        if name not in here:
            raise UnknownError(f"there is no agent {name!r}", "hyperhive agents")
        return LocalAgent(here[name])

    async def local_agents(self) -> list[AgentPaths]:
        """Return the agents of this machine, by name."""
        here = await run_sync(self._find_agents)
        return [here[name] for name in sorted(here)]

    async def state_of(self, agent: LocalAgent | HiveAgent) -> dict[str, Any]:
        """Return an agent's state as of now."""
        channel = self.feeds.open_channel(agent)
        return await (agent.state() if channel is None else channel.state())

    # --- reading ---

    async def overview(self, _: Request, _query: Query) -> Response:
        """Return the state of each agent."""
        found = await self.states()
        return json_response([found[name] for name in sorted(found)])

    async def states(self) -> dict[str, dict[str, Any]]:
        """Return the state of each agent by name; `hive` says where an agent of another machine runs."""
        here = dict(await run_sync(self._find_agents))
        others = {} if self._hive is None else await self._hive.agents_elsewhere(here)
        found = await read_states(paths for name, paths in here.items() if name not in others)
        found |= {name: other.last_state() for name, other in others.items()}
        return found

    async def hive(self, _: Request, _query: Query) -> Response:
        """Return the state of the hive."""
        return json_response(
            {"url": None, "trouble": None, "age_s": None} if self._hive is None else self._hive.to_dict()
        )

    async def state(self, request: Request, _query: Query) -> Response:
        """Return an agent's state."""
        agent = await self.find(request)
        return json_response(await self.state_of(agent))

    async def vocabulary(self, _: Request, _query: Query) -> Response:
        """Return how outcomes and statuses are shown."""
        return json_response({"outcomes": meanings_to_dict(), "statuses": statuses_to_dict()})

    async def openapi(self, _: Request, _query: Query) -> Response:
        """Return the OpenAPI document."""
        return json_response(document())

    async def inbox(self, request: Request, query: Query) -> Response:
        """Return a page of the messages, long ones cut."""
        agent = await self.find(request)
        limit, offset = query.get("limit", 200), query.get("offset", 0)
        page = InboxPage(limit, offset, ended=query.get("all") == 1, past=query.get("past") == 1)
        return json_response(await read_inbox(agent, page))

    async def message(self, request: Request, _query: Query) -> Response:
        """Return one message in full."""
        agent = await self.find(request)
        number = path_number(request.path_params, "id")
        return json_response({"message": (await agent.ask(partial(_message, message_id=number))).to_dict()})

    async def stats(self, request: Request, query: Query) -> Response:
        """Return the totals of the turns."""
        agent = await self.find(request)
        read_zone()
        days = days_until(int(time.time() * 1000), query.get("days", 7))
        turns = await agent.ask(lambda client: client.turns_since(midnight_ms(days[0])))
        return json_response(statistics_report(agent.name, turns, query.get("by", "day"), days))

    async def turns(self, request: Request, query: Query) -> Response:
        """Return the last finished turns."""
        agent = await self.find(request)
        found = await agent.ask(lambda client: client.newest_turns(query.get("limit", 40)))
        return json_response({"turns": [_with_remarks(turn) for turn in found]})

    async def turn(self, request: Request, _query: Query) -> Response:
        """Return one turn."""
        agent = await self.find(request)
        return json_response(await agent.ask(lambda client: client.turn(request.path_params["id"])))

    # --- changing ---

    async def change(self, route: ChangeRoute, request: Request) -> Response:
        """Carry out an operation."""
        agent = await self.find(request)
        arguments = check_fields(route.fields, await read_json(request))
        if "id" in request.path_params:
            arguments["id"] = path_number(request.path_params, "id")
        if "name" in request.path_params:
            arguments["name"] = request.path_params["name"]
        reply = await _change(agent, route.op, arguments)
        if route.op in JOINS_LOGIN and isinstance(agent, LocalAgent) and self._tasks is not None:
            self._tasks.start_soon(self._logins.follow, agent)
        return json_response({name: reply[name] for name in route.returns})


async def _change(agent: LocalAgent | HiveAgent, op: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Pass an operation on to the agent's harness; those of the inbox need none."""
    if op == "send":
        return await agent.ask(partial(send_message, arguments=arguments))
    if op in MESSAGE_CHANGES:
        return await agent.ask(partial(change_message, op=op, arguments=arguments))
    if op in SCHEDULE_CHANGES:
        return await agent.ask(partial(change_schedule, op=op, arguments=arguments))
    return await agent.change(op, arguments)


def _message(client: AgentClient, message_id: int) -> Message:
    with client.inbox(message_id) as inbox:
        return inbox.get(message_id)


def _with_remarks(turn: EndedTurn) -> dict[str, Any]:
    return {**turn.to_dict(), "remarks": list(end_remarks(turn.denied, turn.message_state))}


async def read_json(request: Request) -> object:
    """Return a request's JSON; raises HTTPException if it is too long, UsageError if it is not JSON."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise HTTPException(413, f"the body is larger than {BODY_LIMIT_BYTES:,} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError("the body is not JSON", "{}") from error

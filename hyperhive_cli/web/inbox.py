"""The inbox as the gateway gives it: pages of messages, long ones cut, and the schedules."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from hyperhive_cli.core.schedules import Schedule
from hyperhive_cli.harness.client import AgentClient
from hyperhive_cli.store.messages import Message, View

T = TypeVar("T")


class InboxPage(NamedTuple):
    """Which messages are wanted, and how much of each body (`body_chars`). `ended`: also those done or cancelled.

    `past`: those alone, newest first.
    """

    limit: int = 200
    offset: int = 0
    body_chars: int = 2_000
    ended: bool = False
    past: bool = False


SHOWN = InboxPage(limit=100, body_chars=500)  # what a page shows beside the feed, and is sent when it changes


class Askable(Protocol):
    """An agent that can be asked."""

    async def ask(self, work: Callable[[AgentClient], T]) -> T:
        """Run blocking work with a client of the agent, in a thread."""


async def read_inbox(agent: Askable, page: InboxPage = SHOWN) -> dict[str, Any]:
    """Return `messages`, the body of a `cut` one in part, whether there are `more` after them, and the `schedules`."""
    # One more than is returned shows whether there is more.
    view = View(page.body_chars + 1, page.limit + 1, page.offset, page.past)
    found, schedules = await agent.ask(
        lambda client: (client.messages(ended=page.ended, view=view), _schedules(client))
    )
    return {
        "messages": [_cut(message, page.body_chars) for message in found[: page.limit]],
        "more": len(found) > page.limit,
        "schedules": [_cut(schedule, page.body_chars) for schedule in schedules],
    }


def _schedules(client: AgentClient) -> list[Schedule]:
    if client.is_new:
        return []
    with client.schedules() as schedules:
        return schedules.schedules()


def _cut(one: Message | Schedule, body_chars: int) -> dict[str, Any]:
    return {**one.to_dict(), "body": one.body[:body_chars], "cut": len(one.body) > body_chars}

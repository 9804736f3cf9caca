"""The inbox as the gateway gives it: pages of messages, long ones cut."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

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
    """Return `messages`, the body of a `cut` one in part, and whether there are `more` after them."""
    # One more than is returned shows whether there is more.
    view = View(page.body_chars + 1, page.limit + 1, page.offset, page.past)
    found = await agent.ask(lambda client: client.messages(ended=page.ended, view=view))
    messages = [_message(message, page.body_chars) for message in found[: page.limit]]
    return {"messages": messages, "more": len(found) > page.limit}


def _message(message: Message, body_chars: int) -> dict[str, Any]:
    is_cut = len(message.body) > body_chars
    return {**message.to_dict(), "body": message.body[:body_chars], "cut": is_cut}

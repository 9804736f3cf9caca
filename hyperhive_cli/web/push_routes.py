"""The routes of web push: the key that signs, and which browsers are subscribed."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.web.api import ChangeRoute, check_fields
from hyperhive_cli.web.gateway import Query, read_json
from hyperhive_cli.web.push import Push
from hyperhive_cli.web.responses import json_response


class PushRoutes:
    """Answers for a gateway that sends push messages, or for one without the library or a folder for it (None)."""

    def __init__(self, push: Push | None) -> None:
        self._push = push

    async def push(self, _: Request, _query: Query) -> Response:
        """Return the key that signs."""
        return json_response({"key": None if self._push is None else (await self._push.key()).public})

    async def change(self, route: ChangeRoute, request: Request) -> Response:
        """Add or remove a browser."""
        given = check_fields(route.fields, await read_json(request))
        if self._push is None:
            raise RefusedError("this gateway sends no push messages", "pip install 'hyperhive[push]'")
        await _CHANGES[route.op](self._push, given)
        return json_response({})


async def _add(push: Push, given: Mapping[str, Any]) -> None:
    from hyperhive_cli.web.push_message import Browser  # noqa: PLC0415 - an extra

    await push.add(Browser(**given))


async def _remove(push: Push, given: Mapping[str, Any]) -> None:
    await push.remove(given["endpoint"])


_CHANGES = {"push_add": _add, "push_remove": _remove}

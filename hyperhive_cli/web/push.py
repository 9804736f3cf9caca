"""Web push: notifies browsers when an agent starts to need a person, also while none of them shows the panel.

The gateway looks at the agents as long as a browser is subscribed. The subscriptions, and what they were notified of,
are in a file beside the token, for all gateways that share it: the first that sees a need sends its messages, once.
"""

import hashlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
from anyio.to_thread import run_sync

from hyperhive_cli.core.errors import HyperhiveError, RefusedError, StoreError
from hyperhive_cli.core.files import make_folder, read_file, write_file
from hyperhive_cli.core.status import status_meaning
from hyperhive_cli.web.access import PanelFiles

if TYPE_CHECKING:
    from hyperhive_cli.web.push_message import Browser, SigningKey

POLL_S = 5.0  # a need must be there at two looks: a busy harness may miss one
MAX_BROWSERS = 32
RETRY_S = 10.0  # after a push service did not take a message; eight times as long after each
MAX_TRIES = 4
SEND_LIMIT_S = 20.0
LIFE_S = 12 * 3600  # of a message for a browser that is not there
_LIMIT_BYTES = 256 * 1024
_GONE = {404, 410}  # the subscription has ended

States = Mapping[str, Mapping[str, Any]]  # by the agents' names
ReadStates = Callable[[], Awaitable[States]]


class Subscriptions(NamedTuple):
    """The content of the file: the subscribed browsers, and by agent the need of which they were notified."""

    browsers: tuple["Browser", ...] = ()
    notified: Mapping[str, str] = {}


class PushFiles:
    """The file of the subscriptions, and that of the key that signs; both 0600. Blocking; methods raise StoreError."""

    def __init__(self, files: PanelFiles) -> None:
        self._panel = files
        self._key = files.folder / "push-key.pem"
        self._file = files.push_file

    def signing_key(self) -> "SigningKey":
        """Return the key, a new one at first. A subscription is for one key only."""
        from hyperhive_cli.web.push_message import SigningKey  # noqa: PLC0415 - an extra

        try:
            if not self._key.exists():
                make_folder(self._panel.folder)
                with suppress(FileExistsError):  # another gateway was faster
                    write_file(self._key, SigningKey.new(), replace=False)
            return SigningKey(read_file(self._key, _LIMIT_BYTES))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the key {self._key} cannot be used: {error}", f"mv {self._key} {self._key}.old"
            ) from error

    def read(self) -> Subscriptions:
        """Return the subscriptions; none if the file is missing or damaged."""
        from hyperhive_cli.web.push_message import Browser  # noqa: PLC0415 - an extra

        try:
            found = json.loads(read_file(self._file, _LIMIT_BYTES))
            return Subscriptions(tuple(Browser(**one) for one in found["browsers"]), dict(found["notified"]))
        except (OSError, ValueError, LookupError, TypeError):
            return Subscriptions()

    def add(self, browser: "Browser") -> None:
        """Subscribe a browser, the first one for present needs too; raises RefusedError if there are too many."""
        with self._changing() as known:
            others = tuple(one for one in known.browsers if one.endpoint != browser.endpoint)
            if len(others) >= MAX_BROWSERS:
                raise RefusedError(
                    f"{MAX_BROWSERS} browsers receive push messages already", "turn it off in one of them"
                )
            self._write(Subscriptions((*others, browser), known.notified if others else {}))

    def remove(self, endpoint: str) -> None:
        """End a browser's subscription."""
        with self._changing() as known:
            others = tuple(one for one in known.browsers if one.endpoint != endpoint)
            if others != known.browsers:
                self._write(known._replace(browsers=others))

    def claim(self, needs: Mapping[str, str], confirmed: set[str], served: Container[str]) -> list[str]:
        """Return the agents with a need of which no browser was notified; from now on this gateway's to send."""
        with self._changing() as known:
            fresh = sorted(confirmed - known.notified.keys())
            still = {name: word for name, word in known.notified.items() if name in needs or name not in served}
            notified = still | {name: needs[name] for name in fresh}
            if notified != known.notified:
                self._write(known._replace(notified=notified))
            return fresh

    @contextmanager
    def _changing(self) -> Iterator[Subscriptions]:
        with self._panel.changing_push():
            yield self.read()

    def _write(self, known: Subscriptions) -> None:
        content = {"browsers": [one._asdict() for one in known.browsers], "notified": known.notified}
        try:
            write_file(self._file, json.dumps(content).encode())
        except OSError as error:
            raise StoreError(f"{self._file} cannot be written: {error.strerror}") from error


class Push:
    """Notifies the subscribed browsers of a gateway. `contact`: where push services find its operator."""

    def __init__(self, files: PanelFiles, contact: str) -> None:
        self._files = PushFiles(files)
        self._contact = contact
        self._key: SigningKey | None = None
        self._seen: Mapping[str, str] = {}  # the needs at the last look

    async def key(self) -> "SigningKey":
        """Return the key that signs; raises StoreError."""
        if self._key is None:
            self._key = await run_sync(self._files.signing_key)
        return self._key

    async def add(self, browser: "Browser") -> None:
        """Subscribe a browser; raises UsageError if that is impossible, RefusedError if there are too many."""
        from hyperhive_cli.web.push_message import check_browser  # noqa: PLC0415 - an extra

        await run_sync(self._files.add, check_browser(browser))

    async def remove(self, endpoint: str) -> None:
        """End a browser's subscription."""
        await run_sync(self._files.remove, endpoint)

    @asynccontextmanager
    async def running(self, read_states: ReadStates) -> AsyncIterator[None]:
        """Look at the agents during the block, and notify."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run, read_states, tasks)
            yield
            tasks.cancel_scope.cancel()

    async def _run(self, read_states: ReadStates, tasks: anyio.abc.TaskGroup) -> None:
        while True:
            await anyio.sleep(POLL_S)
            with suppress(HyperhiveError):  # a full disk, or a hive that is away: the next look finds it again
                known = await run_sync(self._files.read)
                if known.browsers:
                    await self._look(known, await read_states(), tasks)

    async def _look(self, known: Subscriptions, states: States, tasks: anyio.abc.TaskGroup) -> None:
        needs = {name: word for name, state in states.items() if (word := _need(state)) is not None}
        confirmed = {name for name in needs if name in self._seen}
        self._seen = needs
        for name in await run_sync(self._files.claim, needs, confirmed, states):
            text = json.dumps({"agent": name, "words": needs[name]}).encode()
            for browser in known.browsers:
                tasks.start_soon(self._tell, browser, name, text)

    async def _tell(self, browser: "Browser", agent: str, text: bytes) -> None:
        key = await self.key()
        for tried in range(MAX_TRIES):
            status = await run_sync(partial(send, browser, agent, text, key, self._contact), abandon_on_cancel=True)
            if status in _GONE:
                await self.remove(browser.endpoint)
            if status is not None and status < 500 and status != 429:
                return
            await anyio.sleep(RETRY_S * 8**tried)


def send(browser: "Browser", agent: str, text: bytes, key: "SigningKey", contact: str) -> int | None:
    """Send a message to the browser's push service; return its HTTP status, None if it cannot be reached. Blocking."""
    from hyperhive_cli.web.push_message import encrypt  # noqa: PLC0415 - an extra

    headers = {
        "Authorization": key.authorization(browser.endpoint, contact, time.time()),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(LIFE_S),
        "Urgency": "high",
        "Topic": hashlib.sha256(agent.encode()).hexdigest()[:32],  # of those not yet delivered only the last is
    }
    request = urllib.request.Request(browser.endpoint, encrypt(text, browser), headers, method="POST")  # noqa: S310 - https, see `check_browser`
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=SEND_LIMIT_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError):
        return None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves a redirection as the error that it is for a push service."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def _need(state: Mapping[str, Any]) -> str | None:
    """Return what an agent needs a person for, in words; None if it needs nothing."""
    meaning = status_meaning(state.get("status"))
    if not meaning.needs_person:
        return None
    why = state.get("why")
    return f"{meaning.words}: {why}"[:300] if why else meaning.words

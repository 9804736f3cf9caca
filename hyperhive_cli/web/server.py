"""The gateway's process: where it listens, under which names, and the server behind it."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import anyio
import uvicorn

from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.harness.signals import ending_signals
from hyperhive_cli.web.access import Token
from hyperhive_cli.web.app import make_app
from hyperhive_cli.web.bind import Address, WebConfig, check_bind, public_urls
from hyperhive_cli.web.connections import Connections, make_protocol
from hyperhive_cli.web.gate import RESPONSE_HEADERS, Gate
from hyperhive_cli.web.hive import HiveView
from hyperhive_cli.web.overview import FindAgents
from hyperhive_cli.web.push import Push

CLOSE_LIMIT_S = 2  # for responses in progress when the gateway stops
BACKLOG = 128
TOKEN_POLL_S = 0.5
_Bound = tuple[socket.socket, dict[str, str]]  # and Host → origin for its own names


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening socket. `origins`: Host → the page's origin. `shown` is the page's address."""

    socket: socket.socket
    origins: dict[str, str]
    prefixes: Mapping[str, str]  # Host → prefix, for names under which a proxy serves the page
    shown: str


@contextmanager
def listening(config: WebConfig) -> Iterator[Listening]:
    """Listen during the block; raises UsageError if it must not listen there, HyperhiveError if that fails."""
    place = check_bind(config)
    with ExitStack() as stack:
        try:
            found = stack.enter_context(
                _bind_unix(place) if isinstance(place, Path) else _bind_port(config, place.address, place.port)
            )
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error  # too long a path has no errno
            raise HyperhiveError(f"cannot listen on {config.bind}: {why}", "another HOST:PORT or unix:PATH") from error
        listener, own = found
        public = public_urls(config)
        shown = [f"{url.origin}{url.prefix}/" for url in public] or [f"{origin}/" for origin in own.values()]
        origins = {**own, **{url.host: url.origin for url in public}}
        yield Listening(listener, origins, {url.host: url.prefix for url in public}, shown[0])


@contextmanager
def _bind_unix(path: Path) -> Iterator[_Bound]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        _remove_stale(path)
        before = os.umask(0o177)  # no one else can open it, from the start
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        made = path.stat()
        listener.listen(BACKLOG)
        try:
            yield listener, {"localhost": "http://localhost"}
        finally:
            with suppress(FileNotFoundError):
                if path.stat().st_ino == made.st_ino:  # unless another gateway has replaced it
                    path.unlink()


def _remove_stale(path: Path) -> None:
    """Remove a socket that has no listener; `bind` fails for anything else at this path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer, suppress(FileNotFoundError):
        if not path.is_socket():
            return
        try:
            peer.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


@contextmanager
def _bind_port(config: WebConfig, host: Address, port: int) -> Iterator[_Bound]:
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6
    with socket.create_server((str(host), port), family=family, backlog=BACKLOG) as listener:
        names = [
            *config.allow_hosts,
            *([_bracketed(host), "127.0.0.1", "localhost", "[::1]"] if host.is_loopback else []),
        ]
        yield listener, _origins(names, listener.getsockname()[1], is_tls=config.certificate is not None)


def _bracketed(host: Address) -> str:
    return str(host) if host.version == 4 else f"[{host}]"


def _origins(names: list[str], port: int, *, is_tls: bool) -> dict[str, str]:
    """Return the origin for each name as it is sent in Host: a browser leaves out the default port."""
    scheme, default_port = ("https", 443) if is_tls else ("http", 80)
    hosts = [name if port == default_port else f"{name}:{port}" for name in names]
    return {host: f"{scheme}://{host}" for host in hosts}


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers. `on_shutdown` is called before it waits for its connections."""

    def __init__(self, config: uvicorn.Config, on_shutdown: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_shutdown = on_shutdown

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: `_serve` handles signals."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams, then the server."""
        self._on_shutdown()
        await super().shutdown(sockets)


def serve(
    config: WebConfig,
    find_agents: FindAgents,
    announce: Callable[[str, str], None],
    token: Token,
    hive: HiveView | None = None,
) -> int:
    """Serve these agents and those of the hive until a signal arrives; returns 128 plus its number.

    `announce` is called in a thread once the gateway listens, with the page's address, which has the token in its
    fragment, and the token alone; it may block. Raises HyperhiveError.
    """
    with listening(config) as found, token.registered(found.shown):
        app, gateway = make_app(
            find_agents, Gate(found.origins, token.current), hive, found.prefixes, _push(token, found)
        )
        settings = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",  # else each stranger that does not speak HTTP adds a warning to the log
            access_log=False,
            server_header=False,
            proxy_headers=False,
            headers=list(RESPONSE_HEADERS.items()),
            timeout_graceful_shutdown=CLOSE_LIMIT_S,
            ssl_certfile=config.certificate,
            ssl_keyfile=config.key,
        )
        try:
            settings.load()
        except (OSError, ssl.SSLError) as error:
            raise HyperhiveError(f"cannot use the certificate or its key: {error}", "both in PEM format") from error
        token.on_change = _limit_connections(settings).drop_trusted
        server = _Server(settings, gateway.stop)
        return anyio.run(
            _serve, server, found.socket, token, partial(_announce, announce, found.shown, token),
            backend_options={"use_uvloop": True},
        )  # fmt: skip


def _push(token: Token, found: Listening) -> Push | None:
    """Return what sends push messages, unless its library or a folder for its files is missing."""
    if token.files is None or find_spec("cryptography") is None:
        return None
    is_public = found.shown.startswith("https://")
    return Push(token.files, found.shown if is_public else "mailto:operator@example.com")


def _announce(announce: Callable[[str, str], None], address: str, token: Token) -> None:
    found = token.current()
    announce(f"{address}#token={found}", found)


def _limit_connections(settings: uvicorn.Config) -> Connections:
    # uvicorn accepts any function as a protocol class. TLS is added here and not by uvicorn, so that it is limited too.
    connections, context = Connections(), settings.ssl
    settings.limit_concurrency = connections.limit  # more, even of the operator: 503
    settings.ssl = None

    def make(**given: Any) -> Any:  # noqa: ANN401 - uvicorn's settings, asyncio's protocol
        return make_protocol(connections, context, given)

    settings.http_protocol_class = cast("type[Any]", make)
    return connections


async def _watch(token: Token) -> None:
    """Have a changed token end the streams of pages with the old one, also while no request comes."""
    while True:
        await anyio.sleep(TOKEN_POLL_S)
        token.current()


async def _serve(server: _Server, listener: socket.socket, token: Token, announce: Callable[[], None]) -> int:
    received: list[int] = []
    with anyio.open_signal_receiver(*ending_signals()) as signals:
        async with anyio.create_task_group() as tasks:

            async def stop_at_signal() -> None:
                async for number in signals:
                    received.append(number)
                    server.should_exit = True

            tasks.start_soon(stop_at_signal)
            tasks.start_soon(_watch, token)
            # In a thread: a terminal stopped by Ctrl-S must not block the page and signals.
            tasks.start_soon(partial(anyio.to_thread.run_sync, announce, abandon_on_cancel=True))
            await server.serve([listener])
            tasks.cancel_scope.cancel()
    return 128 + received[0] if received else 1

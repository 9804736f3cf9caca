"""Where a gateway may listen: `--bind` and the options that go with it. Pure, and free of the extra's libraries."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hyperhive_cli.core.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where to listen: `HOST:PORT` or `unix:PATH`. Beyond loopback it needs a name to answer to, and TLS."""

    bind: str
    allow_hosts: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()  # of proxies; see `PublicUrl`
    certificate: Path | None = None
    key: Path | None = None


class PublicUrl(NamedTuple):
    """An address under which a proxy serves the panel: `https://hive.example/bees`.

    `host` is the value of the Host header. `prefix` is empty or starts with a slash; the proxy may strip it or not.
    """

    origin: str
    host: str
    prefix: str


class Port(NamedTuple):
    """A port at one of this machine's addresses."""

    address: Address
    port: int


def check_bind(config: WebConfig) -> Port | Path:
    """Return the port, or the socket's absolute path; raises UsageError if it must not listen there."""
    if (config.certificate is None) != (config.key is None):
        raise UsageError("a certificate needs its key, and a key its certificate", "--web-cert FILE --web-key FILE")
    public_urls(config)
    if config.bind.startswith("unix:"):
        return Path(config.bind.removeprefix("unix:")).absolute()
    found = _split(config.bind)
    if not found.address.is_loopback and not ((config.allow_hosts or config.urls) and config.certificate):
        raise UsageError(
            f"{found.address} can be reached from other machines",
            "--web-allow-host NAME --web-cert FILE --web-key FILE, or an address of 127.0.0.1",
        )
    return found


_URL = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?((?:/[A-Za-z0-9._~-]+)*)/?", re.ASCII)
_DEFAULT_PORTS = {"https": "443", "http": "80"}  # a browser leaves them out
_OWN_PATHS = {"agents", "api", "static", "favicon.ico"}  # a prefix must not look like one of them
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


def public_urls(config: WebConfig) -> list[PublicUrl]:
    """Return the addresses that proxies serve; raises UsageError for an invalid one."""
    found = [_read_url(text) for text in config.urls]
    hosts = [url.host for url in found]
    for host in hosts:
        if hosts.count(host) > 1:
            raise UsageError(f"--web-url names {host} twice", "one address for each host")
    return found


def _read_url(text: str) -> PublicUrl:
    match = _URL.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--web-url {text!r} is not a valid address",
            "https://host/prefix in lower case, without user, query and fragment",
        )
    scheme, name, port, prefix = match.groups()
    if scheme == "http" and name not in _LOOPBACK:
        raise UsageError(f"--web-url {text!r} would carry the token unencrypted", f"https://{name}{prefix}")
    if port is not None and not 0 < int(port) < 65_536:
        raise UsageError(f"--web-url {text!r} has an invalid port", "1 to 65535")
    parts = prefix.split("/")[1:]
    if {".", ".."}.intersection(parts) or _OWN_PATHS.intersection(parts[:1]):
        raise UsageError(f"--web-url {text!r} has a prefix that the panel uses itself", "another prefix, such as /hive")
    host = name if port is None or port == _DEFAULT_PORTS[scheme] else f"{name}:{int(port)}"
    return PublicUrl(f"{scheme}://{host}", host, prefix)


def _split(bind: str) -> Port:
    host, _, port = bind.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else -1
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not 0 <= number < 65_536:
        raise UsageError(f"not a valid address to listen on: {bind!r}", "127.0.0.1:8420, [::1]:8420 or unix:PATH")
    return Port(address, number)

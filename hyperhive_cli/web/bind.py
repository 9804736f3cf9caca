"""Where a gateway may listen: the words of `--bind`, and what they need. Pure, and without the extra's libraries."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hyperhive_cli.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where to listen: `HOST:PORT` or `unix:PATH`. Beyond loopback only under these names, and with TLS."""

    bind: str
    allow_hosts: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None


class Port(NamedTuple):
    """A port of one of this machine's addresses."""

    address: Address
    port: int


def check_bind(config: WebConfig) -> Port | Path:
    """Give the port, or the socket's absolute path; raises UsageError for a place where it may not listen."""
    if (config.certificate is None) != (config.key is None):
        raise UsageError("a certificate and its key belong together", "--web-cert FILE --web-key FILE")
    if config.bind.startswith("unix:"):
        return Path(config.bind.removeprefix("unix:")).absolute()
    found = _split(config.bind)
    if not found.address.is_loopback and not (config.allow_hosts and config.certificate):
        raise UsageError(
            f"{found.address} can be reached from other machines",
            "--web-allow-host NAME --web-cert FILE --web-key FILE, or an address of 127.0.0.1",
        )
    return found


def _split(bind: str) -> Port:
    host, _, port = bind.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else -1
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not 0 <= number < 65_536:
        raise UsageError(f"{bind!r} is no place to listen on", "127.0.0.1:8420, [::1]:8420 or unix:PATH")
    return Port(address, number)

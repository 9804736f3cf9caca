"""Machines of their own for the tests: network namespaces, each joined to the database's by a cable of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "db.example"  # what the database's machine is called in all of them


class NotPermittedError(Exception):
    """Network namespaces cannot be made here."""


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPermittedError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@dataclass(frozen=True, slots=True)
class Network:
    """A network of machines by their names; `db` is the database's."""

    prefix: str
    names: Sequence[str]

    def namespace(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def on(self, name: str) -> list[str]:
        """Return the words before a command that run it on a machine."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def pull(self, name: str) -> None:
        """Pull a machine's cable: nobody is told."""
        _ip("-n", self.namespace("db"), "link", "set", f"to-{name}", "down")

    def plug(self, name: str) -> None:
        """Plug it in again."""
        _ip("-n", self.namespace("db"), "link", "set", f"to-{name}", "up")

    def slow(self, name: str, rate: str = "256kbit") -> None:
        """Let a machine send and receive no faster than this."""
        for namespace, device in ((self.namespace("db"), f"to-{name}"), (self.namespace(name), "uplink")):
            shape = ["root", "tbf", "rate", rate, "burst", "4kb", "latency", "2s"]
            command = ["ip", "netns", "exec", namespace, "tc", "qdisc", "add", "dev", device, *shape]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NotPermittedError(done.stderr.strip())


@contextmanager
def open_network(names: Sequence[str]) -> Iterator[Network]:
    """Yield a network for the block; raises NotPermittedError where there can be none."""
    if shutil.which("ip") is None or os.getuid():
        raise NotPermittedError("it takes root, and `ip` of iproute2")
    network = Network(f"hh{os.getpid() % 100_000}", names)
    with ExitStack() as stack:
        for name in ("db", *names):
            namespace = network.namespace(name)
            _ip("netns", "add", namespace)
            stack.callback(_ip, "netns", "del", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        for number, name in enumerate(names, 1):
            ours, theirs = network.namespace("db"), network.namespace(name)
            _ip("-n", ours, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "uplink", "netns", theirs)
            for namespace, device, last in ((ours, f"to-{name}", 1), (theirs, "uplink", 2)):
                _ip("-n", namespace, "addr", "add", f"10.77.{number}.{last}/24", "dev", device)
                _ip("-n", namespace, "link", "set", device, "up")
            _name_database(stack, theirs, f"10.77.{number}.1")
        _name_database(stack, network.namespace("db"), "127.0.0.1")
        yield network


def _name_database(stack: ExitStack, namespace: str, address: str) -> None:
    """Let a machine know the database's by its name: `ip netns exec` puts this file over /etc/hosts."""
    folder = Path("/etc/netns") / namespace
    folder.mkdir(parents=True)
    stack.callback(shutil.rmtree, folder)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{address} {HOST}\n", encoding="utf-8")

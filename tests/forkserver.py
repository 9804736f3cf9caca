"""Commands of hyperhive as processes of their own that need not load Python and the program each time.

A server has imported the whole program, and forks for each command: a process with its own id, environment, folder,
pipes and signals, which then runs `main` as `python -m hyperhive_cli` would, some 100 to 250 ms of processor time
earlier. What a command loads and how it starts is not seen this way: tests/unit/test_startup.py, test_readme.py,
test_examples.py and whoever asks for `Hive.command` run the program itself.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import hyperhive_cli
from hyperhive_cli.cli.main import main as hyperhive

SOURCE = Path(hyperhive_cli.__file__).resolve().parents[1]
# What Python reads when it starts, and a fork therefore cannot change.
STARTUP = {"LANG": "C.UTF-8", "PYTHONPATH": str(SOURCE)}
LONGEST_REQUEST = 1 << 20


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether a command with this environment would start as the server did."""
    read = {name: value for name, value in environment.items() if name.startswith(("LANG", "LC_", "PYTHON"))}
    return read == STARTUP


class Forked:
    """A command that was forked; as a `subprocess.Popen` with three pipes."""

    def __init__(
        self,
        server: "Forkserver",
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        constants: Mapping[str, float],
        prelude: str,
    ) -> None:
        self._server = server
        self.args = list(command)
        self.returncode: int | None = None
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        read_err, write_err = os.pipe()
        theirs = (read_in, write_out, write_err)
        os.umask(umask := os.umask(0))
        request = {
            "argv": self.args,
            "cwd": str(folder),
            "env": dict(environment),
            "umask": umask,
            "constants": dict(constants),
            "prelude": prelude,
        }
        try:
            self.pid = server.ask(request, theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        self._pidfd = os.pidfd_open(self.pid)  # it cannot be another's: the server has not asked how it ended
        self.stdin = open(write_in, "wb")  # noqa: PTH123, SIM115 - a descriptor, closed by whoever has the process
        self.stdout = open(read_out, "rb")  # noqa: PTH123, SIM115
        self.stderr = open(read_err, "rb")  # noqa: PTH123, SIM115

    def poll(self) -> int | None:
        """Return how it ended, negative for a signal; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout_s: float | None = None) -> int:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            if not poll.poll(None if timeout_s is None else timeout_s * 1000):
                raise subprocess.TimeoutExpired(self.args, timeout_s or 0)
            self.returncode = self._server.ask({"ended": self.pid})
            os.close(self._pidfd)
        return self.returncode

    def communicate(self, data: bytes, timeout_s: float) -> tuple[bytes, bytes]:
        """Write to its stdin, read both outputs to their ends, and wait for its own."""
        with ThreadPoolExecutor(2) as readers, self.stdout, self.stderr:
            outputs = [readers.submit(pipe.read) for pipe in (self.stdout, self.stderr)]
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(data)
            try:
                self.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            return outputs[0].result(), outputs[1].result()

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forkserver:
    """The server's other side; it is started by the first command, and ends with the tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._peer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forkserver", str(theirs.fileno())],
                # Pipes, as its commands have them: Python looks at them once and chooses how to buffer.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd="/",
                env={**STARTUP, "PATH": os.environ["PATH"]},
                pass_fds=[theirs.fileno()],
            )

    def fork(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        constants: Mapping[str, float],
        prelude: str = "",
    ) -> Forked:
        """Start a command: the words behind `hyperhive`.

        A constant is called `harness.hook.HOOK_LIMIT_S`; `prelude` is Python that the fork runs first.
        """
        return Forked(self, command, folder, environment, constants, prelude)

    def ask(self, request: Mapping[str, Any], fds: Sequence[int] = ()) -> int:
        with self._lock:
            socket.send_fds(self._peer, [json.dumps(request).encode()], fds)
            answer = self._peer.recv(100)
        if not answer:
            raise RuntimeError("the forkserver has ended: see above")
        return int(answer)

    def close(self) -> None:
        self._peer.close()
        self._process.communicate()


def serve(peer: socket.socket) -> dict[str, Any]:
    """Fork for each request; comes back in the fork, with its request. Ends with the tests."""
    while True:
        message, fds, _, _ = socket.recv_fds(peer, LONGEST_REQUEST, 3)
        if not message:
            sys.exit()
        request: dict[str, Any] = json.loads(message)
        if "ended" in request:
            _, status = os.waitpid(request["ended"], 0)
            answer = os.waitstatus_to_exitcode(status)
        elif not (answer := os.fork()):
            for stream, fd in enumerate(fds):
                os.dup2(fd, stream)
                os.close(fd)
            return request
        for fd in fds:
            os.close(fd)
        peer.send(str(answer).encode())


def become(request: Mapping[str, Any]) -> None:
    """Make this process look as if it had been started so."""
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv[1:] = request["argv"]
    for name, value in request["constants"].items():
        module, _, constant = name.rpartition(".")
        owner = sys.modules[f"hyperhive_cli.{module}"]
        if not hasattr(owner, constant):
            raise AttributeError(name)
        setattr(owner, constant, value)
    exec(request["prelude"], {})  # noqa: S102 - of a test


def main() -> NoReturn:
    for module in pkgutil.walk_packages(hyperhive_cli.__path__, "hyperhive_cli."):
        if not module.name.endswith(("__main__", ".plot")):  # matplotlib is loaded by the few that draw
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as peer:
        request = serve(peer)
    become(request)
    try:
        hyperhive()
    except SystemExit as end:
        status = end.code
    assert isinstance(status, int)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Python's own end would take apart all that the server has loaded


if __name__ == "__main__":
    main()

"""A real PostgreSQL server for the tests: in a temporary folder, on a Unix socket, as a user who is not root."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from hyperhive_cli.claude import guard
from tests.conftest import kill, process_state, wait_until

LIMIT_S = 120.0
# Its data is thrown away, and what the operating system was given survives the death of any process.
SETTINGS = {
    "fsync": "off",
    "listen_addresses": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10s",
}


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest release of 15 or later; None where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    fitting = (folder for folder in folders if (folder / "initdb").exists() and _release(folder) >= 15)
    return next(fitting, None)


def _release(folder: Path) -> int:
    words = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(words.split()[2].partition(".")[0])


def _as_another_user() -> list[str]:
    """Return the words before a command that run it as another user if we are root: the server refuses root."""
    return [] if os.getuid() else ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]


@dataclass(slots=True)
class Server:
    """A cluster. `start` and `kill` are for the tests that are about that."""

    bin: Path
    folder: Path
    wrap: Sequence[str] = ()  # `ip netns exec NAME`, for one that lives in a network namespace
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str, user: str = "keeper") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def make(self) -> None:
        """Lay the cluster out. Its owner is `keeper`."""
        if not os.getuid():
            shutil.chown(self.folder, "nobody", "nogroup")
        options = ["--no-sync", "--auth=trust", "--username=keeper", "--encoding=UTF8", "--locale=C"]
        self._run("initdb", "-D", str(self.data), *options)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*_as_another_user(), str(self.bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr

    def configure(self, settings: str, access: str) -> None:
        """Put lines into the server's own files, before it is started."""
        for name, text in (("postgresql.conf", settings), ("pg_hba.conf", access)):
            path = self.data / name
            path.write_text(text if name == "pg_hba.conf" else f"{path.read_text()}\n{text}", encoding="utf-8")
            if not os.getuid():
                shutil.chown(path, "nobody", "nogroup")
        self.settings = {name: value for name, value in SETTINGS.items() if name != "listen_addresses"}

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        options = [word for item in self.settings.items() for word in ("-c", "=".join(item))]
        # As that user: what libfaketime shares with its other processes is its own.
        variables = ["env", *(f"{name}={value}" for name, value in self.variables.items())]
        command = [*self.wrap, *_as_another_user(), *variables, str(self.bin / "postgres"), "-D", str(self.data)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "-k", str(self.folder), *options], stdout=log, stderr=log, cwd=self.folder
            )
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End every process of the server at once, as the death of its machine would."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGSTOP)  # so that it has no more children than are found
        wait_until(lambda: process_state(process.pid) == "T")
        children = guard.children(process.pid)
        for pid in (*children, process.pid):
            kill(pid)
        process.wait(LIMIT_S)
        # Whoever holds its shared memory keeps a new server from starting.
        wait_until(lambda: {process_state(pid) for pid in children} <= {None, "Z"})

    def stop(self) -> None:
        """Shut it down, whoever is connected."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(LIMIT_S)

    def execute(self, database: str, query: str) -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(query.encode())


@contextmanager
def open_server(
    folder_of_programs: Path,
    *,
    wrap: Sequence[str] = (),
    is_started: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Yield a cluster of its own, running by default."""
    folder = Path(tempfile.mkdtemp(prefix="hh-pg-"))
    folder.chmod(0o755)
    server = Server(folder_of_programs, folder, wrap, variables or {})
    try:
        server.make()
        if is_started:
            server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)

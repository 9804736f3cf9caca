"""How people get into a panel: its token in a file, which outlives gateways, harnesses and the machine's restarts.

A panel of one agent keeps its files in that agent's state folder, any other in the folder that holds the state folders.
Each gateway that runs there is registered with its address. The folder's name is not valid for an agent.
"""

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.files import create_file, make_folder, open_file, read_file, write_file

FOLDER = ".web"  # below a state folder or their parent
_TOKEN_BYTES = 32  # random ones
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43,}")
_LIMIT_BYTES = 4096  # of each of these files
_RUNNING = "running-"


def is_token(text: str) -> bool:
    """Return True if a token is as strong as a generated one."""
    return _TOKEN.fullmatch(text) is not None


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class PanelFiles:
    """The files of the panels of one agent, or of many: `folder` is the state folder, or the parent of several."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self.token_file = self.folder / "token"
        self.push_file = self.folder / "push.json"  # subscriptions: see `web.push`

    def token(self) -> str | None:
        """Return the token, None if there is none yet; raises StoreError for a file that is not safe to use."""
        try:
            return self._read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(str(error.strerror)) from error

    def make_token(self) -> str:
        """Store a new token unless there is one; return the one that is there. Raises StoreError."""
        return self._store(new_token(), replace=False)

    def change_token(self) -> str:
        """Replace the token and return the new one, which running gateways take immediately; raises StoreError.

        It also ends the push messages to browsers that the old one let in.
        """
        token = self._store(new_token(), replace=True)
        with self.changing_push():
            self.push_file.unlink(missing_ok=True)
        return token

    @contextmanager
    def changing_push(self) -> Iterator[None]:
        """Keep other processes from changing `push_file` during the block; raises StoreError."""
        try:
            make_folder(self.folder)
            descriptor = open_file(self.folder / "push.lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> str:
        content = read_file(self.token_file, _LIMIT_BYTES)
        found = self.token_file.lstat()
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise self._unusable("other users may know it")
        token = content.decode("ascii", "replace").strip()
        if not is_token(token):
            raise self._unusable("it is not a token")
        return token

    def _store(self, token: str, *, replace: bool) -> str:
        try:
            make_folder(self.folder)
            write_file(self.token_file, f"{token}\n".encode(), replace=replace)
        except FileExistsError:
            return self.token() or token  # another gateway was faster
        except OSError as error:
            raise StoreError(f"the token cannot be stored in {self.folder}: {error.strerror}") from error
        return token

    def _unusable(self, why: str) -> StoreError:
        return StoreError(f"the token in {self.token_file} cannot be used: {why}", "hyperhive web --new-token")

    @contextmanager
    def registered(self, address: str) -> Iterator[None]:
        """Name this process as a gateway that runs at this address during the block."""
        with ExitStack() as stack:
            with suppress(OSError):  # on a full disk `--show` does not find this gateway
                self._register(address, stack)
            yield

    def _register(self, address: str, stack: ExitStack) -> None:
        make_folder(self.folder)
        entry = self.folder / f"{_RUNNING}{secrets.token_hex(8)}"
        draft = entry.with_name(f".{entry.name}")  # it must not be seen before it is locked
        descriptor = create_file(draft)
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # until the process ends, however it does
        os.write(descriptor, address.encode())
        draft.rename(entry)
        stack.callback(entry.unlink, missing_ok=True)

    def running(self) -> list[str]:
        """Return the addresses of the running gateways, without the token. Removes entries of killed ones."""
        found = []
        with suppress(FileNotFoundError):
            for entry in sorted(self.folder.glob(f"{_RUNNING}*")):
                with suppress(OSError):
                    found += self._look_at(entry)
        return found

    def _look_at(self, entry: Path) -> list[str]:
        descriptor = open_file(entry)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return [os.read(descriptor, _LIMIT_BYTES).decode("utf-8", "replace")]
        else:
            entry.unlink(missing_ok=True)
            return []
        finally:
            os.close(descriptor)


class Token:
    """One gateway's token: as its file has it now, or the one that it was given without a file."""

    def __init__(self, token: str, files: PanelFiles | None = None) -> None:
        self.on_change: Callable[[], None] = lambda: None  # called when the token has been changed
        self._token = token
        self.files = files
        self._stamp = self._look()

    def current(self) -> str:
        """Return the token. Costs one `stat`, unless the file has changed; one that is lost or damaged is ignored."""
        stamp = self._look()
        if stamp != self._stamp and self.files is not None:
            self._stamp = stamp
            with suppress(StoreError):
                self._take(self.files.token())
        return self._token

    @contextmanager
    def registered(self, address: str) -> Iterator[None]:
        """Have `--show` find this gateway during the block."""
        if self.files is None:
            yield
        else:
            with self.files.registered(address):
                yield

    def _take(self, token: str | None) -> None:
        if token is not None and token != self._token:
            self._token = token
            self.on_change()

    def _look(self) -> tuple[int, int] | None:
        if self.files is None:
            return None
        try:
            found = self.files.token_file.lstat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


def open_token(files: PanelFiles, warn: Callable[[str], None]) -> Token:
    """Return the token of these files, a new one if there is none; raises StoreError for one that is not safe to use.

    A token that cannot be stored, on a full disk or in a folder that cannot be written, serves this start alone.
    """
    token = files.token()
    if token is not None:
        return Token(token, files)
    try:
        return Token(files.make_token(), files)
    except StoreError as error:
        warn(f"{error.message}; the next start has another one")
        return Token(new_token())

"""Backups: an archive with copies of an agent's databases and its model, made whether it runs or not, and back."""

import io
import lzma
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from hyperhive_cli.core.errors import RefusedError, StoreError
from hyperhive_cli.core.files import create_file, make_folder, read_file
from hyperhive_cli.core.settings import INBOX_NAME, AgentPaths
from hyperhive_cli.store import db as database
from hyperhive_cli.store import schema
from hyperhive_cli.store.segment import find_segments, is_segment_name

_MODEL_LIMIT_BYTES = 64 * 1024
HINT = "check its permissions and the free space"
BACKUP_HINT = "a file that `hyperhive backup FILE` has written"
_HISTORY, _MODEL, _SEGMENTS = "hyperhive-events.sqlite", "hyperhive-model", "history"
_NAMES = {INBOX_NAME, _HISTORY, _MODEL}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup contains, as counts. `waiting` are the ready and leased messages; `missing`: why no events.

    `archived` are the events of the history's `segments`, which are older than `events` or the same. `left_out` are
    the segments that could not be copied.
    """

    messages: int
    waiting: int
    turns: int
    events: int
    missing: str | None = None
    segments: int = 0
    archived: int = 0
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `backup --json`."""
        return asdict(self)


def write_backup(paths: AgentPaths, target: Path, *, force: bool = False, has_segments: bool = True) -> Contents:
    """Write an archive (0600) that appears completely or not at all. Blocking.

    Raises RefusedError if the file exists (without `force`), StoreError if the inbox cannot be copied or the archive
    cannot be written. A history that cannot be copied is left out.
    """
    if not force and os.path.lexists(target):
        raise RefusedError(f"{target} already exists", "choose another name, or --force")
    try:
        with _draft(target.parent) as draft:
            with draft.open("wb") as file:
                contents = stream_backup(paths, file, draft.parent, has_segments=has_segments)
                file.flush()
                os.fsync(file.fileno())
            _put_in_place(draft, target, force=force)
    except OSError as error:
        raise StoreError(f"the backup {target} cannot be written: {error.strerror or error}", HINT) from error
    return contents


def stream_backup(paths: AgentPaths, file: IO[bytes], scratch: Path, *, has_segments: bool = True) -> Contents:
    """Write the archive to an open file; `scratch` is an empty folder for the copies. Blocking.

    Without `has_segments`, it has only the newest events of the history.
    """
    inbox, history, missing = scratch / paths.inbox_db.name, scratch / _HISTORY, None
    _copy(paths.inbox_db, inbox)
    try:
        _copy(paths.events_db, history)
    except StoreError as error:
        missing = error.message
    contents = _count_all(inbox, history, missing)
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for copy in (inbox, history):
            if copy.exists():
                archive.add(copy, copy.name)
        _add_model(archive, paths.model_file)
        # After the events table: what leaves that meanwhile is in a segment already.
        return _add_segments(archive, paths.history, scratch, contents) if has_segments else contents


def _add_segments(archive: tarfile.TarFile, folder: Path, scratch: Path, contents: Contents) -> Contents:
    """Add the segments, one copy at a time; return the contents with them."""
    left_out = []
    for segment in find_segments(folder):
        copy = scratch / segment.path.name
        try:
            _copy(segment.path, copy, otherwise="rw")  # as `open_segment`
        except StoreError:
            if segment.path.exists():  # else it has expired meanwhile
                left_out.append(segment.path.name)
            continue
        archive.add(copy, f"{_SEGMENTS}/{copy.name}")
        contents = _with_segment(contents, copy)
        copy.unlink()
    return replace(contents, left_out=tuple(left_out))


def _with_segment(contents: Contents, copy: Path) -> Contents:
    (events,) = _count(copy, "coalesce(sum(events), 0)", "chunks")
    return replace(contents, segments=contents.segments + 1, archived=contents.archived + events)


def _count_all(inbox: Path, history: Path, missing: str | None) -> Contents:
    messages, waiting = _count(inbox, "count(*), coalesce(sum(state IN ('ready', 'leased')), 0)", "messages")
    (turns,) = _count(inbox, "count(outcome)", "turn_stats")
    (events,) = _count(history, "count(*)", "events") if missing is None else (0,)
    return Contents(messages, waiting, turns, events, missing)


def restore_backup(paths: AgentPaths, file: IO[bytes]) -> Contents:
    """Unpack an archive into a new state folder, which appears completely or not at all. Blocking.

    Raises RefusedError if the folder exists, or if the archive is not a sound backup of this release or an older one;
    StoreError if it cannot be written.
    """
    target = paths.state_dir
    if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
        raise RefusedError(f"{target} already exists", "hyperhive -a NEW restore FILE, or remove it first")
    try:
        make_folder(target.parent)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.restored-", dir=target.parent))
    except OSError as error:
        raise StoreError(f"{target.parent} cannot be written: {error.strerror}", HINT) from error
    try:
        _unpack(file, draft)
        contents = _check(draft)
        draft.rename(target)  # an empty folder in its place is replaced
        database.sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror or error}", HINT) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return contents


def _unpack(file: IO[bytes], folder: Path) -> None:
    """Unpack the files of a backup; raises RefusedError for an archive with anything else in it."""
    try:
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if _is_known(entry.name) and entry.isreg() else None
                if content is None or (folder / entry.name).exists():
                    raise RefusedError(f"not a backup of an agent: it contains {entry.name!r}", BACKUP_HINT)
                make_folder((folder / entry.name).parent)
                with os.fdopen(create_file(folder / entry.name), "wb") as copy:
                    shutil.copyfileobj(content, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise RefusedError(f"not a backup, or not all of it: {error}", BACKUP_HINT) from error


def _is_known(name: str) -> bool:
    folder, _, segment = name.rpartition("/")
    return name in _NAMES or (folder == _SEGMENTS and is_segment_name(segment))


def _check(folder: Path) -> Contents:
    """Check the databases of an unpacked backup and count what is in them; raises RefusedError."""
    inbox, history = folder / INBOX_NAME, folder / _HISTORY
    if not inbox.exists():
        raise RefusedError("not a backup of an agent: it has no inbox", BACKUP_HINT)
    for path, known in ((inbox, schema.INBOX), (history, schema.EVENTS)):
        if path.exists():
            _check_database(path, len(known))
    contents = _count_all(inbox, history, None if history.exists() else "the backup has none")
    for segment in find_segments(folder / _SEGMENTS):
        _check_database(segment.path, len(schema.SEGMENT))
        contents = _with_segment(contents, segment.path)
    return contents


def _check_database(path: Path, known: int) -> None:
    try:
        with closing(database.open_reader(path)) as db:
            database.check_soundness(db)
            version = database.schema_version(db)
    except sqlite3.Error as error:
        raise RefusedError(f"the backup's {path.name} is damaged: {error}", BACKUP_HINT) from error
    if not 0 < version <= known:
        raise RefusedError(f"the backup's {path.name} has schema {version}, and this release knows {known}", "upgrade")


def _copy(source: Path, target: Path, *, otherwise: str = "ro&immutable=1") -> None:
    try:
        with closing(database.open_reader(source, otherwise=otherwise)) as db:
            database.copy_database(db, target)
    except sqlite3.Error as error:
        what = "does not exist" if not source.exists() else f"cannot be copied: {error}"
        raise StoreError(f"{source} {what}", "hyperhive doctor") from error


def _count(copy: Path, what: str, table: str) -> tuple[int, ...]:
    with closing(database.connect(copy)) as db:
        found: tuple[int, ...] = db.execute(f"SELECT {what} FROM {table}").fetchone()  # noqa: S608 - our own words
        return found


def _add_model(archive: tarfile.TarFile, model_file: Path) -> None:
    try:
        content = read_file(model_file, _MODEL_LIMIT_BYTES)
    except OSError:
        return  # no model was ever chosen
    entry = tarfile.TarInfo(_MODEL)
    entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o600, os.getuid(), os.getgid()
    archive.addfile(entry, io.BytesIO(content))


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Yield a new file in a private folder beside the target, so that a rename can put it in place."""
    scratch = Path(tempfile.mkdtemp(prefix=".hyperhive-backup-", dir=folder))
    try:
        draft = scratch / "backup"
        draft.touch(mode=0o600)
        yield draft
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _put_in_place(draft: Path, target: Path, *, force: bool) -> None:
    if force:
        draft.replace(target)
    else:
        os.link(draft, target)  # unlike a rename it never overwrites a file that appeared meanwhile
    database.sync_folder(target.parent)

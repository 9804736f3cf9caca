"""The checks of an agent and its surroundings by `doctor`. They change nothing, and each has a time limit."""

import json
import os
import shutil
import stat
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import trio

from hyperhive_cli.agent.credentials import stored_login
from hyperhive_cli.claude import guard
from hyperhive_cli.claude.exchange import Tail, exchange, last_line
from hyperhive_cli.claude.files import config_folder, login_file, settings_file
from hyperhive_cli.claude.process import open_claude
from hyperhive_cli.claude.program import INSTALL
from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.core.events import Stream
from hyperhive_cli.core.files import read_file
from hyperhive_cli.core.settings import HISTORY_CAPACITY, LOCK_NAME, AgentPaths, default_agents_home
from hyperhive_cli.doctor import findings
from hyperhive_cli.doctor.findings import Finding, fine, warning, wrong
from hyperhive_cli.store.archive_days import check_archive, moved_aside
from hyperhive_cli.store.db import find_damage
from hyperhive_cli.store.file_place import unsound_file_system
from hyperhive_cli.store.folder import check_state_dir, lock_holder, who_holds
from hyperhive_cli.store.history import history_trouble, open_history
from hyperhive_cli.store.inbox import open_inbox_reader

ASK_LIMIT_S = 20.0  # for one answer of claude; the first start of a new binary takes 5 s
DRAIN_S = 1.0  # an answer may be long, and the machine busy
CHECK_LIMIT_S = 5.0  # for one database
OUTPUT_LIMIT_BYTES = 256 * 1024
SETTINGS_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked. `program` is None if claude was not found; `missing` says why."""

    paths: AgentPaths
    workspace: Path
    program: str | None
    missing: str
    environment: Mapping[str, str]  # claude's own
    skips_permissions: bool = False


class Answer(NamedTuple):
    """What claude printed, and its exit status."""

    status: int
    output: str
    complaint: str  # the last line of its stderr


async def ask_claude(subject: Subject, *words: str) -> Answer | None:
    """Run claude and return what it printed, None if it takes too long. Raises OSError."""
    output, complaint = bytearray(), Tail()

    def take(chunk: bytes) -> None:
        output.extend(chunk[: max(0, OUTPUT_LIMIT_BYTES - len(output))])

    with trio.move_on_after(ASK_LIMIT_S):
        async with open_claude(
            [subject.program or "", *words], workspace=subject.workspace, environment=subject.environment
        ) as process:
            status = await exchange(process, b"", take, complaint.add, drain_s=DRAIN_S)
            return Answer(status, output.decode(errors="replace"), last_line(complaint.text))
    return None


async def check_claude(subject: Subject) -> AsyncIterator[Finding]:
    """Check the program: does it exist, which release is it, does it know our flags, is it logged in."""
    if subject.program is None:
        yield wrong("claude", subject.missing, INSTALL)
        return
    try:
        answer = await ask_claude(subject, "--version")
        if answer is None:
            yield wrong("claude", f"{subject.program} does not answer within {ASK_LIMIT_S:g} s", INSTALL)
            return
        if answer.status != 0:
            why = f": {answer.complaint}" if answer.complaint else ""
            yield wrong("claude", f"{subject.program} --version exits with status {answer.status}{why}", INSTALL)
            return
        yield fine("claude", subject.program)
        yield findings.judge_version(answer.output)
        yield _judge_help(await ask_claude(subject, "--help"))
        yield _judge_login(await ask_claude(subject, "auth", "status"), subject.environment)
    except (OSError, ValueError) as error:
        yield wrong("claude", f"cannot be started: {error}", INSTALL)


def _judge_help(answer: Answer | None) -> Finding:
    if answer is None or answer.status != 0:
        return wrong("flags", "claude --help does not list its flags", INSTALL)
    return findings.judge_help(answer.output)


def _judge_login(answer: Answer | None, environment: Mapping[str, str]) -> Finding:
    if answer is None:
        return wrong("login", "claude auth status does not answer", "claude auth status")
    report: Any = None
    with suppress(ValueError, RecursionError):
        report = json.loads(answer.output)
    file = login_file(environment)
    is_linked = file.is_symlink() and stored_login(environment) is not None
    return findings.judge_login(answer.status, report if isinstance(report, dict) else {}, file if is_linked else None)


def check_files(subject: Subject, status: Mapping[str, Any], *, by_login: bool) -> list[Finding]:
    """Check the agent's folder, databases and harness, and its surroundings. Blocking, for some seconds.

    `status` has the fields of `status --json`, or none.
    """
    paths = subject.paths
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("workspace", lambda: _workspace(subject)),
        ("state", lambda: _state(paths)),
        ("harness", lambda: _harness(paths, status)),
        ("file system", lambda: _file_system(paths)),
        ("inbox", lambda: _database("inbox", paths.inbox_db, "restore a backup; `run` refuses a damaged inbox")),
        (
            "history",
            lambda: _database("history", paths.events_db, "nothing: `run` moves it aside"),
        ),
        ("archive", lambda: _archive(paths)),
        ("stream", lambda: _stream(paths)),
        ("disk", lambda: findings.judge_space(shutil.disk_usage(_existing(paths.state_dir)).free)),
        ("user", lambda: _rights(subject)),
        ("processes", lambda: findings.judge_processes(guard.WAY)),
        ("scrub", lambda: _scrub(subject)),
        ("transcripts", lambda: findings.judge_cleanup(_cleanup_days(subject))),
        ("claude's folder", lambda: _config_folder(subject)),
        ("neighbours", lambda: findings.judge_neighbours(_neighbours(subject), by_login=by_login)),
    ]
    return [check_safely(what, check) for what, check in checks]


def check_safely(what: str, check: Callable[[], Finding]) -> Finding:
    """Run one check; if it fails, that is a finding too."""
    try:
        return check()
    except HyperhiveError as error:
        return wrong(what, error.message, error.hint or "hyperhive help troubleshooting")
    except Exception as error:  # noqa: BLE001 - the next check may say why
        return wrong(what, f"cannot be checked: {type(error).__name__}: {error}", "hyperhive --debug status")


def _workspace(subject: Subject) -> Finding:
    bound = None
    with suppress(StoreError), open_inbox_reader(subject.paths.inbox_db) as inbox:
        bound = inbox.fact("workspace")
    if bound is not None and bound != str(subject.workspace):
        advice = f"hyperhive doctor --workspace {bound}, or another --agent"
        return wrong("workspace", f"agent {subject.paths.agent!r} is bound to {bound}, not to this folder", advice)
    if not os.access(subject.workspace, os.R_OK | os.W_OK | os.X_OK):
        return warning("workspace", f"{subject.workspace} is not writable", "chown it, if claude should work in it")
    return fine("workspace", f"{subject.workspace}, agent {subject.paths.agent}")


def _state(paths: AgentPaths) -> Finding:
    folder = paths.state_dir
    if not os.path.lexists(folder):
        parent = _existing(folder)
        if not os.access(parent, os.W_OK | os.X_OK):
            return wrong(
                "state", f"{folder} cannot be created: {parent} is not writable", "hyperhive --state-dir DIR …"
            )
        return fine("state", f"{folder} does not exist yet")
    check_state_dir(folder)
    files = (paths.inbox_db, paths.events_db, paths.lock_file)
    exposed = [path for path in files if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if exposed:
        return warning("state", f"others may read {exposed[0]}", f"chmod 600 {exposed[0]}")
    return fine("state", str(folder))


def _harness(paths: AgentPaths, status: Mapping[str, Any]) -> Finding:
    """Compare the lock with the answer: a harness that holds it should have answered."""
    if status.get("boot") is not None:  # which no file tells
        return fine("harness", f"runs, pid {lock_holder(paths.lock_file) or 'unknown'}, and answers")
    holder = who_holds(paths.lock_file)
    if holder is None:
        return fine("harness", "not running")
    if holder.doing is not None:
        return fine("harness", f"not running; process {holder.pid} holds the lock for a {holder.doing}")
    return wrong("harness", holder.words, holder.advice)


def _file_system(paths: AgentPaths) -> Finding:
    for path, judge in ((paths.inbox_db, wrong), (paths.events_db, warning)):
        found = unsound_file_system(path)
        if found is not None:
            words = f"{path} is on {found}, where SQLite's log does not work"
            return judge("file system", words, "--state-dir on a local disk")
    return fine("file system", "suitable for SQLite's log")


def _database(what: str, path: Path, advice: str) -> Finding:
    if not path.exists():
        return fine(what, "does not exist yet")
    try:
        damage = find_damage(path, limit_s=CHECK_LIMIT_S)
    except TimeoutError as error:
        return warning(what, f"not checked completely: {error}", "sqlite3 FILE 'PRAGMA quick_check'")
    if damage is not None:
        return wrong(what, f"{path} is damaged: {damage}", advice)
    return fine(what, f"intact, {path.stat().st_size / 2**20:.1f} MiB")


def _archive(paths: AgentPaths) -> Finding:
    """Check the segments of the history, the newest first, as far as there is time."""
    damaged, sound, size_bytes, is_checked = list[str](), 0, 0, True
    try:
        for segment, damage in check_archive(paths.history, limit_s=CHECK_LIMIT_S):
            with suppress(FileNotFoundError):  # it has just expired
                size_bytes += segment.path.stat().st_size
            sound += damage is None
            damaged += [] if damage is None else [f"{segment.path.name} is damaged: {damage}"]
    except TimeoutError:
        is_checked = False
    damaged += [f"{path.name} was damaged and moved aside" for path in moved_aside(paths.history)]
    return findings.judge_archive(sound, size_bytes, damaged, is_checked=is_checked)


def _stream(paths: AgentPaths) -> Finding:
    if not paths.events_db.exists():
        return fine("stream", "no line of claude is stored yet")
    if history_trouble(paths) is not None:
        return warning("stream", "the history cannot be read", "see the history")
    with open_history(paths) as history:
        records = chain.from_iterable(history.pages(history.last_seq() - HISTORY_CAPACITY + 1))
        return findings.judge_lines(record.event.line for record in records if isinstance(record.event, Stream))


def _rights(subject: Subject) -> Finding:
    is_root = os.geteuid() == 0
    return findings.judge_rights(
        is_root=is_root, skips_permissions=subject.skips_permissions, environ=subject.environment
    )


def _scrub(subject: Subject) -> Finding:
    has_bubblewrap = shutil.which("bwrap", path=subject.environment.get("PATH")) is not None
    return findings.judge_scrub(
        has_bubblewrap=has_bubblewrap, is_linux=sys.platform == "linux", environ=subject.environment
    )


def _cleanup_days(subject: Subject) -> object:
    """Return what claude's settings say about its transcripts; the last file counts. Raises OSError or ValueError."""
    own = subject.workspace / ".claude"
    days: object = None
    general = config_folder(subject.environment) / "settings.json"
    for path in (general, own / "settings.json", own / "settings.local.json"):
        if path.is_file() and path.stat().st_size <= SETTINGS_LIMIT_BYTES:
            found = json.loads(read_file(path, SETTINGS_LIMIT_BYTES, links=True))
            days = found.get("cleanupPeriodDays", days) if isinstance(found, dict) else days
    return days


def _config_folder(subject: Subject) -> Finding:
    """Check that claude can write its own files, without writing one."""
    folder, general = config_folder(subject.environment), settings_file(subject.environment)
    folders = (folder, folder / "projects", general.parent)
    trouble = next((found for path in folders if (found := why_not_written(path)) is not None), None)
    trouble = trouble or why_not_written(general, is_folder=False)
    return findings.judge_config_folder(folder, trouble, shutil.disk_usage(_existing(folder)).free)


def why_not_written(path: Path, *, is_folder: bool = True) -> str | None:
    """Return why we cannot write to a folder or a file, None if we can. A missing one must be possible to create.

    Root may write regardless of permissions.
    """
    if not os.path.lexists(path):
        parent = _existing(path)
        return None if os.access(parent, os.W_OK | os.X_OK) else f"{path} cannot be created: {parent} is not writable"
    if not (path.is_dir() if is_folder else path.is_file()):
        return f"{path} is not a {'folder' if is_folder else 'file'}"
    if os.access(path, os.W_OK | (os.X_OK if is_folder else 0)):
        return None
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a read-only file system"
    owner = path.stat().st_uid
    return f"{path} is not writable{f' and belongs to user {owner}' if owner != os.geteuid() else ''}"


def _neighbours(subject: Subject) -> Sequence[str]:
    """Name the other agents whose harness runs, if their state folders are in the default place."""
    with suppress(OSError, HyperhiveError):
        home = default_agents_home(os.environ)
        folders = [folder for folder in home.iterdir() if folder != subject.paths.state_dir]
        return [folder.name for folder in folders if lock_holder(folder / LOCK_NAME) is not None]
    return []


def _existing(folder: Path) -> Path:
    """Return the nearest existing folder: itself or one above."""
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())

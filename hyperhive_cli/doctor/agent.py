"""The look that `doctor` takes at an agent and its surroundings. It changes nothing, and each look has an end."""

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

from hyperhive_cli.agent.credentials import config_folder, login_file, settings_file, stored_login
from hyperhive_cli.claude import guard
from hyperhive_cli.claude.exchange import Tail, exchange, last_line
from hyperhive_cli.claude.process import open_claude
from hyperhive_cli.control.client import GoneError, call
from hyperhive_cli.core.errors import HyperhiveError, StoreError
from hyperhive_cli.core.events import Stream
from hyperhive_cli.core.files import read_file
from hyperhive_cli.core.settings import ANSWER_LIMIT_S, LOCK_NAME, AgentPaths, default_agents_home
from hyperhive_cli.doctor.findings import (
    INSTALL,
    Finding,
    fine,
    judge_cleanup,
    judge_config_folder,
    judge_help,
    judge_lines,
    judge_login,
    judge_neighbours,
    judge_processes,
    judge_rights,
    judge_scrub,
    judge_space,
    judge_version,
    warning,
    wrong,
)
from hyperhive_cli.store.db import find_damage
from hyperhive_cli.store.events import history_trouble, read_pages
from hyperhive_cli.store.file_place import unsound_file_system
from hyperhive_cli.store.folder import check_state_dir, lock_holder, who_holds
from hyperhive_cli.store.inbox import open_inbox_reader

ASK_LIMIT_S = 20.0  # for one answer of claude; the very first start of a new binary takes 5 s
DRAIN_S = 1.0  # an answer may be long, and this machine busy
CHECK_LIMIT_S = 5.0  # for one database
OUTPUT_LIMIT_BYTES = 256 * 1024
SETTINGS_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at. `program` is None where claude was not found, with the reason in `missing`."""

    paths: AgentPaths
    workspace: Path
    program: str | None
    missing: str
    environment: Mapping[str, str]  # claude's own
    skips_permissions: bool = False


class Answer(NamedTuple):
    """What claude said, and its exit status."""

    status: int
    output: str
    complaint: str  # the last line of its stderr


async def ask_claude(patient: Subject, *words: str) -> Answer | None:
    """Run claude for an answer, None when it takes too long. Raises OSError."""
    output, complaint = bytearray(), Tail()

    def hear(chunk: bytes) -> None:
        output.extend(chunk[: max(0, OUTPUT_LIMIT_BYTES - len(output))])

    with trio.move_on_after(ASK_LIMIT_S):
        async with open_claude(
            [patient.program or "", *words], workspace=patient.workspace, environment=patient.environment
        ) as process:
            status = await exchange(process, b"", hear, complaint.add, drain_s=DRAIN_S)
            return Answer(status, output.decode(errors="replace"), last_line(complaint.text))
    return None


async def look_at_claude(patient: Subject) -> AsyncIterator[Finding]:
    """Look at the program: is it there, which release is it, does it know our flags, is it logged in."""
    if patient.program is None:
        yield wrong("claude", patient.missing, INSTALL)
        return
    try:
        said = await ask_claude(patient, "--version")
        if said is None:
            yield wrong("claude", f"{patient.program} does not answer within {ASK_LIMIT_S:g} s", INSTALL)
            return
        if said.status != 0:
            why = f": {said.complaint}" if said.complaint else ""
            yield wrong("claude", f"{patient.program} --version leaves with exit status {said.status}{why}", INSTALL)
            return
        yield fine("claude", patient.program)
        yield judge_version(said.output)
        yield _judge_help(await ask_claude(patient, "--help"))
        yield _judge_login(await ask_claude(patient, "auth", "status"), patient.environment)
    except (OSError, ValueError) as error:
        yield wrong("claude", f"it cannot be started: {error}", INSTALL)


def _judge_help(answer: Answer | None) -> Finding:
    if answer is None or answer.status != 0:
        return wrong("flags", "claude does not list its flags", INSTALL)
    return judge_help(answer.output)


def _judge_login(answer: Answer | None, environment: Mapping[str, str]) -> Finding:
    if answer is None:
        return wrong("login", "claude does not say whether it is logged in", "claude auth status")
    report: Any = None
    with suppress(ValueError, RecursionError):
        report = json.loads(answer.output)
    file = login_file(environment)
    is_linked = file.is_symlink() and stored_login(environment) is not None
    return judge_login(answer.status, report if isinstance(report, dict) else {}, file if is_linked else None)


def look_at_files(patient: Subject, *, by_login: bool) -> list[Finding]:
    """Look at the agent's folder, its databases and its harness, and at what surrounds it. Blocking, some seconds."""
    paths = patient.paths
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("workspace", lambda: _workspace(patient)),
        ("state", lambda: _state(paths)),
        ("harness", lambda: _harness(paths)),
        ("file system", lambda: _file_system(paths)),
        ("inbox", lambda: _database("inbox", paths.inbox_db, "restore a backup; `run` refuses a damaged inbox")),
        ("history", lambda: _database("history", paths.events_db, "none: `run` moves it aside and begins a new one")),
        ("stream", lambda: _stream(paths)),
        ("disk", lambda: judge_space(shutil.disk_usage(_existing(paths.state_dir)).free)),
        ("user", lambda: _rights(patient)),
        ("processes", lambda: judge_processes(guard.WAY)),
        ("scrub", lambda: _scrub(patient)),
        ("transcripts", lambda: judge_cleanup(_cleanup_days(patient))),
        ("claude's folder", lambda: _config_folder(patient)),
        ("neighbours", lambda: judge_neighbours(_neighbours(patient), by_login=by_login)),
    ]
    return [look_safely(what, look) for what, look in looks]


def look_safely(what: str, look: Callable[[], Finding]) -> Finding:
    """Take one look; one that fails is a finding too."""
    try:
        return look()
    except HyperhiveError as error:
        return wrong(what, error.message, error.hint or "see the README")
    except Exception as error:  # noqa: BLE001 - the next look may say why
        return wrong(what, f"cannot be looked at: {type(error).__name__}: {error}", "hyperhive --debug status")


def _workspace(patient: Subject) -> Finding:
    bound = None
    with suppress(StoreError), open_inbox_reader(patient.paths.inbox_db) as inbox:
        bound = inbox.fact("workspace")
    if bound is not None and bound != str(patient.workspace):
        advice = f"hyperhive doctor --workspace {bound}, or another --agent"
        return wrong("workspace", f"agent {patient.paths.agent!r} is bound to {bound}, not to this folder", advice)
    if not os.access(patient.workspace, os.R_OK | os.W_OK | os.X_OK):
        return warning("workspace", f"{patient.workspace} may not be written", "chown it, if claude is to work in it")
    return fine("workspace", f"{patient.workspace}, agent {patient.paths.agent}")


def _state(paths: AgentPaths) -> Finding:
    folder = paths.state_dir
    if not os.path.lexists(folder):
        parent = _existing(folder)
        if not os.access(parent, os.W_OK | os.X_OK):
            return wrong(
                "state", f"{folder} cannot be made: {parent} may not be written", "hyperhive --state-dir DIR …"
            )
        return fine("state", f"{folder} is not there yet")
    check_state_dir(folder)
    files = (paths.inbox_db, paths.events_db, paths.lock_file)
    exposed = [path for path in files if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if exposed:
        return warning("state", f"others may read {exposed[0]}", f"chmod 600 {exposed[0]}")
    return fine("state", str(folder))


def _harness(paths: AgentPaths) -> Finding:
    """Compare the lock with the socket: a harness that runs answers."""
    try:
        call(paths.socket, "status", limit_s=ANSWER_LIMIT_S)
    except GoneError:
        holder = who_holds(paths.lock_file)
        if holder is None:
            return fine("harness", "none runs")
        if holder.doing is not None:
            return fine("harness", f"none runs; process {holder.pid} has the lock for a {holder.doing}")
        return wrong("harness", holder.words, holder.advice)
    return fine("harness", f"runs, pid {lock_holder(paths.lock_file) or 'unknown'}, and answers")


def _file_system(paths: AgentPaths) -> Finding:
    for path, judge in ((paths.inbox_db, wrong), (paths.events_db, warning)):
        found = unsound_file_system(path)
        if found is not None:
            said = f"{path} lies on {found}, where SQLite's log does not work"
            return judge("file system", said, "--state-dir on a local disk")
    return fine("file system", "fit for SQLite's log")


def _database(what: str, path: Path, advice: str) -> Finding:
    if not path.exists():
        return fine(what, "not there yet")
    try:
        damage = find_damage(path, limit_s=CHECK_LIMIT_S)
    except TimeoutError as error:
        return warning(what, f"not looked at to its end: {error}", "sqlite3 FILE 'PRAGMA quick_check'")
    if damage is not None:
        return wrong(what, f"{path} is damaged: {damage}", advice)
    return fine(what, f"sound, {path.stat().st_size / 2**20:.1f} MiB")


def _stream(paths: AgentPaths) -> Finding:
    if not paths.events_db.exists():
        return fine("stream", "no line of claude's is kept yet")
    if history_trouble(paths.events_db) is not None:
        return warning("stream", "the history cannot be read", "see the history")
    records = chain.from_iterable(read_pages(paths.events_db))
    return judge_lines(record.event.line for record in records if isinstance(record.event, Stream))


def _rights(patient: Subject) -> Finding:
    is_root = os.geteuid() == 0
    return judge_rights(is_root=is_root, skips_permissions=patient.skips_permissions, environ=patient.environment)


def _scrub(patient: Subject) -> Finding:
    has_bubblewrap = shutil.which("bwrap", path=patient.environment.get("PATH")) is not None
    return judge_scrub(has_bubblewrap=has_bubblewrap, is_linux=sys.platform == "linux", environ=patient.environment)


def _cleanup_days(patient: Subject) -> object:
    """Give what claude's settings say of its transcripts; the later of them go first. Raises OSError or ValueError."""
    own = patient.workspace / ".claude"
    days: object = None
    for path in (
        config_folder(patient.environment) / "settings.json",
        own / "settings.json",
        own / "settings.local.json",
    ):
        if path.is_file() and path.stat().st_size <= SETTINGS_LIMIT_BYTES:
            found = json.loads(read_file(path, SETTINGS_LIMIT_BYTES, links=True))
            days = found.get("cleanupPeriodDays", days) if isinstance(found, dict) else days
    return days


def _config_folder(patient: Subject) -> Finding:
    """Look whether claude can write its own files, without writing one."""
    folder, general = config_folder(patient.environment), settings_file(patient.environment)
    folders = (folder, folder / "projects", general.parent)
    trouble = next((found for path in folders if (found := why_not_written(path)) is not None), None)
    trouble = trouble or why_not_written(general, is_folder=False)
    return judge_config_folder(folder, trouble, shutil.disk_usage(_existing(folder)).free)


def why_not_written(path: Path, *, is_folder: bool = True) -> str | None:
    """Say why we could not write to a folder or a file (None: we could); one that is missing must be possible to make.

    Root may write whatever its permissions say.
    """
    if not os.path.lexists(path):
        parent = _existing(path)
        return None if os.access(parent, os.W_OK | os.X_OK) else f"{path} cannot be made: {parent} may not be written"
    if not (path.is_dir() if is_folder else path.is_file()):
        return f"{path} is no {'folder' if is_folder else 'file'}"
    if os.access(path, os.W_OK | (os.X_OK if is_folder else 0)):
        return None
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} lies on a read-only file system"
    owner = path.stat().st_uid
    return f"{path} may not be written{f' and belongs to user {owner}' if owner != os.geteuid() else ''}"


def _neighbours(patient: Subject) -> Sequence[str]:
    """Name the other agents whose harness runs, as far as their folders lie where they lie by default."""
    with suppress(OSError, HyperhiveError):
        home = default_agents_home(os.environ)
        folders = [folder for folder in home.iterdir() if folder != patient.paths.state_dir]
        return [folder.name for folder in folders if lock_holder(folder / LOCK_NAME) is not None]
    return []


def _existing(folder: Path) -> Path:
    """Give the nearest folder above that is there."""
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())

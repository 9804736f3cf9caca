"""The process of one turn, behind its guard: start it, stop it by a ladder of signals, and leave nothing of it.

The only home of spawning. claude answers SIGINT by stopping its tools and sending a last `result`; SIGTERM may
leave its tools behind as orphans. The guard (claude/guard.py) kills whatever is left, even if the harness is
killed. The harness is a subreaper too: if a guard dies, its orphans become the harness's children. If a guard
neither works nor dies, the harness kills it, and claude with it. So each wait here has an end.
"""

import fcntl
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import trio

from hyperhive_cli.claude import guard
from hyperhive_cli.claude.program import why_not
from hyperhive_cli.core.settings import TURN_VARIABLE

INTERRUPT_GRACE_S = 5.0  # from SIGINT to SIGTERM: claude needs about 0.2 s
TERMINATE_GRACE_S = 5.0  # from SIGTERM to SIGKILL
SWEEP_LIMIT_S = guard.SWEEP_LIMIT_S + 2.0
START_LIMIT_S = 30.0  # until claude's program runs; more than 10 ms only if the machine is in trouble
DEATH_LIMIT_S = 2.0  # from SIGKILL to the exit of a process that is not stuck in the kernel
GUARD_FOLDER = str(Path(guard.__file__).parent)
# Imported, and not run as a file, so that its compiled form is used: that halves its start-up.
GUARD = "import sys; sys.path.append(sys.argv[1]); import guard; guard.main(int(sys.argv[2]), *sys.argv[3:])"
_GUARDS: dict[int, str | None] = {}  # our running guards, of turns and logins: id and state folder
_STARTING: set[object] = set()  # a mark for each guard being started, which may be a child of ours already
PIPE_BYTES = 65_536  # the capacity of a pipe, and the most to read from it at a time
WIDE_PIPE_BYTES = 131_072  # the same in a flood. Twice as much again: the event loop is 9 ms late, in place of 2


class StartError(OSError):
    """Claude could not be started for reasons outside of it; another attempt may succeed."""


class ClaudeProcess:
    """A running claude with its three pipes, which are the guard's own."""

    def __init__(self, process: trio.Process, channel: trio.lowlevel.FdStream) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("a process with three pipes is needed")
        self.stdin = process.stdin
        self.stdout = process.stdout
        self.stderr = process.stderr
        self.pid: int | None = None
        self.exit_status: int | None = None
        self.left_behind: int | None = None  # how many processes the guard had to kill; None if it died first
        self.stuck: list[int] = []  # the ids of processes that would not die
        self.denied: list[int] = []  # of processes that we may not signal: they belong to another user now, mostly root
        self.is_overdue = False  # the guard has interrupted it because of its deadline
        self._guard = process
        self._channel = channel
        self._reading = trio.Lock()
        self._unread = b""

    @property
    def guard_pid(self) -> int:
        """The id of the guard, which is a child of ours."""
        return self._guard.pid

    async def start(self, program: str) -> None:
        """Wait for the guard's first report; raises OSError, which names the cause, if claude cannot be started."""
        with trio.move_on_after(START_LIMIT_S):
            word, _, rest = (await self._next_report()).partition(" ")
            if word == "pid":
                self.pid = int(rest)
                return
            if word == "error":
                raise OSError(why_not(program, int(rest.partition(" ")[0])))
            raise StartError("the guard died before it could start claude")
        raise StartError(f"claude could not be started within {START_LIMIT_S:g} s")

    async def wait(self) -> int:
        """Wait until claude itself has exited; processes that it left behind may still hold its pipes."""
        async with self._reading:
            while self.exit_status is None:
                word, _, rest = (await self._next_report()).partition(" ")
                if word == "exit":
                    self.exit_status = int(rest)
                elif word == "overdue":
                    self.is_overdue = True
                elif not word:  # the guard is dead, and so is claude: it gets a SIGKILL then
                    self.exit_status = -signal.SIGKILL
        return self.exit_status

    def cpu_s(self) -> float | None:
        """Return the CPU time that the whole turn has used so far; None without /proc."""
        found = tree_cpu_s(self._guard.pid)
        if found is None and self.pid is not None:  # a /proc with hidepid hides the guard, which is not dumpable
            return tree_cpu_s(self.pid)
        return found

    async def feed(self, prompt: bytes) -> None:
        """Write the prompt and close stdin."""
        await self.write(prompt)
        await self.stdin.aclose()

    async def write(self, data: bytes) -> bool:
        """Write to stdin, which stays open. Return False if not everything went into the pipe."""
        # If claude stops reading, its exit tells why. An incomplete line cannot have been read as one.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.stdin.send_all(data)
            return True
        return False

    def memory_bytes(self) -> int | None:
        """Return the resident memory of claude and its descendants; None without /proc, or if claude is gone."""
        return None if self.pid is None else tree_memory_bytes(self.pid)

    def freeze(self) -> None:
        """Suspend claude and its descendants, as Ctrl-Z does. Does not wait."""
        self._order(b"s")

    def thaw(self) -> None:
        """Continue what `freeze` has suspended. Does not wait."""
        self._order(b"c")

    def set_deadline(self, deadline_s: float) -> None:
        """Set a deadline (s of the guard's CLOCK) at which the guard has killed everything; a later call replaces it.

        It is for the time in which this process is stopped, and cannot end a turn itself. Does not wait.
        """
        self._order(b"d%.3f\n" % deadline_s)

    def kill(self) -> None:
        """Kill claude and its descendants. Does not wait."""
        self._order(b"k")

    async def stop(self) -> None:
        """Climb the ladder of signals, then kill the guard. After 25 s at most, claude has exited or is stuck."""
        for order, grace_s in ((b"i", INTERRUPT_GRACE_S), (b"t", TERMINATE_GRACE_S), (b"k", SWEEP_LIMIT_S)):
            self._order(order)
            with trio.move_on_after(grace_s):
                await self.wait()
                return
        await self._kill_guard()
        with trio.move_on_after(DEATH_LIMIT_S):
            await self.wait()
        self.exit_status = -signal.SIGKILL if self.exit_status is None else self.exit_status

    async def sweep(self) -> None:
        """Order the guard to kill everything that is left, and wait for its exit; if it does not answer, kill it."""
        self._order(b"k")
        with trio.move_on_after(SWEEP_LIMIT_S):
            while line := await self._next_report():
                word, *numbers = line.split(" ")
                if word == "denied":
                    self.denied = [*map(int, numbers)]
                elif word == "swept":
                    self.left_behind, *self.stuck = map(int, numbers)
            await self._guard.wait()
        if self._guard.returncode is None:
            await self._kill_guard()

    async def _kill_guard(self) -> None:
        self._guard.kill()
        with trio.move_on_after(DEATH_LIMIT_S):
            await self._guard.wait()

    def _order(self, order: bytes) -> None:
        # The guard has exited; or it is stopped, and thousands of orders wait unread: it will be killed.
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self._channel.fileno(), order)

    async def _next_report(self) -> str:
        """Return the guard's next line; empty if it has exited."""
        while b"\n" not in self._unread:
            chunk = b""
            with suppress(trio.BrokenResourceError):  # it has exited without reading all our orders
                chunk = bytes(await self._channel.receive_some(4096))
            if not chunk:
                return ""
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()


@asynccontextmanager
async def open_claude(
    argv: Sequence[str], *, workspace: Path, environment: Mapping[str, str], kept: Sequence[int] = ()
) -> AsyncIterator[ClaudeProcess]:
    """Start claude in the workspace; at the end of the block nothing that it started is left.

    `kept` are descriptors (the harness's lock) that the guard keeps open until then. Raises OSError or ValueError
    if claude cannot be started (missing, not executable, no such folder, a NUL in an argument). The cleanup is
    shielded and bounded: what SIGKILL does not end within SWEEP_LIMIT_S is stuck in the kernel, and is listed in the
    process's `stuck`. No cancel scope spans the block, so another task than the one that entered it may leave it.
    """
    with ExitStack() as stack:
        mine = set(guard.children(os.getpid()))
        if not _STARTING:
            _reap(_not_started_here(mine))  # what an earlier guard had to leave may have exited since
        process = await _open_guard(stack, argv, workspace, environment, kept)
        stack.callback(_GUARDS.pop, process.guard_pid, None)
        _GUARDS[process.guard_pid] = environment.get(TURN_VARIABLE)
        try:
            await process.start(argv[0])
            yield process
        finally:
            with trio.CancelScope(shield=True):
                await process.sweep()
                if process.left_behind is None or process.stuck:
                    process.stuck, denied = await _sweep_orphans(mine, process.pid)
                    process.denied = sorted({*process.denied, *denied})
                for stream in (process.stdin, process.stdout, process.stderr):
                    await trio.aclose_forcefully(stream)


async def _open_guard(
    stack: ExitStack, argv: Sequence[str], workspace: Path, environment: Mapping[str, str], kept: Sequence[int]
) -> ClaudeProcess:
    with ExitStack() as its:
        # Not a pipe: any process of this user could open its ends again through /proc, give orders and keep it open.
        ours, theirs = socket.socketpair()
        channel = theirs.detach()
        its.callback(os.close, channel)
        stream = trio.lowlevel.FdStream(ours.detach())
        stack.callback(stream.close)
        program = [sys.executable, "-I", "-S", "-c", GUARD]
        program += [GUARD_FOLDER, str(channel), ",".join(map(str, kept)), environment.get(TURN_VARIABLE, "")]
        its.callback(_STARTING.discard, stream)
        _STARTING.add(stream)
        try:
            process = await trio.lowlevel.open_process(
                [*program, *argv],
                stdin=-1,
                stdout=-1,
                stderr=-1,
                cwd=workspace,
                env=dict(environment),
                start_new_session=True,
                pass_fds=(channel, *kept),
            )
        except OSError as error:
            if str(error.filename) == str(workspace):
                raise OSError(f"cannot enter the folder {workspace}: {error.strerror}") from error
            raise
        return ClaudeProcess(process, stream)


def owner_of(guard_pid: int) -> str | None:
    """Return the state folder of the agent that a guard works for; None if it is not one of our guards."""
    return _GUARDS.get(guard_pid)


def read_rest(stream: trio.abc.ReceiveStream) -> bytes:
    """Return what a pipe holds now. Does not wait."""
    if isinstance(stream, trio.lowlevel.FdStream):
        with suppress(BlockingIOError):
            return os.read(stream.fileno(), WIDE_PIPE_BYTES)
    return b""


def widen_pipe(stream: trio.abc.ReceiveStream) -> None:
    """Enlarge a pipe for a flood, if the system allows it."""
    if isinstance(stream, trio.lowlevel.FdStream) and guard.LINUX:
        with suppress(OSError):  # this user's pipes hold too much already
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, WIDE_PIPE_BYTES)


def become_subreaper() -> None:
    """Make this process the parent of a dead guard's orphans, so that it can kill them."""
    guard.prctl(guard.PR_SET_CHILD_SUBREAPER, 1)


async def _sweep_orphans(mine: set[int], claude: int | None) -> tuple[list[int], list[int]]:
    """Kill the orphans of a guard that failed; return the ids of those that would not die, and may not be killed.

    Each is reaped by its id, because trio has children of its own. While another guard is being started it waits:
    that guard could not be told apart from an orphan.
    """
    if claude is not None and not guard.LINUX:
        guard.kill([-claude])  # its process group: without a subreaper there is nothing else to reach
    denied: set[int] = set()
    with trio.move_on_after(SWEEP_LIMIT_S) as limit:
        while _STARTING or (orphans := _orphans(mine)):
            if not _STARTING:
                found, denied = guard.stop(_with_all_below(orphans))
                guard.kill(found)
                _reap(orphans)
                if denied and not any(map(guard.is_alive, found)):  # as long as the guard would have waited
                    limit.deadline = min(limit.deadline, trio.current_time() + guard.DENIED_GRACE_S)
            await trio.sleep(guard.SWEEP_POLL_S)
        return [], []
    return sorted(_orphans(mine) - denied), sorted(denied)


def _orphans(mine: set[int]) -> set[int]:
    return _not_started_here(set(guard.children(os.getpid())) - mine)


def _not_started_here(pids: set[int]) -> set[int]:
    """Select the children that are orphans of a guard: unlike ours, they are in another session."""
    found = set()
    for pid in pids - _GUARDS.keys():
        with suppress(ProcessLookupError):
            if os.getsid(pid) != os.getsid(0):
                found.add(pid)
    return found


def _with_all_below(pids: set[int]) -> Iterator[int]:
    for pid in pids:
        yield pid
        yield from guard.below(pid)


def _reap(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def sweep_marked(state_dir: Path) -> int:
    """Kill what turns of this state folder left behind when harness and guard were killed; return how many.

    Call it under the state lock, so that no such turn is under way. A process that has cleared its environment is
    missed.
    """
    wanted = os.fsencode(f"{TURN_VARIABLE}={state_dir}")
    # Not this process: it may have been started from a shell that carries the mark.
    others = {int(entry.name) for entry in Path("/proc").glob("[0-9]*")} - {os.getpid()}
    marked = [pid for pid in others if wanted in _words_of(pid, "environ") or _is_guard_of(pid, state_dir)]
    guard.kill(marked)
    return len(marked)


def _words_of(pid: int, name: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0")
    except OSError:  # another user's, or gone
        return []


def _is_guard_of(pid: int, state_dir: Path) -> bool:
    """Return True for a guard with this mark, by its arguments: only root can read its environment."""
    words = _words_of(pid, "cmdline")
    return words[4:5] == [GUARD.encode()] and words[8:9] == [os.fsencode(state_dir)]


def tree_cpu_s(root: int) -> float | None:
    """Return the CPU time (s) of a process and its descendants, including those that were waited for.

    None without /proc. It reads one to three files per process, about 0.1 ms. A process that starts or exits
    meanwhile may be counted or not.
    """
    # utime and stime, and the same of children that have exited
    ticks = [sum(map(int, fields[11:15])) for fields in _tree_fields(root)]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def tree_memory_bytes(root: int) -> int | None:
    """Return the resident memory of a process and its descendants; shared memory is counted more than once."""
    pages = [int(fields[21]) for fields in _tree_fields(root)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") if pages else None


def _tree_fields(root: int) -> Iterator[list[bytes]]:
    """Yield for a process and each descendant the fields of /proc/PID/stat from the state on."""
    for pid in _with_all_below({root}):
        if fields := guard.stat_fields(pid):
            yield fields

"""The guard: a small program between the harness and claude that lets no process of a turn outlive it.

`python -I -S` runs it and calls `main`. It uses the standard library alone, and its standard streams are claude's. It
becomes a subreaper, so that every orphan below it becomes its child, and starts COMMAND in a session of its own.
CHANNEL is one end of a socket pair; only the harness holds the other end. Each byte that arrives is an order:

    i  SIGINT to claude               t  SIGTERM and SIGCONT to claude
    s  stop every descendant          c  continue those that were stopped
    k  kill every descendant, then exit
    d  with a number and a newline: the deadline, in seconds of CLOCK; a later one replaces it

A deadline is for a harness that is stopped and cannot give orders: before it, claude is interrupted and then the rest
is killed, so that nothing of the turn is left when it passes.

It answers in lines:

    pid N              claude runs                error ERRNO TEXT   claude cannot be started
    exit STATUS        claude has exited (negative: by a signal)
    overdue            claude was interrupted because of the deadline
    denied PID…        descendants that may not be signalled, and go on
    swept N PID…       waitpid says that no descendant is left: N were killed; these would not die in time

Between `exit` and `k` the processes that claude left behind may go on writing. The KEPT descriptors (the harness's
lock) stay open until the guard exits; claude does not get them. A process that finds the lock held can ask the kernel
for the guards that hold it (`mark_as_holder`).

The harness is gone when the channel ends, or when the guard has another parent: a tool that holds the channel's other
end would keep it open. No tool should get it. Any process of the same user can open a pipe again through /proc/PID/fd,
but no process can open a socket so. And the guard is not dumpable: without root no one can trace it, take a descriptor
from it or read its memory. As a consequence its /proc/PID/fd and environ belong to root, and it leaves no core.

Why a separate process: claude puts each tool into a session of its own, so no signal to a process group reaches them
all, and only a parent that survives the harness can kill them after the harness is killed.

On other systems than Linux (macOS) there are no subreapers and no /proc. There the guard lists all processes once a
second, and remembers claude's descendants with their start times. A process that leaves both its parent and claude's
process group between two listings is never seen, and outlives the turn.
"""

# The C modules below `ctypes`, `signal` and `os`: a turn waits for this program, and those are most of its start-up.
import _ctypes
import _signal as signal  # type: ignore[import-not-found]  # typeshed leaves it out
import posix as os
import select
import sys
import time

TYPE_CHECKING = False  # as in `typing`, which takes longer to load than this program
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINUX = sys.platform == "linux"
# How often to list all processes (one `ps` costs about 10 ms), and to check for the harness while claude starts.
LOOK_EVERY_S = 1.0
PS = ("ps", "-A", "-o", "pid=,ppid=,stat=,lstart=")
PS_LIMIT_S = 5.0
CHILDREN = "children"  # a list for each thread; a kernel without CONFIG_PROC_CHILDREN has none
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
SWEEP_LIMIT_S = 10.0  # a process that SIGKILL does not end in this time is stuck in the kernel
SWEEP_POLL_S = 0.001
DENIED_GRACE_S = 0.5  # for processes that may not be signalled: `sudo` exits by itself when its command is killed
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # on Linux it goes on while the machine sleeps
INTERRUPT_AHEAD_S = 6.0  # claude is interrupted this long before the deadline
KILL_AHEAD_S = 1.0  # and what is left is killed this long before it
TICK_S = 1.0  # with a deadline: the time of a poll stands still while the machine sleeps
# Those are meant for the harness, which then gives orders.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE)


def steady_s() -> float:
    """Return the seconds of a clock that goes on while this process is stopped and, on Linux, the machine sleeps."""
    return time.clock_gettime(CLOCK)


class Guard:
    """One turn's guard. `status` is claude's wait status once it has exited."""

    def __init__(self, channel: int) -> None:
        self.claude = 0
        self.status: int | None = None
        self._deadline: float | None = None
        self._is_overdue = False
        self._orders = ""  # not complete yet
        self._channel = channel
        self._look_every_s = None if LINUX else LOOK_EVERY_S
        self._stopped: set[int] = set()
        self._seen: dict[int, str] = {}  # without subreapers: claude's descendants with their start times

    def say(self, line: str) -> None:
        """Report to the harness; if it is gone, it needs no report."""
        try:
            os.write(self._channel, f"{line}\n".encode())
        except OSError:
            pass

    def reap(self) -> bool:
        """Reap every descendant that has exited; return False if waitpid says that none is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.claude:
                self.status = status
                self.say(f"exit {os.waitstatus_to_exitcode(status)}")

    def signal(self, *numbers: int) -> None:
        """Signal claude, unless it has exited (its id may be another's by now)."""
        if self.status is None:
            for number in numbers:
                signal_all([self.claude], number)  # it may belong to root now: a script that runs `exec sudo …`

    def take(self, orders: str) -> None:
        """Carry out what has arrived from the harness, except the order to exit."""
        self._orders += orders
        while self._orders:
            order, rest = self._orders[0], self._orders[1:]
            if order == "d":
                number, end, rest = rest.partition("\n")
                if not end:
                    return
                self._deadline = float(number)
            self.obey(order)
            self._orders = rest

    def patience_s(self) -> float | None:
        """Return how long to wait for orders at most; None means forever."""
        if self._deadline is None:
            return self._look_every_s
        ahead_s = KILL_AHEAD_S if self._is_overdue else INTERRUPT_AHEAD_S
        return min(TICK_S, max(0.0, self._deadline - steady_s() - ahead_s))

    def is_over(self) -> bool:
        """Interrupt claude if its deadline is near; return True if what is left should be killed now."""
        if self._deadline is None:
            return False
        left_s = self._deadline - steady_s()
        if left_s <= INTERRUPT_AHEAD_S and not self._is_overdue:
            self._is_overdue = True
            self.say("overdue")
            self.signal(signal.SIGINT)
        return left_s <= KILL_AHEAD_S

    def obey(self, order: str) -> None:
        """Carry out an order of the harness, except the one to exit."""
        if order == "i":
            self.signal(signal.SIGINT)
        elif order == "t":
            self.signal(signal.SIGTERM, signal.SIGCONT)
        elif order == "s":
            self._stopped |= self.stop_all()[0]
        elif order == "c":
            signal_all(self._stopped, signal.SIGCONT)
            self._stopped.clear()

    def sweep(self) -> None:
        """Kill descendants until none is left.

        It takes SWEEP_LIMIT_S at most, or DENIED_GRACE_S if none of them may be killed.
        """
        killed: set[int] = set()
        reached = time.monotonic()
        deadline = reached + SWEEP_LIMIT_S
        if WAY in {BY_PS, BLIND}:
            kill([-self.claude])  # its process group: some of it may never have been seen
        while (is_left := self.is_any_left()) and time.monotonic() < deadline:
            found, denied = self.stop_all()
            kill(found)
            killed |= found
            if not (denied or WAY == BLIND) or any(map(is_alive, found)):
                reached = time.monotonic()
            elif time.monotonic() - reached > DENIED_GRACE_S:
                break
            time.sleep(SWEEP_POLL_S)
        left, denied = self.stop_all() if is_left else (set(), set())
        if denied:
            self.say(" ".join(map(str, ["denied", *sorted(denied)])))
            left = set(filter(is_alive, left))  # a zombie among them is reaped by its own parent
        self.say(" ".join(map(str, ["swept", len(killed - {self.claude}), *sorted(left)])))

    def is_any_left(self) -> bool:
        """Reap what has exited; return True if anything has not."""
        return self.reap() or (not LINUX and bool(self.find()))

    def stop_all(self) -> tuple[set[int], set[int]]:
        """Stop all descendants; return the ids of the stopped ones, and of those that may not be signalled."""
        return stop_below(os.getpid()) if LINUX else stop(self.find())

    def find(self) -> set[int]:
        """Find claude's descendants among all processes: those seen before, if still the same, and their children."""
        table = processes()
        if not table:  # no answer: a process that has reused an id since could not be told apart
            return set()
        found = {pid for pid, began in self._seen.items() if pid in table and table[pid][1] == began}
        if self.status is None:
            found.add(self.claude)
        size = 0
        while size < len(found):
            size = len(found)
            found |= {pid for pid, (parent, _) in table.items() if parent in found}
        self._seen = {pid: table[pid][1] for pid in found if pid in table}
        return set(self._seen)

    def watch(self, child_pipe: int, harness: int) -> None:
        """Carry out orders until told to exit, or until the harness is gone. `child_pipe` is readable after SIGCHLD."""
        poll = select.poll()
        harness_end = open_pidfd(harness)
        if harness_end is None:
            self._look_every_s = min(TICK_S, LOOK_EVERY_S)
        for descriptor in filter(None, (self._channel, child_pipe, harness_end)):
            poll.register(descriptor, select.POLLIN)
        while os.getppid() == harness:
            patience_s = self.patience_s()
            ready = {descriptor for descriptor, _ in poll.poll(None if patience_s is None else patience_s * 1000)}
            if not LINUX:
                self.find()
            if child_pipe in ready:
                os.read(child_pipe, 1024)
                self.reap()
            if harness_end in ready:
                return
            if self._channel in ready:
                orders = read_orders(self._channel)
                if not orders or "k" in orders:
                    return
                self.take(orders)
            if self.is_over():
                return


def read_orders(channel: int) -> str:
    """Read the orders that have arrived; empty if the harness is gone."""
    try:
        return os.read(channel, 64).decode()
    except OSError:  # it died before it had read all our reports
        return ""


def open_pidfd(pid: int) -> int | None:
    """Open a descriptor that is readable once a process has exited; None if the system has no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # another system; an old kernel, or a container that forbids it; it has exited
        return None


def mark_as_holder(descriptor: int) -> None:
    """Show other processes that this one keeps a file's lock.

    It takes a lock that the kernel can be asked about (F_GETLK), on the byte whose number is our id. Nothing else
    would show it: the lock itself was taken by a harness, and only root can see our open files.
    """
    import fcntl  # noqa: PLC0415 - by now claude runs, and does not wait for this

    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, os.getpid())
    except OSError:  # not a file that can be locked, or a file system with one kind of lock
        pass


def stop_below(root: int) -> tuple[set[int], set[int]]:
    """Stop all descendants of a process; return the ids of the stopped ones, and of those that may not be signalled.

    Each is stopped before its children are looked up, so that none forks unseen meanwhile.
    """
    return stop(below(root))


def stop(pids: "Iterable[int]") -> tuple[set[int], set[int]]:
    """Stop processes one by one; return the ids of the stopped ones, and of those that may not be signalled."""
    stopped, denied = set[int](), set[int]()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGSTOP)
            stopped.add(pid)
        except PermissionError:
            denied.add(pid)
        except ProcessLookupError:
            continue
    return stopped, denied


def kill(pids: "Iterable[int]") -> None:
    """Kill processes, and process groups by their negative ids."""
    signal_all(pids, signal.SIGKILL)


def signal_all(pids: "Iterable[int]", number: int) -> None:
    """Signal each process that still exists and may be signalled."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def below(root: int) -> "Iterator[int]":
    """Yield the id of each descendant of a process; the children of one are looked up when the next id is requested.

    They come from the kernel's list for each process if there is one: a chain of forks would outrun a table of all.
    """
    if WAY == BY_TABLE:
        yield from below_in_table(root)
        return
    seen, waiting = {root}, [root]
    while waiting:
        for pid in children(waiting.pop()):
            if pid not in seen:
                seen.add(pid)
                yield pid
                waiting.append(pid)


def below_in_table(root: int) -> "Iterator[int]":
    """Yield as `below`, from tables of all processes, until a table shows nothing new.

    The newest comes first and without delay: it may be one of a chain that forks and exits faster than a table is
    read.
    """
    seen, size = {root}, 0
    while size < len(seen):
        size = len(seen)
        passed = []
        for pid, parent in parents():
            if parent in seen and pid not in seen:
                seen.add(pid)
                yield pid
            passed.append((pid, parent))
        for pid, parent in reversed(passed):  # parents before their children
            if parent in seen and pid not in seen:
                seen.add(pid)
                yield pid


def children(pid: int) -> list[int]:
    """Return the ids of a process's children, of all its threads, zombies included."""
    if WAY == BY_TABLE:
        return [child for child, parent in parents() if parent == pid]
    found: list[int] = []
    if WAY == BLIND:
        return found
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/{CHILDREN}", "rb") as file:
                found += map(int, file.read().split())
    except OSError:  # it is gone, or the system has no /proc
        pass
    return found


def parents() -> "Iterator[tuple[int, int]]":
    """Yield the id and the parent's id of each process, the newest first as far as the ids show."""
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):
        if fields := stat_fields(pid):
            yield pid, int(fields[1])


def stat_fields(pid: int) -> list[bytes]:
    """Read the fields of /proc/PID/stat from the state on; none if the process is gone or hidden."""
    if WAY == BLIND:
        return []
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    """Return True if a process has not exited. One that /proc hides belongs to another user; assume that it runs."""
    if fields := stat_fields(pid):
        return fields[0] != b"Z"
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return True


# How the descendants of a process are found.
BY_LISTS, BY_TABLE, BY_PS, BLIND = "lists", "table", "ps", "blind"


def way_to_look() -> str:
    """Return how they are found here: by the kernel's lists, by a table of all processes, by `ps`, or not at all."""
    if not LINUX:
        return BY_PS
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return BLIND  # its ids belong to another namespace
    except OSError:
        return BLIND
    return BY_LISTS if os.access(f"/proc/self/task/{os.getpid()}/{CHILDREN}", os.R_OK) else BY_TABLE


WAY = way_to_look()


def processes() -> dict[int, tuple[int, str]]:
    """Return the parent and the start time of each process except zombies; empty if `ps` does not answer."""
    import subprocess  # noqa: PLC0415 - would double the guard's start-up

    try:
        listed = subprocess.run(PS, capture_output=True, timeout=PS_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = (line.split(maxsplit=3) for line in listed.stdout.decode(errors="replace").splitlines())
    return {int(pid): (int(parent), began) for pid, parent, state, began in rows if not state.startswith("Z")}


def prctl(option: int, value: int) -> None:
    """Set a process option, which only Linux has."""
    if LINUX:
        function = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None: the loaded program
        _ctypes.call_cdeclfunction(function, (option, value, 0, 0, 0))


def start(command: list[str], harness: int) -> int:
    """Start the command in a session of its own and return its id; raises OSError if it cannot be started.

    If the harness exits meanwhile, the command is killed at whatever stage it is: it may have been stopped.
    """
    failed, failing = os.pipe()
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            # The signal is bound to the thread that forks, and comes when that thread ends; this process has only one.
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == guard:
                for number in (*IGNORED, signal.SIGXFSZ):
                    signal.signal(number, signal.SIG_DFL)
                become(command)
        except OSError as error:
            os.write(failing, f"{error.errno} {error.strerror}".encode())
        finally:
            os._exit(127)  # noqa: SLF001 - `os` has no other name for it
    os.close(failing)
    poll = select.poll()
    poll.register(failed, select.POLLIN)
    while not poll.poll(LOOK_EVERY_S * 1000):
        if os.getppid() != harness:
            os.kill(pid, signal.SIGKILL)
    problem = os.read(failed, 1000).decode()  # empty: the exec closed it
    os.close(failed)
    if problem:
        os.waitpid(pid, 0)
        code, _, text = problem.partition(" ")
        raise OSError(int(code), text)
    return pid


def become(command: list[str]) -> None:
    """Run the command in place of this process; raises OSError if it cannot be executed."""
    if "/" in command[0]:
        os.execv(command[0], command)
    from os import execvp  # noqa: PLC0415 - only a name without a folder needs it: claude's has one

    execvp(command[0], command)


def main(channel: int, kept: str, _mark: str, *command: str) -> None:
    """Start the command, watch it, and exit when nothing of it is left.

    The mark is the state folder of its agent. It is an argument because only root can read a guard's environment.
    """
    harness = os.getppid()
    prctl(PR_SET_DUMPABLE, 0)
    holds = [int(descriptor) for descriptor in kept.split(",") if descriptor]
    for descriptor in (channel, *holds):
        os.set_inheritable(descriptor, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    child_pipe, child_signal = os.pipe()
    os.set_blocking(child_signal, False)
    signal.set_wakeup_fd(child_signal, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # any handler makes the wake-up descriptor work
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = Guard(channel)
    try:
        guard.claude = start(list(command), harness)
    except OSError as error:
        guard.say(f"error {error.errno} {error.strerror}")
        return
    nowhere = os.open("/dev/null", os.O_RDWR)
    for stream in range(3):  # claude's pipes must close when claude exits
        os.dup2(nowhere, stream)
    guard.say(f"pid {guard.claude}")
    for descriptor in holds:
        mark_as_holder(descriptor)
    guard.watch(child_pipe, harness)
    guard.sweep()
    os._exit(0)  # noqa: SLF001 - the harness waits for it, and an interpreter takes 3 ms to clean up

"""The guard: a small program between the harness and claude that lets nothing of a turn outlive it.

Run by `python -I -S`, which calls `main`; standard library alone, its standard streams being claude's. It becomes
a subreaper, so that every orphan below it becomes its child, and starts COMMAND in a session of its own. CHANNEL
is one end of a pair of sockets whose other end the harness alone holds. Each byte that comes is an order:

    i  SIGINT to claude               t  SIGTERM and SIGCONT to claude
    s  stop every descendant          c  let those go on that were stopped
    k  kill every descendant, then leave
    d  and a number and a line's end: the deadline, in seconds of CLOCK; a later one takes its place

A deadline is for a harness that is stopped and cannot give orders: claude is interrupted before it, and what is left
then is killed, so that nothing of the turn is there when it comes. Without one there is none.

It answers in lines: `pid N` when claude runs, or `error ERRNO TEXT` when it cannot; `overdue` when claude is
interrupted for the deadline's sake; `exit STATUS` when it has ended (negative: a signal); `denied PID…`, the ids of
descendants that may not be signalled, which go on; `swept N PID…` once waitpid has said that no descendant is left,
with how many were killed, and the ids of those that would not die in time. Between `exit` and `k` what claude left
behind may go on writing. The KEPT descriptors (the harness's lock) stay open until the guard leaves, and claude does
not get them; whoever finds the lock held can ask the kernel for the guards that hold it (`mark_as_holder`).

The harness is gone when the channel ends, or when the guard has another parent: a tool that has got hold of the
channel's other end keeps it open. It should not get it: a pipe can be opened again through /proc/PID/fd by any process
of the same user, and a socket by none. And the guard is not dumpable, so that without root no one traces it, takes a
descriptor from it or reads its memory; for that its /proc/PID/fd and environ are root's, and it leaves no core.

Why a process of its own: the binary puts each tool into a session of its own, so that no signal to a group
reaches them all, and only a parent that survives the harness can see to them when it is killed.

Elsewhere than on Linux (macOS) no process can be a subreaper, and none has /proc. There the guard looks at all
processes once a second and remembers claude's descendants with the time at which each was started; what leaves
its parent between two looks, and claude's process group as well, is never seen and outlives the turn.
"""

# What lies below `ctypes` and `signal`: a turn waits for this program, and the two are half of its start.
import _ctypes
import _signal as signal  # type: ignore[import-not-found]  # typeshed leaves it out
import os
import select
import sys
import time
from collections.abc import Iterable, Iterator

LINUX = sys.platform == "linux"
LOOK_EVERY_S = 1.0  # where there is no subreaper, one `ps` costs some 10 ms; and at a harness, while claude starts
PS = ("ps", "-A", "-o", "pid=,ppid=,stat=,lstart=")
PS_LIMIT_S = 5.0
CHILDREN = "children"  # of each thread, its own list: a kernel without CONFIG_PROC_CHILDREN has none
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
SWEEP_LIMIT_S = 10.0  # what SIGKILL does not end in this time is stuck in the kernel
SWEEP_POLL_S = 0.001
DENIED_GRACE_S = 0.5  # for what may not be signalled: `sudo` ends by itself when its command is killed
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while, on Linux, the machine sleeps
LAST_WORD_S = 6.0  # so long before the deadline claude is interrupted, and
KILL_AHEAD_S = 1.0  # so long before it what is left is killed
TICK_S = 1.0  # while there is a deadline: the time to wait does not go on while the machine sleeps
# They are meant for the harness, which gives orders of its own.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE)


def steady_s() -> float:
    """Return the seconds of a clock that goes on while this process is stopped and, on Linux, the machine sleeps."""
    return time.clock_gettime(CLOCK)


class Guard:
    """One turn's guard: `status` is claude's wait status once it has ended."""

    def __init__(self, channel: int) -> None:
        self.claude = 0
        self.status: int | None = None
        self._deadline: float | None = None
        self._is_overdue = False
        self._orders = ""  # that are not whole yet
        self._channel = channel
        self._look_every_s = None if LINUX else LOOK_EVERY_S
        self._stopped: set[int] = set()
        self._seen: dict[int, str] = {}  # where there is no subreaper: claude's descendants, and when each began

    def say(self, line: str) -> None:
        """Report to the harness; one that is gone needs no report."""
        try:
            os.write(self._channel, f"{line}\n".encode())
        except OSError:
            pass

    def reap(self) -> bool:
        """Take in every descendant that has ended; False when waitpid says that there is none left at all."""
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
        """Signal claude, unless it has ended (and its number may be another's)."""
        if self.status is None:
            for number in numbers:
                signal_all([self.claude], number)  # it may have become root's: a script that runs `exec sudo …`

    def take(self, orders: str) -> None:
        """Carry out what has come from the harness, but for the order to leave."""
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
        """Say for how long to wait for orders at most; None: for ever."""
        if self._deadline is None:
            return self._look_every_s
        ahead_s = KILL_AHEAD_S if self._is_overdue else LAST_WORD_S
        return min(TICK_S, max(0.0, self._deadline - steady_s() - ahead_s))

    def is_over(self) -> bool:
        """Interrupt claude when its deadline is near; True when what is left is to be killed for it."""
        if self._deadline is None:
            return False
        left_s = self._deadline - steady_s()
        if left_s <= LAST_WORD_S and not self._is_overdue:
            self._is_overdue = True
            self.say("overdue")
            self.signal(signal.SIGINT)
        return left_s <= KILL_AHEAD_S

    def obey(self, order: str) -> None:
        """Carry out an order of the harness, but for the one to leave."""
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

        For SWEEP_LIMIT_S at most, and for DENIED_GRACE_S where nothing that may be killed is among them.
        """
        killed: set[int] = set()
        reached = time.monotonic()
        deadline = reached + SWEEP_LIMIT_S
        if WAY in {BY_PS, BLIND}:
            kill([-self.claude])  # its process group: some in it may never have been seen
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
            left = set(filter(is_alive, left))  # their zombies are theirs to reap
        self.say(" ".join(map(str, ["swept", len(killed - {self.claude}), *sorted(left)])))

    def is_any_left(self) -> bool:
        """Take in what has ended, and say whether anything has not."""
        return self.reap() or (not LINUX and bool(self.look()))

    def stop_all(self) -> tuple[set[int], set[int]]:
        """Stop all descendants; gives the ids of those that are, and of those that may not be signalled."""
        return stop_below(os.getpid()) if LINUX else stop(self.look())

    def look(self) -> set[int]:
        """Find claude's descendants among all processes: those seen before and still the same, and their children."""
        table = processes()
        if not table:  # no answer: nothing can be told from a process that has got the same number since
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

    def watch(self, bell: int, harness: int) -> None:
        """Carry out orders until the one to leave, or until the harness is gone."""
        poll = select.poll()
        its_end = open_pidfd(harness)
        if its_end is None:
            self._look_every_s = min(TICK_S, LOOK_EVERY_S)
        for descriptor in filter(None, (self._channel, bell, its_end)):
            poll.register(descriptor, select.POLLIN)
        while os.getppid() == harness:
            patience_s = self.patience_s()
            ready = {descriptor for descriptor, _ in poll.poll(None if patience_s is None else patience_s * 1000)}
            if not LINUX:
                self.look()
            if bell in ready:
                os.read(bell, 1024)
                self.reap()
            if its_end in ready:
                return
            if self._channel in ready:
                orders = read_orders(self._channel)
                if not orders or "k" in orders:
                    return
                self.take(orders)
            if self.is_over():
                return


def read_orders(channel: int) -> str:
    """Read what orders have come; none when the harness is gone."""
    try:
        return os.read(channel, 64).decode()
    except OSError:  # it died before it had read all that we had to say
        return ""


def open_pidfd(pid: int) -> int | None:
    """Open a descriptor that is ready when a process has ended; None where the system has no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # another system; an old kernel, or a container that forbids it; it has ended
        return None


def mark_as_holder(descriptor: int) -> None:
    """Let those who ask for the holders of a file's lock find this process.

    A lock of the kind that the kernel can be asked about (F_GETLK), on the byte whose number is our id. Nothing else
    would tell: the lock itself is one that a harness took, and our open files are root's to see.
    """
    import fcntl  # noqa: PLC0415 - claude runs by now, and waits for none of this

    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, os.getpid())
    except OSError:  # not a file for locks, or one on a file system that knows but one kind
        pass


def stop_below(root: int) -> tuple[set[int], set[int]]:
    """Stop all descendants of a process; gives the ids of those that are, and of those that may not be signalled.

    Each is stopped before its children are looked for, so that none forks unseen meanwhile.
    """
    return stop(below(root))


def stop(pids: Iterable[int]) -> tuple[set[int], set[int]]:
    """Stop processes, each as it comes; gives the ids of those that are, and of those that may not be signalled."""
    stopped: set[int] = set()
    denied: set[int] = set()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGSTOP)
            stopped.add(pid)
        except PermissionError:
            denied.add(pid)
        except ProcessLookupError:
            continue
    return stopped, denied


def kill(pids: Iterable[int]) -> None:
    """Kill processes, and process groups by their negative ids."""
    signal_all(pids, signal.SIGKILL)


def signal_all(pids: Iterable[int], number: int) -> int:
    """Signal each that is still there and may be signalled; gives how many."""
    reached = 0
    for pid in pids:
        try:
            os.kill(pid, number)
            reached += 1
        except (ProcessLookupError, PermissionError):
            continue
    return reached


def below(root: int) -> Iterator[int]:
    """Yield the id of each descendant of a process; the children of one are looked for when the next is asked for.

    They come from the processes themselves, where the kernel tells: a chain of forks would outrun a table of all.
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


def below_in_table(root: int) -> Iterator[int]:
    """Yield as `below`, from tables of all processes, until one has nothing new.

    The newest comes first, and at once: it may be one of a chain that forks and ends faster than a table is read.
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
    """Give the ids of a process's children, whichever of its threads started them; zombies are among them."""
    if WAY == BY_TABLE:
        return [child for child, parent in parents() if parent == pid]
    found: list[int] = []
    if WAY == BLIND:
        return found
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/{CHILDREN}", "rb") as file:
                found += map(int, file.read().split())
    except OSError:  # it is gone, or this system has no /proc
        pass
    return found


def parents() -> Iterator[tuple[int, int]]:
    """Yield the id and the parent's id of each process, the newest first as far as their numbers tell."""
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):
        if fields := stat_fields(pid):
            yield pid, int(fields[1])


def stat_fields(pid: int) -> list[bytes]:
    """Read the fields of /proc/PID/stat from the state on; none when the process is gone or hidden."""
    if WAY == BLIND:
        return []
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    """Whether a process has not ended; one that /proc hides is another user's, and is taken to be at work."""
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
    """Tell how they are found here: by the kernel's lists, by a table of all processes, by `ps`, or not at all."""
    if not LINUX:
        return BY_PS
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return BLIND  # the ids there are those of another namespace
    except OSError:
        return BLIND
    return BY_LISTS if os.access(f"/proc/self/task/{os.getpid()}/{CHILDREN}", os.R_OK) else BY_TABLE


WAY = way_to_look()


def processes() -> dict[int, tuple[int, str]]:
    """Give the parent and the start time of every process but the zombies; none when `ps` does not answer."""
    import subprocess  # noqa: PLC0415 - would double the guard's start-up where it is not needed

    try:
        listed = subprocess.run(PS, capture_output=True, timeout=PS_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = (line.split(maxsplit=3) for line in listed.stdout.decode(errors="replace").splitlines())
    return {int(pid): (int(parent), began) for pid, parent, state, began in rows if not state.startswith("Z")}


def prctl(option: int, value: int) -> None:
    """Set a process option, which only Linux has."""
    if LINUX:
        function = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None: what is loaded
        _ctypes.call_cdeclfunction(function, (option, value, 0, 0, 0))


def start(command: list[str], harness: int) -> int:
    """Start the command in a session of its own and give its id; raises OSError when it cannot be started.

    If the harness ends meanwhile, it is killed, however far it has come: somebody may have stopped it.
    """
    failed, failing = os.pipe()
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            # By a process of one thread: the signal is bound to the thread that forks, and comes when that ends.
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == guard:
                for number in (*IGNORED, signal.SIGXFSZ):
                    signal.signal(number, signal.SIG_DFL)
                os.execvp(command[0], command)
        except OSError as error:
            os.write(failing, f"{error.errno} {error.strerror}".encode())
        finally:
            os._exit(127)
    os.close(failing)
    poll = select.poll()
    poll.register(failed, select.POLLIN)
    while not poll.poll(LOOK_EVERY_S * 1000):
        if os.getppid() != harness:
            os.kill(pid, signal.SIGKILL)
    problem = os.read(failed, 1000).decode()  # nothing: the exec closed it
    os.close(failed)
    if problem:
        os.waitpid(pid, 0)
        code, _, text = problem.partition(" ")
        raise OSError(int(code), text)
    return pid


def main(channel: int, kept: str, _mark: str, *command: str) -> None:
    """Start the command, watch over it, and leave when nothing of it is left.

    The mark, the state folder of its agent, is for those who look for guards: their environment is root's to read.
    """
    harness = os.getppid()
    prctl(PR_SET_DUMPABLE, 0)
    holds = [int(descriptor) for descriptor in kept.split(",") if descriptor]
    for descriptor in (channel, *holds):
        os.set_inheritable(descriptor, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    bell, ringing = os.pipe()
    os.set_blocking(ringing, False)
    signal.set_wakeup_fd(ringing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the bell is rung
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = Guard(channel)
    try:
        guard.claude = start(list(command), harness)
    except OSError as error:
        guard.say(f"error {error.errno} {error.strerror}")
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # claude's pipes must end with claude
        os.dup2(nowhere, stream)
    guard.say(f"pid {guard.claude}")
    for descriptor in holds:
        mark_as_holder(descriptor)
    guard.watch(bell, harness)
    guard.sweep()

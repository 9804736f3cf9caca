"""The guard: a small program between the harness and claude that lets nothing of a turn outlive it.

Run by `python -I -S`, which calls `main`; standard library alone, its standard streams being claude's. It becomes
a subreaper, so that every orphan below it becomes its child, and starts COMMAND in a session of its own. LIFELINE
is the read end of a pipe whose write end the harness alone holds. Each byte on it is an order, and its end means
that the harness is gone:

    i  SIGINT to claude               t  SIGTERM and SIGCONT to claude
    s  stop every descendant          c  let those go on that were stopped
    k  kill every descendant, then leave
    d  and a number and a line's end: the deadline, in seconds of CLOCK; a later one takes its place

A deadline is for a harness that is stopped and cannot give orders: claude is interrupted before it, and what is left
then is killed, so that nothing of the turn is there when it comes. Without one there is none.

On REPORT it writes lines: `pid N` when claude runs, or `error ERRNO TEXT` when it cannot; `overdue` when claude
is interrupted for the deadline's sake; `exit STATUS` when it has ended (negative: a signal); `swept N PID…` once
waitpid has said that no descendant is left, with how many were killed, and the ids of those that would not die in
time. Between `exit` and `k` what claude left behind may go on writing. The KEPT descriptors (the harness's lock)
stay open until the guard leaves, and claude does not get them.

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
from collections.abc import Iterable

LINUX = sys.platform == "linux"
LOOK_EVERY_S = 1.0  # where there is no subreaper: one `ps` costs some 10 ms
PS = ("ps", "-A", "-o", "pid=,ppid=,stat=,lstart=")
PS_LIMIT_S = 5.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SWEEP_LIMIT_S = 10.0  # what SIGKILL does not end in this time is stuck in the kernel
SWEEP_POLL_S = 0.001
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while, on Linux, the machine sleeps
LAST_WORD_S = 6.0  # so long before the deadline claude is interrupted, and
KILL_AHEAD_S = 1.0  # so long before it what is left is killed
TICK_S = 1.0  # while there is a deadline: the time to wait does not go on while the machine sleeps
# They are meant for the harness, which gives orders of its own.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE)


class Guard:
    """One turn's guard: `status` is claude's wait status once it has ended."""

    def __init__(self, report: int) -> None:
        self.claude = 0
        self.status: int | None = None
        self._deadline: float | None = None
        self._is_overdue = False
        self._orders = ""  # that are not whole yet
        self._report = report
        self._stopped: set[int] = set()
        self._seen: dict[int, str] = {}  # where there is no subreaper: claude's descendants, and when each began

    def say(self, line: str) -> None:
        """Report to the harness; one that is gone needs no report."""
        try:
            os.write(self._report, f"{line}\n".encode())
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
                os.kill(self.claude, number)

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
            return None if LINUX else LOOK_EVERY_S
        ahead_s = KILL_AHEAD_S if self._is_overdue else LAST_WORD_S
        return min(TICK_S, max(0.0, self._deadline - time.clock_gettime(CLOCK) - ahead_s))

    def is_over(self) -> bool:
        """Interrupt claude when its deadline is near; True when what is left is to be killed for it."""
        if self._deadline is None:
            return False
        left_s = self._deadline - time.clock_gettime(CLOCK)
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
            self._stopped |= self.stop_all()
        elif order == "c":
            signal_all(self._stopped, signal.SIGCONT)
            self._stopped.clear()

    def sweep(self) -> None:
        """Kill descendants until none is left, for SWEEP_LIMIT_S at most."""
        killed: set[int] = set()
        deadline = time.monotonic() + SWEEP_LIMIT_S
        if not LINUX:
            kill([-self.claude])  # its process group: some in it may never have been seen
        while (is_left := self.is_any_left()) and time.monotonic() < deadline:
            found = self.stop_all()
            kill(found)
            killed |= found
            time.sleep(SWEEP_POLL_S)
        left = self.stop_all() if is_left else set()
        self.say(" ".join(map(str, ["swept", len(killed - {self.claude}), *sorted(left)])))

    def is_any_left(self) -> bool:
        """Take in what has ended, and say whether anything has not."""
        return self.reap() or (not LINUX and bool(self.look()))

    def stop_all(self) -> set[int]:
        """Stop all descendants and give their ids."""
        if LINUX:
            return stop_below(os.getpid())
        found = self.look()
        signal_all(found, signal.SIGSTOP)
        return found

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

    def watch(self, lifeline: int, bell: int) -> None:
        """Carry out orders until the one to leave, or until the harness is gone."""
        poll = select.poll()
        poll.register(lifeline, select.POLLIN)
        poll.register(bell, select.POLLIN)
        while True:
            patience_s = self.patience_s()
            ready = {descriptor for descriptor, _ in poll.poll(None if patience_s is None else patience_s * 1000)}
            if not LINUX:
                self.look()
            if bell in ready:
                os.read(bell, 1024)
                self.reap()
            if lifeline in ready:
                orders = os.read(lifeline, 64)
                if not orders or b"k" in orders:
                    return
                self.take(orders.decode())
            if self.is_over():
                return


def stop_below(root: int) -> set[int]:
    """Stop all descendants of a process and give their ids.

    Each is stopped before its children are looked for, so that none forks unseen meanwhile; the children come
    from the process itself and not from a list of all, which a chain of forks would outrun.
    """
    found: set[int] = set()
    waiting = children(root)
    while waiting:
        pid = waiting.pop()
        if pid not in found and signal_all([pid], signal.SIGSTOP):
            found.add(pid)
            waiting += children(pid)
    return found


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


def children(pid: int) -> list[int]:
    """Give the ids of a process's children, whichever of its threads started them; zombies are among them."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:  # it is gone, or this system has no /proc
        pass
    return found


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


def start(command: list[str]) -> int:
    """Start the command in a session of its own and give its id; raises OSError when it cannot be started."""
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
    problem = os.read(failed, 1000).decode()  # nothing: the exec closed it
    os.close(failed)
    if problem:
        os.waitpid(pid, 0)
        code, _, text = problem.partition(" ")
        raise OSError(int(code), text)
    return pid


def main(lifeline: int, report: int, kept: str, *command: str) -> None:
    """Start the command, watch over it, and leave when nothing of it is left."""
    for descriptor in (lifeline, report, *map(int, filter(None, kept.split(",")))):
        os.set_inheritable(descriptor, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    bell, ringing = os.pipe()
    os.set_blocking(ringing, False)
    signal.set_wakeup_fd(ringing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the bell is rung
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = Guard(report)
    try:
        guard.claude = start(list(command))
    except OSError as error:
        guard.say(f"error {error.errno} {error.strerror}")
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # claude's pipes must end with claude
        os.dup2(nowhere, stream)
    guard.say(f"pid {guard.claude}")
    guard.watch(lifeline, bell)
    guard.sweep()

"""A scripted stand-in for the `claude` binary: a program of its own, standard library only.

    fake_claude.py SCRIPT.json [ARGUMENTS OF CLAUDE…]

SCRIPT is {"runs": [[STEP, …], …], "logged_in": true | false | "file", "auth": {…}}. The n-th start plays the n-th run,
the last run repeats. Beside the script it keeps `starts` (one byte a start), `started.txt` and `spawned.txt` (a
process id and its start time a line), `probes.txt` (a line for each `auth status`) and `calls.jsonl`: one record
a start, written when stdin is at its end, or else on leaving.

A STEP is an object whose first key is the verb:
    {"recording": "v2.1.330/cut.jsonl"} its bytes; `stream_event` lines only with --include-partial-messages
        "session_id": ID, "model": NAME put in place of the recording's own; "from_argv" takes those of the
                                        command line where there are any
        "lines": [FROM, TO]             only these lines of it (a Python slice)
    {"replay": "v2.1.330/text.jsonl"}   a whole run: waits for the prompt, plays the recording, then stderr and
                                        exit status as index.json says; one that the recorder cut off waits for
                                        a signal. Same options
    {"line": OBJECT}                    one line of JSON
    {"bytes": "latin-1"}                as they are, no newline added
    {"stderr": TEXT}                    as it is
    {"touch": NAME}, {"wait_for": NAME} gate files beside the script; waits at most 600 s, then leaves with 97
    {"wait_for_prompt": true}           until stdin is at its end: the real binary does, before its first line
    {"sleep": SECONDS}
    {"on_signal": NAME, "steps": […]}   plays the steps when the signal comes, then goes on where it was
    {"ignore": "SIGTERM"}
    {"spawn": ["sh", "-c", …]}          leaves a child behind; "setsid": true gives it a session of its own;
                                        "inherit_stdout", "inherit_stderr": true lets it hold those pipes
    {"repeat": N, "steps": […]}
    {"exit": STATUS}                    0 at the end of a run; waits for the end of stdin (not in on_signal)
    {"kill_self": "SIGKILL"}
    {"close_stdout": true}, {"close_stdin": true}
    {"stdin": "open"}, {"stdin": "ended"}   leaves with 96 where it is not open any more; waits until it has ended
    {"never_read_stdin": true}          holds for the whole run, wherever it stands in it

With `--input-format stream-json` it writes nothing before a line with a message has come on stdin: only then does
it count as a start and play its run, and it leaves at the end of stdin, or with the `exit` of a run at once. Of
"waiting": [[STEP, …], …] in the script the n-th that waits so plays the n-th before; the last one does NOT repeat.

Without a word in the script it does as the binary does: SIGINT gives a last `result` and exit status 0,
SIGTERM exit status 143 and no `result`. A mistake in the script leaves with 98 and a line on stderr.
`auth status`, `auth login`, `auth logout`, `--help` and `--version` answer by themselves and do not count as
starts; "auth" holds more facts for the first. With "logged_in": "file"
the file `logged_in` beside the script decides; `auth login` creates it, unless
the code is `wrong`, and `auth logout` removes it. The code `half` is no whole one: as the binary does, `auth
login` then asks for another one, waits on when its stdin ends, and leaves with 0 at SIGINT.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

TYPE_CHECKING = False  # as in `typing`, which takes as long to load as a third of this program
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType
    from typing import Any, NoReturn

    Step = dict[str, Any]
    Steps = Sequence[Step]

RECORDINGS = Path(__file__).resolve().parent / "recordings"
LIMIT_S = 600.0
HELP = """Usage: claude [options] [command] [prompt]
  -p, --print  --verbose  --output-format <format>  --input-format <format>  --model <model>
  -r, --resume [id]  -c, --continue
  --permission-mode <mode>  --dangerously-skip-permissions  --include-partial-messages
"""
STDIN_HAS_ENDED, GATE_NEVER_OPENED, BAD_SCRIPT = 96, 97, 98
STDOUT, STDERR = 1, 2


class FakeRun:
    """One start of the fake: what it was given, and the verbs that play its steps."""

    def __init__(self, script_path: Path, argv: list[str]) -> None:
        self.script_path = script_path
        self.folder = script_path.parent
        self.argv = argv
        self.number = -1  # known when it counts as a start
        self.streams = option(argv, "--input-format") == "stream-json"
        self.session_id: str | None = None
        self.prompt = bytearray()
        self.prompt_is_whole = False
        self.prompt_ended = threading.Event()
        self.stdin_ended = threading.Event()
        self.reader: threading.Thread | None = None
        self.recorded = False
        # Re-entrant: a signal's steps may leave while the main steps write the record.
        self.record_lock = threading.RLock()

    def play_run(self) -> NoReturn:
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGTERM, self._terminated)
        try:
            if self.streams:
                self._wait_for_message()
            self.number, steps = next_of(self.script_path, "runs")
            if not self.streams and not any("never_read_stdin" in step for step in steps):
                self._start_reading()
            if self.streams:
                self.write_record()
            self.play(steps)
            self.do_wait_for_prompt({})
            if self.streams:
                self.stdin_ended.wait(LIMIT_S)
            self.leave(0)
        except BrokenPipeError:
            self.leave(1)
        except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            write_all(STDERR, f"fake_claude: bad script: {error!r}\n".encode())
            self.leave(BAD_SCRIPT)

    def _start_reading(self) -> None:
        self.reader = threading.Thread(target=self._read_prompt, daemon=True)
        self.reader.start()

    def _wait_for_message(self) -> None:
        _, steps = next_of(self.script_path, "waiting")
        if not any("never_read_stdin" in step for step in steps):
            self._start_reading()
        self.play(steps)
        if not self.prompt_ended.wait(LIMIT_S):
            self.leave(GATE_NEVER_OPENED)
        if not self.prompt_is_whole:
            os._exit(0)  # as the binary does: without a message there is nothing to be done

    def play(self, steps: Steps) -> None:
        for step in steps:
            VERBS[next(iter(step))](self, step)

    def leave(self, status: int) -> NoReturn:
        self.write_record()
        os._exit(status)  # at once: the reader may be in the middle of a read

    def write_record(self) -> None:
        with self.record_lock:
            if self.recorded or self.number < 0:
                return
            self.recorded = True
            text = bytes(self.prompt).decode("utf-8", "surrogateescape")
            record = {
                "start": self.number,
                "argv": self.argv,
                "cwd": str(Path.cwd()),
                "env": sorted(os.environ),
                "pid": os.getpid(),
                "pgid": os.getpgid(0),
                "session": os.getsid(0),
                "prompt": text if self.reader else None,
                "prompt_ended": self.prompt_is_whole,
            }
            append_line(self.folder / "calls.jsonl", json.dumps(record))

    def _read_prompt(self) -> None:
        with contextlib.suppress(OSError):  # started without a stdin
            while data := os.read(0, 1 << 16):
                self.prompt += data
                if self.streams and b"\n" in data and not self.prompt_is_whole:
                    self.prompt = bytearray(json.loads(self.prompt)["message"]["content"].encode())
                    self.prompt_is_whole = True
                    self.prompt_ended.set()
        self.stdin_ended.set()
        if self.streams:
            self.prompt_ended.set()
            return
        self.prompt_is_whole = True
        self.write_record()  # before anyone who waits for the prompt goes on, and opens a gate
        self.prompt_ended.set()

    def _interrupted(self, _signum: int, _frame: FrameType | None) -> None:
        result = {"type": "result", "subtype": "error_during_execution", "is_error": True, "errors": []}
        self.do_line({"line": {**result, "terminal_reason": "aborted_tools", "session_id": self.session_id}})
        self.leave(0)

    def _terminated(self, _signum: int, _frame: FrameType | None) -> None:
        self.leave(128 + signal.SIGTERM)

    # The verbs. Each takes its whole step, options included.

    def do_recording(self, step: Step) -> None:
        data = b"".join(self._lines_to_play(step))
        for name in ("session_id", "model"):
            wanted = step.get(name)
            if wanted == "from_argv":
                wanted = option(self.argv, "--resume", "--session-id") if name == "session_id" else None
                wanted = option(self.argv, "--model") if name == "model" else wanted
            found = field_of(data, name)
            if wanted is not None and found is not None:
                data = data.replace(json.dumps(found).encode(), json.dumps(wanted).encode())
        self.session_id = field_of(data, "session_id") or self.session_id
        write_all(STDOUT, data)

    def _lines_to_play(self, step: Step) -> Iterator[bytes]:
        lines = (RECORDINGS / (step.get("recording") or step["replay"])).read_bytes().splitlines(keepends=True)
        partial = "--include-partial-messages" in self.argv
        for line in lines[slice(*step.get("lines", (None,)))]:
            if partial or json.loads(line)["type"] != "stream_event":
                yield line

    def do_replay(self, step: Step) -> None:
        facts = json.loads((RECORDINGS / "index.json").read_text())[step["replay"]]
        self.do_wait_for_prompt(step)
        self.do_recording(step)
        self.do_stderr(facts)
        if facts["cut_off_by_recorder"]:
            time.sleep(LIMIT_S)
            self.leave(GATE_NEVER_OPENED)
        if self.streams:
            self.stdin_ended.wait(LIMIT_S)
        self.leave(facts["exit_status"])

    def do_line(self, step: Step) -> None:
        self.session_id = step["line"].get("session_id") or self.session_id
        write_all(STDOUT, json.dumps(step["line"], ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def do_bytes(self, step: Step) -> None:
        write_all(STDOUT, step["bytes"].encode("latin-1"))

    def do_stderr(self, step: Step) -> None:
        write_all(STDERR, step["stderr"].encode())

    def do_touch(self, step: Step) -> None:
        (self.folder / step["touch"]).touch()

    def do_wait_for(self, step: Step) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not (self.folder / step["wait_for"]).exists():
            if time.monotonic() > deadline:
                self.leave(GATE_NEVER_OPENED)
            time.sleep(0.005)

    def do_wait_for_prompt(self, _step: Step) -> None:
        if self.reader and not self.prompt_ended.wait(LIMIT_S):
            self.leave(GATE_NEVER_OPENED)

    def do_sleep(self, step: Step) -> None:
        time.sleep(step["sleep"])

    def do_on_signal(self, step: Step) -> None:
        steps: Steps = step["steps"]
        signal.signal(getattr(signal, step["on_signal"]), lambda *_: self._play_for_signal(steps))

    def _play_for_signal(self, steps: Steps) -> None:
        for step in steps:
            if "exit" in step:
                self.leave(step["exit"])
            self.play([step])

    def do_ignore(self, step: Step) -> None:
        # Not SIG_IGN: a child that a later step spawns would inherit that.
        signal.signal(getattr(signal, step["ignore"]), lambda *_: None)

    def do_spawn(self, step: Step) -> None:
        import subprocess  # noqa: PLC0415 - few runs need it, and each would wait for it

        child = subprocess.Popen(
            step["spawn"],
            stdin=subprocess.DEVNULL,
            stdout=None if step.get("inherit_stdout") else subprocess.DEVNULL,
            stderr=None if step.get("inherit_stderr") else subprocess.DEVNULL,
            start_new_session=bool(step.get("setsid")),
        )
        append_line(self.folder / "spawned.txt", pid_line(child.pid))

    def do_repeat(self, step: Step) -> None:
        for _ in range(step["repeat"]):
            self.play(step["steps"])

    def do_exit(self, step: Step) -> NoReturn:
        if not (self.streams and self.number < 0):
            self.do_wait_for_prompt(step)
        self.leave(step["exit"])

    def do_kill_self(self, step: Step) -> None:
        self.write_record()
        signum = getattr(signal, step["kill_self"])
        with contextlib.suppress(OSError):  # SIGKILL and SIGSTOP take no handler
            signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    def do_close_stdout(self, _step: Step) -> None:
        with Path(os.devnull).open("wb") as devnull:
            os.dup2(devnull.fileno(), STDOUT)

    def do_close_stdin(self, _step: Step) -> None:
        os.close(0)

    def do_stdin(self, step: Step) -> None:
        if step["stdin"] == "open" and self.stdin_ended.is_set():
            self.leave(STDIN_HAS_ENDED)
        if step["stdin"] == "ended" and not self.stdin_ended.wait(LIMIT_S):
            self.leave(GATE_NEVER_OPENED)

    def do_never_read_stdin(self, _step: Step) -> None:
        """Nothing to do here: `play_run` has looked for it before it began to read."""


VERBS: dict[str, Callable[[FakeRun, Step], None]] = {
    name.removeprefix("do_"): verb for name, verb in vars(FakeRun).items() if name.startswith("do_")
}


def option(argv: Sequence[str], *names: str) -> str | None:
    """Return the value of the first of these options on the command line: `--name value` or `--name=value`."""
    for position, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else argv[position + 1]
    return None


def field_of(data: bytes, name: str) -> str | None:
    """Return the first value of a top-level field in these lines."""
    for line in data.split(b"\n")[:-1]:
        value = json.loads(line).get(name)
        if isinstance(value, str):
            return value
    return None


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def append_line(path: Path, line: str) -> None:
    """Append a line that nobody reads by halves: one write to a file opened for appending."""
    with path.open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_all(file.fileno(), line.encode() + b"\n")


def pid_line(pid: int) -> str:
    """Return a process id with its start time, which tells it from a later process with the same id."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return f"{pid} 0"
    return f"{pid} {stat.rpartition(')')[2].split()[19]}"


def next_of(script_path: Path, key: str) -> tuple[int, Steps]:
    """Count a start of this kind and return its number with the steps that the script has for it."""
    number = count_start(script_path.parent, {"runs": "starts"}.get(key, key))
    script = json.loads(script_path.read_text(encoding="utf-8"))
    lists: Sequence[Steps] = script.get(key, [])
    if key == "runs":
        return number, lists[min(number - script.get("first_start", 0), len(lists) - 1)]
    turn = number - script.get("first_waiting", 0)
    return number, lists[turn] if turn < len(lists) else []


def count_start(folder: Path, name: str) -> int:
    """Count this start; return how many there were before it."""
    with (folder / name).open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        number = os.fstat(file.fileno()).st_size
        file.write(b".")
    return number


def logged_in(folder: Path, script: dict[str, Any]) -> bool:
    answer = script.get("logged_in", True)
    return (folder / "logged_in").exists() if answer == "file" else bool(answer)


def auth_status(folder: Path, script: dict[str, Any]) -> NoReturn:
    append_line(folder / "probes.txt", "auth status")
    known = logged_in(folder, script)
    facts = {"loggedIn": known, "authMethod": "claude.ai" if known else "none", "apiProvider": "firstParty"}
    facts |= script.get("auth", {})
    sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    sys.exit(0 if known else 1)


def auth_login(folder: Path) -> NoReturn:
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    append_line(folder / "started.txt", pid_line(os.getpid()))
    sys.stdout.write("Opening browser to sign in…\nIf the browser didn't open, visit:\n")
    sys.stdout.write("https://claude.ai/oauth/authorize?fake\nPaste code here if prompted > ")
    sys.stdout.flush()
    while code := sys.stdin.readline().strip():
        if code == "wrong":
            sys.stderr.write("Couldn't log in: that code is not known\n")
            sys.exit(1)
        if code != "half":
            (folder / "logged_in").touch()
            sys.stdout.write("Login successful.\n")
            sys.exit(0)
        sys.stderr.write("That doesn't look like the full code.\n")
        sys.stderr.flush()
    time.sleep(LIMIT_S)  # a browser may still answer
    sys.exit(GATE_NEVER_OPENED)


def auth_logout(folder: Path) -> NoReturn:
    (folder / "logged_in").unlink(missing_ok=True)
    sys.stdout.write("Successfully logged out from your Anthropic account.\n")
    sys.exit(0)


def main(script_path: str, argv: list[str]) -> NoReturn:
    folder = Path(script_path).parent
    script = json.loads(Path(script_path).read_text(encoding="utf-8"))
    if argv[:1] in (["--version"], ["-v"]):
        sys.stdout.write("2.1.330 (Claude Code)\n")
        sys.exit(0)
    if argv[:1] == ["--help"]:
        sys.stdout.write(HELP)
        sys.exit(0)
    if argv[:2] == ["auth", "status"]:
        auth_status(folder, script)
    if argv[:2] == ["auth", "login"]:
        auth_login(folder)
    if argv[:2] == ["auth", "logout"]:
        auth_logout(folder)
    append_line(folder / "started.txt", pid_line(os.getpid()))
    FakeRun(Path(script_path), argv).play_run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

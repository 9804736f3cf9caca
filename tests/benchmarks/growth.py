"""How costs grow: `python -m tests.benchmarks growth [--quick] [--svg FILE]`.

Each cost is measured with 1 to 1,000 of something, or 10 to 100,000. `examples/growth.svg` shows one run.
"""

import argparse
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import trio

from hyperhive_cli.claude.process import tree_cpu_s
from hyperhive_cli.claude.runner import Turn
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.hive import fleet, owner_sql
from hyperhive_cli.hive.database import connect, migrate
from hyperhive_cli.store.events import open_event_store
from hyperhive_cli.store.folder import prepare_state_dir
from tests.benchmarks import start_up
from tests.benchmarks.agents import cpu_s, open_agent, rss_mib
from tests.benchmarks.corpus import write_corpus
from tests.benchmarks.fill import fill_events, fill_inbox
from tests.benchmarks.hive import lease_agents, open_host
from tests.benchmarks.line_to_eye import PACER
from tests.benchmarks.measure import SOURCE, Sample, UnavailableError, in_process, time_limit
from tests.benchmarks.pipeline import PlainFeed, request_for
from tests.benchmarks.plot import Curve, curves_to_markdown, curves_to_svg
from tests.hive.postgres import open_server, programs

LIMIT_S = 400
TURNS = 20
LINES = 5_000
RATE, SPAN_S = 20, 5  # lines a second that followers read, and how long
REPEATS = 5
ROWS = (10, 100, 1_000, 10_000, 100_000)
COUNTS = (1, 10, 100, 1_000)
ANSWER = '{"type":"result","subtype":"success","is_error":false,"result":"ok"}'


@dataclass(frozen=True, slots=True)
class Growth:
    """What is measured with each number of something, and what its figures mean, with their units."""

    of: str
    steps: Sequence[int]
    costs: Mapping[str, str]
    measure: Callable[[Path, int], Sample]


def main(words: Sequence[str]) -> int:
    """Measure everything, print a table and, if asked, draw the curves; the exit status is 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks growth")
    parser.add_argument("--quick", action="store_true", help="only the two smallest numbers of each")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the curves there")
    options = parser.parse_args(words)
    curves, is_broken = [], False
    with tempfile.TemporaryDirectory(prefix="hh-bench-") as folder:
        for growth in GROWTHS:
            found: dict[int, Sample] = {}
            for step in growth.steps[: 2 if options.quick else None]:
                place = Path(folder) / "place"
                place.mkdir()
                try:
                    with time_limit(LIMIT_S):
                        found[step] = growth.measure(place, step)
                except Exception as error:  # noqa: BLE001 - the others are measured all the same
                    print(f"FAILED: {step:,} {growth.of}: {type(error).__name__}: {error}", flush=True)
                    is_broken = is_broken or not isinstance(error, UnavailableError)
                else:
                    print(f"{step:,} {growth.of}: {found[step]}", flush=True)
                shutil.rmtree(place)
            for name, cost in growth.costs.items():
                curves.append(Curve(cost, growth.of, {step: sample[name] for step, sample in found.items()}))
    print(f"\n{curves_to_markdown(curves)}")
    if options.svg is not None:
        options.svg.write_text(curves_to_svg(curves), encoding="utf-8")
    return 1 if is_broken else 0


# --- a line ---


def line_by_rows(folder: Path, rows: int) -> Sample:
    """Store lines in a history that has rows already."""
    return _lines(folder, LINES, rows)


def line_by_turn(folder: Path, lines: int) -> Sample:
    """Store the lines of a turn of this length."""
    return _lines(folder, lines, 0)


def _lines(folder: Path, lines: int, rows: int) -> Sample:
    corpus = folder / "stored.jsonl"
    write_corpus(corpus, "stored", lines)
    with open_event_store(folder / "events.sqlite") as store:
        fill_events(store, rows)
    samples = [in_process("growth:take_lines", corpus, lines)["us"] for _ in range(3)]
    return {"us": median(samples)}


def take_lines(corpus: str, lines: str) -> Sample:
    """Run a turn whose claude writes the corpus; return the processor time for a line."""
    return trio.run(_take_lines, Path(corpus), int(lines))


async def _take_lines(corpus: Path, lines: int) -> Sample:
    with open_event_store(corpus.with_name("events.sqlite")) as store:
        before = time.process_time()
        await Turn(request_for(str(corpus), corpus.parent), PlainFeed(Bus(store))).run()
        return {"us": (time.process_time() - before) * 1e6 / lines}


# --- a turn, a command ---


def turn_by_ended(_: Path, ended: int) -> Sample:
    """Run turns of an agent that has ended so many before; return what the harness spends on one."""
    with open_agent() as agent:
        prepare_state_dir(agent.paths.state_dir)
        fill_inbox(agent.paths.inbox_db, ended)
        claude = ["sh", "-c", f"'cat >/dev/null; echo '\\''{ANSWER}'\\'", "claude"]
        with agent.running(claude, "--keep-messages", "all") as harness:
            before = cpu_s(harness.pid)
            agent.run_turns(TURNS)
            return {"ms": (cpu_s(harness.pid) - before) * 1000 / TURNS}


def command_by_ended(folder: Path, ended: int) -> Sample:
    """Run `status` and `inbox` of an agent that has ended so many messages."""
    run_here = start_up.agent(folder, ended)
    return {
        name: median(run_here(start_up.PROGRAM, name)["cpu_ms"] for _ in range(REPEATS)) for name in ("status", "inbox")
    }


# --- a follower ---


def event_by_followers(_: Path, count: int) -> Sample:
    """Let so many connections follow a turn; return what the harness spends on an event for all of them."""
    lines = RATE * SPAN_S
    with open_agent() as agent:
        gate = agent.folder / "gate"
        words = (sys.executable, "-IS", str(PACER), "lines", str(RATE), str(lines), str(gate))
        with agent.running([f"'{word}'" for word in words], "--message", "go") as harness:
            command = [sys.executable, "-m", "tests.benchmarks.growth", str(agent.folder), str(count), str(lines)]
            with subprocess.Popen(command, cwd=SOURCE, stdout=subprocess.PIPE) as readers:
                assert readers.stdout is not None
                assert readers.stdout.readline() == b"ready\n"
                before = cpu_s(harness.pid)
                gate.touch()
                assert readers.wait() == 0
            return {"us": (cpu_s(harness.pid) - before) * 1e6 / lines}


def follow(folder: Path, count: int, lines: int) -> None:
    """Be so many followers, until each has all lines."""
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(count):
            follower = stack.enter_context(socket.socket(socket.AF_UNIX))
            follower.connect(str(folder / "state" / "control.sock"))
            follower.sendall(b'{"op":"events"}\n')
            received = b""
            while not received.endswith(b"\n"):
                received += follower.recv(65_536)
            selector.register(follower, selectors.EVENT_READ, [lines])
        print("ready", flush=True)
        while selector.get_map():
            for key, _ in selector.select():
                key.data[0] -= key.fileobj.recv(262_144).count(b'"at":')  # type: ignore[union-attr]
                if not key.data[0]:
                    selector.unregister(key.fileobj)


# --- an agent of a hive ---


@contextmanager
def _hive() -> Iterator[str]:
    found = programs()
    if found is None:
        raise UnavailableError("PostgreSQL 15 or newer is not installed")
    with open_server(found, is_started=False) as server:
        server.settings["fsync"] = "on"
        server.start()
        migrate(server.url("postgres"))
        yield server.url("postgres")


def statement_by_agents(_: Path, count: int) -> Sample:
    """Renew the leases of so many agents, and read the table of all of them."""
    with _hive() as url, connect(url) as connection:
        leases = lease_agents(connection, "grow-", count)
        connection.execute("ANALYZE")
        works = {
            "renew": lambda: owner_sql.renew(connection, leases),
            "table": lambda: fleet.look(connection, "grow-*"),
        }
        return {name: median(_timed_ms(work) for _ in range(REPEATS)) for name, work in works.items()}


def _timed_ms(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def host_by_agents(_: Path, count: int) -> Sample:
    """Run a host of so many agents that wait; return what it needs."""
    with _hive() as url, open_host(url, count, "--stagger", "0", "--quiet") as process:
        start_s = tree_cpu_s(process.pid) or 0.0
        time.sleep(SPAN_S)
        began, before = time.monotonic(), tree_cpu_s(process.pid) or 0.0
        time.sleep(2 * SPAN_S)
        spent_s = (tree_cpu_s(process.pid) or 0.0) - before
        files = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        cpu = spent_s / (time.monotonic() - began) * 100
        return {"start_s": start_s, "cpu": cpu, "mib": rss_mib(process.pid), "files": files}


GROWTHS = (
    Growth("rows in the history", ROWS, {"us": "a line, µs of CPU"}, line_by_rows),
    Growth("lines in the turn", ROWS, {"us": "a line, µs of CPU"}, line_by_turn),
    Growth("ended messages", ROWS, {"ms": "a turn, ms of CPU"}, turn_by_ended),
    Growth("ended messages", ROWS, {"status": "status, ms of CPU", "inbox": "inbox, ms of CPU"}, command_by_ended),
    Growth("followers", COUNTS, {"us": "an event, µs of CPU"}, event_by_followers),
    Growth("agents", COUNTS, {"renew": "renew leases, ms", "table": "table of a hive, ms"}, statement_by_agents),
    Growth(
        "idle agents",
        COUNTS,
        {
            "cpu": "a host, % of a core",
            "mib": "a host, MiB",
            "files": "a host, open files",
            "start_s": "start, s of CPU",
        },
        host_by_agents,
    ),
)

if __name__ == "__main__":
    follow(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

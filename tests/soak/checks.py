"""What must hold after a soak, agent by agent."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from hyperhive_cli.settings import MARKER
from hyperhive_cli.store.db import open_reader
from tests.conftest import process_state
from tests.soak.agent import Agent

MOST_DESCRIPTORS = 40
CUT_OFF = {"crashed", "stalled", "timed_out", "interrupted"}  # after these claude may have acted


def faults_found(agent: Agent) -> Iterator[str]:
    """Say what is wrong, one sentence each."""
    yield from _messages(agent)
    yield from _databases(agent)
    yield from _processes(agent)
    if agent.most_descriptors > MOST_DESCRIPTORS:
        yield f"the harness had {agent.most_descriptors} descriptors open"
    if b"Traceback" in (agent.folder / "stderr.txt").read_bytes():
        yield f"a traceback, in {agent.folder / 'stderr.txt'}"


def _messages(agent: Agent) -> Iterator[str]:
    with closing(open_reader(agent.inbox_db)) as db:
        found = {row[0]: row[1:] for row in db.execute("SELECT id, body, state, acted, reason FROM messages")}
        turns: dict[int, list[str]] = {}
        for number, outcome in db.execute("SELECT message_id, outcome FROM turn_stats ORDER BY turn_id"):
            turns.setdefault(number, []).append(outcome)
    prompts = _last_prompts(agent)
    for number, sent in agent.accepted.items():
        if number not in found:
            yield f"message {number} is lost"
            continue
        body, state, acted, reason = found[number]
        outcomes = turns.get(number, [])
        if body != sent or state not in {"done", "dead"}:
            yield f"message {number} is {state}"
        if outcomes.count("ok") != (state == "done") or (state == "done") != (outcomes[-1:] == ["ok"]):
            yield f"message {number} is {state} after {outcomes}"
        if state == "dead" and not reason:
            yield f"message {number} is dead without a reason"
        if bool(acted) != any(outcome in CUT_OFF for outcome in outcomes):
            yield f"message {number}: acted is {acted} after {outcomes}"
        if state == "done" and ("[Delivery " in prompts.get(body, "")) != bool(acted):
            yield f"message {number}, {outcomes}, was asked for with: {prompts.get(body)!r}"


def _last_prompts(agent: Agent) -> dict[str, str]:
    """Give the last prompt that claude was given for each message, by the message's body."""
    prompts = [str(call["prompt"]) for call in agent.fake.calls() if call["prompt"]]
    return {prompt.splitlines()[-1]: prompt for prompt in prompts}


def _databases(agent: Agent) -> Iterator[str]:
    for path in (agent.inbox_db, agent.state_dir / "hyperhive-events.sqlite"):
        with closing(open_reader(path)) as db:
            result = db.execute("PRAGMA integrity_check").fetchone()[0]
        if result != "ok":
            yield f"{path.name}: {result}"
    for aside in agent.state_dir.glob("*.corrupt-*"):
        yield f"{aside.name} was put aside"


def _processes(agent: Agent) -> Iterator[str]:
    pids = {*agent.fake.started(), *agent.fake.spawned()}
    mark = f"{MARKER}={agent.state_dir}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            marked = mark in path.read_bytes().split(b"\0")
        except OSError:
            continue
        pids |= {int(path.parent.name)} if marked else set()
    left = [pid for pid in pids if process_state(pid) not in {None, "Z"}]
    if left:
        yield f"processes are left: {left}"


def outcomes(agents: list[Agent]) -> Counter[str]:
    """Count how the turns ended."""
    counted: Counter[str] = Counter()
    for agent in agents:
        with closing(open_reader(agent.inbox_db)) as db:
            counted.update(dict(db.execute("SELECT outcome, count(*) FROM turn_stats GROUP BY outcome")))
    return counted


def states(agents: list[Agent]) -> Counter[str]:
    """Count how the messages stand, and the redelivered ones."""
    counted: Counter[str] = Counter()
    for agent in agents:
        with closing(open_reader(agent.inbox_db)) as db:
            counted.update(dict(db.execute("SELECT state, count(*) FROM messages GROUP BY state")))
            counted["redelivered"] += db.execute("SELECT sum(acted) FROM messages").fetchone()[0] or 0
    return counted

"""The agent's loop with its files and a fake claude, as the composition root would join them."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.control import AgentControl
from hyperhive_cli.agent.loop import AgentLoop
from hyperhive_cli.claude.argv import Launch
from hyperhive_cli.claude.watch import TimeLimits
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.store.events import EventStore
from hyperhive_cli.store.inbox import Inbox, Lease
from hyperhive_cli.store.messages import Message
from tests.conftest import FakeClaude, Step, recording

Event = dict[str, Any]
LIMIT_S = 120.0
NOW = 1_700_000_000.0
TEXT: Step = {"recording": "v2.1.330/text.jsonl", "session_id": "from_argv"}
TEXT_SESSION: str = json.loads(recording("v2.1.330/text.jsonl")[0])["session_id"]
INIT: Step = {"recording": "v2.1.330/text.jsonl", "lines": [0, 1], "session_id": "from_argv"}
CRASH: list[Step] = [INIT, {"exit": 1}]
FOREVER: Step = {"wait_for": "a gate that stays shut"}


def replay(name: str, release: str = "2.1.330") -> list[Step]:
    return [{"replay": f"v{release}/{name}.jsonl", "session_id": "from_argv"}]


TOO_LONG = replay("prompt_too_long")


def refused(status: int, **fields: object) -> list[Step]:
    """Play a run that the API refuses in the end."""
    result = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": status, "result": "no"}
    return [INIT, {"line": {**result, **fields}}, {"exit": 1}]


def result(**fields: object) -> Step:
    """Print a good result, but for these fields."""
    return {"line": {"type": "result", "subtype": "success", "is_error": False, "result": "done", **fields}}


def limited(resets_at: int, **fields: object) -> list[Step]:
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": resets_at, **fields}}
    first, *rest = refused(429)
    return [first, {"line": event}, *rest]


def total(cost_usd: float, version: str, session_id: str = TEXT_SESSION) -> list[Step]:
    """Play a turn that reports this running total."""
    init = {"type": "system", "subtype": "init", "session_id": session_id, "claude_code_version": version}
    result = {"type": "result", "subtype": "success", "is_error": False, "result": "ok", "total_cost_usd": cost_usd}
    return [{"line": init}, {"line": result}]


@dataclass(slots=True)
class Life:
    """One life of the loop, from a start of the harness to its end."""

    bus: Bus
    loop: AgentLoop
    store: EventStore
    config: AgentConfig

    @property
    def control(self) -> AgentControl:
        return self.loop.control

    async def run(self) -> None:
        """Let the loop work to its end, as the harness does."""
        if not self.config.prewarm:
            await self.loop.run()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.loop.prewarm)
            nursery.start_soon(self._ring_when_warm)
            await self.loop.run()
            nursery.cancel_scope.cancel()

    async def _ring_when_warm(self) -> None:
        was = None
        while True:
            if (found := self.prewarmed_pid()) != was and found is not None:
                self.control.wake()
            was = found
            await trio.sleep(0.05)

    def prewarmed_pid(self) -> int | None:
        found = self.loop.control.snapshot()["prewarmed"]
        return None if found is None else found["pid"]

    async def waits(self, other_than: int | None = None) -> int:
        """Wait until a claude waits for the next message, another one than that; return its process id."""
        while True:
            if (found := self.prewarmed_pid()) is not None and found != other_than:
                return found
            await trio.sleep(0.005)

    async def saw(self, kind: str, count: int = 1, **fields: object) -> Event:
        """Wait for the count-th such event of this life."""
        async with aclosing(self._follow()) as events:
            async for event in events:
                count -= event["kind"] == kind and fields.items() <= event.items()
                if not count:
                    return event
        raise AssertionError(kind)

    async def _follow(self) -> AsyncGenerator[Event, None]:
        async with aclosing(self.bus.follow(self.bus.first_seq)) as batches:
            async for batch in batches:
                for record in batch:
                    yield json.loads(record.to_json())

    def events(self, kind: str) -> list[Event]:
        events = self.store.newest(2_000, (kind,), upto=self.bus.current_seq)
        return [json.loads(record.to_json()) for record in events if (record.seq or 0) > self.bus.first_seq]

    def outcomes(self) -> list[str]:
        return [event["outcome"] for event in self.events("turn_end")]

    def notes(self) -> list[str]:
        return [event["text"] for event in self.events("note")]


class PatientInbox(Inbox):
    """An inbox that gives no message away before a claude waits for it."""

    is_ready: Callable[[], bool]

    def lease(self, boot: str, model: str, *, now_ms: int) -> Lease | None:
        return Inbox.lease(self, boot, model, now_ms=now_ms) if self.is_ready() else None


class BusyInbox(Inbox):
    """An inbox that another process has locked when a fact is set for the first time."""

    fact_in_vain: str | None

    def put_facts(self, **facts: str) -> None:
        if self.fact_in_vain in facts:
            self.fact_in_vain = None
            raise StoreError("the inbox cannot be written: database is locked")
        Inbox.put_facts(self, **facts)


@dataclass(slots=True)
class World:
    """An agent's files and its claude, which outlive the loop."""

    fake: FakeClaude
    inbox: Inbox
    store: EventStore
    model_file: Path
    workspace: Path
    environment: dict[str, str]
    now: float = NOW
    warm: bool = False  # each message meets a claude that waits
    patient: bool = True  # and is held back until one does

    def put(self, body: str) -> int:
        return self.inbox.send("operator", body, now_ms=int(self.now * 1000)).id

    def get(self, message_id: int) -> Message:
        return self.inbox.get(message_id)

    @contextmanager
    def busy_once(self, fact: str) -> Iterator[Inbox]:
        """Let lives that begin in the block set this fact in vain at first; fails when none has tried."""
        usual, busy = self.inbox, BusyInbox(self.inbox.connection, self.inbox.place)
        self.inbox, busy.fact_in_vain = busy, fact
        yield busy
        self.inbox = usual
        assert busy.fact_in_vain is None

    def begin(self, **config: Any) -> Life:  # noqa: ANN401 - of AgentConfig
        """Begin a life of the harness as its composition root does."""
        limits = config.pop("limits", TimeLimits())
        config.setdefault("prewarm", self.warm)
        agent = AgentConfig(Launch((str(self.fake.path),)), self.workspace, self.environment, limits, **config)
        bus = Bus(self.store, model_file=self.model_file, now=lambda: self.now)
        bus.current.restore(self.inbox.fact("context_tokens"), self.inbox.fact("context_window"))
        self.inbox.recover(bus.boot, now_ms=int(self.now * 1000))
        self.inbox.limit_wait()
        patient = PatientInbox(self.inbox.connection, self.inbox.place)
        loop = AgentLoop(agent, patient if self.warm and self.patient else self.inbox, bus)
        # One that cannot be started is not waited for.
        patient.is_ready = lambda: loop.control.snapshot()["prewarmed"] is not None or not self.workspace.exists()
        return Life(bus, loop, self.store, agent)

    def drain(self, *runs: list[Step], **config: Any) -> Life:  # noqa: ANN401 - of AgentConfig
        """Let the loop work until nothing is left to run; it waits for nothing."""
        if runs:
            self.fake.script(*runs)
        life = self.begin(drain=True, drain_wait_s=0, **config)

        async def work() -> None:
            with trio.fail_after(LIMIT_S):
                await life.run()

        trio.run(work)
        return life

    def live(self, steer: Callable[[Life], Awaitable[object]], **config: Any) -> Life:  # noqa: ANN401 - of AgentConfig
        """Let the loop work while `steer` steers it, and stop it then."""
        life = self.begin(**config)

        async def work() -> None:
            with trio.fail_after(LIMIT_S):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(life.run)
                    await steer(life)
                    life.control.stop()

        trio.run(work)
        return life

    def arguments(self, flag: str) -> list[str | None]:
        """Return the value of a flag on each start of claude, None where it was not there."""
        found = []
        for call in self.fake.calls():
            words = [word for word in call["argv"] if word == flag or word.startswith(f"{flag}=")]
            found.append(words[0].partition("=")[2] if words else None)
        return found

    def prompts(self) -> list[str | None]:
        return [call["prompt"] for call in self.fake.calls()]

    def costs(self) -> list[float]:
        rows = self.inbox.connection.execute("SELECT cost_usd FROM turn_stats ORDER BY turn_id")
        return [round(row[0], 9) for row in rows]

"""The harness, the composition root: it opens everything, joins the parts, and closes them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import trio

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import account_of
from hyperhive_cli.agent.loop import AgentLoop
from hyperhive_cli.agent.maintenance import Maintenance, keep_history, recover
from hyperhive_cli.agent.schedule_keeper import ScheduleKeeper
from hyperhive_cli.agent.session import request_new_session
from hyperhive_cli.agent.settings_copy import open_settings
from hyperhive_cli.claude.process import become_subreaper, sweep_marked
from hyperhive_cli.control.peer import Peer
from hyperhive_cli.control.server import Consoles, open_control_server
from hyperhive_cli.core.errors import StoreError, UsageError
from hyperhive_cli.core.settings import TURN_VARIABLE
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.harness.config import HarnessConfig
from hyperhive_cli.harness.daily_report import DailyReports
from hyperhive_cli.harness.display import DisplayTask
from hyperhive_cli.harness.hook import HookConfig, open_hook
from hyperhive_cli.harness.login import LoginService
from hyperhive_cli.harness.operations import ControlHandler, refuse_turns
from hyperhive_cli.harness.slots import Slots
from hyperhive_cli.harness.stopping import RunningAgent, SignalTask
from hyperhive_cli.harness.web_panel import Panel, open_panel
from hyperhive_cli.hive.local_inbox import LocalInbox, open_local_inbox
from hyperhive_cli.hive.relay import Relay, open_relay
from hyperhive_cli.store.archive import Archive
from hyperhive_cli.store.events import EventStore, open_event_store
from hyperhive_cli.store.file_place import unsound_file_system, wal_bytes
from hyperhive_cli.store.folder import bound_elsewhere, hold_lock, is_gone, prepare_state_dir, write_holder
from hyperhive_cli.store.inbox import Inbox, open_inbox
from hyperhive_cli.store.lives import recorded_life
from hyperhive_cli.store.report import stored_status, with_live
from hyperhive_cli.store.wal import shrink_wal, wal_allowance
from hyperhive_cli.store.words import words_of

RESTART = -1  # no exit status: the program should start again with the same command line
DISPLAY_GRACE_S = 1.0  # for a line on a terminal that may be held up
LAST_SWEEP_S = 5.0  # for a history that grew faster than it was archived; the next life goes on with it
NO_PREWARM = (
    "--prewarm has no effect with --allow-cross-session: a message of another session could reach a claude that waits, "
    "and would be answered outside of any turn"
)


async def run_harness(config: HarnessConfig) -> int:
    """Run an agent until a signal comes, or in drain mode until nothing is left to run.

    Return the exit status: 0; 1 if a turn failed or messages were left by a drain; 128 + n after signal n; or RESTART.
    Raises AgentConflictError if another harness runs or the agent is bound to another folder, StoreError if the inbox
    cannot be used.
    """
    become_subreaper()
    signals = SignalTask()
    failed = await run_agent(config, signals)
    if signals.wants_restart:
        return RESTART
    if signals.wishes.exit_status is not None:
        return signals.wishes.exit_status
    return 1 if failed and config.agent.drain else 0


async def run_agent(
    config: HarnessConfig,
    signals: SignalTask,
    relay: Relay | None = None,
    slots: trio.Semaphore | None = None,
) -> bool:
    """Run the agent until it is stopped or drained. Return True if a turn failed or messages were left.

    `relay` and `slots` belong to a process with several agents. Raises as `run_harness`.
    """
    with (
        _opened(config) as (bus, inbox, maintenance, lock),
        open_settings(config.agent.settings_file, config.paths.state_dir, partial(bus.note, level="warning")) as copy,
    ):
        environment = {**config.agent.environment, TURN_VARIABLE: str(config.paths.state_dir)}
        agent = replace(config.agent, environment=environment, kept=(lock,), settings=copy)
        if agent.prewarm and agent.allow_cross_session:
            agent = replace(agent, prewarm=False)
            bus.note(NO_PREWARM, "warning")
        loop = AgentLoop(agent, inbox, bus)
        if slots is not None and config.hive is None:
            loop.take_from(Slots(slots, inbox, bus.now_ms))
        keeper = ScheduleKeeper(inbox, bus, loop.control.wake)
        logins = LoginService(agent, loop.control)
        handler = ControlHandler(bus, loop.control, inbox, logins, Consoles(int(config.has_console)))
        panel = Panel(bus)
        display = None if config.display is None else DisplayTask(config.display)

        def admit(op: str, peer: Peer | None) -> None:
            if not config.allow_self_control:
                refuse_turns(op, peer, panel.pid, config.paths.state_dir)

        work = trio.CancelScope()
        # Signals are taken until the display has shown everything: another Ctrl-C may hurry it.
        async with trio.open_nursery() as attending:
            async with trio.open_nursery() as viewers:
                if display is not None:
                    viewers.start_soon(display.follow, bus, inbox)
                async with (
                    open_control_server(config.paths.socket, handler, admit),
                    open_panel(config.panel, panel, partial(_announce, config, display)),
                    _joined(config, relay, inbox, bus, loop, handler),
                ):
                    with work:
                        async with open_hook(_hook(config, agent), bus, lambda: signals.wishes.is_hard):
                            await attending.start(signals.attend, RunningAgent(loop.control, work, display))
                            await keeper.fire()  # what was missed is part of a drain
                            beside = (partial(keep_history, bus), maintenance.run, logins.serve, keeper.run)
                            reports = _daily_reports(config, bus, inbox, handler)
                            with recorded_life(inbox, bus.now_ms):
                                await _work(loop, bus, (*beside, *reports), prewarm=agent.prewarm)
                bus.close()
                if display is not None:
                    display.finish(viewers.cancel_scope, bus.current_seq)
            unwritten = None if display is None else await _close_display(config, display)
            attending.cancel_scope.cancel()
    signals.wants_restart = loop.control.wants_restart and signals.wishes.exit_status is None
    if loop.broken is not None:
        raise UsageError(loop.broken, "hyperhive doctor")
    return loop.failed or unwritten is not None


async def tell(show: Callable[..., None], *words: str) -> None:
    """Show words on a terminal; one that is held up or cannot be written is left."""
    with trio.move_on_after(DISPLAY_GRACE_S), suppress(OSError):
        await trio.to_thread.run_sync(show, *words, abandon_on_cancel=True)


async def _close_display(config: HarnessConfig, display: DisplayTask) -> str | None:
    """Restore the terminal, and report on stderr what could not be shown. A terminal that is held up is left."""
    await display.suspend()
    unwritten = display.unwritten()
    if unwritten is not None:
        await tell(config.complain, unwritten)
    return unwritten


async def _work(
    loop: AgentLoop, bus: Bus, beside: Sequence[Callable[[], Awaitable[None]]], *, prewarm: bool
) -> None:  # fmt: skip
    """Run the loop to its end, and the tasks beside it until then; what is complete is archived at its end."""
    async with trio.open_nursery() as nursery:
        for task in (*beside, *((loop.prewarm,) if prewarm else ())):
            nursery.start_soon(task)
        await loop.run()
        with trio.move_on_after(LAST_SWEEP_S):  # an agent that only drains may never get as far as a sweep
            await bus.sweep()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _joined(
    config: HarnessConfig, relay: Relay | None, inbox: Inbox, bus: Bus, loop: AgentLoop, handler: ControlHandler
) -> AsyncIterator[None]:
    """Join the hive, if there is one, during the block."""
    hive = config.hive
    if hive is None:
        yield
        return
    assert isinstance(inbox, LocalInbox)  # noqa: S101 - `_opened` saw to it

    async with (
        nullcontext(relay) if relay is not None else open_relay(hive.url, hive.machine) as shared,
        shared.member(
            config.paths.agent,
            inbox,
            bus,
            loop.control,
            partial(_status, config, bus, handler),
            account=account_of(config.agent.environment),
            drain=config.agent.drain,
            retention=config.keep_messages,
        ) as member,
    ):
        loop.take_from(member)
        yield


async def _status(config: HarnessConfig, bus: Bus, handler: ControlHandler) -> Mapping[str, Any]:
    """Return the fields of `status --json`."""
    live = handler.snapshot()
    found = await trio.to_thread.run_sync(partial(stored_status, config.paths, now_ms=bus.now_ms()))
    return with_live(found, live)


def _daily_reports(
    config: HarnessConfig, bus: Bus, inbox: Inbox, handler: ControlHandler
) -> list[Callable[[], Awaitable[None]]]:
    """Return the task that publishes a report each day, if one is wanted."""
    if config.report_at is None:
        return []
    status, redact = partial(_status, config, bus, handler), config.agent.redactor.text
    return [DailyReports(config.report_at, config.paths, inbox, bus, status, redact).run]


async def _announce(config: HarnessConfig, display: DisplayTask | None, text: str) -> None:
    """Show a text that must not be stored."""
    if config.announce is not None:
        await tell(config.announce, text)
    elif display is not None:
        await display.say(text)


def _hook(config: HarnessConfig, agent: AgentConfig) -> HookConfig | None:
    """Return the hook of this life; its environment is claude's, and the agent's name.

    It runs in the state folder, because in the workspace the agent could plant a program or a module for it.
    """
    if not config.on_event:
        return None
    environment = {**agent.environment, "HYPERHIVE_AGENT": config.paths.agent}
    folder = config.paths.state_dir
    return HookConfig(config.on_event, config.on_event_kinds, folder, environment, agent.redactor, agent.kept)


@contextmanager
def _opened(config: HarnessConfig) -> Iterator[tuple[Bus, Inbox, Maintenance, int]]:
    """Take the lock, open the databases, recover what an earlier life left, and put in the first messages."""
    paths = config.paths
    prepare_state_dir(paths.state_dir)
    with ExitStack() as stack:
        lock = stack.enter_context(hold_lock(paths.lock_file, paths.agent))
        if wal_bytes(paths.events_db) > wal_allowance(paths.events_db):
            shrink_wal(paths.events_db)  # an earlier life's log may fill the disk, so that nothing could be written
            write_holder(lock)
        swept = sweep_marked(paths.state_dir)
        inbox = stack.enter_context((open_inbox if config.hive is None else open_local_inbox)(paths.inbox_db))
        inbox.check()
        moved_from = _bind_workspace(config, inbox)

        def open_history() -> EventStore:
            return stack.enter_context(open_event_store(paths.events_db))

        store, warning = _try_history(open_history, paths.events_db)
        archive, remarks = _open_archive(config)
        bus = Bus(store, archive, model_file=paths.model_file, given=int(inbox.fact("seq") or 0))
        bus.current.restore(inbox.fact("context_tokens"), inbox.fact("context_window"))
        bus.current.permission_mode = config.agent.launch.mode
        if bus.lost_upto:
            lost = f"the history {paths.events_db} lacks its newest events, at least up to number {bus.lost_upto}"
            remarks = [*remarks, f"{lost}; they are gone, and numbers go on at {bus.first_seq + 1}"]
        for remark in [*([] if warning is None else [warning]), *remarks]:
            bus.note(remark, "warning")
        if swept:
            bus.note(f"an earlier harness left processes behind: {swept} killed", "warning")
        if moved_from is not None:
            _take_over_workspace(config, inbox, bus, moved_from)
        recover(inbox, bus, bus.boot)
        limits = {"budget": config.agent.budget.to_text(), "reserve": config.agent.reserve.to_text()}
        changed = {name: text for name, text in limits.items() if (inbox.fact(name) or "") != text}
        if changed:
            inbox.put_facts(**changed)
        if config.model is not None and config.model != bus.current.model:
            bus.current.set_model(config.model)
        for sender, body in config.messages:
            inbox.send(sender, body, now_ms=bus.now_ms())
        inbox.limit_wait()
        later = open_history if store is None else None
        maintenance = Maintenance(bus, inbox, [paths.inbox_db, paths.events_db], later, config.keep_messages)
        yield bus, inbox, maintenance, lock
        inbox.check_place(adopt=False)  # one that was removed a moment ago is not lost with this process


def _bind_workspace(config: HarnessConfig, inbox: Inbox) -> str | None:
    """Bind the agent to its workspace; return the folder it was bound to if the workspace was moved from there.

    Raises AgentConflictError if the agent is bound to another folder.
    """
    bound = inbox.bind(str(config.agent.workspace))
    if bound == str(config.agent.workspace):
        return None
    if config.is_workspace_named and is_gone(bound):
        return bound
    raise bound_elsewhere(config.paths.agent, bound, running=True)


def _take_over_workspace(config: HarnessConfig, inbox: Inbox, bus: Bus, old: str) -> None:
    """Bind the agent to the folder its workspace was moved to. claude finds conversations by their folder."""
    new = str(config.agent.workspace)
    request_new_session(inbox)
    inbox.put_facts(workspace=new)
    bus.note(f"the workspace was moved from {old} to {new}: going on in a new session", "warning")


def _open_archive(config: HarnessConfig) -> tuple[Archive, list[str]]:
    """Open the archive; one that cannot be used is tried again, and reported, by the first sweep."""
    archive = Archive(config.paths.history, config.keep_history, words_of)
    try:
        return archive, archive.find_end()
    except StoreError:
        return archive, []


def _try_history(open_history: Callable[[], EventStore], path: Path) -> tuple[EventStore | None, str | None]:
    """Open the history, or continue without one: it may fail, the inbox may not."""
    try:
        store = open_history()
    except StoreError as error:
        return None, f"{error.message}; going on without a history"
    if store.moved is not None:
        return store, f"the history was damaged; it was moved to {store.moved}"
    if (found := unsound_file_system(path)) is not None:
        return store, f"the history {path} is on {found}, where SQLite's write-ahead log may damage it"
    return store, None

"""The bus, item by item: what it numbers, records and shows, and what it holds."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import (
    BusEvent,
    LiveEvent,
    ModelChanged,
    Note,
    StatusChanged,
    TokenUsageChanged,
    TurnStateChanged,
)
from hyperhive_cli.core.settings import HISTORY_CAPACITY, RING_CAPACITY
from hyperhive_cli.core.status import Status, TurnState, Wait
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.feed.bus import NOTE_LIMIT_CHARS, Bus
from hyperhive_cli.feed.ring_buffer import Subscription
from hyperhive_cli.store.events import EventStore, open_event_reader, open_event_store
from tests.feed.made_bus import (
    LINE,
    PARTIAL,
    Clock,
    Follower,
    follow_to_end,
    locked,
    publish,
    seqs,
    shown,
    stored,
)


def test_subscribers_see_only_what_comes_after_they_subscribed() -> None:
    bus = Bus()
    bus.note("before")
    subscription = bus.subscribe()
    assert shown(subscription) == []
    bus.note("one")
    later = bus.subscribe()
    bus.publish(Note(text="two"), LINE)
    assert shown(subscription) == [Note(text="one"), Note(text="two"), LINE]
    assert shown(later) == [Note(text="two"), LINE]
    assert shown(subscription) == []


def test_a_note_is_cut_whatever_it_quotes() -> None:
    bus = Bus()
    subscription = bus.subscribe()
    bus.note("x" * NOTE_LIMIT_CHARS)
    bus.note("x" * 10 * NOTE_LIMIT_CHARS)
    whole, cut = (event.text for event in shown(subscription) if isinstance(event, Note))
    assert (len(whole), len(cut), cut[-2:]) == (NOTE_LIMIT_CHARS, NOTE_LIMIT_CHARS, "x…")


def test_a_slow_subscriber_keeps_the_newest_256_and_is_told_how_many_it_missed() -> None:
    bus = Bus()
    slow, quick = bus.subscribe(), bus.subscribe()
    for number in range(1, 1_001):
        bus.note("x")
        assert seqs(quick.take()[1]) == [number]
    dropped, records = slow.take()
    assert RING_CAPACITY == 256
    assert (dropped, seqs(records)) == (1_000 - 256, list(range(745, 1_001)))
    assert slow.take() == (0, [])


def test_a_subscriber_that_lags_by_just_the_capacity_misses_nothing() -> None:
    bus = Bus()
    subscription = bus.subscribe()
    publish(bus, 256)
    dropped, records = subscription.take()
    assert (dropped, len(records)) == (0, 256)
    bus.publish(*[LINE] * 300)  # in one go
    dropped, records = subscription.take()
    assert (dropped, len(records), records[-1].seq) == (44, 256, 556)


def test_each_recorded_event_is_stamped_with_the_next_number_and_the_time(path: Path, store: EventStore) -> None:
    clock = Clock(1_795_364_671.0465)
    bus = Bus(store, now=clock)
    subscription = bus.subscribe()
    bus.publish(Note(text="a"), LINE)
    clock.now -= 3_600  # a clock that is set back changes nothing about the order
    bus.note("b")
    assert [(r.seq, r.ts) for r in subscription.take()[1]] == [
        (1, 1_795_364_671_046),
        (2, 1_795_364_671_046),
        (3, 1_795_361_071_046),
    ]
    assert bus.current_seq == 3
    assert seqs(stored(path)) == [1, 2, 3]


def test_numbers_go_on_after_the_store_was_opened_again(path: Path) -> None:
    boots = set()
    for life in range(3):
        with open_event_store(path) as store:
            bus = Bus(store)
            assert bus.current_seq == bus.first_seq == 2 * life
            publish(bus, 2)
            boots.add(bus.boot)
    assert seqs(stored(path)) == [1, 2, 3, 4, 5, 6]
    assert len(boots) == 3


def test_partial_lines_are_shown_but_neither_numbered_nor_stored(path: Path, store: EventStore) -> None:
    bus = Bus(store)
    subscription = bus.subscribe()
    bus.publish(LINE, PARTIAL, LINE)
    bus.publish(PARTIAL)
    assert seqs(subscription.take()[1]) == [1, None, 2, None]
    assert seqs(stored(path)) == [1, 2]
    assert bus.current_seq == 2


class WatchedStore(EventStore):
    """A store that notes what is visible already when it is asked to write."""

    seen: list[tuple[int, list[BusEvent]]]
    subscription: Subscription[BusEvent]

    def append(self, records: Sequence[BusEvent]) -> str | None:
        self.seen.append(self.subscription.take())
        return EventStore.append(self, records)


def test_an_event_is_durable_before_it_is_visible(path: Path, store: EventStore) -> None:
    watched = WatchedStore(store.connection)
    bus = Bus(watched)
    watched.seen, watched.subscription = [], bus.subscribe()
    bus.note("one")
    with open_event_reader(path) as reader:
        assert (watched.seen, reader.last_seq()) == ([(0, [])], 1)
    assert seqs(watched.subscription.take()[1]) == [1]


def test_another_connection_can_read_each_event_that_a_follower_sees(path: Path, store: EventStore) -> None:
    async def main() -> None:
        bus, follower = Bus(store), Follower()

        async def look() -> None:
            with open_event_reader(path) as reader:
                assert reader.newest(1)[0].seq == follower.records[-1].seq

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.follow, bus, None, look)
            for _ in range(20):
                await trio.testing.wait_all_tasks_blocked()
                bus.publish(LINE, LINE)
            bus.close()
        assert seqs(follower.records) == list(range(1, 41))

    trio.run(main)


def test_events_of_one_publish_are_one_commit(store: EventStore) -> None:
    commits: list[str] = []
    store.connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    Bus(store).publish(*[LINE] * 50)
    assert len(commits) == 1


def test_without_a_store_numbers_count_from_one_under_a_new_boot() -> None:
    first, second = Bus(), Bus()
    publish(first, 3)
    publish(second, 1)
    assert (first.current_seq, second.current_seq, second.first_seq) == (3, 1, 0)
    assert first.boot != second.boot
    assert (first.snapshot()["boot"], first.snapshot()["seq"]) == (first.boot, 3)


def test_the_history_is_read_oldest_first_page_by_page(store: EventStore) -> None:
    bus = Bus(store)
    publish(bus, 700)
    bus.close()
    assert seqs(follow_to_end(bus, 0)) == list(range(1, 701))


def test_a_sweep_leaves_the_newest_2000_of_the_history(path: Path, store: EventStore) -> None:
    assert HISTORY_CAPACITY == 2_000
    bus = Bus(store)
    for _ in range(21):
        bus.publish(*[LINE] * 100)
    trio.run(bus.sweep)
    assert seqs(stored(path)) == list(range(101, 2_101))
    bus.note("on")
    assert bus.current_seq == 2_101


def test_a_sweep_that_fails_is_a_warning(path: Path, store: EventStore) -> None:
    bus = Bus(store)
    subscription = bus.subscribe()
    with locked(path):
        trio.run(bus.sweep)
    first, *_ = shown(subscription)
    assert first == Note(text="old rows of the history cannot be deleted: database is locked", level="warning")
    trio.run(Bus().sweep)  # without a store there is nothing to do


# --- what the agent is doing now ---


def test_a_new_bus_is_online_idle_and_empty() -> None:
    clock = Clock(1_000.9)
    bus = Bus(now=clock)
    assert bus.snapshot() == {
        "boot": bus.boot,
        "stored": False,
        "seq": 0,
        "first_seq": 0,
        "status": "online",
        "waits_until": None,
        "why": None,
        "state": "idle",
        "since_unix": 1_000,
        "model": "haiku",
        "permission_mode": None,
        "usage": TokenUsage().to_dict(),
        "context_tokens": None,
        "context_window": None,
    }


def test_a_state_is_announced_with_since_when_and_only_when_it_changes() -> None:
    clock = Clock(1_000.0)
    bus = Bus(now=clock)
    subscription = bus.subscribe()
    clock.now = 1_005.7
    bus.current.set_state(TurnState.IDLE)
    assert (shown(subscription), bus.current.since_unix) == ([], 1_000)
    bus.current.set_state(TurnState.THINKING)
    clock.now = 1_010.0
    bus.current.set_state(TurnState.THINKING)
    assert (bus.current.state, bus.current.since_unix) == (TurnState.THINKING, 1_005)
    bus.current.set_state(TurnState.COMPACTING)
    assert shown(subscription) == [
        TurnStateChanged(state="thinking", since_unix=1_005),
        TurnStateChanged(state="compacting", since_unix=1_010),
    ]


def test_a_status_is_announced_when_it_changes() -> None:
    bus = Bus()
    subscription = bus.subscribe()
    for wait in (None, Wait(Status.NEEDS_LOGIN_IDLE), Wait(Status.NEEDS_LOGIN_IDLE), None):
        bus.current.know(wait=wait)
    assert shown(subscription) == [StatusChanged(status="needs_login_idle"), StatusChanged(status="online")]
    assert bus.snapshot()["status"] == "online"


def test_a_model_is_stored_and_announced(tmp_path: Path) -> None:
    file = tmp_path / "model"
    bus = Bus(model_file=file)
    subscription = bus.subscribe()
    bus.current.set_model("opus")
    assert (bus.current.model, file.read_text(), Bus(model_file=file).current.model) == ("opus", "opus\n", "opus")
    assert shown(subscription) == [ModelChanged(model="opus")]


def test_a_model_that_cannot_be_stored_is_not_announced(tmp_path: Path) -> None:
    bus = Bus(model_file=tmp_path / "nowhere" / "model")
    subscription = bus.subscribe()
    with pytest.raises(StoreError):
        bus.current.set_model("opus")
    assert (bus.current.model, shown(subscription)) == ("haiku", [])


def test_a_model_that_another_process_chose_is_published_once(tmp_path: Path) -> None:
    file = tmp_path / "model"
    bus = Bus(model_file=file)
    subscription = bus.subscribe()
    assert bus.current.refresh_model() == "haiku"
    file.write_text(" sonnet \n")
    assert [bus.current.refresh_model(), bus.current.refresh_model(), bus.current.model] == ["sonnet"] * 3
    file.unlink()
    assert bus.current.refresh_model() == "haiku"
    assert shown(subscription) == [ModelChanged(model="sonnet"), ModelChanged(model="haiku")]


def test_usage_is_held_and_announced_and_what_is_not_known_stays_as_it_was() -> None:
    bus = Bus()
    subscription = bus.subscribe()
    bus.current.record_usage(TokenUsage(1, 2, 3, 4), 500, 200_000)
    bus.current.record_usage(TokenUsage(5, 6, 7, 8), None, None)
    assert shown(subscription) == [
        TokenUsageChanged(usage=TokenUsage(1, 2, 3, 4), context_tokens=500, context_window=200_000),
        TokenUsageChanged(usage=TokenUsage(5, 6, 7, 8), context_tokens=500, context_window=200_000),
    ]
    assert bus.current.usage == TokenUsage(5, 6, 7, 8)


def test_what_an_earlier_life_knew_of_the_context_is_taken_over_in_silence() -> None:
    bus = Bus()
    subscription = bus.subscribe()
    bus.current.restore("300", "200000")
    assert (bus.current.context_tokens, bus.current.context_window, shown(subscription)) == (300, 200_000, [])
    bus.current.restore("", None)
    assert (bus.current.context_tokens, bus.current.context_window) == (None, None)


def calling(*names: object, **fields: object) -> dict[str, Any]:
    content = [{"type": "text", "text": "x"}, *({"type": "tool_use", "name": name} for name in names)]
    return {"type": "assistant", "message": {"content": content}, **fields}


def test_tool_calls_are_counted_by_name_and_taken_once() -> None:
    bus = Bus()
    bus.current.observe_stream(calling("Bash", "Read", "Bash"))
    bus.current.observe_stream(calling("Bash", parent_tool_use_id="t-1"))  # a subagent's calls count
    bus.current.observe_stream({"type": "user", "message": {"content": [{"type": "tool_use", "name": "Bash"}]}})
    taken = bus.current.take_tool_calls()
    assert taken == {"Bash": 3, "Read": 1}
    assert bus.current.take_tool_calls() == {}
    bus.current.observe_stream(calling("Read"))
    assert taken == {"Bash": 3, "Read": 1}
    assert bus.current.take_tool_calls() == {"Read": 1}


def test_a_tool_call_without_a_name_counts_as_unknown() -> None:
    bus = Bus()
    bus.current.observe_stream(calling(None, "", 7))
    bus.current.observe_stream({"type": "assistant", "message": {"content": [{"type": "tool_use"}]}})
    assert bus.current.take_tool_calls() == {"unknown": 4}


@pytest.mark.parametrize("message", [None, 7, [], {}, {"content": "text"}, {"content": [None, 7]}])
def test_lines_of_another_shape_are_observed_without_harm(message: object) -> None:
    bus = Bus()
    bus.current.observe_stream({"type": "assistant", "message": message})
    assert bus.current.take_tool_calls() == {}


def test_the_size_of_the_context_is_that_of_the_last_main_thread_answer() -> None:
    bus = Bus()
    usage = {"input_tokens": 1, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 300, "output_tokens": 9}
    bus.current.observe_stream({"type": "assistant", "message": {"usage": usage}})
    bus.current.observe_stream(
        {"type": "assistant", "message": {"usage": {"input_tokens": 5}}, "parent_tool_use_id": "t"}
    )
    bus.current.observe_stream({"type": "result", "usage": {"input_tokens": 900}})
    assert bus.current.context_tokens == 321


def apply(held: dict[str, Any], event: LiveEvent) -> None:
    """Do what a client does with an event."""
    match event:
        case TurnStateChanged():
            held |= {"state": event.state, "since_unix": event.since_unix}
        case StatusChanged():
            held["status"] = event.status
        case ModelChanged():
            held["model"] = event.model
        case TokenUsageChanged():
            held |= {"usage": event.usage.to_dict(), "context_tokens": event.context_tokens}
            held["context_window"] = event.context_window


@pytest.mark.parametrize("seed", range(5))
def test_a_snapshot_and_the_events_with_greater_numbers_give_what_the_bus_holds(seed: int) -> None:
    dice, clock = random.Random(seed), Clock(1_000.0)  # noqa: S311 - no secret
    bus = Bus(now=clock)
    changes: list[Callable[[], None]] = [
        lambda: bus.current.set_state(dice.choice(list(TurnState))),
        lambda: bus.current.know(wait=dice.choice([None, Wait(Status.FAILED)])),
        lambda: bus.current.know(is_paused=dice.choice([True, False])),
        lambda: bus.current.set_model(dice.choice(["haiku", "opus"])),
        lambda: bus.current.record_usage(TokenUsage(dice.randrange(9)), dice.randrange(99), 200),
    ]
    snapshots: list[dict[str, Any]] = [bus.snapshot()]
    for _ in range(40):
        clock.now += 1
        dice.choice(changes)()
        snapshots.append(bus.snapshot())
    bus.close()
    events = follow_to_end(bus, 0)
    for snapshot in snapshots:
        held = dict(snapshot)
        for record in events:
            if record.seq is not None and record.seq > snapshot["seq"]:
                apply(held, record.event)
        assert held == {**snapshots[-1], "seq": snapshot["seq"]}

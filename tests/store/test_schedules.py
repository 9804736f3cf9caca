"""Schedules of an inbox: their operations, and one message for each slot, even if processes compete or are killed."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import hyperhive_cli
from hyperhive_cli.core.errors import RefusedError, UnknownError, UsageError
from hyperhive_cli.core.schedules import LATE_MS, MOST_CAUGHT_UP, SLOTS_AT_ONCE, Schedule
from hyperhive_cli.store.inbox import Inbox, open_inbox
from hyperhive_cli.store.schedules import MAX_SCHEDULES
from tests.store.made_messages import lease, put, settle

ROOT = Path(hyperhive_cli.__file__).resolve().parents[1]
MINUTE_MS, DAY_MS = 60_000, 86_400_000
NOW = round(datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp() * 1000)
FIRST = NOW + 18 * 60 * MINUTE_MS  # 06:00 of the next day


def made(name: str = "nightly", expression: str = "0 6 * * *", **fields: Any) -> Schedule:  # noqa: ANN401
    return Schedule(0, name, expression, "UTC", "operator", "audit")._replace(**fields)


def add(inbox: Inbox, name: str = "nightly", expression: str = "0 6 * * *", **fields: Any) -> Schedule:  # noqa: ANN401
    return inbox.add_schedule(made(name, expression, **fields), now_ms=NOW)


def keys(inbox: Inbox) -> list[str | None]:
    return [message.key for message in inbox.messages(ended=True)]


def end_message(inbox: Inbox, now_ms: int) -> None:
    """End the first message at this moment; a key is kept for a week from then on."""
    done = settle(inbox, lease(inbox, now_ms=now_ms))
    inbox.connection.execute("UPDATE messages SET changed = ? WHERE id = ?", (now_ms, done.id))


def test_a_schedule_is_stored_and_found_again(inbox: Inbox) -> None:
    added = add(inbox, raw=True, missed="all", overlap="queue", jitter_s=300, sender=" ci ")
    assert added == inbox.find_schedule("nightly")
    assert (added.id, added.sender, added.raw, added.jitter_s, added.created) == (1, "ci", True, 300, NOW)
    assert (added.next_slot, added.last_slot, added.paused) == (FIRST, None, False)
    assert add(inbox, "another") == inbox.schedules()[0]


@pytest.mark.parametrize(
    "wrong",
    [{"name": "Not a name"}, {"body": " "}, {"sender": "a\nb"}, {"missed": "never"}, {"overlap": "both"},
     {"jitter_s": -1}, {"jitter_s": DAY_MS}, {"expression": "every day"}, {"zone": "Europe/Atlantis"}],
)  # fmt: skip
def test_an_unusable_schedule_is_refused(wrong: dict[str, Any], inbox: Inbox) -> None:
    with pytest.raises(UsageError):
        inbox.add_schedule(made()._replace(**wrong), now_ms=NOW)
    add(inbox)
    if "name" not in wrong:
        with pytest.raises(UsageError):
            inbox.edit_schedule("nightly", now_ms=NOW, **wrong)
    assert inbox.schedules() == [inbox.find_schedule("nightly")]


def test_a_name_is_given_once_and_there_are_not_too_many(inbox: Inbox) -> None:
    for number in range(MAX_SCHEDULES):
        add(inbox, f"s{number}")
    for name, why in (("s5", "already"), ("one-more", f"at most {MAX_SCHEDULES}")):
        with pytest.raises(RefusedError, match=why):
            add(inbox, name)
    inbox.remove_schedule("s5")
    assert add(inbox, "s5").id == MAX_SCHEDULES + 1  # so that its keys are new


@pytest.mark.parametrize("change", ["find", "edit", "pause", "resume", "remove", "run"])
def test_an_unknown_schedule_is_not_changed(change: str, inbox: Inbox) -> None:
    at = {} if change in {"find", "remove"} else {"now_ms": NOW}
    with pytest.raises(UnknownError, match="no schedule 'x'"):
        getattr(inbox, f"{change}_schedule")("x", **at)


def test_a_slot_sends_one_message_and_moves_the_schedule_on(inbox: Inbox) -> None:
    add(inbox, sender="ci", raw=True)
    assert inbox.fire_schedules(FIRST - 1) == []
    (fired,) = inbox.fire_schedules(FIRST)
    assert inbox.fire_schedules(FIRST) == []
    (message,) = inbox.messages()
    assert fired.messages == (message.id,)
    assert (message.key, message.sender, message.body, message.raw) == (f"schedule:1:{FIRST}", "ci", "audit", True)
    assert message.not_before == 0
    assert fired.schedule == inbox.find_schedule("nightly")
    assert (fired.schedule.next_slot, fired.schedule.last_slot) == (FIRST + DAY_MS, FIRST)
    assert (fired.schedule.fired, fired.schedule.skipped) == (1, 0)


def test_jitter_delays_the_message_and_not_its_slot(inbox: Inbox) -> None:
    add(inbox, jitter_s=3600)
    start = inbox.find_schedule("nightly").next_start
    inbox.fire_schedules(FIRST)
    (message,) = inbox.messages()
    assert message.not_before == start
    assert FIRST < message.not_before <= FIRST + 60 * MINUTE_MS


@pytest.mark.parametrize("state", ["ready", "leased", "done", "dead", "held"])
def test_a_slot_is_skipped_while_an_earlier_message_waits_or_runs(state: str, inbox: Inbox) -> None:
    add(inbox)
    (first,) = inbox.fire_schedules(FIRST)
    if state != "ready":
        taken = lease(inbox, now_ms=FIRST)
        if state != "leased":
            settle(inbox, taken, state)
    (second,) = inbox.fire_schedules(FIRST + DAY_MS)
    if state in {"ready", "leased"}:
        assert (second.messages, second.skipped, second.blocked_by) == ((), 1, first.messages[0])
        assert second.schedule.last_skipped == FIRST + DAY_MS
    else:
        assert (len(second.messages), second.skipped, second.blocked_by) == (1, 0, None)
    assert second.schedule.next_slot == FIRST + 2 * DAY_MS


def test_another_schedule_and_other_messages_do_not_block_a_slot(inbox: Inbox) -> None:
    for number in range(12):
        add(inbox, f"s{number}")
    put(inbox, key="schedule:")
    assert [fired.blocked_by for fired in inbox.fire_schedules(FIRST)] == [None] * 12
    assert [fired.blocked_by for fired in inbox.fire_schedules(FIRST + DAY_MS)] == list(range(2, 14))


def test_slots_queue_if_that_is_wanted(inbox: Inbox) -> None:
    add(inbox, overlap="queue")
    for day in range(3):
        inbox.fire_schedules(FIRST + day * DAY_MS)
    assert keys(inbox) == [f"schedule:1:{FIRST + day * DAY_MS}" for day in range(3)]


@pytest.mark.parametrize(("missed", "days"), [("skip", []), ("once", [2]), ("all", [0, 1, 2])])
def test_an_outage_of_three_days_sends_what_was_asked_for(missed: str, days: list[int], inbox: Inbox) -> None:
    add(inbox, missed=missed)
    (fired,) = inbox.fire_schedules(FIRST + 2 * DAY_MS + LATE_MS)
    assert keys(inbox) == [f"schedule:1:{FIRST + day * DAY_MS}" for day in days]
    assert (fired.schedule.fired, fired.schedule.skipped) == (len(days), 3 - len(days))
    assert fired.blocked_by is None
    assert inbox.fire_schedules(FIRST + 2 * DAY_MS + LATE_MS) == []


def test_a_long_outage_is_worked_off_step_by_step(inbox: Inbox) -> None:
    add(inbox, expression="* * * * *", missed="all")
    now, steps = NOW + 3 * SLOTS_AT_ONCE * MINUTE_MS, 0
    while inbox.fire_schedules(now):
        steps += 1
    found = inbox.find_schedule("nightly")
    assert (found.fired, found.skipped, found.last_slot) == (MOST_CAUGHT_UP, 3 * SLOTS_AT_ONCE - MOST_CAUGHT_UP, now)
    assert 3 <= steps <= 4


def test_the_slots_of_a_pause_are_not_missed(inbox: Inbox) -> None:
    add(inbox, missed="all")
    assert inbox.pause_schedule("nightly", now_ms=NOW).next_slot is None
    assert inbox.fire_schedules(FIRST + DAY_MS) == []
    resumed = inbox.resume_schedule("nightly", now_ms=FIRST + DAY_MS)
    assert (resumed.paused, resumed.next_slot) == (False, FIRST + 2 * DAY_MS)
    assert inbox.resume_schedule("nightly", now_ms=FIRST + 5 * DAY_MS) == resumed  # it was not paused


def test_another_text_keeps_a_slot_that_has_come_and_another_time_does_not(inbox: Inbox) -> None:
    add(inbox)
    inbox.edit_schedule("nightly", body="audit all", now_ms=FIRST + 1)
    inbox.fire_schedules(FIRST + 2)
    assert [message.body for message in inbox.messages()] == ["audit all"]
    edited = inbox.edit_schedule("nightly", expression="0 7 * * *", zone="Europe/Berlin", now_ms=FIRST + DAY_MS + 1)
    assert edited.next_slot == FIRST + 2 * DAY_MS
    with pytest.raises(UsageError, match="not a field that can be changed: fired"):
        inbox.edit_schedule("nightly", fired=7, now_ms=NOW)


def test_a_message_now_is_one_beside_the_slots(inbox: Inbox) -> None:
    add(inbox)
    number = inbox.run_schedule("nightly", now_ms=NOW)
    assert inbox.get(number).not_before == 0
    assert inbox.run_schedule("nightly", now_ms=NOW) == number + 1
    assert inbox.find_schedule("nightly").next_slot == FIRST
    (fired,) = inbox.fire_schedules(FIRST)  # it has not run yet
    assert fired.blocked_by in {number, number + 1}


def test_a_removed_schedule_sends_no_more_and_its_messages_stay(inbox: Inbox) -> None:
    add(inbox)
    inbox.fire_schedules(FIRST)
    inbox.remove_schedule("nightly")
    assert inbox.fire_schedules(FIRST + DAY_MS) == []
    assert len(inbox.messages()) == 1


@pytest.mark.parametrize("back_ms", [1000, LATE_MS + 17 * 60 * MINUTE_MS])
def test_a_clock_that_is_set_back_sends_no_slot_twice(back_ms: int, inbox: Inbox) -> None:
    add(inbox)
    inbox.fire_schedules(FIRST)
    end_message(inbox, FIRST)
    for now in range(FIRST - back_ms, FIRST + DAY_MS + 1, 60 * MINUTE_MS // 2):
        inbox.fire_schedules(now)
    inbox.fire_schedules(FIRST + DAY_MS)
    assert keys(inbox) == [f"schedule:1:{FIRST}", f"schedule:1:{FIRST + DAY_MS}"]


def test_a_clock_that_was_years_ahead_for_a_moment_stops_no_schedule(inbox: Inbox) -> None:
    add(inbox)
    while inbox.fire_schedules(NOW + 3650 * DAY_MS):
        pass
    end_message(inbox, NOW + 3650 * DAY_MS)
    inbox.fire_schedules(NOW)
    assert inbox.find_schedule("nightly").next_slot == FIRST
    (fired,) = inbox.fire_schedules(FIRST)
    assert len(fired.messages) == 1


def test_a_zone_that_has_vanished_pauses_its_schedule_and_no_other(inbox: Inbox) -> None:
    add(inbox, "a", zone="Europe/Berlin")
    add(inbox, "b")
    inbox.connection.execute("UPDATE schedules SET zone = 'Europe/Atlantis' WHERE name = 'a'")
    a, b = inbox.fire_schedules(FIRST)
    assert (a.schedule.name, a.schedule.paused, a.messages) == ("a", True, ())
    assert "Europe/Atlantis" in (a.problem or "")
    assert len(b.messages) == 1
    with pytest.raises(UsageError, match="Atlantis"):
        inbox.resume_schedule("a", now_ms=FIRST)


def test_the_keys_of_old_slots_are_freed_though_no_one_sends_anything(inbox: Inbox) -> None:
    add(inbox)
    for day in range(12):
        inbox.fire_schedules(FIRST + day * DAY_MS)
        end_message(inbox, FIRST + day * DAY_MS)
    assert keys(inbox)[:4] == [None] * 4
    assert keys(inbox)[-7:] == [f"schedule:1:{FIRST + day * DAY_MS}" for day in range(5, 12)]


# Two processes fire the same schedules while their common clock goes on by ten minutes a step, over three days in which
# summer time ends. One or both are killed and started again at every few steps, wherever they are then.
FIRING = """
import mmap, os, random, select, signal, struct, sys
from pathlib import Path
from hyperhive_cli.store.inbox import open_inbox

path, start, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
dice, clock, STEPS = random.Random(7), mmap.mmap(-1, 8), 3 * 144
import cronsim

def fire(pipe):
    with open_inbox(path) as inbox:
        while True:
            inbox.fire_schedules(struct.unpack("q", clock[:])[0])
            os.write(pipe, b"x")

def start_one():
    read, pipe = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        try:
            fire(pipe)
        finally:
            os._exit(1)
    os.close(pipe)
    return pid, read

def end(pid, read):
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "it failed by itself"
    os.close(read)

deaths = set(dice.sample(range(STEPS), kills))
clock[:] = struct.pack("q", start)
running = [start_one(), start_one()]
for step in range(1, STEPS + 1):
    clock[:] = struct.pack("q", start + step * 600_000)
    if step in deaths:
        end(*running.pop(0))
        running.append(start_one())
    for read in select.select([read for _, read in running], [], [])[0]:
        os.read(read, 4096)
for one in running:
    os.read(one[1], 65536), os.read(one[1], 1), os.read(one[1], 1)
    end(*one)
"""
EACH_SLOT = {"hourly": "0 * * * *", "daily": "30 2 * * *", "often": "*/15 * * * *", "weekdays": "0 6 * * 1-5"}


def test_two_processes_that_are_killed_send_each_slot_once(path: Path) -> None:
    start = round(datetime(2026, 10, 24, 10, 0, tzinfo=UTC).timestamp() * 1000)
    with open_inbox(path) as inbox:
        for name, expression in EACH_SLOT.items():
            schedule = made(name, expression, zone="Europe/Berlin", missed="all", overlap="queue")
            inbox.add_schedule(schedule, now_ms=start)
    command = [sys.executable, "-c", FIRING, str(path), str(start), "24"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with open_inbox(path) as inbox:
        inbox.check()
        sent = {found.name: found.fired for found in inbox.schedules()}
        assert sent == {"hourly": 72, "daily": 3, "often": 4 * 72, "weekdays": 2}
        assert len(set(keys(inbox))) == len(keys(inbox)) == sum(sent.values())
        assert all(found.skipped == 0 for found in inbox.schedules())

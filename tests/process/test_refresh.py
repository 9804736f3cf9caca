"""One agent's turn at a time renews a login that several share; the others wait for it, but not forever."""

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
import trio

from hyperhive_cli.agent import refresh
from hyperhive_cli.agent.refresh import LOCK_NAME, Refresh, take_lock
from tests.conftest import wait_until
from tests.process.world import INIT, TEXT, Life, World, refused

SOON, LATER = 100.0, 3_600.0  # seconds in which an access token ends
WAITS = "waiting: another agent is renewing the login that both use"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "POLL_EVERY_S", 0.02)


def log_in(world: World, ends_in_s: float, **fields: object) -> None:
    """Put a login where claude keeps it, as claude does: another file in its place."""
    folder = Path(world.environment["HOME"], ".claude")
    folder.mkdir(exist_ok=True)
    login = {"accessToken": "a", "refreshToken": "b", "expiresAt": round((time.time() + ends_in_s) * 1000), **fields}
    (folder / "new").write_text(json.dumps({"claudeAiOauth": login}))
    (folder / "new").replace(folder / ".credentials.json")


def lock(world: World) -> IO[bytes] | None:
    """Be another agent of this login."""
    return take_lock(Path(world.environment["HOME"], ".claude", LOCK_NAME))


def is_locked(world: World) -> bool:
    found = lock(world)
    if found is not None:
        found.close()
    return found is None


def started(world: World) -> int:
    return len(world.fake.calls())


def test_a_turn_waits_while_another_agent_renews_the_login(world: World) -> None:
    log_in(world, SOON)
    other = lock(world)
    assert other is not None
    world.put("one")
    world.fake.script([TEXT])

    async def steer(life: Life) -> None:
        await life.saw("note", text=WAITS)
        assert started(world) == 0
        log_in(world, LATER)  # it is renewed, whether the lock is free or not
        await life.saw("turn_end", outcome="ok")

    with other:
        life = world.live(steer)
    assert life.notes().count(WAITS) == 1


@pytest.mark.parametrize(("step_s", "is_due"), [(LATER, True), (-2 * LATER, False)])
def test_when_a_login_ends_is_a_moment_of_the_worlds_clock(
    step_s: float, is_due: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept, or whose clock was set, sees it at its next look."""
    log_in(world, LATER if is_due else SOON)
    found = Refresh(world.environment, print)
    assert found.is_due() is not is_due
    monkeypatch.setattr(refresh, "time", SimpleNamespace(time=lambda: time.time() + step_s))
    assert found.is_due() is is_due


def test_a_turn_that_waits_can_be_cancelled_and_starts_no_claude(world: World) -> None:
    log_in(world, SOON)
    message_id = world.put("one")

    async def steer(life: Life) -> None:
        await life.saw("note", text=WAITS)
        life.control.cancel()
        ended = await life.saw("turn_end", outcome="cancelled")
        assert ended["exit_status"] is None  # of no claude

    other = lock(world)
    assert other is not None
    with other:
        world.live(steer)
    assert world.get(message_id).state == "cancelled"


def test_it_waits_no_longer_than_a_refresh_can_take(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "LIMIT_S", 0.1)
    log_in(world, SOON)
    world.put("one")
    other = lock(world)
    assert other is not None
    with other:
        life = world.drain([TEXT])
    assert (life.outcomes(), life.notes().count(WAITS)) == (["ok"], 1)


@pytest.mark.parametrize(
    "fields",
    [{}, {"refreshToken": ""}, *({"expiresAt": end} for end in ("soon", None, 10**400, float("nan")))],
    ids=["not due", "nothing to renew it with", "no time", "no end", "beyond all time", "no number"],
)
def test_no_one_waits_for_a_login_that_is_not_renewed(fields: dict[str, object], world: World) -> None:
    log_in(world, SOON if fields else LATER, **fields)
    world.put("one")
    other = lock(world)
    assert other is not None
    with other:
        assert world.drain([TEXT]).outcomes() == ["ok"]


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"])
def test_a_key_is_renewed_by_nobody(name: str, world: World) -> None:
    log_in(world, SOON)
    world.environment[name] = "sk-ant-dummy"
    world.put("one")
    other = lock(world)
    assert other is not None
    with other:
        assert world.drain([TEXT]).outcomes() == ["ok"]


def test_without_a_lock_no_one_waits(world: World) -> None:
    log_in(world, SOON)
    Path(world.environment["HOME"], ".claude", LOCK_NAME).mkdir()
    world.put("one")
    assert world.drain([TEXT]).outcomes() == ["ok"]


def test_the_others_go_on_when_it_is_renewed_and_not_at_the_end_of_the_turn(world: World) -> None:
    log_in(world, SOON)
    world.put("one")
    world.fake.script([INIT, {"wait_for": "go on"}, TEXT])

    async def steer(life: Life) -> None:
        await life.saw("stream")
        assert is_locked(world)
        log_in(world, LATER)
        await trio.to_thread.run_sync(wait_until, lambda: not is_locked(world))
        world.fake.touch("go on")
        await life.saw("turn_end", outcome="ok")

    world.live(steer)


def test_a_login_that_claude_does_without_is_waited_for_once(world: World) -> None:
    """An expired login beside a key helper, say, is never renewed: it must not let the agents wait for each other."""
    log_in(world, SOON)
    world.put("one")
    world.put("two")
    world.fake.script([INIT, {"wait_for": "first"}, TEXT], [INIT, {"wait_for": "second"}, TEXT])

    async def steer(life: Life) -> None:
        await life.saw("stream")
        assert is_locked(world)
        world.fake.touch("first")
        await life.saw("turn_end", outcome="ok")
        await life.saw("turn_start", 2)
        await trio.to_thread.run_sync(wait_until, lambda: started(world) == 2)
        assert not is_locked(world)
        world.fake.touch("second")
        await life.saw("turn_end", 2, outcome="ok")

    world.live(steer)


def test_after_a_turn_that_has_shown_nothing_it_is_waited_for_again(world: World) -> None:
    log_in(world, SOON)
    world.put("one")
    world.put("two")
    world.fake.script(refused(400), [INIT, {"wait_for": "second"}, TEXT])

    async def steer(life: Life) -> None:
        await life.saw("turn_end", outcome="bad_request")
        await life.saw("turn_start", 2)
        await life.saw("stream", type="system", subtype="init")
        await trio.to_thread.run_sync(wait_until, lambda: is_locked(world))
        world.fake.touch("second")
        await life.saw("turn_end", outcome="ok")

    world.live(steer)


def test_no_claude_is_started_ahead_that_would_renew_the_login(world: World) -> None:
    log_in(world, SOON)

    async def steer(life: Life) -> None:
        assert life.loop._waiting_argv() is None  # noqa: SLF001 - what it would let wait
        log_in(world, LATER)
        life.control.wake()
        await life.waits()

    world.live(steer, prewarm=True)

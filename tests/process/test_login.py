"""Logins under the loop: the wait for one, the probe that looks for it, and the talk with `claude auth login`."""

import json
import math
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from uuid import uuid4

import pytest
import trio
import trio.testing

from hyperhive_cli.agent import backoff, credentials, scheduler
from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.credentials import credentials_changed, credentials_signature, is_logged_in
from hyperhive_cli.claude import process
from hyperhive_cli.claude.argv import Launch
from hyperhive_cli.core.errors import RefusedError, UsageError
from hyperhive_cli.harness import login_session
from hyperhive_cli.harness.login import LoginService
from hyperhive_cli.harness.login_session import (
    CLIENT_GRACE_S,
    COMPLAINT_LIMIT_CHARS,
    LOGIN_LIMIT_S,
    OUTPUT_LIMIT_CHARS,
    Login,
)
from tests.conftest import Step, wait_until
from tests.process.test_guard import sleepers
from tests.process.world import FOREVER, INIT, LIMIT_S, TEXT, Life, World

REFUSED: Step = {
    "line": {
        "type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10, "retry_delay_ms": 500.0,
        "error_status": 401, "error": "authentication_failed",
    }
}  # fmt: skip


# --- the wait for a login ---


@pytest.fixture
def _never_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the look at the credential files as the only way out of the wait."""
    for module in (scheduler, backoff):
        monkeypatch.setattr(module, "LOGIN_PROBE_S", math.inf)
    monkeypatch.setattr(backoff, "MAX_LOGIN_PROBE_S", math.inf)
    monkeypatch.setattr(credentials, "POLL_EVERY_S", 0.02)


def log_in(world: World, content: str = "{}") -> None:
    """Write credentials as `claude auth login` does: another file in their place."""
    folder = Path(world.environment["HOME"], ".claude")
    folder.mkdir(exist_ok=True)
    (folder / "new").write_text(content)
    (folder / "new").replace(folder / ".credentials.json")


@pytest.mark.usefixtures("_never_probed")
def test_the_first_refusal_ends_the_turn_and_the_message_runs_after_a_login(world: World) -> None:
    message_id = world.put("one")
    world.fake.script([INIT, REFUSED, FOREVER], [TEXT], logged_in="file")  # only an interrupt ends the first

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="needs_login_idle")
        assert (world.get(message_id).state, world.get(message_id).attempts) == ("ready", 0)
        world.fake.touch("logged_in")
        log_in(world)
        await life.saw("turn_end", outcome="ok")

    life = world.live(steer)
    retries = [event for event in life.events("stream") if event.get("subtype") == "api_retry"]
    assert (len(retries), life.outcomes()) == (1, ["needs_login", "ok"])
    assert [event["status"] for event in life.events("status_changed")] == ["needs_login_idle", "online"]
    assert (world.get(message_id).state, world.get(message_id).attempts) == ("done", 1)


@pytest.mark.usefixtures("_never_probed")
def test_a_login_under_the_harness_ends_the_wait_by_itself(world: World) -> None:
    world.put("one")
    world.fake.script([INIT, REFUSED, FOREVER], [TEXT], logged_in="file")

    async def steer(life: Life) -> None:
        service = LoginService(life.config, life.control)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.serve)
            await life.saw("status_changed", status="needs_login_idle")
            service.start()
            service.pass_on("a-code")
            await life.saw("turn_end", outcome="ok")
            nursery.cancel_scope.cancel()

    life = world.live(steer)
    statuses = [event["status"] for event in life.events("status_changed")]
    assert statuses == ["needs_login_idle", "needs_login_in_progress", "online"]


@pytest.mark.usefixtures("_never_probed")
def test_new_credentials_that_are_none_end_no_wait_and_the_next_ones_are_seen(world: World) -> None:
    world.put("one")
    world.fake.script([INIT, REFUSED, FOREVER], [TEXT], logged_in="file")

    async def steer(life: Life) -> None:
        await life.saw("status_changed", status="needs_login_idle")
        log_in(world, "not yet")
        await trio.to_thread.run_sync(wait_until, (world.fake.folder / "probes.txt").exists)
        assert life.bus.current.status == "needs_login_idle"
        world.fake.touch("logged_in")
        log_in(world, "now")
        await life.saw("turn_end", outcome="ok")

    world.live(steer)


# --- what counts as a change of the credentials ---


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, "home/.claude/.credentials.json"),
        ({}, "home/.claude/.config.json"),
        ({}, "home/.claude.json"),
        ({"CLAUDE_CONFIG_DIR": "own"}, "own/.credentials.json"),
        ({"CLAUDE_CONFIG_DIR": "own"}, "own/.claude.json"),
        ({"CLAUDE_CONFIG_DIR": "own", "CLAUDE_SECURESTORAGE_CONFIG_DIR": "safe"}, "safe/.credentials.json"),
        ({"CLAUDE_CONFIG_DIR": "own", "CLAUDE_SECURESTORAGE_CONFIG_DIR": ""}, "home/.claude/.credentials.json"),
    ],
)
def test_each_file_that_a_login_writes_is_looked_at(variables: dict[str, str], place: str, tmp_path: Path) -> None:
    environment = {name: str(tmp_path / value) if value else "" for name, value in variables.items()}
    environment |= {"HOME": str(tmp_path / "home")}
    before = credentials_signature(environment)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text('{"primaryApiKey": "sk-dummy"}')
    assert credentials_signature(environment, before) != before


def test_the_end_of_a_turn_writes_the_settings_and_is_no_login(tmp_path: Path) -> None:
    environment, settings = {"HOME": str(tmp_path)}, tmp_path / ".claude.json"
    settings.write_text('{"numStartups": 1, "oauthAccount": {"emailAddress": "a@b.c"}}')

    async def changes(text: str, is_login: bool) -> bool:
        since = credentials_signature(environment)
        settings.write_text(text)
        with trio.move_on_after(LIMIT_S if is_login else 0.2):
            await credentials_changed(environment, since)
            return True
        return False

    for text, is_login in (
        ('{"numStartups": 2, "projects": {}, "oauthAccount": {"emailAddress": "a@b.c"}}', False),
        ('{"numStartups": 2, "oauthAccount": {"emailAddress": "d@e.f"}}', True),
        ('{"half', True),
        ('"no object"', False),
    ):
        assert trio.run(changes, text, is_login) is is_login


def test_without_a_moment_to_start_from_it_is_now(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    (tmp_path / ".claude.json").write_text('{"primaryApiKey": "old"}')

    async def main() -> bool:
        with trio.move_on_after(0.2):
            await credentials_changed(environment)
            return True
        return False

    assert not trio.run(main)


# --- the probe, and the talk; claude is a shell script here ---


def agent_of(tmp_path: Path, script: str, environment: dict[str, str]) -> AgentConfig:
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return AgentConfig(Launch((str(program),)), tmp_path, environment)


@pytest.fixture
def number() -> str:
    """Return a number of seconds to sleep that marks this test's processes among all others."""
    return f"{10_000 + uuid4().int % 80_000}.{uuid4().int % 100_000:05}"


@pytest.mark.parametrize(("script", "expected"), [("exit 0", True), ("exit 1", False), ("kill -9 $$", False)])
def test_claude_says_whether_it_is_logged_in(
    script: str, expected: bool, tmp_path: Path, environment: dict[str, str]
) -> None:
    assert trio.run(is_logged_in, agent_of(tmp_path, script, environment)) is expected


def test_a_claude_that_cannot_be_asked_is_not_logged_in(tmp_path: Path, environment: dict[str, str]) -> None:
    assert trio.run(is_logged_in, AgentConfig(Launch(("/nowhere/claude",)), tmp_path, environment)) is False


def test_a_probe_that_hangs_is_ended_with_all_that_it_started(
    number: str, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "PROBE_LIMIT_S", 0.5)
    agent = agent_of(tmp_path, f"trap '' INT TERM; setsid sleep {number} & sleep {number}", environment)
    assert trio.run(is_logged_in, agent) is False
    assert sleepers(number) == []


def test_a_cancelled_probe_leaves_nothing_behind(number: str, tmp_path: Path, environment: dict[str, str]) -> None:
    agent = agent_of(tmp_path, f"setsid sleep {number} & touch asked; sleep {number}", environment)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(is_logged_in, agent)
            await trio.to_thread.run_sync(wait_until, lambda: len(sleepers(number)) == 2)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert sleepers(number) == []


def talk(world: World, script: str, steer: Callable[[LoginService, Login], Awaitable[object]]) -> Login:
    """Begin a login with this script as claude, which is not logged in, and return it once it is over."""
    life = world.begin()
    script = f'test "$2" = status && exit 1\n{script}'
    service = LoginService(agent_of(world.workspace, script, world.environment), life.control)

    async def main() -> Login:
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.serve)
                service.start()
                assert service.login is not None
                await steer(service, service.login)
                await service.login.over.wait()
                nursery.cancel_scope.cancel()
                return service.login

    return trio.run(main)


ASKED = "https://example.org/page\nPaste > "
ASK = "printf 'https://example.org/page\\nPaste > '"


async def wait(_: LoginService, login: Login) -> None:
    await login.over.wait()


def test_a_login_that_is_not_finished_is_ended(number: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_session, "LOGIN_LIMIT_S", 1.8)
    monkeypatch.setattr(process, "INTERRUPT_GRACE_S", 0.1)
    found = talk(world, f"echo https://example.org/page; sleep {number}", wait).to_dict()
    assert found == {
        "url": "https://example.org/page",
        "output": "https://example.org/page\n",
        "clients": 0,
        "finished": True,
        "ok": False,
        "note": "no one finished the login within 0.03 min",
    }
    assert sleepers(number) == []


def test_a_login_that_is_deaf_to_signals_can_be_cancelled(
    number: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "INTERRUPT_GRACE_S", 0.1)
    monkeypatch.setattr(process, "TERMINATE_GRACE_S", 0.1)

    async def cancel(service: LoginService, login: Login) -> None:
        await trio.to_thread.run_sync(wait_until, lambda: login.output)
        await service.cancel()

    found = talk(world, f"trap '' INT TERM; echo up; setsid sleep {number} & sleep {number}", cancel)
    assert (found.ok, found.note) == (False, "the login was cancelled")
    assert sleepers(number) == []


def lasts(steer: Callable[[Login], Awaitable[None]]) -> tuple[float, str | None]:
    """Return when a login that clients follow so is over, in seconds of a clock that jumps, and why."""

    async def main() -> tuple[float, str | None]:
        login, began = Login(), trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(steer, login)
            await login.wait_for_end()
            nursery.cancel_scope.cancel()
        return trio.current_time() - began, login.note

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_login_ends_a_grace_after_its_last_client_has_gone() -> None:
    async def steer(login: Login) -> None:
        with login.followed():
            await trio.sleep(10)
        await trio.sleep(CLIENT_GRACE_S - 1)
        with login.followed(), login.followed():  # taken over
            await trio.sleep(2 * CLIENT_GRACE_S)
        await trio.sleep_forever()

    assert lasts(steer) == (10 + 4 * CLIENT_GRACE_S - 1, f"no one followed the login for {CLIENT_GRACE_S:g} s")


@pytest.mark.parametrize("is_followed", [True, False])
def test_a_login_that_is_followed_or_never_was_has_its_whole_time(is_followed: bool) -> None:
    async def steer(login: Login) -> None:
        with login.followed() if is_followed else nullcontext():
            await trio.sleep_forever()

    assert lasts(steer) == (LOGIN_LIMIT_S, "no one finished the login within 15 min")


def test_what_a_login_says_is_bounded_and_its_complaint_kept(world: World) -> None:
    script = "yes | head -c 1000000; echo 'first' >&2; echo 'the reason' >&2; echo >&2; exit 3"
    found = talk(world, script, wait)
    assert len(found.output) <= OUTPUT_LIMIT_CHARS + 1
    assert (found.ok, found.note) == (False, "the reason")


def test_what_is_kept_of_an_endless_line_is_bounded_too() -> None:
    login = Login()
    for is_complaint in (False, True) * 3:
        login.add("x" * OUTPUT_LIMIT_CHARS, is_complaint=is_complaint)
    assert len(login.output) == OUTPUT_LIMIT_CHARS + 1
    assert len(login.complaint) == COMPLAINT_LIMIT_CHARS


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("exit 4", "claude exited with status 4"),
        ("exit 0", "claude exited without a login"),  # ... and `auth status` fails
        ("kill -9 $$", "claude exited with status -9"),
    ],
)
def test_a_login_without_a_word_says_how_claude_ended(script: str, note: str, world: World) -> None:
    found = talk(world, script, wait)
    assert (found.ok, found.note) == (False, note)


def test_a_claude_that_cannot_be_started_is_no_login(world: World) -> None:
    life = world.begin()
    service = LoginService(AgentConfig(Launch(("/nowhere/claude",)), world.workspace, world.environment), life.control)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.serve)
            service.start()
            assert service.login is not None
            await service.login.over.wait()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert service.login is not None
    assert (service.login.note or "").startswith("cannot start claude: ")
    assert life.bus.current.status == "online"


def test_claude_opens_no_browser(world: World) -> None:
    assert talk(world, 'echo "[$BROWSER]"; exit 1', wait).output == "[true]\n"


def test_a_page_counts_once_it_is_whole() -> None:
    login = Login()
    login.add("visit: https://example.org/a", is_complaint=False)
    assert login.to_dict()["url"] is None
    login.add("bc\nPaste > ", is_complaint=False)
    assert login.to_dict()["url"] == "https://example.org/abc"
    login.add("no\n", is_complaint=True)
    assert login.output.endswith("Paste > \nno\n")
    json.dumps(login.to_dict())


@pytest.mark.parametrize("code", ["", "  ", "two\nlines", "\x1b[2J", "x" * 5000])
def test_what_is_no_code_is_not_passed_on(code: str, world: World) -> None:
    async def steer(service: LoginService, _: Login) -> None:
        with pytest.raises(UsageError):
            service.pass_on(code)
        service.pass_on(" a-code ")

    assert talk(world, f'{ASK}; read -r code; echo "<$code>"; exit 1', steer).output == f"{ASKED}\n<a-code>\n"


def test_a_code_that_comes_before_claude_asks_is_passed_on_then(world: World) -> None:
    """claude may lose what is on its stdin before."""
    go = world.workspace / "go on"
    early = "until test -e 'go on'; do sleep 0.01; done; timeout 0.2 head -n 1 > early"

    async def steer(service: LoginService, login: Login) -> None:
        await trio.to_thread.run_sync(wait_until, lambda: login.output)
        service.pass_on("a-code")
        go.touch()

    script = f'echo up; {early}; {ASK}; read -r code; echo "<$code>"; exit 1'
    assert talk(world, script, steer).output.endswith("> \n<a-code>\n")
    assert (world.workspace / "early").read_bytes() == b""


def test_a_second_login_joins_and_a_logout_waits_its_turn(world: World) -> None:
    async def steer(service: LoginService, login: Login) -> None:
        service.start()
        assert service.login is login
        with pytest.raises(RefusedError):
            await service.log_out()
        service.pass_on("go on")

    talk(world, f"{ASK}; read -r code; exit 1", steer)

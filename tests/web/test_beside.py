"""`run --web`: the panel beside the harness, its token, its end, and its failures, which affect no turn."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from hyperhive_cli.claude import guard
from hyperhive_cli.control.peer import Peer
from hyperhive_cli.core.errors import RefusedError
from hyperhive_cli.core.events import Note
from hyperhive_cli.feed.bus import Bus
from hyperhive_cli.harness import web_panel as panels
from hyperhive_cli.harness.config import PanelConfig
from hyperhive_cli.harness.operations import refuse_turns
from hyperhive_cli.harness.web_panel import MAX_DEATHS, Panel
from tests.conftest import FakeClaude, parent_of, process_state, wait_until
from tests.harness import LIMIT_S, TEXT, Hive, Program, of_kind, outcomes
from tests.web.site import Site

ADDRESS = re.compile(r"web panel: (http://127\.0\.0\.1:\d+/)#token=([\w-]{43})")
UNIX_ADDRESS = re.compile(r"web panel: (http://localhost/)#token=([\w-]{43})")


@contextmanager
def beside(hive: Hive, *arguments: str) -> Iterator[tuple[Program, Site]]:
    """Run the harness with a panel, and wait for its address."""
    with hive.run("--web", "--web-bind", "127.0.0.1:0", *arguments) as program:
        found = wait_until(lambda: ADDRESS.fullmatch("\n".join(program.stderr)))
        assert found is not None
        yield program, Site(found[1], found[2], program)


def family(pid: int) -> list[int]:
    """Return the descendants of a process."""
    found = [pid]
    for one in found:
        found += guard.children(one)
    return found[1:]


def panel_of(program: Program) -> int:
    """Return the panel's process, and not its guard, whose arguments include the same words."""
    (pid,) = [pid for pid in family(program.pid) if b"\0-P\0-m\0" in Path(f"/proc/{pid}/cmdline").read_bytes()[:200]]
    return pid


def is_gone(pid: int) -> bool:
    return process_state(pid) in {None, "Z"}


def test_the_panel_controls_the_harness_that_started_it_and_stops_with_it(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with beside(hive) as (program, site):
        pid = panel_of(program)
        with site.stream("since=0") as stream:
            assert stream.named("snapshot").data["running"] is True
            assert site.post("/api/messages", body="from the panel").json()["id"] == 1
            program.wait_for_kind("turn_end", outcome="ok")
            assert stream.numbers(3) == [1, 2, 3]
        assert program.interrupt() == 130
        assert is_gone(pid)
        assert len(program.stderr) == 1


def test_the_token_is_in_its_file_and_in_no_argument_variable_log_line_or_row(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    with beside(hive, "--message", "one") as (program, site):
        token = site.token.encode()
        program.wait_for_kind("turn_end")
        site.get("/api/state")
        site.ask("GET", f"/api/nothing?token={site.token}")
        for pid in (program.pid, *family(program.pid)):
            for name in ("cmdline", "environ"):
                assert token not in Path(f"/proc/{pid}/{name}").read_bytes()
        assert b"HYPERHIVE_TURN" in Path(f"/proc/{panel_of(program)}/environ").read_bytes()
        program.interrupt()
        assert site.token not in "\n".join(program.stdout)
        assert "\n".join(program.stderr).count(site.token) == 1  # the address
    files = [path for path in hive.state_dir.rglob("*") if path.is_file()]
    assert len(files) > 2
    assert [path.name for path in files if token in path.read_bytes()] == ["token"]


def test_a_harness_that_is_killed_takes_the_panel_with_it(hive: Hive) -> None:
    with beside(hive) as (program, _):
        pid = panel_of(program)
        program.send(signal.SIGKILL)
        program.wait()
        wait_until(lambda: is_gone(pid))


def test_a_panel_that_dies_is_restarted_and_open_pages_continue(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    place = hive.state_dir / "web.sock"
    with hive.run("--web", "--web-bind", f"unix:{place}") as program:
        found = wait_until(lambda: UNIX_ADDRESS.fullmatch("\n".join(program.stderr)))
        assert found is not None
        site = Site(found[1], found[2], program, unix=str(place))
        first = panel_of(program)
        os.kill(first, signal.SIGKILL)
        note = program.wait_for_kind("note", level="warning")
        assert note["text"] == ("the web panel exited with status -9; the agent goes on, the panel restarts in 1.0s")
        assert hive.call("send", "one", "--wait").status == 0
        wait_until(lambda: answers(site))
        assert site.post("/api/messages", body="by the token of the one before").json()["id"] == 2
        assert panel_of(program) != first
        program.interrupt()
        assert len(program.stderr) == 1  # the address is the same; that it ended with the harness is no death


def answers(site: Site) -> bool:
    with suppress(OSError):
        return site.ask("GET", "/").status == 200
    return False


@pytest.mark.exhaustive
def test_a_panel_that_dies_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real program with an address on which it cannot listen, and without pauses between its starts."""
    monkeypatch.setattr(panels, "FIRST_RETRY_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        bus = Bus()

        async def live() -> None:
            config = PanelConfig(("-a", "bee", "web", f"--bind={bind}"), tmp_path, dict(os.environ))
            with trio.fail_after(LIMIT_S):
                await Panel(bus).run(config, not_shown)

        trio.run(live)
    died = (
        f"the web panel exited with status 1: Error: cannot listen on {bind}: Address already in use "
        "Try: another HOST:PORT or unix:PATH; "
    )
    *notes, last = said(bus)
    assert notes == [f"{died}the agent goes on, the panel restarts in 0.0s"] * (MAX_DEATHS - 1)
    assert last == (
        f"{died}giving up after 5 times in a row, the agent goes on. By hand: hyperhive -a bee web --bind={bind}"
    )


def test_the_death_of_a_panel_that_ran_for_long_is_the_first_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panels, "FIRST_RETRY_S", 0.0)
    monkeypatch.setattr(panels, "GOOD_S", -1.0)
    bus = Bus()

    async def outlive() -> None:
        config = PanelConfig(("no-such-command",), tmp_path, dict(os.environ))
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Panel(bus).run, config, not_shown)
                async for _ in bus.subscribe().batches():
                    if len(said(bus)) > MAX_DEATHS:
                        nursery.cancel_scope.cancel()

    trio.run(outlive)
    assert {text.partition(";")[2] for text in said(bus)} == {" the agent goes on, the panel restarts in 0.0s"}


def test_nonsense_from_the_panel_does_not_disturb_the_harness() -> None:
    shown: list[str] = []

    async def show(text: str) -> None:
        shown.append(text)

    async def listen() -> None:
        async with trio.open_nursery() as nursery:
            for words in (b"not JSON\n", b"[]\n", b"{}\n", b"7\n"):
                panels._address_to(show, nursery)(words)  # noqa: SLF001 - what hears it
            hear = panels._address_to(show, nursery)  # noqa: SLF001
            for piece in (b'{"url": ', b'"http://x/"}', b"\nand more", b'\n{"url": "http://y/"}\n'):
                hear(piece)

    trio.run(listen)
    assert shown == ["web panel: http://x/"]


async def not_shown(text: str) -> None:
    raise AssertionError(f"there is no address to show: {text}")


def said(bus: Bus) -> list[str]:
    events = [record.event for record in bus._ring.records]  # noqa: SLF001 - what was said, in order
    return [event.text for event in events if isinstance(event, Note)]


def test_a_drain_does_not_wait_for_the_panel(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    done = hive.drain("--web", "--web-bind", "127.0.0.1:0", "--message", "one")
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
    assert of_kind(done.json_lines(), "note") == []


def test_the_panel_may_control_the_harness_and_its_other_children_may_not() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        assert parent_of(pid) == os.getpid()
        peer = Peer(pid, os.getuid())
        refuse_turns("cancel", peer, panel=pid)
        for other in (None, pid + 1):
            with pytest.raises(RefusedError, match="a turn may not steer its own harness"):
                refuse_turns("cancel", peer, panel=other)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

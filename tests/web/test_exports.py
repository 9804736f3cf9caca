"""A transcript as a file, over HTTP: the same as the command writes, with little memory."""

import threading
from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.types import Message, Scope

from hyperhive_cli.web import exports
from tests.conftest import FakeClaude
from tests.harness import LIMIT_S, TEXT, Hive
from tests.web.site import Site


@pytest.mark.parametrize("form", ["jsonl", "md", "html"])
def test_an_export_is_what_the_command_writes(form: str, site: Site, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "one", "--message", "two <b>")
    for query, words in (("", []), ("&turn=2", ["--turn", "2"])):
        answer = site.ask("GET", f"/agents/bee/api/export?format={form}{query}")
        wanted = hive.call("-a", "bee", "export", "--format", form, *words).stdout
        assert (answer.status, answer.body.decode()) == (200, wanted)
        headers = dict(answer.headers)
        assert headers["content-type"].split(";")[0] == exports.MEDIA[form]
        assert headers["content-disposition"] == f'attachment; filename="bee{"-turn-2" if query else ""}.{form}"'
    for query, status in (("turn=99", 404), ("turn=x", 400), ("format=pdf", 400)):
        assert site.ask("GET", f"/api/export?{query}").status == status


def test_an_agent_without_a_history_has_an_empty_one(site: Site, hive: Hive) -> None:
    hive.call("send", "one")
    answer = site.ask("GET", "/api/export")
    assert (answer.status, answer.body) == (200, b"")


def test_exports_at_the_same_time_are_whole(site: Site, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "one")
    wanted = hive.call("-a", "bee", "export").stdout.encode()
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(site.ask("GET", "/api/export").body)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 6


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x"


async def serve(taken: int, *, hangs_up: bool) -> list[int]:
    """Serve a client that takes so many chunks and no more; return the open exports meanwhile and after, and aborts."""
    found, left, aborts, served = list[int](), anyio.Event(), list[int](), exports.Exports(None)  # type: ignore[arg-type]

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    def abort() -> None:
        aborts.append(1)
        left.set()

    async def send(message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        if message.get("body"):
            found.append(served.open_count)
        if len(found) > taken:
            if hangs_up:
                left.set()
            await anyio.sleep_forever()

    scope: Scope = {"type": "http", "state": {"abort": abort}}
    with anyio.fail_after(LIMIT_S):
        await exports.Download(served, endless(), headers={}, media_type="text/plain")(scope, receive, send)
    return [*set(found), served.open_count, len(aborts)]


@pytest.mark.parametrize("hangs_up", [True, False])
def test_a_client_that_takes_no_more_or_leaves_makes_room_for_others(
    hangs_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "TAKE_LIMIT_S", LIMIT_S if hangs_up else 0.05)
    assert anyio.run(lambda: serve(3, hangs_up=hangs_up)) == [1, 0, 0 if hangs_up else 1]

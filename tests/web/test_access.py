"""The token in its file: kept, changed, unsafe, lost; and the addresses of the panels that run."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import segno

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.web.access import PanelFiles, Token, new_token, open_token
from tests.cli.test_secrets import shown_on_a_terminal
from tests.conftest import wait_until
from tests.forkserver import Forkserver
from tests.harness import Hive
from tests.web.site import open_site, plain_environment, web_words

WARNINGS: list[str] = []


@pytest.fixture
def files(tmp_path: Path) -> PanelFiles:
    return PanelFiles(tmp_path / "state")


def test_a_token_is_made_once_and_is_for_its_owner_alone(files: PanelFiles) -> None:
    before = os.umask(0)
    try:
        token = open_token(files, WARNINGS.append).current()
    finally:
        os.umask(before)
    assert open_token(files, WARNINGS.append).current() == token
    assert files.make_token() == token  # of two gateways that start together, one is faster
    assert files.token_file.stat().st_mode & 0o777 == 0o600
    assert files.folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in files.folder.iterdir()] == ["token"]
    assert WARNINGS == []


def test_a_running_gateway_takes_a_new_token_and_keeps_it_when_the_file_is_lost_or_damaged(files: PanelFiles) -> None:
    changes: list[str] = []
    token = open_token(files, WARNINGS.append)
    token.on_change = lambda: changes.append(token.current())
    first = token.current()
    second = files.change_token()
    assert (token.current(), changes) == (second, [second])
    assert first != second
    for damage in (b"", b"too short", b"x" * 5000, new_token().encode()):
        files.token_file.write_bytes(damage)
        files.token_file.chmod(0o644)  # and so the last one is known to others
        assert token.current() == second
    files.token_file.unlink()
    assert token.current() == second
    assert changes == [second]
    third = files.change_token()
    assert (token.current(), changes) == (third, [second, third])


@pytest.mark.parametrize("kind", ["readable", "short", "long", "fifo", "link", "folder"])
def test_what_is_not_safe_is_refused_until_it_is_replaced(kind: str, files: PanelFiles, tmp_path: Path) -> None:
    files.change_token()
    path = files.token_file
    if kind == "readable":
        path.chmod(0o640)
    elif kind in {"short", "long"}:
        path.write_text("x" * (42 if kind == "short" else 5000))
    else:
        path.unlink()
        make: dict[str, Callable[[], None]] = {
            "fifo": lambda: os.mkfifo(path),
            "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
            "folder": path.mkdir,
        }
        make[kind]()
        (tmp_path / "elsewhere").write_text(new_token())
    with pytest.raises(StoreError, match=f"the token in {path} cannot be used: ") as caught:
        open_token(files, WARNINGS.append)
    assert caught.value.hint == "hyperhive web --new-token"
    if kind != "folder":
        assert files.change_token() == files.token()


def test_a_token_that_cannot_be_stored_serves_one_start() -> None:
    warnings: list[str] = []
    nowhere = PanelFiles(Path("/proc"))  # a folder in which no one can write, root included
    tokens = {open_token(nowhere, warnings.append).current() for _ in range(2)}
    assert len(tokens) == len(warnings) == 2
    assert warnings[0].startswith("the token cannot be stored in /proc/.web: ")
    assert warnings[0].endswith("; the next start has another one")
    with Token("given").registered("http://x/"):  # nothing to register
        pass


def test_only_gateways_that_run_are_named(files: PanelFiles) -> None:
    with files.registered("http://a/"), files.registered("http://b/"):
        assert sorted(files.running()) == ["http://a/", "http://b/"]
        (files.folder / "running-0").write_text("http://dead/")
        (files.folder / "running-1").mkdir()
        assert sorted(files.running()) == ["http://a/", "http://b/"]
        assert not (files.folder / "running-0").exists()
    assert files.running() == []


def test_the_token_lasts_over_restarts_and_the_page_of_an_old_one_is_disconnected(
    state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    environment = plain_environment(tmp_path)
    with open_site(forkserver, web_words(state_dir), environment, tmp_path) as site:
        first = site.token
        site.program.send(signal.SIGKILL)
        site.program.wait()
    with open_site(forkserver, web_words(state_dir), environment, tmp_path) as site:
        assert site.token == first
        with site.stream() as stream, site.stream() as other:
            stream.named("snapshot")
            other.named("snapshot")
            second = PanelFiles(state_dir).change_token()
            for told in (stream, other):  # without any further request
                with pytest.raises((EOFError, ConnectionError)):
                    told.next()
        assert site.ask("GET", "/api/state").status == 401
        site.token = second
        assert site.get("/api/state")["agent"] == "bee"


class Everyone(Hive):
    """All agents of a home folder: commands do not name an agent unless told to."""

    def words(self, *arguments: str) -> list[str]:
        return [*arguments]


def test_show_and_new_token_find_every_panel_of_this_machine(hive: Hive) -> None:
    everyone = Everyone(hive.workspace, hive.state_dir, hive.claude, hive.environment, hive.forkserver)
    for name in ("bee", "wasp"):
        assert everyone.call("-a", name, "send", "hi", "--new").status == 0
    assert everyone.call("web", "--show").refusal() == "no panel runs"
    assert "no panel runs" in everyone.call("web", "--new-token").stderr
    with everyone.start("web", "--bind", "127.0.0.1:0") as all_agents:
        (line,) = wait_until(lambda: all_agents.stdout)
        shown = everyone.call("web", "--show")
        assert (shown.stdout, shown.stderr) == (f"{line}\n", "")
        with everyone.start("web", "bee", "--bind", "127.0.0.1:0") as of_bee:
            (of_bee_line,) = wait_until(lambda: of_bee.stdout)
            shown = everyone.call("web", "--show")
            assert shown.stdout.splitlines() == [line, of_bee_line]
            assert shown.stderr.splitlines() == ["all agents:", "bee:"]
            assert everyone.call("-a", "bee", "web", "--show").stdout.splitlines() == [of_bee_line]
            assert everyone.call("web", "--show", "wasp").refusal() == "no panel runs"
            (new,) = everyone.call("web", "--new-token", "bee").stdout.splitlines()
            assert new.partition("#")[0] == of_bee_line.partition("#")[0]
            assert new != of_bee_line
            assert everyone.call("web", "--show").stdout.splitlines() == [line, new]
            found = json.loads(everyone.call("web", "--new-token", "--json").stdout)
            assert [one["agent"] for one in found] == [None, "bee"]
            assert len({one["token"] for one in found} | {line[-43:], new[-43:]}) == 4


def drawn_code(shown: str) -> list[list[bool]]:
    """Return the dark modules of a code that is drawn in half blocks, of which the light ones are drawn."""
    dark = {" ": (True, True), "\u2580": (False, True), "\u2584": (True, False), "\u2588": (False, False)}
    rows: list[list[bool]] = []
    for line in re.findall(r"\x1b\[97;40m(.*?)\x1b\[0m", shown):
        rows += zip(*(dark[one] for one in line), strict=True)  # type: ignore[arg-type]
    return [list(row) for row in rows]


def test_a_terminal_is_drawn_the_address_as_a_code_if_a_phone_can_reach_it(hive: Hive) -> None:
    files = PanelFiles(hive.state_dir)
    token = files.change_token()
    with files.registered("https://bee.example.org/bees/"):
        url = f"https://bee.example.org/bees/#token={token}"
        assert hive.call("web", "--show").stdout == f"{url}\n"  # in a pipe alone
        shown = shown_on_a_terminal(hive, "web", "--show")
        assert shown.startswith(f"{url}\r\n")
        code = [list(map(bool, row)) for row in segno.make(url, error="l", micro=False).matrix_iter(border=2)]
        assert drawn_code(shown)[: len(code)] == code
    with files.registered("http://127.0.0.1:8420/"):
        shown = shown_on_a_terminal(hive, "web", "--show")
        assert shown.startswith("http://127.0.0.1:8420/#token=")
        assert drawn_code(shown) == []

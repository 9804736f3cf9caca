"""Names, folders and limits."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.settings import (
    SOCKET_PATH_LIMIT_BYTES,
    AgentPaths,
    agent_name_of_folder,
    check_agent_name,
    check_model_name,
    resolve_paths,
)

HOME = {"HOME": "/home/me"}
HERE = Path("/work/my-project")


def resolve(agent: str | None = None, state_dir: str | None = None, **environ: str) -> AgentPaths:
    return resolve_paths(agent, None if state_dir is None else Path(state_dir), HERE, HOME | environ)


@pytest.mark.parametrize("name", ["a", "0", "bee", "bee-2_x", "a" * 64, "0-", "x__"])
def test_an_agent_may_be_called_so(name: str) -> None:
    assert check_agent_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "bee 2", "a/b", "..", "a.b", "a\n", "é", "a" * 65, "٣"])
def test_an_agent_may_not_be_called_so(name: str) -> None:
    with pytest.raises(UsageError, match="not a valid agent name") as caught:
        check_agent_name(name)
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/work/my-project", "my-project"),
        ("/work/My Project", "my-project"),
        ("/work/My  (old) Project!", "my-old-project"),
        ("/work/.dotted.name", "dotted-name"),
        ("/work/__init__", "init"),
        ("/work/Straße", "stra-e"),
        ("/work/" + "long-" * 30, ("long-" * 30)[:64]),
    ],
)
def test_a_folder_gives_its_agent_a_name(folder: str, name: str) -> None:
    assert agent_name_of_folder(Path(folder)) == name


@pytest.mark.parametrize("folder", ["/", "/work/日本", "/work/---", "/work/..."])
def test_a_folder_without_a_usable_name_asks_for_one(folder: str) -> None:
    with pytest.raises(UsageError, match="no agent name can be derived"):
        agent_name_of_folder(Path(folder))


@given(st.text(min_size=1).filter(lambda name: "/" not in name and "\x00" not in name))
def test_a_name_from_a_folder_is_one_that_an_agent_may_have(name: str) -> None:
    try:
        found = agent_name_of_folder(Path("/work") / name)
    except UsageError:
        return
    assert check_agent_name(found) == found


@pytest.mark.parametrize(
    ("name", "trimmed"),
    [
        ("haiku", "haiku"),
        ("  opus \n", "opus"),
        ("claude-haiku-5-5", "claude-haiku-5-5"),
        ("us.anthropic.claude:0", "us.anthropic.claude:0"),
        ("opus[1m]", "opus[1m]"),
        ("arn:aws:bedrock/x", "arn:aws:bedrock/x"),
        ("m" * 200, "m" * 200),
    ],
)
def test_a_models_name_is_checked_for_its_form_only(name: str, trimmed: str) -> None:
    assert check_model_name(name) == trimmed


@pytest.mark.parametrize(
    "name", ["", " ", "\n", "a b", "a\tb", "-x", "--help", " -x", "a\x00", "a\x1b[m", "a\u2028b", "m" * 201]
)
def test_what_has_not_the_form_of_a_models_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_model_name(name)


def test_an_agents_files_lie_in_its_state_folder() -> None:
    paths = resolve("bee")
    folder = Path("/home/me/.local/state/hyperhive/bee")
    assert paths == AgentPaths(
        agent="bee",
        state_dir=folder,
        events_db=folder / "hyperhive-events.sqlite",
        model_file=folder / "hyperhive-model",
        socket=folder / "control.sock",
        explicit=True,
    )
    assert (paths.inbox_db, paths.lock_file) == (folder / "hyperhive-inbox.sqlite", folder / "harness.lock")


def test_without_a_name_the_agent_is_called_like_the_workspace() -> None:
    paths = resolve()
    assert (paths.agent, paths.explicit) == ("my-project", False)
    assert paths.state_dir == Path("/home/me/.local/state/hyperhive/my-project")


def test_a_name_that_no_agent_may_have_is_refused() -> None:
    with pytest.raises(UsageError):
        resolve("../bee")


@pytest.mark.parametrize(
    ("given_home", "folder"),
    [
        ("/state", "/state/hyperhive/bee"),
        ("", "/home/me/.local/state/hyperhive/bee"),
        ("relative", "/home/me/.local/state/hyperhive/bee"),
        ("./relative", "/home/me/.local/state/hyperhive/bee"),
    ],
)
def test_the_state_home_of_xdg_counts_where_it_is_absolute(given_home: str, folder: str) -> None:
    assert resolve("bee", XDG_STATE_HOME=given_home).state_dir == Path(folder)


def test_a_state_folder_that_was_named_is_the_agents_own() -> None:
    paths = resolve("bee", "/mnt/state", XDG_STATE_HOME="/state")
    assert paths.state_dir == Path("/mnt/state")
    assert paths.events_db == Path("/mnt/state/hyperhive-events.sqlite")


def test_without_a_home_there_is_no_default() -> None:
    with pytest.raises(UsageError, match="HOME"):
        resolve_paths("bee", None, HERE, {})


def test_without_a_home_a_folder_that_was_named_will_do() -> None:
    assert resolve_paths("bee", Path("/mnt/state"), HERE, {}).socket == Path("/mnt/state/control.sock")


def test_the_history_and_the_model_may_lie_elsewhere() -> None:
    paths = resolve("bee", "/mnt/state", HYPERHIVE_EVENTS_DB="/db/e.sqlite", HYPERHIVE_MODEL_FILE="/etc/model")
    assert (paths.events_db, paths.model_file) == (Path("/db/e.sqlite"), Path("/etc/model"))
    assert paths.inbox_db == Path("/mnt/state/hyperhive-inbox.sqlite")


def test_an_empty_override_is_none() -> None:
    assert resolve("bee", HYPERHIVE_EVENTS_DB="", HYPERHIVE_MODEL_FILE="") == resolve("bee")


LONGEST = "/" + "s" * (SOCKET_PATH_LIMIT_BYTES - len("//control.sock"))


def test_a_socket_lies_in_the_state_folder_while_its_path_is_short_enough() -> None:
    assert resolve("bee", LONGEST).socket == Path(LONGEST) / "control.sock"
    assert len(bytes(resolve("bee", LONGEST).socket)) == SOCKET_PATH_LIMIT_BYTES


@pytest.fixture
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a system without /proc."""
    monkeypatch.setattr(sys, "platform", "darwin")


def test_on_linux_no_path_is_too_long_for_a_socket() -> None:
    assert resolve("bee", LONGEST * 3).socket == Path(LONGEST * 3) / "control.sock"


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize(
    ("runtime", "folder"),
    [("/run/user/1", "/run/user/1/hyperhive"), ("", "/home/me/.hyperhive"), ("relative", "/home/me/.hyperhive")],
)
def test_a_socket_with_a_longer_path_lies_elsewhere(runtime: str, folder: str) -> None:
    socket = resolve("bee", LONGEST + "s", XDG_RUNTIME_DIR=runtime).socket
    assert socket.parent == Path(folder)
    assert socket.suffix == ".sock"
    assert len(bytes(socket)) <= SOCKET_PATH_LIMIT_BYTES


@pytest.mark.usefixtures("_elsewhere")
def test_the_limit_of_a_sockets_path_counts_bytes() -> None:
    assert resolve("bee", "/" + "é" * 45).socket.parent == Path("/home/me/.hyperhive")


@pytest.mark.usefixtures("_elsewhere")
def test_two_folders_never_share_a_socket_and_one_always_has_the_same() -> None:
    folders = [LONGEST + "a", LONGEST + "b", LONGEST + "a"]
    one, other, again = (resolve("bee", folder).socket for folder in folders)
    assert one == again
    assert one != other


@pytest.mark.usefixtures("_elsewhere")
def test_a_socket_finds_a_short_place_even_under_a_long_home() -> None:
    paths = resolve_paths("bee", None, HERE, {"HOME": "/home/" + "x" * 120})
    assert len(bytes(paths.socket)) <= SOCKET_PATH_LIMIT_BYTES
    assert paths.socket.parent.name.startswith("hyperhive-")

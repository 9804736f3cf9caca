"""What the configuration files may say, and what an error tells."""

from pathlib import Path

import click
import pytest

from hyperhive_cli.claude.redact import redacted_command
from hyperhive_cli.cli.config_file import (
    NOWHERE,
    USER_ALONE,
    WORKSPACE_MAY,
    Kind,
    Source,
    merge,
    read_name,
    read_settings,
)
from hyperhive_cli.cli.configured import option_word, options_of
from hyperhive_cli.cli.program import hyperhive
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.settings import user_file

KINDS: dict[str, Kind] = {
    "model": "text",
    "drain": "switch",
    "turn-timeout": "duration",
    "compact-at": "number",
    "message": "texts",
    "claude": "text",
    "workspace": "text",
    **dict.fromkeys(USER_ALONE - {"message", "claude"}, "text"),
}


def workspace_file(text: str) -> Source:
    return Source(Path("hyperhive.toml"), text, is_workspace=True)


def own_file(text: str) -> Source:
    return Source(Path("config.toml"), text, is_workspace=False)


def values(source: Source) -> dict[str, object]:
    return {key: setting.value for key, setting in read_settings(source, KINDS).items()}


def refusal(source: Source) -> str:
    with pytest.raises(UsageError) as caught:
        read_settings(source, KINDS)
    return f"{caught.value.message} | {caught.value.hint}"


def run_command() -> click.Command:
    command = hyperhive.get_command(click.Context(hyperhive), "run")
    assert command is not None
    return command


def test_it_is_decided_of_each_option_who_may_set_it() -> None:
    """A new option: may an agent, which writes in its workspace, decide on it? Then enter it."""
    words = [option_word(option) for option in options_of(run_command())]
    assert sorted(words) == sorted([*WORKSPACE_MAY, *USER_ALONE, *NOWHERE])


def test_values_of_each_type_are_read() -> None:
    text = '[run]\nmodel = "opus"\ndrain = true\nturn-timeout = 600\nmessage = ["one", "two\\nlines"]\n'
    expected = {"model": "opus", "drain": True, "turn-timeout": 600, "message": ["one", "two\nlines"]}
    assert values(own_file(text)) == expected
    assert values(own_file("")) == values(own_file("[run]\n")) == values(workspace_file('agent = "bee"')) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[run]\nmodle = 'x'", "hyperhive.toml:2: unknown setting: 'modle' | model"),
        ("[run]\n\nturn_timeout = 1", "hyperhive.toml:3: unknown setting: 'turn_timeout' | turn-timeout"),
        ("# model\nmodel = 'x'", "hyperhive.toml:2: unknown setting outside of a table: 'model' | [run] above it"),
        ("agnet = 'x'", "hyperhive.toml:1: unknown setting outside of a table: 'agnet' | agent, or the table [run]"),
        (
            "[ran]\nmodel = 'x'",
            "hyperhive.toml:1: unknown setting outside of a table: 'ran' | agent, or the table [run]",
        ),
        ("[run]\nmodel = 5", "hyperhive.toml:2: 'model' must be a string | None"),
        ("[run]\ndrain = 'yes'", "hyperhive.toml:2: 'drain' must be true or false | None"),
        ("[run]\ndrain = 1", "hyperhive.toml:2: 'drain' must be true or false | None"),
        ("[run]\ncompact-at = '80'", "hyperhive.toml:2: 'compact-at' must be a number | None"),
        ("[run]\ncompact-at = true", "hyperhive.toml:2: 'compact-at' must be a number | None"),
        ("[run]\nturn-timeout = true", "hyperhive.toml:2: 'turn-timeout' must be a number of seconds, or a string"),
        ("[run.model]\nname = 'x'", "hyperhive.toml: 'model' must be a string | None"),
        ("run = 5", "hyperhive.toml:1: `run` must be a table | [run]"),
        ("\n[run\nmodel = 1", "hyperhive.toml:2: not valid TOML"),
        ("[run]\nmodel = 'a'\nmodel = 'b'", "hyperhive.toml: not valid TOML: Cannot overwrite"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, expected: str) -> None:
    assert refusal(workspace_file(text)).startswith(expected)


def test_a_deeply_nested_file_is_an_error_like_another() -> None:
    assert "not valid TOML" in refusal(own_file("x = " + "[" * 100_000))


@pytest.mark.parametrize("word", sorted(USER_ALONE))
def test_a_workspace_may_not_set_what_gives_rights(word: str) -> None:
    said = refusal(workspace_file(f"[run]\n{word} = 'x'"))
    assert said.startswith(
        f"hyperhive.toml:2: '{word}' is not allowed in a workspace file: the agent could edit it | --{word}"
    )


def test_the_workspace_stands_in_no_file() -> None:
    assert "unknown setting: 'workspace'" in refusal(own_file("[run]\nworkspace = '/'"))


def test_a_name_is_for_one_workspace() -> None:
    assert read_name(workspace_file('agent = "bee"\n[run]\nbogus = 1'), "agent") == "bee"
    assert read_name(workspace_file(""), "agent") is None
    with pytest.raises(UsageError, match=r"hyperhive.toml:1: `agent` must be a string"):
        read_name(workspace_file("agent = 5"), "agent")
    assert "config.toml:1: `agent` is only allowed in the hyperhive.toml" in refusal(own_file("agent = 'bee'"))


def test_the_stronger_file_counts() -> None:
    strong = read_settings(workspace_file("[run]\nmodel = 'a'"), KINDS)
    weak = read_settings(own_file("[run]\nmodel = 'b'\ndrain = true"), KINDS)
    merged = merge(strong, weak)
    assert {key: (one.value, one.place) for key, one in merged.items()} == {
        "model": ("a", "hyperhive.toml:2"),
        "drain": (True, "config.toml:3"),
    }


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/x/hyperhive/config.toml"),
        ({"XDG_CONFIG_HOME": "x", "HOME": "/h"}, "/h/.config/hyperhive/config.toml"),
        ({"HOME": "/h"}, "/h/.config/hyperhive/config.toml"),
        ({}, None),
    ],
)
def test_where_the_users_file_lies(environ: dict[str, str], expected: str | None) -> None:
    assert user_file(environ) == (None if expected is None else Path(expected))


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["notify", "--level", "high"], "notify --level high"),
        (["hook", "https://hooks.example/services/T0/B0/XYZ"], "hook https://hooks.example/…"),
        (["hook", "https://me:word@hooks.example?token=1"], "hook https://hooks.example/…"),
        (["hook", "--api-token", "abc", "rest"], "hook --api-token … rest"),
        (["hook", "--api-token=abc"], "hook --api-token=…"),
        (["env", "MY_PASSWORD=abc", "hook"], "env MY_PASSWORD=… hook"),
        (["curl", "-H", "Authorization: Bearer abc123456789"], "curl -H Authorization: Bearer [redacted]"),
    ],
)
def test_a_command_is_shown_without_its_secrets(words: list[str], shown: str) -> None:
    assert redacted_command(words) == shown

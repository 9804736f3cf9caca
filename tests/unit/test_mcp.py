"""claude's MCP servers and settings, read before a start: which servers there are, and how long they may need."""

from pathlib import Path
from typing import Any

import pytest

from hyperhive_cli.claude.mcp import configured_servers, start_limit_s
from hyperhive_cli.claude.own_settings import ClaudeFiles, claude_variables

WORKSPACE = Path("/work/deep/bee")
STDIO = {"command": "sleep"}
HTTP = {"type": "http", "url": "https://mcp.example"}
EXPLICIT = ["--mcp-config", "mcp.json"]


def files(content: dict[str, Any] | None = None, words: list[str] | None = None, /, **environ: str) -> ClaudeFiles:
    """Return the files of a claude, with the JSON in them by their paths."""
    there = {Path(path): found for path, found in (content or {}).items()}
    return ClaudeFiles({"HOME": "/home/me", **environ}, WORKSPACE, words or [], there.get)


def servers(*names: str, **more: dict[str, str]) -> dict[str, Any]:
    return {"mcpServers": {**dict.fromkeys(names, STDIO), **more}}


EVERYWHERE = {
    "/home/me/.claude.json": {**servers("user"), "projects": {str(WORKSPACE): servers("local"), "/x": servers("x")}},
    "/work/deep/bee/.mcp.json": servers("project", web=HTTP),
    "/work/.mcp.json": servers("above"),
    "/work/deep/bee/one.json": servers("one"),
    "/two.json": servers("two"),
}
GIVEN = ["--mcp-config", "one.json", "/two.json", '{"mcpServers":{"three":{"command":"x"}}}', "--max-turns", "3"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], "user local project web above"),
        (GIVEN, "user local project web above one two three"),
        ([*GIVEN, "--strict-mcp-config"], "one two three"),
        (["--strict-mcp-config"], ""),
        (["--mcp-config=one.json", "--strict-mcp-config", "--mcp-config", "/two.json"], "one two"),
        (["--mcp-config", "missing.json", "{broken", "--strict-mcp-config"], ""),
    ],
)
def test_servers_are_found_where_claude_finds_them(words: list[str], names: str) -> None:
    found = configured_servers(files(EVERYWHERE, words))
    assert set(found) == set(names.split())
    assert [name for name, is_remote in found.items() if is_remote] == (["web"] if "web" in names else [])


def test_a_claude_with_a_folder_of_its_own_has_its_general_settings_there() -> None:
    content = {"/home/me/.claude.json": servers("home"), "/own/.claude.json": servers("own")}
    assert set(configured_servers(files(content, CLAUDE_CONFIG_DIR="/own"))) == {"own"}


@pytest.mark.parametrize(
    "odd",
    [None, 3, "x", [], {}, {"mcpServers": 3}, {"mcpServers": ["a"]}, {"mcpServers": {"a": 3}}, {"projects": []}],
    ids=str,
)
def test_odd_files_name_no_servers_and_change_nothing(odd: object) -> None:
    everywhere = dict.fromkeys(EVERYWHERE, odd)
    assert configured_servers(files(everywhere, GIVEN[:3])) == {}
    settings = dict.fromkeys(("/home/me/.claude/settings.json", "/home/me/.claude.json"), odd)
    assert claude_variables(files(settings, ["--settings", "missing.json"])) == {"HOME": "/home/me"}
    assert claude_variables(files({path: {"env": [odd], "x": odd} for path in settings})) == {"HOME": "/home/me"}
    assert claude_variables(files({path: {"env": {"A": [odd]}} for path in settings})) == {"HOME": "/home/me"}


def many(count: int, server: dict[str, str] = STDIO) -> dict[str, Any]:
    return {"/work/deep/bee/mcp.json": {"mcpServers": {f"s{number}": server for number in range(count)}}}


@pytest.mark.parametrize(
    ("content", "environ", "limit_s"),
    [
        (many(1), {}, 60),
        (many(1), {"MCP_TIMEOUT": "120000"}, 120 + 5 + 25),
        (many(1), {"MCP_TIMEOUT": "1000"}, 60),  # never below what it was
        (many(3), {"MCP_TIMEOUT": "40000"}, 40 + 5 + 25),
        (many(4), {"MCP_TIMEOUT": "40000"}, 80 + 5 + 25),  # the oldest releases start three together
        (many(4), {"MCP_TIMEOUT": "40000", "MCP_SERVER_CONNECTION_BATCH_SIZE": "2"}, 80 + 5 + 25),
        (many(4), {"MCP_TIMEOUT": "40000", "MCP_SERVER_CONNECTION_BATCH_SIZE": "8"}, 40 + 5 + 25),
        (many(20, HTTP), {"MCP_TIMEOUT": "40000"}, 40 + 5 + 25),
        (many(21, HTTP), {"MCP_TIMEOUT": "40000"}, 80 + 5 + 25),
        (many(1), {"MCP_TIMEOUT": "40000", "MCP_CONNECT_TIMEOUT_MS": "30000"}, 40 + 30 + 25),
        (many(0), {"MCP_TIMEOUT": "40000"}, 40 + 5 + 25),  # a file that cannot be read may hold servers all the same
        ({}, {"MCP_TIMEOUT": "40000"}, 40 + 5 + 25),
        *((many(1), {"MCP_TIMEOUT": word}, 60) for word in ("0", "-1", "", "soon", "1e9", "\u0663", "9" * 30)),
    ],
)
def test_the_wait_follows_the_servers_and_claudes_limit_for_them(
    content: dict[str, Any], environ: dict[str, str], limit_s: float
) -> None:
    assert start_limit_s(files(content, EXPLICIT, **environ)) == limit_s


def test_without_a_server_nothing_is_waited_for() -> None:
    assert start_limit_s(files(MCP_TIMEOUT="120000")) == 60


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("/home/me/.claude.json", []),
        ("/home/me/.claude/settings.json", []),
        ("/work/deep/bee/.claude/settings.json", []),
        ("/work/deep/bee/.claude/settings.local.json", []),
        ("/work/deep/bee/given.json", ["--settings", "given.json"]),
        (None, ["--settings", '{"env":{"MCP_TIMEOUT":"90000"}}']),
        ("/work/deep/bee/.claude/settings.json", ["--setting-sources", "user, project"]),
    ],
)
@pytest.mark.parametrize("shell", [None, "2000", "50000"])
def test_claudes_settings_may_lengthen_it(where: str | None, words: list[str], shell: str | None) -> None:
    content = many(1) | ({} if where is None else {where: {"env": {"MCP_TIMEOUT": 90000}}})
    environ = {} if shell is None else {"MCP_TIMEOUT": shell}
    assert start_limit_s(files(content, [*EXPLICIT, *words], **environ)) == 90 + 5 + 25
    assert claude_variables(files(content, words, **environ))["MCP_TIMEOUT"] == "90000"


def test_settings_that_claude_does_not_read_do_not() -> None:
    content = many(1) | {"/work/deep/bee/.claude/settings.json": {"env": {"MCP_TIMEOUT": "90000"}}}
    assert start_limit_s(files(content, [*EXPLICIT, "--setting-sources", "user,local"])) == 60


def test_the_strongest_settings_have_the_last_word() -> None:
    places = [
        "/home/me/.claude.json",
        "/home/me/.claude/settings.json",
        "/work/deep/bee/.claude/settings.json",
        "/work/deep/bee/.claude/settings.local.json",
    ]
    content: dict[str, Any] = {
        place: {"env": {"A": place, f"ONLY_{number}": number}} for number, place in enumerate(places)
    }
    found = claude_variables(
        files(content, ["--settings", "{}", "--settings", '{"env":{"B":"flag"}}'], A="shell", B="shell")
    )
    assert found == {"HOME": "/home/me", "A": places[-1], "B": "flag", **{f"ONLY_{n}": str(n) for n in range(4)}}

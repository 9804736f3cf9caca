"""The real binary's login: its page, its codes, its end; and the wait for one, under the whole harness."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.claude.conftest import MessagesApi
from tests.claude.token_endpoint import TokenEndpoint
from tests.conftest import wait_until
from tests.harness import LIMIT_S, Hive, of_kind, outcomes, piped

# Leaves the look at the credential files as the only way out of the wait.
NEVER_PROBED = {
    f"agent.{name}": 3600.0
    for name in ("scheduler.LOGIN_PROBE_S", "backoff.LOGIN_PROBE_S", "backoff.MAX_LOGIN_PROBE_S")
}


@pytest.fixture
def nobody(start: Callable[[str], Hive]) -> Hive:
    """Set up an agent whose claude has no login; the network that one would need is refused."""
    hive = start("text")
    closed = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
    kept = {name: value for name, value in hive.environment.items() if name != "ANTHROPIC_API_KEY"}
    hive.environment = {**kept, **closed}
    return hive


@contextmanager
def login(hive: Hive) -> Iterator[subprocess.Popen[bytes]]:
    with piped(hive, "login", "--json") as process:
        wait_until(lambda: "Paste code" in (hive.status()["login"] or {"output": ""})["output"])
        yield process


def test_a_refused_message_runs_after_a_login(start: Callable[[str], Hive], messages_api: MessagesApi) -> None:
    hive = start("auth_401_until_login")
    hive.constants = NEVER_PROBED
    with hive.run("--message", "say hello") as program:
        program.wait_for_kind("status_changed", status="needs_login_idle")
        asked = len(messages_api.requests())
        (message,) = hive.messages()
        assert (message["state"], message["attempts"]) == ("ready", 0)
        (messages_api.workspace / "logged_in").touch()
        credentials = Path(hive.environment["HOME"], ".claude", ".credentials.json")
        credentials.write_text("{}")
        program.wait_for_kind("turn_end", outcome="ok")
        assert program.interrupt() == 130
    retries = [event for event in of_kind(program.events(), "stream") if event.get("subtype") == "api_retry"]
    assert [event["error_status"] for event in retries] == [401] * len(retries)
    # One, and on a busy machine one more before the interrupt arrives; left alone there are ten.
    assert (1 <= len(retries) <= 2, asked <= 3) == (True, True)
    assert outcomes(program.events()) == ["needs_login", "ok"]
    assert [event["status"] for event in of_kind(program.events(), "status_changed")] == ["needs_login_idle", "online"]


def test_a_login_names_its_page_and_refuses_codes(nobody: Hive) -> None:
    with nobody.run() as program:
        with login(nobody) as process:
            during = nobody.status()
            assert process.stdin is not None
            process.stdin.write(b"half\n")
            process.stdin.flush()
            wait_until(lambda: "full code" in nobody.status()["login"]["output"])
            assert nobody.status()["status"] == "needs_login_in_progress"
            stdout, stderr = process.communicate(b"a-code#its-state\n", LIMIT_S)
        assert program.interrupt() == 130
    assert during["login"]["url"].startswith("https://claude.")
    assert "oauth/authorize" in during["login"]["url"]
    detail = json.loads(stdout)
    assert (process.returncode, detail["finished"], detail["ok"]) == (1, True, False)
    assert "log in" in detail["note"].lower() or "login failed" in detail["note"].lower()
    assert detail["output"] == stderr.decode()
    statuses = [event["status"] for event in of_kind(program.events(), "status_changed")]
    assert statuses == ["needs_login_in_progress", "online"]
    kept = b"".join(path.read_bytes() for path in nobody.state_dir.iterdir() if path.is_file())
    assert b"a-code#its-state" not in kept


def test_a_login_is_cancelled(nobody: Hive) -> None:
    with nobody.run() as program:
        with login(nobody) as process:
            assert nobody.call("login", "--cancel").status == 0
            assert process.wait(LIMIT_S) == 1
        found = nobody.status()["login"]
        assert program.interrupt() == 130
    assert (found["ok"], found["note"]) == (False, "the login was cancelled")


def test_a_login_without_a_harness_lets_run_what_waited_for_it(
    nobody: Hive, messages_api: MessagesApi, endpoint: TokenEndpoint
) -> None:
    program = {"HYPERHIVE_RUN_CLAUDE": str(nobody.claude)}
    nobody.environment = {**nobody.environment, **endpoint.environment, **program}
    drained = nobody.drain("--message", "say hello")
    assert (drained.status, outcomes(drained.json_lines())) == (1, ["needs_login"])
    assert "`hyperhive login`" in of_kind(drained.json_lines(), "note")[-1]["text"]
    done = nobody.call("login", stdin=b"a-code#its-state\n")
    assert (done.status, done.stdout.splitlines()[-1]) == (0, "logged in")
    assert "oauth/authorize" in done.stdout
    drained = nobody.drain()
    assert (drained.status, outcomes(drained.json_lines())) == (0, ["ok"])
    assert (endpoint.codes, messages_api.authorizations()) == (["a-code"], ["Bearer sk-ant-oat01-of-a-code"])
    done = nobody.call("logout")
    assert (done.status, "ogged out" in done.stdout) == (0, True)
    assert outcomes(nobody.drain("--message", "say hello").json_lines()) == ["needs_login"]


def test_a_login_whose_client_was_killed_is_taken_over(nobody: Hive, endpoint: TokenEndpoint) -> None:
    nobody.environment = {**nobody.environment, **endpoint.environment}
    with nobody.run("--message", "say hello") as program:
        program.wait_for_kind("status_changed", status="needs_login_idle")
        with login(nobody) as process:
            page = nobody.status()["login"]["url"]
            process.kill()
            wait_until(lambda: nobody.status()["login"]["clients"] == 0)
        done = nobody.call("login", stdin=b"a-code#its-state\n")
        assert (done.status, page in done.stdout, done.stdout.splitlines()[-1]) == (0, True, "logged in")
        program.wait_for_kind("turn_end", outcome="ok")


def test_a_login_that_nobody_follows_ends_and_leaves_no_claude(nobody: Hive) -> None:
    nobody.constants = {"harness.login_session.CLIENT_GRACE_S": 0.2}
    with nobody.run() as program:
        with login(nobody) as process:
            process.kill()
            wait_until(lambda: nobody.status()["login"]["finished"])
        assert nobody.status()["login"]["note"] == "no one followed the login for 0.2 s"
        assert nobody.status()["status"] == "online"
        assert program.interrupt() == 130


@pytest.mark.parametrize("key", ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "apiKeyHelper"])
def test_a_key_is_told_before_claude_names_its_page(nobody: Hive, endpoint: TokenEndpoint, key: str) -> None:
    variables = {**endpoint.environment, "HYPERHIVE_RUN_CLAUDE": str(nobody.claude)}
    if key == "apiKeyHelper":
        folder = Path(nobody.environment["HOME"], ".claude")
        folder.mkdir()
        (folder / "settings.json").write_text('{"apiKeyHelper": "echo sk-ant-x"}')
    else:
        variables[key] = "sk-ant-x"
    nobody.environment = {**nobody.environment, **variables}
    done = nobody.call("login", stdin=b"a-code#its-state\n")
    assert done.stdout.startswith(f"Note: claude uses {key}, which takes precedence over a login.\nOpening browser")
    assert (done.status, endpoint.codes) == (0, ["a-code"])


def test_a_logout_begins_the_wait_for_a_login(nobody: Hive) -> None:
    folder = Path(nobody.environment["HOME"], ".claude")
    folder.mkdir()
    tokens = {"accessToken": "made-up", "refreshToken": "made-up", "expiresAt": 9_999_999_999_999}
    login = {**tokens, "scopes": ["user:inference", "user:profile"], "subscriptionType": "max"}
    (folder / ".credentials.json").write_text(json.dumps({"claudeAiOauth": login}))
    asked = [os.fspath(nobody.claude), "auth", "status"]
    assert subprocess.run(asked, env=nobody.environment, capture_output=True, check=False).returncode == 0
    with nobody.run() as program:
        done = nobody.call("logout")
        assert (done.status, done.stderr) == (0, "")
        assert "ogged out" in done.stdout
        program.wait_for_kind("status_changed", status="needs_login_idle")
    assert subprocess.run(asked, env=nobody.environment, capture_output=True, check=False).returncode == 1


def test_bedrock_that_claudes_own_settings_switch_on_gets_the_credentials_of_the_shell(
    start: Callable[[str], Hive], messages_api: MessagesApi
) -> None:
    hive = start("text")
    endpoint = hive.environment["ANTHROPIC_BASE_URL"]
    switched = {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "us-east-1", "ANTHROPIC_BEDROCK_BASE_URL": endpoint}
    folder = Path(hive.environment["HOME"]) / ".claude"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps({"env": switched}))
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up-secret"}
    hive.environment = {**hive.environment, **keys, "CLAUDE_CODE_MAX_RETRIES": "0"}
    hive.drain("--message", "hi", "--drain-wait", "0")  # the answers are none of Bedrock's: how it ends is no matter
    signed = {str(one["authorization"]).partition("/")[0] for one in messages_api.everything()}
    assert signed == {"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE"}

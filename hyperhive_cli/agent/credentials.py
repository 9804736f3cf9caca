"""claude's credentials: whether there are any (`claude auth status`), and whether its files of them have changed."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from hyperhive_cli.agent.config import Account, AgentConfig
from hyperhive_cli.claude.exchange import TakeBytes, exchange, ignore
from hyperhive_cli.claude.files import FileId, config_folder, file_id, login_file, read_json, settings_file
from hyperhive_cli.claude.process import open_claude

PROBE_LIMIT_S = 20.0  # the very first start of a new binary takes 5 s
POLL_EVERY_S = 1.0
# What a login writes to claude's general settings: the account, and the key of a Console login.
LOGIN_FIELDS = ("oauthAccount", "primaryApiKey", "customApiKeyResponses")

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
NO_KEYS = ("none", "/login managed key")  # claude's `apiKeySource` where it uses a login


@dataclass(frozen=True, slots=True)
class Signature:
    """The state of claude's credential files at one moment. `login` is a digest and holds no secret."""

    files: tuple[FileId | None, ...]
    settings: FileId | None
    login: str


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """A login that claude keeps in a file and renews itself: the file, and when its access token expires (Unix s)."""

    file: FileId | None
    ends_at: float


async def is_logged_in(config: AgentConfig) -> bool:
    """Ask claude; return True only if it says so. One that cannot be started, or hangs, is not logged in.

    claude checks that there are credentials, not that they are still valid; it needs no network. Cancelling leaves
    nothing behind.
    """
    return await _ask(config, PROBE_LIMIT_S, ignore) == 0


async def ask_for_key(config: AgentConfig, *, limit_s: float) -> str | None:
    """Ask claude what it uses instead of a login, as `key_in_use`; None also if it does not answer in time."""
    printed = bytearray()
    await _ask(config, limit_s, printed.extend)
    report: Any = None
    with suppress(ValueError, RecursionError):
        report = json.loads(printed)
    return key_in_use(report if isinstance(report, dict) else {}, config.environment)


async def _ask(config: AgentConfig, limit_s: float, take_stdout: TakeBytes) -> int | None:
    """Run `claude auth status`; return its exit status, or None if it cannot be started or takes too long."""
    argv = [*config.launch.command, "auth", "status"]
    with trio.move_on_after(limit_s):
        try:
            async with open_claude(
                argv, workspace=config.workspace, environment=config.environment, kept=config.kept
            ) as process:
                return await exchange(process, b"", take_stdout, ignore)
        except (OSError, ValueError):
            return None
    return None


def key_in_use(report: Mapping[str, Any], environment: Mapping[str, str]) -> str | None:
    """Name what claude uses instead of a login, from what `claude auth status` prints; None if it uses the login.

    Measured, 2.1.197 and 2.1.332: each of these takes precedence over the login, which claude keeps. The report does
    not name the variable of a token (`oauth_token`). The key that a Console login has created counts as a login.
    """
    source, provider = report.get("apiKeySource"), report.get("apiProvider")
    if isinstance(provider, str) and provider != "firstParty":
        return provider
    if (named := _key_name(environment)) is not None:
        return named
    if isinstance(source, str) and source not in NO_KEYS:
        return source
    return "a token of its settings" if report.get("authMethod") == "oauth_token" else None


def login_advice(environment: Mapping[str, str], source: str | None) -> str:
    """Return what to do about credentials that are missing or refused; `source` is claude's `apiKeySource`."""
    key = _key_name(environment) or (None if source in {None, *NO_KEYS} else source)
    if key is not None:
        return f"claude's API refuses {key}: replace it, or remove it and run `hyperhive login`"
    return f"claude is not logged in: run `hyperhive login`, or set {KEYS[0]}"


async def credentials_changed(environment: Mapping[str, str], since: Signature | None = None) -> Signature:
    """Wait until claude's credential files differ from `since` (None: from now on); return their new state.

    Waits forever if claude keeps its credentials elsewhere (the keychain of macOS) or gets them from a variable.
    """
    seen = since
    while True:
        current = await trio.to_thread.run_sync(credentials_signature, environment, seen, abandon_on_cancel=True)
        if seen is not None and (current.files, current.login) != (seen.files, seen.login):
            return current
        seen = current
        await trio.sleep(POLL_EVERY_S)


def credentials_signature(environment: Mapping[str, str], before: Signature | None = None) -> Signature:
    """Return the state of the credential files of a claude with this environment. Blocking, but short.

    The general settings are written at the end of every turn, by the agents of other folders too. Only what a login
    writes there counts, and it is read again only if the file has changed since `before`.
    """
    settings = settings_file(environment)
    files = tuple(map(file_id, (login_file(environment), config_folder(environment) / ".config.json")))
    there = file_id(settings)
    if before is not None and before.settings == there:
        return Signature(files, there, before.login)
    return Signature(files, there, _login_digest(settings))


def account_of(environment: Mapping[str, str]) -> Account | None:
    """Return the account of a claude with this environment; None if it is not known."""
    if (key := _key_name(environment)) is not None:
        digest = _digest(f"{key}={environment[key]}")
        return Account(digest, digest)
    with suppress(OSError, ValueError, RecursionError, TypeError, KeyError):
        name = str(read_json(settings_file(environment))["oauthAccount"]["accountUuid"])
        return Account(_digest(name), _digest(f"{name} {os.uname().nodename} {login_file(environment).resolve()}"))
    return None


def account_name(environment: Mapping[str, str]) -> str:
    """Return the name of its account; if that is not known, one for all who use the same file for their login."""
    account = account_of(environment)
    return account.name if account is not None else _digest(f"login {login_file(environment).resolve()}")


def _key_name(environment: Mapping[str, str]) -> str | None:
    return next((name for name in KEYS if environment.get(name)), None)


def _digest(text: str) -> str:
    return hashlib.sha256(f"hyperhive account {text}".encode()).hexdigest()[:32]


def stored_login(environment: Mapping[str, str]) -> StoredLogin | None:
    """Read the login in claude's file; None if it uses another, or none. Blocking, but short."""
    if _key_name(environment) is not None:
        return None
    path = login_file(environment)
    with suppress(OSError, ValueError, RecursionError, TypeError, KeyError, OverflowError):
        found = read_json(path)["claudeAiOauth"]
        ends_at = found["expiresAt"] / 1000
        if found["refreshToken"] and math.isfinite(ends_at):
            return StoredLogin(file_id(path), ends_at)
    return None


def _login_digest(settings: Path) -> str:
    found: Any = read_json(settings)  # None also if it is half written: then it is read again
    fields = {name: found.get(name) for name in LOGIN_FIELDS} if isinstance(found, dict) else {}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

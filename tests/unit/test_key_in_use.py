"""What claude uses rather than a login, from `claude auth status` as the releases print it, and what helps then."""

from collections.abc import Mapping
from typing import Any

import pytest

from hyperhive_cli.agent.credentials import key_in_use, login_advice

FIRST_PARTY = {"loggedIn": True, "apiProvider": "firstParty"}
KEY, TOKEN, OAUTH = "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"
# Measured with 2.1.332, 2.1.330 and 2.1.197: the report, the variable that was set, and what is named.
REPORTS: dict[str, tuple[Mapping[str, Any], str | None, str | None]] = {
    "nothing": ({"loggedIn": False, "authMethod": "none", "apiProvider": "firstParty"}, None, None),
    "a login": ({**FIRST_PARTY, "authMethod": "claude.ai"}, None, None),
    "a Console login": ({**FIRST_PARTY, "authMethod": "api_key", "apiKeySource": "/login managed key"}, None, None),
    "a Console login, 2.1.197": (
        {**FIRST_PARTY, "authMethod": "claude.ai", "apiKeySource": "/login managed key"}, None, None,
    ),
    "a key": ({**FIRST_PARTY, "authMethod": "api_key", "apiKeySource": KEY}, KEY, KEY),
    "a key and a login, 2.1.197": ({**FIRST_PARTY, "authMethod": "claude.ai", "apiKeySource": KEY}, KEY, KEY),
    "a key of claude's settings": ({**FIRST_PARTY, "authMethod": "api_key", "apiKeySource": KEY}, None, KEY),
    "a helper": (
        {**FIRST_PARTY, "authMethod": "api_key_helper", "apiKeySource": "apiKeyHelper"}, None, "apiKeyHelper",
    ),
    "a bearer token": ({**FIRST_PARTY, "authMethod": "oauth_token"}, TOKEN, TOKEN),
    "a token": ({**FIRST_PARTY, "authMethod": "oauth_token"}, OAUTH, OAUTH),
    "a token of claude's settings": ({**FIRST_PARTY, "authMethod": "oauth_token"}, None, "a token of its settings"),
    "a cloud": ({"loggedIn": True, "authMethod": "third_party", "apiProvider": "bedrock"}, KEY, "bedrock"),
    "no answer": ({}, None, None),
    "no answer, but a key": ({}, KEY, KEY),
    "another shape": ({"apiKeySource": ["x"], "apiProvider": 7, "authMethod": None}, None, None),
}  # fmt: skip


@pytest.mark.parametrize(("report", "variable", "named"), REPORTS.values(), ids=REPORTS)
def test_what_takes_precedence_over_a_login_is_named(
    report: Mapping[str, Any], variable: str | None, named: str | None
) -> None:
    assert key_in_use(report, {} if variable is None else {variable: "secret"}) == named


NO_LOGIN = "claude is not logged in: run `hyperhive login`, or set ANTHROPIC_API_KEY"


@pytest.mark.parametrize(
    ("environment", "source", "advice"),
    [
        ({}, None, NO_LOGIN),
        ({KEY: ""}, "none", NO_LOGIN),
        ({}, "/login managed key", NO_LOGIN),
        ({}, "apiKeyHelper", "claude's API refuses apiKeyHelper: replace it, or remove it and run `hyperhive login`"),
        ({OAUTH: "x"}, "none", f"claude's API refuses {OAUTH}: replace it, or remove it and run `hyperhive login`"),
    ],
)
def test_what_helps_names_the_login_or_the_key(environment: dict[str, str], source: str | None, advice: str) -> None:
    assert login_advice(environment, source) == advice

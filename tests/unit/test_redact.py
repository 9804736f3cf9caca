"""Secrets in what claude says: found however they are written, and a line stays the JSON that it was."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.redact import Redactor, c_contains, is_secret_name
from hyperhive_cli.claude.stream import line_to_event
from hyperhive_cli.core.events import Stream
from tests.conftest import recording, recording_index

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n"
# Values that JSON writers spell in many ways.
AWKWARD = [
    'pass"word"1', "back\\slash\\", "nab\\ncdefgh", "a/b/c/d/e/f", "tab\tbed\tnewline\n.", "пароль-секрет",
    "🐝🐝-bees-🐝", '"quoted-itself"', '{"type": "json"}', "12345678", "'<&>' html", "a\u2028line\u2029b",
]  # fmt: skip


def line(value: object, **options: Any) -> bytes:  # noqa: ANN401 - of json.dumps
    return json.dumps(value, **options).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "name",
    [
        *("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GH_TOKEN"),
        *("GITHUB_PAT", "DB_PASSWORD", "PGPASSWORD", "MYSQL_PWD", "SMTP_PASS", "OPENAI_APIKEY", "SECRET_KEY_BASE"),
        *("SSH_PASSPHRASE", "client_secret", "AZURE_CLIENT_SECRET", "ANTHROPIC_CUSTOM_HEADERS", "TOKEN"),
        *("NPM_AUTHTOKEN", "AWS_BEARER_TOKEN_BEDROCK", "SESSION_COOKIE", "VAULT_CREDENTIAL"),
    ],
)  # fmt: skip
def test_a_name_that_sounds_of_a_secret(name: str) -> None:
    assert is_secret_name(name)
    assert Redactor({name: "correct horse"})(b"a correct horse, a correct horse") == (
        f"a [redacted {name}], a [redacted {name}]".encode()
    )


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "PWD", "OLDPWD", "SSH_AUTH_SOCK", "GOOGLE_APPLICATION_CREDENTIALS", "AWS_ACCESS_KEY_ID"),
        *("AWS_WEB_IDENTITY_TOKEN_FILE", "CLAUDE_CODE_API_KEY_HELPER_TTL_MS", "MAX_THINKING_TOKENS", "KEYBOARD"),
        *("TOKENIZERS_PARALLELISM", "SSH_KEY_PATH", "PATTERN", "COMPASS", "SECRETARY", "API_KEY_FILE_DESCRIPTOR"),
    ],
)
def test_a_name_that_tells_where_a_secret_lies_or_something_else(name: str) -> None:
    assert not is_secret_name(name)
    assert Redactor({name: "correct horse"})(b"a correct horse") == b"a correct horse"


def test_a_short_value_is_none() -> None:
    assert (
        Redactor({"A_KEY": "1234567", "B_KEY": "", "C_KEY": " " * 20})(b"1234567" + b" " * 30) == b"1234567" + b" " * 30
    )


def test_the_longer_secret_is_replaced_before_one_that_is_part_of_it() -> None:
    redactor = Redactor({"A_KEY": "abcdefgh", "B_KEY": "abcdefgh-and-more", "C_KEY": "abcdefgh"})
    assert redactor(b"abcdefgh-and-more abcdefgh") == b"[redacted B_KEY] [redacted A_KEY]"


@pytest.mark.parametrize("url", ["http://me:correct.horse@proxy:8080", "postgres://u:correct.horse@db/x?y=z"])
def test_the_password_in_a_url_is_a_secret(url: str) -> None:
    redactor = Redactor({"https_proxy": url})
    assert redactor(line({"a": url})) == line({"a": url.replace("correct.horse", "[redacted https_proxy]")})


def test_each_line_of_a_private_key_is_a_secret_and_its_frame_is_not() -> None:
    redactor = Redactor({"DEPLOY_KEY": PEM})
    assert redactor(line({"a": f"x\n{PEM}y"})) == line({"a": "x\n[redacted DEPLOY_KEY]\ny"})
    shown = "".join(redactor.text(part) for part in PEM.splitlines(keepends=True))
    assert "MII" not in shown
    assert "AQE" not in shown
    assert redactor(b"-----BEGIN PRIVATE KEY-----") == b"-----BEGIN PRIVATE KEY-----"


@pytest.mark.parametrize("value", AWKWARD)
def test_a_secret_is_found_however_its_json_is_written(value: str) -> None:
    redactor, said = Redactor({"MY_KEY": value}), f"it is {value}, is it not"
    every_letter = "".join(f"\\u{unit:04x}" for unit in _utf16(said))
    written = [
        line(said),
        line(said, ensure_ascii=False),
        line(said).replace(b"/", rb"\/"),
        f'"{every_letter}"'.encode(),
        f'"{every_letter.upper().replace("U", "u")}"'.encode(),
    ]
    for one in written:
        found = json.loads(redactor(b'{"a":[1,' + one + b"]}"))
        assert found == {"a": [1, "it is [redacted MY_KEY], is it not"]}, one


def _utf16(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


@pytest.mark.parametrize("value", AWKWARD)
def test_a_secret_is_found_in_json_that_is_the_text_of_a_tool(value: str) -> None:
    redactor = Redactor({"MY_KEY": value})
    for options in ({}, {"ensure_ascii": False}):
        inner = line({"k": f"x{value}x"}, **options).decode()
        (shown,) = json.loads(redactor(line([inner], **options)))
        assert shown == '{"k": "x[redacted MY_KEY]x"}'


@pytest.mark.parametrize("value", AWKWARD)
def test_a_secret_is_found_in_a_line_that_is_no_json(value: str) -> None:
    redactor = Redactor({"MY_KEY": value})
    assert redactor(f"x={value};".encode()) == b"x=[redacted MY_KEY];"
    cut_off = b'{"a":"' + line(value)[1:-1]
    assert b"MY_KEY" in redactor(cut_off)


@pytest.mark.parametrize("value", [*AWKWARD, "sk-ant-0123456789"])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_secret_in_one_of_many_lines_is_suspected_in_one_look(value: str, ensure_ascii: bool) -> None:
    redact, harmless = Redactor({"A_TOKEN": value}), b"[0]"
    assert not redact.may_hold_secret(b"\n".join([harmless] * 3))
    assert redact.may_hold_secret(
        b"\n".join([harmless, line({"a": f"in {value}!"}, ensure_ascii=ensure_ascii), harmless])
    )


@pytest.mark.parametrize(
    "secret", ["correct horse", "sk-ant-0123456789", "Bearer abcdef0123456789", r"c\u006frrect horse"]
)
@pytest.mark.parametrize("around", [b"\0%b", b"%b\0", b"\0\n%b\n\0", b"%b"])
def test_a_secret_behind_a_nul_is_suspected_too(secret: str, around: bytes) -> None:
    redact = Redactor({"A_KEY": "correct horse"})
    assert redact.may_hold_secret(around % secret.encode())
    assert not redact.may_hold_secret(around % b"nothing of the kind")


def test_without_a_c_library_secrets_are_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: None) -> None:
        raise OSError("there is none")

    c_contains.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("ctypes.PyDLL", fail)
        assert Redactor({"A_KEY": "correct horse"})(b'["a correct horse"]') == b'["a [redacted A_KEY]"]'
    c_contains.cache_clear()


def test_a_key_of_anthropic_and_a_bearer_token_need_no_variable() -> None:
    redactor = Redactor({})
    key = "sk-ant-api03-Ab_9" + "x" * 80
    assert redactor(line({"a": f'"{key}" and {key}\n{key}'})) == line({"a": '"[redacted]" and [redacted]\n[redacted]'})
    assert redactor(key.encode()) == b"[redacted]"
    header = 'curl -H "Authorization: Bearer eyJhbGciOi.J9-_~+/=.x1"\n'
    assert json.loads(redactor(line([header]))) == ['curl -H "Authorization: Bearer [redacted]"\n']
    assert redactor(rb'{"a":"{\"h\":\"bearer abcdef0123456789\"}"}') == rb'{"a":"{\"h\":\"bearer [redacted]\"}"}'
    assert redactor.text("Bearer abcdef12") == "Bearer [redacted]"


@pytest.mark.parametrize(
    "text",
    ["Bearer authentication", "the bearer certificates", "Bearer $A", "forbearer 12345678", "sk-ant-", "sk-ant-..."],
)  # fmt: skip
def test_words_about_secrets_are_left_alone(text: str) -> None:
    assert Redactor({})(line({"a": text})) == line({"a": text})
    assert Redactor({}).text(text) == text


def test_a_number_stays_one() -> None:
    redactor = Redactor({"PIN_TOKEN": "12345678"})
    assert redactor(b'{"ts":12345678,"a":"12345678"}') == b'{"ts":12345678,"a":"[redacted PIN_TOKEN]"}'


@pytest.mark.parametrize("name", recording_index())
def test_a_recorded_line_without_a_secret_is_given_back_itself(name: str) -> None:
    redactor = Redactor({"A_KEY": "correct horse", "B_TOKEN": "battery/staple"})
    for one in recording(name):
        assert redactor(one) is one


ODD = {
    "a byte order mark": b'\xef\xbb\xbf{"a":"correct horse"}',
    "bad bytes": b'{"a":"\xff correct horse \xf0\x9f"}',
    "a lone surrogate": rb'{"a":"\ud83d correct horse \udc1d\ud83d"}',
    "a NUL": b'{"a":"correct horse\x00"}',
    "no number": b'{"a":NaN,"b":"correct horse"}',
    "blanks": b' \t{ "a" : "correct horse" } \r',
    "twice the same key": b'{"a":"correct horse","a":"correct horse"}',
    "an escape before it": rb'{"a":"\ncorrect horse\\"}',
    "deep": b'{"a":' * 900 + b'"correct horse"' + b"}" * 900,
    "too deep": b'{"a":' * 100_000 + b'"correct horse"' + b"}" * 100_000,
    "a huge number": b'{"a":' + b"9" * 5_000 + b',"b":"correct horse"}',
    "outside a string": b'{"a":1} correct horse {"b":"correct horse"}',
    "cut off": b'{"a":"x","b":"correct horse',
    "cut off in an escape": b'{"a":"correct horse\\',
    "quotes alone": b'"correct horse" " correct horse',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_line_is_redacted_and_stays_what_it_is(odd: bytes) -> None:
    redacted = Redactor({"A_KEY": "correct horse"})(odd)
    assert b"correct" not in redacted
    assert redacted.count(b"[redacted A_KEY]") == odd.count(b"correct horse")
    assert type(line_to_event(redacted)) is type(line_to_event(odd))


SECRETS = st.text(min_size=8, max_size=20).map(str.strip).filter(lambda text: len(text) >= 8)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


def with_secret(value: Any, secret: str) -> Any:  # noqa: ANN401 - JSON values
    """Put the secret into every text of a value."""
    match value:
        case str():
            half = len(value) // 2
            return value[:half] + secret + value[half:]
        case list():
            return [with_secret(one, secret) for one in value]
        case dict():
            return {key: with_secret(one, secret) for key, one in value.items()}
    return value


def redacted_by_hand(value: Any, redactor: Redactor) -> Any:  # noqa: ANN401 - JSON values
    match value:
        case str():
            return redactor.text(value)
        case list():
            return [redacted_by_hand(one, redactor) for one in value]
        case dict():
            return {redactor.text(key): redacted_by_hand(one, redactor) for key, one in value.items()}
    return value


@given(secret=SECRETS, value=JSON_VALUES, ascii_alone=st.booleans(), slashes=st.booleans())
def test_valid_json_stays_valid_with_only_its_texts_changed(
    secret: str, value: object, ascii_alone: bool, slashes: bool
) -> None:
    redactor, said = Redactor({"MY_KEY": secret}), {"type": "user", "said": with_secret(value, secret)}
    written = line(said, ensure_ascii=ascii_alone)
    written = written.replace(b"/", rb"\/") if slashes else written
    redacted = redactor(written)
    assert json.loads(redacted) == redacted_by_hand(said, redactor)
    assert isinstance(line_to_event(redacted), Stream)
    for text in re.findall(r'"(?:[^"\\]|\\.)*"', redacted.decode()):
        assert secret not in json.loads(text)


@pytest.mark.parametrize("secret", ["31415926", "-2.7182818e0", "Infinity"])
def test_a_line_that_is_nothing_but_a_number_may_be_the_secret(secret: str) -> None:
    assert Redactor({"MY_KEY": secret})(f"{secret}\n".encode()) == b"[redacted MY_KEY]\n"


@given(secret=SECRETS, data=st.binary())
def test_whatever_the_bytes_nothing_is_raised(secret: str, data: bytes) -> None:
    redactor = Redactor({"MY_KEY": secret})
    assert secret.encode() not in redactor(data + secret.encode() + data)

"""Web push: encrypted for one browser, signed, told once, kept over restarts, forgotten with the token."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hyperhive_cli.core.errors import RefusedError, StoreError
from hyperhive_cli.core.status import Status, Wait
from hyperhive_cli.web.access import PanelFiles
from hyperhive_cli.web.push import MAX_BROWSERS, PushFiles
from hyperhive_cli.web.push_message import Browser, encrypt, from_base64, to_base64
from tests.conftest import wait_until
from tests.control.serving import Served
from tests.forkserver import Forkserver
from tests.web.push_service import PushService, open_push_service
from tests.web.site import Site, open_site, plain_environment, telling, web_words

FAST = {"web.push.POLL_S": 0.05, "web.push.RETRY_S": 0.01}
BROWSER = Browser("https://push.example/x", "p", "a")


def need(harness: Served, status: Status | None, why: str | None = None) -> None:
    """Have the agent need something, or nothing."""
    harness.do(lambda: harness.bus.current.know(wait=None if status is None else Wait(status, why=why)))


@contextmanager
def pushing_site(trusted: Path, state_dir: Path, forkserver: Forkserver) -> Iterator[Site]:
    environment = {**plain_environment(trusted.parent), "SSL_CERT_FILE": str(trusted)}
    with open_site(forkserver, web_words(state_dir), environment, trusted.parent, FAST) as site:
        yield site


def messages(service: PushService) -> list[dict[str, str]]:
    return [service.browser.read(body) for _, _, body in service.taken]


def test_a_message_is_encrypted_as_in_the_example_of_the_standard() -> None:
    browser = Browser(  # RFC 8291, appendix A
        "https://push.example/",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
    )
    secret = int.from_bytes(from_base64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
    key, salt = ec.derive_private_key(secret, ec.SECP256R1()), from_base64("DGv6ra1nlYgDCS1FRnbzlw")
    assert to_base64(encrypt(b"When I grow up, I want to be a watermelon", browser, key, salt)) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru"
        "3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_a_need_is_told_once_when_it_begins_also_over_restarts(
    state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    with open_push_service(tmp_path) as (service, trusted), telling(state_dir) as (harness, _):
        with pushing_site(trusted, state_dir, forkserver) as site:
            public = site.get("/api/push")["key"]
            assert site.post("/api/push/add", **service.subscription()).json() == {}
            need(harness, Status.NEEDS_LOGIN_IDLE, "claude is logged out")
            wait_until(lambda: service.taken)
            need(harness, None)
            wait_until(lambda: PushFiles(PanelFiles(state_dir)).read().notified == {})
            need(harness, Status.OVER_BUDGET)
            wait_until(lambda: len(service.taken) == 2)
        with pushing_site(trusted, state_dir, forkserver) as site:  # it needs that still
            assert site.get("/api/push")["key"] == public
            need(harness, None)
            wait_until(lambda: PushFiles(PanelFiles(state_dir)).read().notified == {})
            need(harness, Status.FAILED)
            wait_until(lambda: len(service.taken) == 3)
    assert messages(service) == [
        {"agent": "bee", "words": "needs login: claude is logged out"},
        {"agent": "bee", "words": "over budget"},
        {"agent": "bee", "words": "failed"},
    ]
    path, headers, body = service.taken[0]
    assert (path, headers["content-encoding"], headers["urgency"]) == ("/push/one", "aes128gcm", "high")
    assert int(headers["ttl"]) > 0
    assert b"bee" not in body
    assert "bee" not in str(headers)
    claims = service.check_signature(headers["authorization"], public)
    assert claims["aud"] == service.origin
    assert 0 < claims["exp"] - time.time() < 24 * 3600
    for name in ("push.json", "push-key.pem"):
        assert (state_dir / ".web" / name).stat().st_mode & 0o777 == 0o600


def test_a_browser_that_is_gone_is_forgotten_and_a_service_that_fails_is_asked_again(
    state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    files = PushFiles(PanelFiles(state_dir))
    with (
        open_push_service(tmp_path) as (service, trusted),
        telling(state_dir) as (harness, _),
        pushing_site(trusted, state_dir, forkserver) as site,
    ):
        site.post("/api/push/add", **service.subscription())
        service.answers = [503, 429, 201]
        need(harness, Status.NEEDS_LOGIN_IDLE)
        wait_until(lambda: len(service.taken) == 3)
        need(harness, None)
        wait_until(lambda: files.read().notified == {})
        service.answers = [410]
        need(harness, Status.NEEDS_LOGIN_IDLE)
        wait_until(lambda: files.read().browsers == ())
        site.post("/api/push/add", **service.subscription("two"))  # the first one is told of what is needed now
        wait_until(lambda: len(service.taken) == 5)
        assert service.taken[-1][0] == "/push/two"
        site.post("/api/push/remove", endpoint=service.subscription("two")["endpoint"])
        assert files.read().browsers == ()
        site.post("/api/push/add", **service.subscription())
        site.token = PanelFiles(state_dir).change_token()
        assert files.read().browsers == ()  # who had the old token only


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "http://localhost/x"},
        {"endpoint": "file:///etc/passwd"},
        {"endpoint": "https://"},
        {"endpoint": "https://x/" + "x" * 3000},
        {"p256dh": "AAAA"},
        {"p256dh": "not base64 \u2028"},
        {"auth": "AAAA"},
        {"auth": "\ud800"},
    ],
)
def test_a_subscription_that_is_none_is_refused(change: dict[str, str], site: Site, state_dir: Path) -> None:
    given = PushService("https://localhost:1").subscription() | change
    assert site.post("/api/push/add", **given).status == 400
    assert PushFiles(PanelFiles(state_dir)).read().browsers == ()
    assert site.program.stderr == []


def test_of_two_gateways_one_tells_and_each_leaves_the_others_agents_alone(tmp_path: Path) -> None:
    files = PushFiles(PanelFiles(tmp_path))
    files.add(BROWSER)
    assert files.claim({"bee": "needs login"}, {"bee"}, {"bee", "wasp"}) == ["bee"]
    assert files.claim({"bee": "needs login"}, {"bee"}, {"bee", "wasp"}) == []
    assert files.claim({}, set(), {"wasp"}) == []
    assert files.read().notified == {"bee": "needs login"}
    assert files.claim({}, set(), {"bee"}) == []
    assert files.read().notified == {}
    assert files.claim({"bee": "unreachable"}, set(), {"bee"}) == []  # seen once: a busy harness may miss a look


def test_browsers_are_bounded_and_a_damaged_file_holds_none(tmp_path: Path) -> None:
    panel = PanelFiles(tmp_path)
    files = PushFiles(panel)
    for number in range(MAX_BROWSERS):
        files.add(BROWSER._replace(endpoint=f"https://push.example/{number}"))
    files.add(BROWSER._replace(endpoint="https://push.example/0"))
    with pytest.raises(RefusedError, match="receive push messages already"):
        files.add(BROWSER)
    for damage in (b"", b"[]", b'{"browsers": [7], "notified": {}}', b'{"browsers": [{"x": 1}], "notified": {}}'):
        panel.push_file.write_bytes(damage)
        assert files.read() == ((), {})
    (panel.folder / "push-key.pem").write_text("no key")
    with pytest.raises(StoreError, match="cannot be used"):
        files.signing_key()


def test_without_the_library_the_panel_says_that_it_sends_nothing(state_dir: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None; sys.argv[0] = 'hyperhive'\n"
        "from hyperhive_cli.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *web_words(state_dir)], env=plain_environment(tmp_path), cwd=tmp_path,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found: dict[str, Any] = json.loads(process.stdout.readline())
        site = Site(found["url"].partition("#")[0], found["token"], None)  # type: ignore[arg-type]
        assert site.get("/api/push") == {"key": None}
        answer = site.post("/api/push/add", **PushService("https://localhost:1").subscription())
        assert (answer.status, answer.json()["hint"]) == (409, "pip install 'hyperhive[push]'")
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

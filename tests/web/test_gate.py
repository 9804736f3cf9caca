"""The gate as a table: names, origins, kinds of requests, the token. test_routes shows the same with a real server."""

import pytest

from hyperhive_cli.web.gate import Gate

TOKEN = "right-token"  # noqa: S105 - of these tests alone
ORIGINS = {"127.0.0.1:8420": "http://127.0.0.1:8420", "localhost:8420": "http://localhost:8420"}
GATE = Gate(ORIGINS, lambda: TOKEN)
GOOD = {"host": "127.0.0.1:8420", "authorization": f"Bearer {TOKEN}"}


def status(method: str = "GET", path: str = "/api/state", **headers: str | None) -> int:
    wanted = {**GOOD, **{name.replace("_", "-"): value for name, value in headers.items()}}
    pairs = [(name.encode(), value.encode()) for name, value in wanted.items() if value is not None]
    refusal = GATE.refusal(method, path, pairs)
    return 200 if refusal is None else refusal.status


def test_requests_of_our_page_and_of_curl_pass() -> None:
    assert status() == 200
    assert status(origin="http://127.0.0.1:8420", sec_fetch_site="same-origin") == 200
    assert status(host="localhost:8420", origin="http://localhost:8420") == 200
    assert status("POST", content_type="application/json; charset=utf-8") == 200
    assert status("GET", "/", authorization=None, sec_fetch_site="none", sec_fetch_mode="navigate") == 200
    assert status(authorization=f"bearer {TOKEN}") == 200


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", "evil.test", "evil.test:8420", "127.0.0.1", "127.0.0.1:8421", "127.0.0.1:8420."),
        *(
            "LOCALHOST:8420",
            "localhost.:8420",
            "localhost:8420@evil.test",
            "127.0.0.1:8420 ",
            "[::1]:8420",
            "0.0.0.0:8420",
        ),
    ],
)
def test_a_foreign_host_is_refused(host: str | None) -> None:
    assert status(host=host) == 403
    assert status("GET", "/", host=host) == 403


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "http://evil.test", "http://127.0.0.1.evil.test", "http://127.0.0.1:8420.evil.test"),
        *("https://127.0.0.1:8420", "http://127.0.0.1", "http://127.0.0.1:84200", "http://127.0.0.1:8420/"),
        "http://localhost:8420",  # ours by another name, but then another page
        "http://evil.test http://127.0.0.1:8420",
    ],
)
def test_a_foreign_origin_is_refused(origin: str) -> None:
    assert status(origin=origin) == 403
    assert status("GET", "/static/x.js", origin=origin) == 403


@pytest.mark.parametrize(
    ("method", "site", "mode"),
    [
        ("GET", "cross-site", "cors"),
        ("GET", "same-site", "cors"),  # another port of this machine: what the agent serves
        ("GET", "cross-site", "navigate"),
        ("GET", "none", "cors"),
        ("POST", "none", "navigate"),
        ("GET", "", None),
        ("GET", "same-origin, none", None),
    ],
)
def test_a_fetch_from_another_site_is_refused(method: str, site: str, mode: str | None) -> None:
    assert status(method, sec_fetch_site=site, sec_fetch_mode=mode, content_type="application/json") == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/", "/agents/a", "/agents/a/turns/12"])
def test_a_person_may_follow_a_link_of_another_site_to_the_shell(path: str, site: str) -> None:
    visit = {"authorization": None, "sec_fetch_site": site, "sec_fetch_mode": "navigate"}
    assert status("GET", path, **visit) == 200
    assert status("GET", "/agents/a/api/state", **visit) == 403
    assert status("POST", path, **visit, content_type="application/json") == 403
    assert status("GET", path, **{**visit, "sec_fetch_mode": "no-cors"}) == 403
    assert status("GET", path, **visit, origin="http://evil.test") == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", ""])
def test_an_unknown_method_is_refused(method: str) -> None:
    assert status(method) == 403
    assert status(method, "/") == 403


@pytest.mark.parametrize("media", [None, "", "text/plain", "application/x-www-form-urlencoded", "text/json", "x/json"])
def test_a_change_that_is_not_json_is_refused(media: str | None) -> None:
    assert status("POST", content_type=media) == 415


@pytest.mark.parametrize("name", ["host", "origin", "authorization", "sec-fetch-site", "content-type"])
def test_a_header_sent_twice_has_no_value(name: str) -> None:
    headers = {**GOOD, "origin": "http://127.0.0.1:8420", "sec-fetch-site": "same-origin"}
    headers["content-type"] = "application/json"
    pairs = [(key.encode(), value.encode()) for key, value in headers.items()]
    assert GATE.refusal("POST", "/api/cancel", pairs) is None
    assert GATE.refusal("POST", "/api/cancel", [*pairs, (name.encode(), headers[name].encode())]) is not None


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer  {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
    ],
)
@pytest.mark.parametrize("path", ["/api/state", "/api/nothing", "/agents/a/api/state", "/agents/a/b", "/x", "", "//"])
def test_a_request_without_the_token_is_refused(given: str | None, path: str) -> None:
    assert status("GET", path, authorization=given) == 401
    assert status("HEAD", path, authorization=given) == 401
    assert status("POST", path, authorization=given, content_type="application/json") == 401


def test_an_address_that_is_typed_wrong_is_called_so() -> None:
    said = {path: GATE.refusal("GET", path, [(b"host", b"127.0.0.1:8420")]) for path in ("/agent/a", "/api/x", "/apis")}
    assert {path: refusal and refusal.error for path, refusal in said.items()} == {
        "/agent/a": "there is no page at this address",
        "/api/x": "the token is missing or wrong",
        "/apis": "there is no page at this address",
    }


@pytest.mark.parametrize(
    "path", ["/", "/agents/a", "/agents/a/", "/static/app.js", "/static/a/b.css", "/favicon.ico", "/service-worker.js"]
)
def test_the_shell_needs_no_token_and_accepts_no_change(path: str) -> None:
    assert status("GET", path, authorization=None) == 200
    assert status("POST", path, authorization=None, content_type="application/json") == 401

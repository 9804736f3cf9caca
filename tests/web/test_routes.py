"""All routes of a real gateway: what a foreign page or a stranger gets, and how the OpenAPI document describes them."""

import re
import socket
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest
from starlette.routing import BaseRoute, Mount, Route

from hyperhive_cli.web.api import CHANGE_ROUTES, GLOBAL_CHANGES, GLOBAL_ROUTES, READ_ROUTES
from hyperhive_cli.web.app import STATIC, make_routes
from hyperhive_cli.web.gate import RESPONSE_HEADERS
from hyperhive_cli.web.gateway import Gateway
from tests.conftest import wait_until
from tests.forkserver import Forkserver
from tests.harness import LIMIT_S
from tests.web.site import JSON, Answer, Site, Telling, open_site, plain_environment, telling, web_words

SHELL = [
    "/",
    "/agents/bee",
    "/agents/bee/",
    "/favicon.ico",
    "/manifest.webmanifest",
    "/static/no-such-file.js",
    "/static/../api/state",
]
FILES = [f"/static/{path.relative_to(STATIC).as_posix()}" for path in sorted(STATIC.rglob("*")) if path.is_file()]
READ = [re.sub(r"{\w+}", "1", one.path) for one in (*GLOBAL_ROUTES, *READ_ROUTES)]
CHANGED = [change.path.replace("{id}", "1") for change in (*CHANGE_ROUTES, *GLOBAL_CHANGES)]
PATHS = [*READ, *CHANGED]
BEHIND_TOKEN = [*PATHS, *(f"/agents/bee{path}" for path in PATHS), "/api", "/api/nothing", "/nothing", "/agents/x/y"]
EVERY = [*SHELL, *FILES, *BEHIND_TOKEN]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
MEDIA = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css"}
MEDIA |= {".webmanifest": "application/manifest+json", ".png": "image/png"}
MEDIA |= {".svg": "image/svg+xml", ".json": "application/json", ".woff2": "font/woff2"}


@pytest.fixture(scope="module")
def served(forkserver: Forkserver) -> Iterator[tuple[Site, Telling]]:
    with tempfile.TemporaryDirectory(prefix="hh-") as name:
        folder = Path(name)
        with (
            telling(folder) as (_, harness),
            open_site(forkserver, web_words(folder), plain_environment(folder), folder) as site,
        ):
            yield site, harness


def look(site: Site, method: str, path: str, **headers: str | None) -> Answer:
    """Send a request and check what holds for every response."""
    wanted = {name.replace("_", "-").title(): value for name, value in headers.items()}
    answer = site.ask(method, path, wanted, b"{}" if method == "POST" else b"")
    for name, value in RESPONSE_HEADERS.items():
        assert answer.header(name.lower()) == value, (method, path)
    if "/api" in path:
        assert answer.header("cache-control") == "no-store", path
    names = {name for name, _ in answer.headers}
    assert not {name for name in names if name.startswith("access-control-") or name == "set-cookie"}
    assert "server" not in names
    if answer.status >= 400 and method != "HEAD":
        assert answer.json().keys() == {"error", "hint"}, (method, path)
    return answer


def foreign(site: Site) -> list[dict[str, str | None]]:
    """Return the headers of requests from other sites, all with the token."""
    return [
        {"host": None},
        {"host": f"evil.test:{site.port}"},
        {"host": f"127.0.0.1:{site.port}."},
        {"host": f"127.0.0.1:{site.port + 1}"},
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1.evil.test"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ]


def test_what_a_foreign_page_sends_is_refused_on_every_route_and_has_no_effect(
    served: tuple[Site, Telling],
) -> None:
    site, harness = served
    for path in EVERY:
        for headers in foreign(site):
            assert look(site, "GET", path, **headers).status == 403, (path, headers)
    for method in METHODS[1:]:
        for path in (*SHELL[:2], *PATHS):
            assert look(site, method, path, origin="https://evil.test", content_type="application/json").status == 403
    for path in CHANGED:  # what a form of another page can send, which an old browser marks with nothing
        assert look(site, "POST", path, content_type="text/plain").status == 415
        assert look(site, "POST", path, content_type="application/x-www-form-urlencoded").status == 415
        assert look(site, "GET", path).status == 405
    for method in METHODS[3:]:
        for path in EVERY:
            assert look(site, method, path).status == 403
    assert harness.asked == []
    assert look(site, "POST", "/api/cancel", content_type="application/json").status == 400  # it could have been seen
    assert harness.asked == ["cancel"]


def test_without_the_token_only_the_shell_is_served(served: tuple[Site, Telling]) -> None:
    site, harness = served
    before = list(harness.asked)
    for path in BEHIND_TOKEN:
        for given in (None, f"Bearer {site.token[:-1]}", f"Basic {site.token}", site.token):
            answer = look(site, "GET", path, authorization=given)
            assert answer.status == 401, path
            assert answer.header("www-authenticate") == "Bearer"
            assert look(site, "HEAD", path, authorization=given).status == 401
            assert look(site, "POST", path, authorization=given, content_type="application/json").status == 401
    for path in (f"/api/state?token={site.token}", f"/api/state?access_token={site.token}"):
        assert look(site, "GET", path, authorization=None).status == 401
    assert look(site, "GET", "/api/state", authorization=None, cookie=f"token={site.token}").status == 401
    for path in FILES:
        assert look(site, "GET", path, authorization=None).status == 200
    assert harness.asked == before


def test_the_pages_files_have_their_types_and_nothing_else_is_served(served: tuple[Site, Telling]) -> None:
    site, _ = served
    for path in FILES:
        answer = look(site, "GET", path)
        assert answer.body == (STATIC / path.removeprefix("/static/")).read_bytes()
        wanted = MEDIA.get(Path(path).suffix)
        assert wanted is None or answer.header("content-type").startswith(wanted), path
    for path in ("../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc/passwd", ""):
        assert look(site, "GET", f"/static/{path}").status == 404
    page = look(site, "GET", "/")
    if (STATIC / "index.html").exists():
        assert (page.status, page.header("content-type")) == (200, "text/html; charset=utf-8")
        assert page.body == look(site, "GET", "/agents/anybody").body


def test_nonsense_is_answered_with_a_json_error_too(served: tuple[Site, Telling]) -> None:
    site, _ = served
    for path in ("/api/nothing", "/agents/bee/api/nothing", "/nothing"):
        assert look(site, "GET", path).status == 404
    assert look(site, "GET", "/agents/nobody/api/state").json()["error"] == "there is no agent 'nobody'"
    assert look(site, "POST", "/api/state", content_type="application/json").status == 405
    with socket.create_connection(("127.0.0.1", site.port), LIMIT_S) as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"default-src 'none'" in answer


def test_an_interrupted_upload_is_not_logged_as_a_fault(site: Site) -> None:
    words = {**JSON, "Host": site.host, "Authorization": f"Bearer {site.token}", "Content-Length": "1000"}
    head = "".join(f"{name}: {value}\r\n" for name, value in words.items())
    idle = site.idle_files()
    with socket.create_connection(("127.0.0.1", site.port), LIMIT_S) as connection:
        connection.sendall(f"POST /api/cancel HTTP/1.1\r\n{head}\r\n{{".encode())
        wait_until(lambda: site.open_files() > idle)
    wait_until(lambda: site.open_files() == idle)
    assert site.post("/api/cancel").status == 503
    assert site.program.stderr == []


def walk(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from walk(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            yield from ((method.lower(), prefix + route.path) for method in (route.methods or set()) - {"HEAD"})


def test_the_document_describes_exactly_the_existing_routes(served: tuple[Site, Telling]) -> None:
    document = look(served[0], "GET", "/api/openapi.json").json()
    described = {(method, path) for path, operations in document["paths"].items() for method in operations}
    routes = {(method, path) for method, path in walk(make_routes(Gateway(dict))) if "/api/" in path}
    assert described == routes
    assert document["openapi"].startswith("3.1")


def test_every_field_of_a_change_is_in_the_document(served: tuple[Site, Telling]) -> None:
    paths = look(served[0], "GET", "/api/openapi.json").json()["paths"]
    for change in (*CHANGE_ROUTES, *GLOBAL_CHANGES):
        schema = paths[change.path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert schema["properties"].keys() == change.fields.keys()
        assert schema["required"] == [name for name, field in change.fields.items() if field.required]


def test_a_change_is_checked_before_the_harness_is_asked(served: tuple[Site, Telling]) -> None:
    site, harness = served
    before = list(harness.asked)
    bodies = {
        b"": "the body is not JSON",
        b"[" * 100_000: "the body is not JSON",
        b"[]": "the body must be a JSON object",
        b'{"model": 1}': "'model' must be a string: the model's name",
        b'{"model": null}': "missing field: 'model', the model's name",
        b'{"model": "x", "token": "y"}': "unknown field: 'token'",
    }
    for body, said in bodies.items():
        answer = site.ask("POST", "/api/model", JSON, body)
        assert (answer.status, answer.json()["error"]) == (400, said)
    too_long = site.ask("POST", "/api/model", JSON, b" " * (5 * 1024 * 1024))
    assert too_long.status == 413
    assert site.ask("POST", "/api/inbox/one/cancel", JSON, b"{}").status == 400
    assert site.ask("POST", f"/api/inbox/{10**30}/cancel", JSON, b"{}").status == 400
    assert harness.asked == before


def test_a_query_is_checked(served: tuple[Site, Telling]) -> None:
    site, _ = served
    for query in ("events?since=-1", "events?since=x", "events?limit=0", "events?limit=2001", f"events?since={10**30}"):
        assert site.ask("GET", f"/api/{query}").status == 400
    for query in ("stream?partial=2", "stats?by=week", "stats?days=0", "inbox?all=yes", "turns/one", "turns?limit=0"):
        assert site.ask("GET", f"/api/{query}").status == 400
    assert site.ask("GET", "/api/stream", {"Last-Event-ID": "x"}).status == 400
    head = site.ask("HEAD", "/api/stream")
    assert (head.status, head.header("content-type"), head.body) == (200, "text/event-stream; charset=utf-8", b"")


VISIT = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/no/such/page", {}, 404, "Not Found"),
        ("/agents/hornet/api/state", {}, 404, "there is no agent &#x27;hornet&#x27;"),
        ("/api/state", {"Authorization": None}, 401, "the token is missing or wrong"),
        ("/", {"Host": "evil.test"}, 403, "this gateway does not have that name"),
        ("/api/state", {"Sec-Fetch-Site": "cross-site"}, 403, "pages of other origins are refused"),
    ],
)
def test_an_error_is_a_page_for_a_person_and_json_for_a_program(
    path: str, headers: dict[str, str | None], status: int, words: str, site: Site
) -> None:
    page = site.ask("GET", path, {**VISIT, **headers})
    assert (page.status, page.header("content-type")) == (status, "text/html; charset=utf-8")
    assert f"<h1>{words[0].upper()}{words[1:]}</h1>" in page.body.decode()
    told = site.ask("GET", path, {**headers, "Sec-Fetch-Mode": "cors", "Accept": "*/*"}).json()
    assert escape(told["error"]) == words

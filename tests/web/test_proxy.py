"""The panel behind a proxy that terminates TLS: the declared address sets Host, Origin, the link and the prefix."""

import re
from pathlib import Path

import pytest

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.web.bind import PublicUrl, WebConfig, public_urls
from tests.forkserver import Forkserver
from tests.harness import Hive
from tests.web.proxy import open_proxy
from tests.web.site import JSON, Site, open_site, plain_environment, telling, web_words


@pytest.mark.parametrize("strips", [True, False], ids=["cut off", "kept"])
@pytest.mark.parametrize("prefix", ["", "/bees", "/a/b-c.d~_"])
def test_everything_is_found_only_below_the_declared_address(
    prefix: str, strips: bool, state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    with telling(state_dir) as (_, handler), open_proxy(state_dir, prefix, strips=strips) as (proxy, trusted):
        words = web_words(
            state_dir, f"--bind=unix:{state_dir / 'web.sock'}", "--web-url", proxy.address, "--web-url=https://b.test/x"
        )
        with open_site(
            forkserver, words, plain_environment(tmp_path), tmp_path, tls=trusted, connect_to="localhost"
        ) as site:
            assert site.url == f"{proxy.address}/"
            assert site.get(f"{prefix}/api/state")["agent"] == "bee"
            assert site.get(f"{prefix}/agents/bee/api/state")["agent"] == "bee"
            assert site.ask("GET", f"{prefix}/api/state", {"Origin": site.origin}).status == 200
            for origin in (site.origin.replace("https", "http"), "https://b.test", "http://localhost", "null"):
                assert site.ask("GET", f"{prefix}/api/state", {"Origin": origin}).status == 403
            for host in ("b.test:443", "evil.test", "127.0.0.1", site.host.upper()):
                assert site.ask("GET", f"{prefix}/api/state", {"Host": host}).status == 403
            assert site.ask("GET", "/x/api/state", {"Host": "b.test", "Origin": "https://b.test"}).status == 200
            assert site.ask("GET", f"{prefix}/api/state", {"Authorization": None}).status == 401
            assert site.ask("POST", f"{prefix}/api/pause", JSON, b"{}").status == 400
            assert handler.asked == ["pause"]  # it came through
            page = site.ask("GET", f"{prefix}/", {"Authorization": None})
            assert page.status == 200
            links = re.findall(r'(?:href|src)="(/[^"]*)"', page.body.decode())
            assert len(links) > 5
            assert all(link.startswith(f"{prefix}/") for link in links)
            assert {site.ask("GET", link).status for link in links} == {200}
            assert site.ask("GET", f"{prefix}/agents/bee", {"Authorization": None}).body == page.body
            assert site.ask("GET", f"{prefix}/api/state/").status == 404  # and no way past the proxy
            with site.stream(path=f"{prefix}/api/stream") as stream:
                assert stream.named("snapshot").data["agent"] == "bee"


def test_a_path_that_only_starts_like_the_prefix_is_another(site: Site) -> None:
    assert site.ask("GET", "/bees/api/state").status == 404  # nothing is declared here


@pytest.mark.parametrize(
    "url",
    [
        *("", "hive.test", "//hive.test", "ftp://hive.test", "https://", "https:///x", "https://Hive.test"),
        *("https://hive.test:0", "https://hive.test:65536", "https://hive.test:x", "https://me@hive.test"),
        *(
            "https://hive.test?x",
            "https://hive.test#x",
            "https://hive.test/a b",
            "https://hive.test//",
            "https://h/a//b",
        ),
        *("https://hive.test/..", "https://hive.test/a/../b", "https://hive.test/.", "https://hive.test/%41"),
        *("https://hive.test/agents", "https://hive.test/api/x", "https://hive.test/static", "https://hivé.test"),
        *("http://hive.test", "http://10.0.0.1", 'https://h/"x', "https://h/<x>", "https://hive.test\n"),
    ],
)
def test_a_wrong_address_is_refused_at_the_start(url: str, hive: Hive) -> None:
    with pytest.raises(UsageError):
        public_urls(WebConfig("127.0.0.1:0", urls=(url,)))
    if url:
        assert hive.call("web", "--bind", "127.0.0.1:0", "--web-url", url).refusal(2).startswith("--web-url ")
        assert hive.call("run", "--web", "--web-url", url).refusal(2).startswith("--web-url ")


def test_addresses_are_parsed_as_a_browser_writes_them() -> None:
    given = (
        "https://hive.test/", "https://b.test:443/x/", "https://c.test:8443/x/y", "http://localhost:8080", "https://[::1]:1"
    )  # fmt: skip
    assert public_urls(WebConfig("127.0.0.1:0", urls=given)) == [
        PublicUrl("https://hive.test", "hive.test", ""),
        PublicUrl("https://b.test", "b.test", "/x"),
        PublicUrl("https://c.test:8443", "c.test:8443", "/x/y"),
        PublicUrl("http://localhost:8080", "localhost:8080", ""),
        PublicUrl("https://[::1]:1", "[::1]:1", ""),
    ]
    with pytest.raises(UsageError, match=r"names hive\.test twice"):
        public_urls(WebConfig("127.0.0.1:0", urls=("https://hive.test/a", "https://hive.test/b")))

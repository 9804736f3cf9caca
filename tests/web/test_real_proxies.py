"""The manual's configurations of nginx and Caddy, run as they stand there but for names, ports and certificates."""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from tests.conftest import LIMIT_S, wait_until
from tests.forkserver import Forkserver
from tests.pages import blocks, page
from tests.web.site import JSON, Site, open_site, plain_environment, telling, web_words

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
PROXIES = ["nginx", "caddy"]


def make_nginx(folder: Path, text: str, replaced: dict[str, str]) -> list[str]:
    replaced |= {"listen 443 ssl": f"listen 127.0.0.1:{replaced['443']} ssl"}
    replaced |= {"/etc/ssl/bee.pem": str(folder / "cert.pem"), "/etc/ssl/bee.key": str(folder / "key.pem")}
    temporary = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root; " if os.geteuid() == 0 else ""  # else its workers cannot enter the folder
    (folder / "nginx.conf").write_text(
        f"{user}daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; events {{}}\n"
        f"http {{ access_log {folder}/access.log; {temporary}\n{swap(text, replaced)}}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def make_caddy(folder: Path, text: str, replaced: dict[str, str]) -> list[str]:
    address = f"https://localhost:{replaced['443']}"
    replaced |= {"bee.example.org {": f"{address} {{\n  tls {folder}/cert.pem {folder}/key.pem\n  log {{\n"
                 f"    output file {folder}/access.log\n  }}"}  # fmt: skip
    (folder / "Caddyfile").write_text(
        f"{{\n  admin off\n  auto_https disable_redirects\n  default_bind 127.0.0.1\n}}\n{swap(text, replaced)}"
    )
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def swap(text: str, replaced: dict[str, str]) -> str:
    for found, other in replaced.items():
        if found != "443":
            assert text.count(found) == 1, (found, text)
            text = text.replace(found, other)
    return text


@contextmanager
def running_proxy(name: str, folder: Path, gateway: int) -> Iterator[tuple[int, ssl.SSLContext]]:
    """Run a proxy before the gateway with this port; yields its port, and the TLS context for its clients."""
    program = shutil.which(name, path=PATH)
    if program is None:
        pytest.skip(f"{name.upper()} BEFORE THE PANEL IS NOT TESTED: it is not here (apt-get install {name})")
    authority, trusted = trustme.CA(), ssl.create_default_context()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    authority.configure_trust(trusted)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (text,) = blocks(page("panel"), name)
    replaced = {"443": str(port), "127.0.0.1:8420": f"127.0.0.1:{gateway}"}
    command = {"nginx": make_nginx, "caddy": make_caddy}[name](folder, text.replace(
        "server_name bee.example.org", "server_name localhost"), replaced)  # fmt: skip
    environment = {"PATH": PATH, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen([program, *command[1:]], env=environment, stdout=said, stderr=said)
    try:
        wait_until(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "said").read_text()
        yield port, trusted
    finally:
        process.terminate()
        process.wait(LIMIT_S)


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@pytest.mark.parametrize("name", PROXIES)
def test_the_panel_works_behind_the_proxies_of_the_manual(
    name: str, state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        gateway = free.getsockname()[1]
    folder = tmp_path / "proxy"
    folder.mkdir()
    with ExitStack() as stack:
        port, trusted = stack.enter_context(running_proxy(name, folder, gateway))
        address = f"https://localhost:{port}/bees"
        words = web_words(state_dir, f"--bind=127.0.0.1:{gateway}", "--web-url", address)
        harness, handler = stack.enter_context(telling(state_dir))
        site: Site = stack.enter_context(
            open_site(forkserver, words, plain_environment(tmp_path), tmp_path, tls=trusted, connect_to="localhost")
        )
        assert site.url == f"{address}/"
        shell = site.ask("GET", "/bees/", {"Authorization": None})
        assert (shell.status, b'href="/bees/static/' in shell.body) == (200, True)
        assert site.get("/bees/api/state")["agent"] == "bee"
        assert site.ask("GET", "/bees/api/state", {"Origin": "https://evil.test"}).status == 403
        assert site.ask("GET", "/bees/api/state", {"Authorization": None}).status == 401
        assert site.ask("POST", "/bees/api/pause", JSON, b"{}").status == 400
        assert handler.asked == ["pause"]
        assert site.ask("POST", "/bees/api/messages", JSON, b"x" * 3_000_000).status == 400  # not 413
        with site.stream(path="/bees/api/stream") as stream:
            stream.named("snapshot")
            for number in range(1, 6):  # each arrives before the next is sent: nothing is held back
                harness.note(f"note {number}")
                assert stream.numbers(1) == [number]
        logged = wait_until((folder / "access.log").read_text)
        assert "/bees/" in logged
        assert site.token not in logged

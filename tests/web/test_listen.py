"""Where a gateway listens, under which names, with TLS; and its errors when it cannot."""

import signal
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.forkserver import Forkserver
from tests.harness import LIMIT_S, Hive
from tests.web.site import JSON, Site, open_site, plain_environment, telling, web_words


def test_a_unix_socket_is_private_to_its_owner_and_removed_at_the_end(
    state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    path = state_dir / "web.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))  # of a gateway that was killed
    command = web_words(state_dir, f"--bind=unix:{path}")
    with open_site(forkserver, command, plain_environment(tmp_path), tmp_path, unix=str(path)) as site:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert site.url == "http://localhost/"
        assert site.get("/api/state")["agent"] == "bee"
        assert site.ask("GET", "/api/state", {"Host": "127.0.0.1"}).status == 403
        assert site.ask("GET", "/api/state", {"Host": "localhost:80"}).status == 403
        assert site.ask("GET", "/api/state", {"Origin": "http://127.0.0.1"}).status == 403
        assert site.ask("GET", "/api/state", {"Authorization": None}).status == 401
        second = forkserver.fork(command, tmp_path, plain_environment(tmp_path), {})
        _, said = second.communicate(b"", LIMIT_S)
        assert (second.returncode, path.is_socket()) == (1, True)
        assert said.decode().startswith(f"Error: cannot listen on unix:{path}: Address already in use")
    assert not path.exists()


def test_a_file_that_is_not_a_socket_is_not_replaced(hive: Hive) -> None:
    path = hive.state_dir / "precious"
    path.write_text("mine")
    assert "cannot listen on" in hive.call("web", "--bind", f"unix:{path}").refusal()
    assert path.read_text() == "mine"


def test_a_token_from_stdin_must_be_as_strong_as_a_generated_one(hive: Hive) -> None:
    refused = hive.call("web", "--bind", "127.0.0.1:0", "--token-stdin", stdin=b"too short\n")
    assert "a token needs at least 43 characters" in refused.refusal(2)
    assert "too short" not in refused.stderr


def test_only_the_loopback_names_of_the_port_are_accepted(site: Site) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        name = f"{host}:{site.port}"
        assert site.ask("GET", "/api/state", {"Host": name, "Origin": f"http://{name}"}).status == 200
    assert site.ask("GET", "/api/state", {"Host": f"localhost:{site.port}", "Origin": site.origin}).status == 403


def test_ipv6(state_dir: Path, tmp_path: Path, forkserver: Forkserver) -> None:
    command = web_words(state_dir, "--bind=[::1]:0")
    with open_site(forkserver, command, plain_environment(tmp_path), tmp_path, connect_to="::1") as site:
        assert site.host == f"[::1]:{site.port}"
        assert site.get("/api/state")["agent"] == "bee"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_with_its_number_even_with_open_streams(site: Site, number: signal.Signals) -> None:
    with site.stream() as stream:
        stream.named("snapshot")
        site.program.send(number)
        assert site.program.wait() == 128 + number
    assert site.program.stderr == []


def test_beyond_this_machine_it_is_served_with_tls_under_the_given_name(
    certified: tuple[list[str], ssl.SSLContext], state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    options, context = certified
    context.check_hostname = False  # we connect by address; the name is what stands in Host
    command = web_words(state_dir, "--bind=0.0.0.0:0", "--web-allow-host=hive.test", *options)
    with open_site(forkserver, command, plain_environment(tmp_path), tmp_path, tls=context) as site:
        assert site.url == f"https://hive.test:{site.port}/"
        assert site.get("/api/state")["agent"] == "bee"
        assert site.ask("GET", "/api/state", {"Origin": site.origin}).status == 200
        assert site.ask("GET", "/api/state", {"Origin": site.origin.replace("https", "http")}).status == 403
        for host in ("127.0.0.1", "0.0.0.0", "localhost", "evil.test"):  # noqa: S104 - not to be answered to
            assert site.ask("GET", "/api/state", {"Host": f"{host}:{site.port}"}).status == 403
        assert site.ask("POST", "/api/cancel", JSON, b"{}").status == 503


def test_a_stream_over_tls_has_every_event_in_order(
    certified: tuple[list[str], ssl.SSLContext], state_dir: Path, tmp_path: Path, forkserver: Forkserver
) -> None:
    options, context = certified
    context.check_hostname = False
    command = web_words(state_dir, "--bind=0.0.0.0:0", "--web-allow-host=hive.test", *options)
    with (
        telling(state_dir) as (harness, _),
        open_site(forkserver, command, plain_environment(tmp_path), tmp_path, tls=context) as site,
        site.stream() as stream,
    ):
        stream.named("snapshot")
        for size in (1, 1, 1000, 100_000, 1):
            harness.note(*["x" * size] * 20)  # more than the client and the kernel hold, before it reads again
        assert stream.numbers(100) == list(range(1, 101))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--bind", "0.0.0.0:0"], 2, "0.0.0.0 can be reached from other machines"),
        (["--bind", "[::]:0", "--web-allow-host", "hive.test"], 2, ":: can be reached from other machines"),
        (["--bind", "8420"], 2, "not a valid address to listen on: '8420'"),
        (["--bind", "example.com:80"], 2, "not a valid address to listen on: 'example.com:80'"),
        (["--bind", "127.0.0.1:65536"], 2, "not a valid address to listen on: '127.0.0.1:65536'"),
        (["--web-cert", "cert.pem"], 2, "a certificate needs its key"),
        (
            ["--bind", "127.0.0.1:0", "--web-cert", "no", "--web-key", "no"],
            1,
            "cannot use the certificate or its key",
        ),
        (["nobody"], 1, "there is no agent 'nobody'"),
        (["No Name"], 2, "'No Name' is not a valid agent name"),
    ],
)
def test_impossible_options_are_refused_with_a_reason(arguments: list[str], status: int, said: str, hive: Hive) -> None:
    assert hive.call("web", *arguments).refusal(status).startswith(said)


def test_a_port_that_is_in_use(site: Site, hive: Hive) -> None:
    done = hive.call("web", "--bind", f"127.0.0.1:{site.port}")
    assert done.refusal() == f"cannot listen on 127.0.0.1:{site.port}: Address already in use"
    assert done.stderr.endswith("Try: another HOST:PORT or unix:PATH\n")


def test_without_the_extra_the_error_says_what_to_install(hive: Hive) -> None:
    program = (
        "import sys; sys.modules['starlette'] = None; sys.argv[0] = 'hyperhive'\n"
        "from hyperhive_cli.cli.main import main; main()"
    )
    for command in (["web"], ["run", "--web", "--claude", str(hive.claude)]):
        done = subprocess.run(
            [sys.executable, "-c", program, *command],
            env=hive.variables(), cwd=hive.workspace, capture_output=True, timeout=LIMIT_S, check=False, text=True,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr == (
            "Error: the web panel needs starlette, which is not installed\nTry: pip install 'hyperhive[web]'\n"
        )


def test_the_address_is_printed_once_with_the_token_in_its_fragment(hive: Hive) -> None:
    with hive.start("web", "--bind", "127.0.0.1:0") as program:
        (line,) = wait_until(lambda: program.stdout)
        address, _, token = line.partition("/#token=")
        assert address.startswith("http://127.0.0.1:")
        assert len(token) == 43  # 32 bytes
        assert program.interrupt() == 130

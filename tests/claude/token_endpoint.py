"""A stand-in on loopback for the endpoint at which claude gets its login, and renews it: a proxy that ends TLS itself.

claude asks `https://platform.claude.com/v1/oauth/token`, wherever the Messages API is. With HTTPS_PROXY it comes here,
and with NODE_EXTRA_CA_CERTS it trusts the certificate that it meets. Whatever else it asks for is answered with `{}`.
"""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.certificates import make_certificates

HOST = "platform.claude.com"
GATE_LIMIT_S = 600.0


@dataclass(slots=True)
class TokenEndpoint:
    """Gives tokens for any code, and for a refresh token while `gate` is open.

    `codes` and `used` are the codes and the refresh tokens that it was shown, oldest first.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)
    codes: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    def answer(self, path: str, body: bytes) -> object:
        """Return new tokens for a code or a refresh token."""
        if path != "/v1/oauth/token":
            return {}
        asked = json.loads(body)
        if "code" in asked:
            self.codes.append(asked["code"])
            return _tokens(f"of-{asked['code']}")
        self.used.append(asked["refresh_token"])
        number = len(self.used)
        self.gate.wait(GATE_LIMIT_S)
        return _tokens(f"new-{number}")


def _tokens(name: str) -> dict[str, object]:
    return {
        "access_token": f"sk-ant-oat01-{name}",
        "refresh_token": f"sk-ant-ort01-{name}",
        "expires_in": 28_800,
        "scope": "user:inference user:profile",
        "token_type": "Bearer",
        "account": {"uuid": "made-up", "email_address": "bee@example.org"},
        "organization": {"uuid": "made-up", "name": "Bees"},
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, endpoint: TokenEndpoint, context: ssl.SSLContext, *arguments: object) -> None:
        self._endpoint = endpoint
        self._context = context
        super().__init__(*arguments)  # type: ignore[arg-type]  # as the server calls it

    def log_message(self, *args: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            self.connection = self._context.wrap_socket(self.connection, server_side=True)
        except OSError:  # claude has gone
            self.close_connection = True
            return
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def finish(self) -> None:
        """Close what the server does not know of: the TLS on its connection."""
        super().finish()
        self.connection.close()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        answer = json.dumps(self._endpoint.answer(self.path, body)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815 (the base class's name)


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of a claude that has gone."""


@contextmanager
def open_token_endpoint(folder: Path) -> Iterator[TokenEndpoint]:
    """Serve for the block; `environment` is what a claude needs to come here."""
    ca, key, cert = make_certificates(folder, HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    endpoint = TokenEndpoint()
    with _Server(("127.0.0.1", 0), partial(_Handler, endpoint, context)) as server:
        server.daemon_threads = True
        endpoint.environment = {
            **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), f"http://127.0.0.1:{server.server_port}"),
            "NO_PROXY": "127.0.0.1",
            "NODE_EXTRA_CA_CERTS": str(ca),
        }
        serving = threading.Thread(target=server.serve_forever, args=[0.02])
        serving.start()
        try:
            yield endpoint
        finally:
            endpoint.gate.set()
            server.shutdown()
            serving.join()

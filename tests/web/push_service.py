"""A push service on loopback: it takes what gateways send, and can read it, as it has the browsers' keys."""

import json
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hyperhive_cli.web.push_message import from_base64, to_base64

CURVE = ec.SECP256R1()


class BrowserKeys:
    """The keys of one browser's subscription."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(CURVE)
        self.auth = b"0123456789abcdef"
        self.p256dh = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def read(self, body: bytes) -> dict[str, str]:
        """Decrypt a message, by RFC 8188 and 8291."""
        salt, (_, length) = body[:16], struct.unpack(">IB", body[16:21])
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))
        info = b"WebPush: info\0" + self.p256dh + sender
        material = HKDF(hashes.SHA256(), 32, self.auth, info).derive(shared)
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(material)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(material)
        text, _, padding = AESGCM(key).decrypt(nonce, sealed, None).rpartition(b"\x02")
        assert padding.strip(b"\0") == b""
        found: dict[str, str] = json.loads(text)
        return found


@dataclass
class PushService:
    """`taken`: the address, the headers and the body of each message. `answers`: the next statuses, then 201."""

    origin: str
    browser: BrowserKeys = field(default_factory=BrowserKeys)
    taken: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def subscription(self, name: str = "one") -> dict[str, str]:
        keys = {"p256dh": to_base64(self.browser.p256dh), "auth": to_base64(self.browser.auth)}
        return {"endpoint": f"{self.origin}/push/{name}", **keys}

    def check_signature(self, authorization: str, public: str) -> dict[str, Any]:
        """Check who signed a message, by RFC 8292, and return what was signed."""
        scheme, signed, key = authorization.replace(", k=", " t=").split(" t=")
        assert (scheme, key) == ("vapid", public)
        content, _, signature = signed.rpartition(".")
        pair = from_base64(signature)
        r, s = int.from_bytes(pair[:32]), int.from_bytes(pair[32:])
        sender = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, from_base64(public))
        sender.verify(utils.encode_dss_signature(r, s), content.encode(), ec.ECDSA(hashes.SHA256()))
        head, claims = (json.loads(from_base64(part)) for part in content.split("."))
        assert head == {"typ": "JWT", "alg": "ES256"}
        found: dict[str, Any] = claims
        return found


@contextmanager
def open_push_service(folder: Path) -> Iterator[tuple[PushService, Path]]:
    """Listen as https://localhost:PORT; yields the service, and the file of its certificate's authority."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = folder / "push-authority.pem"
    authority.cert_pem.write_to_path(str(trusted))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.taken.append((self.path, headers, body))
            self.send_response(service.answers.pop(0) if service.answers else 201)
            self.send_header("Location", f"{service.origin}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        service = PushService(f"https://localhost:{server.server_port}")
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield service, trusted
        finally:
            server.shutdown()
            thread.join()

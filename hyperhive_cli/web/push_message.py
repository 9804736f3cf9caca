"""A web push message: encrypted for one browser (RFC 8291), and signed for its push service (RFC 8292).

The push service passes it on and learns its length, its urgency and who sends it; nothing of what it says.
"""

import base64
import json
import os
import struct
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hyperhive_cli.core.errors import UsageError

_CURVE = ec.SECP256R1()
_RECORD_BYTES = 4096  # a message is one record, the longest that every service takes
_LIFE_S = 12 * 3600  # of a signature; at most 24 h


class Browser(NamedTuple):
    """A browser that wants messages: the address at its push service, its public key, and its secret."""

    endpoint: str
    p256dh: str
    auth: str


def check_browser(browser: Browser) -> Browser:
    """Return it; raises UsageError if no message can be sent to it."""
    parts = urlsplit(browser.endpoint)
    if parts.scheme != "https" or not parts.hostname or len(browser.endpoint) > 2000 or not browser.endpoint.isascii():
        raise UsageError("'endpoint' must be the https address of a push service")
    try:
        encrypt(b"", browser)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError("'p256dh' and 'auth' must be the keys of a subscription, in base64url") from error
    return browser


def encrypt(text: bytes, browser: Browser, key: ec.EllipticCurvePrivateKey | None = None, salt: bytes = b"") -> bytes:
    """Return the body that only this browser can read; raises ValueError for keys that are none.

    `key` and `salt` are random, and used for this message alone.
    """
    key, salt = key or ec.generate_private_key(_CURVE), salt or os.urandom(16)
    theirs, auth, ours = from_base64(browser.p256dh), from_base64(browser.auth), _point(key.public_key())
    if len(auth) != 16:
        raise ValueError(auth)
    shared = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, theirs))
    material = _derive(auth, shared, b"WebPush: info\0" + theirs + ours, 32)
    content_key = _derive(salt, material, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(salt, material, b"Content-Encoding: nonce\0", 12)
    sealed = AESGCM(content_key).encrypt(nonce, text + b"\x02", None)  # the mark of the last record
    return salt + struct.pack(">IB", _RECORD_BYTES, len(ours)) + ours + sealed


class SigningKey:
    """The key by which push services know this sender."""

    def __init__(self, pem: bytes) -> None:
        """Take a key from its file; raises ValueError."""
        found = serialization.load_pem_private_key(pem, None)
        if not isinstance(found, ec.EllipticCurvePrivateKey) or found.curve.name != _CURVE.name:
            raise ValueError(found)
        self._key = found
        self.public = to_base64(_point(found.public_key()))

    @staticmethod
    def new() -> bytes:
        """Return a new key, as in its file."""
        return ec.generate_private_key(_CURVE).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def authorization(self, endpoint: str, contact: str, now: float) -> str:
        """Return the header that signs a request to this address. `contact`: where its operator is found."""
        parts = urlsplit(endpoint)
        claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": int(now) + _LIFE_S, "sub": contact}
        signed = ".".join(to_base64(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ES256"}, claims))
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"vapid t={signed}.{to_base64(r.to_bytes(32) + s.to_bytes(32))}, k={self.public}"


def to_base64(content: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """Read base64url, padded or not; raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derive(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)

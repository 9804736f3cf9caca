"""Certificates for the tests, made by `openssl`."""

import subprocess
from pathlib import Path


def make_certificates(folder: Path, host: str) -> tuple[Path, Path, Path]:
    """Make an authority, and a key and certificate by it for a machine; gives `ca`, `key`, `cert`."""
    ca_key, ca, key, request, cert, extra = (
        folder / name for name in ("ca.key", "ca.pem", "server.key", "server.csr", "server.pem", "server.ext")
    )
    extra.write_text(f"subjectAltName=DNS:{host}\n", encoding="utf-8")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-batch"]
    commands: list[list[str | Path]] = [
        [*new, "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca],
        [*new, "-subj", f"/CN={host}", "-keyout", key, "-out", request],
        ["openssl", "x509", "-req", "-days", "2", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
         "-extfile", extra, "-out", cert],
    ]  # fmt: skip
    for command in commands:
        subprocess.run(command, capture_output=True, check=True)
    return ca, key, cert

"""Fixtures of the web panel's tests: one agent, the harness as a thread, and the gateway as a process."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.conftest import FakeClaude
from tests.forkserver import Forkserver
from tests.harness import Hive
from tests.web.site import Site, open_site, plain_environment, web_words


@pytest.fixture
def hive(
    fake_claude: FakeClaude, workspace: Path, state_dir: Path, environment: dict[str, str], forkserver: Forkserver
) -> Hive:
    return Hive(workspace, state_dir, fake_claude.path, environment, forkserver)


@pytest.fixture
def site(state_dir: Path, tmp_path: Path, forkserver: Forkserver) -> Iterator[Site]:
    """Serve the one agent of this folder, with or without a running harness."""
    with open_site(forkserver, web_words(state_dir), plain_environment(tmp_path), tmp_path) as found:
        yield found


@pytest.fixture
def certified(tmp_path: Path) -> tuple[list[str], ssl.SSLContext]:
    """Return the options for a certificate of hive.test, and the TLS context for its clients."""
    authority = trustme.CA()
    issued = authority.issue_cert("hive.test")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for n, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(certificate), append=n > 0)
    issued.private_key_pem.write_to_path(str(key))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return [f"--web-cert={certificate}", f"--web-key={key}"], context

"""The panel as an app: its manifest as Chromium reads it, its icons, the colour of its window."""

import json
import struct
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser

import hyperhive_cli
from tests.harness import Hive
from tests.web.page.browser import gateway, open_window

STATIC = Path(hyperhive_cli.__file__).parent / "web" / "static"
MANIFEST = json.loads((STATIC / "manifest.webmanifest").read_text(encoding="utf-8"))


@pytest.mark.parametrize("icon", MANIFEST["icons"], ids=lambda icon: icon["src"])
def test_each_icon_has_its_size_and_is_small(icon: dict[str, str]) -> None:
    content = (STATIC / icon["src"].removeprefix("static/")).read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert f"{width}x{height}" == icon["sizes"]
    assert len(content) < 8_000


def test_chromium_reads_the_manifest_and_the_window_has_the_colour_of_the_page(browser: Browser, hive: Hive) -> None:
    with gateway(hive) as url, open_window(browser, hive, url) as window:
        window.wait_live()
        session = window.page.context.new_cdp_session(window.page)
        found = session.send("Page.getAppManifest")
        assert found["errors"] == []
        assert found["url"] == urljoin(url, "/manifest.webmanifest")
        assert json.loads(found["data"]) == MANIFEST
        assert found["manifest"]["display"] == "kStandalone"  # as Chromium understands it
        assert found["manifest"]["scope"] == found["manifest"]["startUrl"] == urljoin(url, "/")
        colours = []
        for chosen in ("as the system", "light", "dark"):
            button = window.page.get_by_role("button", name=f"Colours: {chosen}")
            colours.append(window.page.locator("meta[name=theme-color]").first.get_attribute("content"))
            button.click()
        assert colours == ["rgb(250, 249, 246)", "rgb(250, 249, 246)", "rgb(19, 20, 22)"]

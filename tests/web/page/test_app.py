"""The panel as an app: its manifest as Chromium reads it, its icons, the colour of its window."""

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser

import hyperhive_cli
from hyperhive_cli.web.access import PanelFiles
from hyperhive_cli.web.push import PushFiles
from tests.conftest import wait_until
from tests.harness import Hive
from tests.web.page.browser import ARGUMENTS, gateway, open_window
from tests.web.push_service import open_push_service

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


# What stands in for the push service of a browser's maker, which a test cannot ask: a subscription at one of ours.
SUBSCRIBED = """given => {
  const subscription = {
    endpoint: given.endpoint,
    options: {get applicationServerKey() {
      return Uint8Array.from(atob(given.key.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0)).buffer;
    }},
    toJSON: () => ({endpoint: given.endpoint, keys: {p256dh: given.p256dh, auth: given.auth}}),
    unsubscribe: async () => sessionStorage.removeItem("subscribed"),
  };
  PushManager.prototype.getSubscription = async () => (sessionStorage.getItem("subscribed") ? subscription : null);
  PushManager.prototype.subscribe = async (options) => {
    if (options.applicationServerKey !== given.key || !options.userVisibleOnly) throw new Error("another key");
    sessionStorage.setItem("subscribed", "1");
    return subscription;
  };
}"""
SHOWN = """async () => (await (await navigator.serviceWorker.getRegistration()).getNotifications())
  .map(({title, body, tag}) => [title, body, tag])"""


@pytest.fixture
def whole_browser(browser: Browser) -> Iterator[Browser]:
    """Return a Chromium that can show notifications, which its headless shell cannot."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("PUSH MESSAGES ARE NOT TESTED IN A BROWSER: no whole chromium here (`apt-get install chromium`)")
    found = browser.browser_type.launch(executable_path=program, headless=True, args=ARGUMENTS)
    try:
        yield found
    finally:
        found.close()


def test_a_browser_is_told_while_the_panel_is_closed_if_it_wants_that(
    whole_browser: Browser, hive: Hive, tmp_path: Path
) -> None:
    with (
        open_push_service(tmp_path) as (service, _),
        gateway(hive) as url,
        open_window(whole_browser, hive, url) as window,
    ):
        page, context = window.page, window.page.context
        context.grant_permissions(["notifications"], origin=url.partition("/#")[0])
        panel = PanelFiles(hive.state_dir)
        files = PushFiles(panel)
        given = {**service.subscription(), "key": files.signing_key().public}
        context.add_init_script(f"({SUBSCRIBED})({json.dumps(given)})")
        page.reload()
        window.wait_live()
        assert page.evaluate("async () => (await navigator.serviceWorker.getRegistrations()).length") == 0
        page.locator(".bell").click()
        switch = page.locator(".push-switch")
        switch.click()
        page.locator(".push-switch[aria-checked=true]:enabled").wait_for()
        assert [one._asdict() for one in files.read().browsers] == [service.subscription()]
        panel.push_file.unlink()  # as a new token does
        page.reload()
        wait_until(lambda: files.read().browsers)

        session = context.new_cdp_session(page)
        registrations: list[dict[str, str]] = []
        session.on(
            "ServiceWorker.workerRegistrationUpdated", lambda event: registrations.extend(event["registrations"])
        )
        session.send("ServiceWorker.enable")
        wait_until(
            lambda: page.evaluate("async () => (await navigator.serviceWorker.ready).active.state") == "activated"
        )
        message = {"agent": hive.workspace.name, "words": "needs login"}
        delivery = {"origin": url.partition("/#")[0], "registrationId": registrations[0]["registrationId"]}

        def deliver() -> Any:  # noqa: ANN401 - of the page
            """Deliver it, again if the worker was just stopping: of one tag, one notification is left."""
            session.send("ServiceWorker.deliverPushMessage", {**delivery, "data": json.dumps(message)})
            page.wait_for_timeout(200)
            return page.evaluate(SHOWN)

        shown = wait_until(deliver)
        assert shown == [[f"{message['agent']} needs you", "needs login", f"hyperhive-{message['agent']}"]]
        assert page.evaluate("async () => (await caches.keys()).length") == 0
        (worker,) = context.service_workers
        worker.evaluate("agent => openAgent(agent).catch(() => {})", message["agent"])  # a click may also focus it
        page.wait_for_url(f"**/agents/{message['agent']}")
        page.goto(url.partition("#")[0])
        window.wait_live()

        page.locator(".bell").click()
        page.locator(".push-switch[aria-checked=true]").click()
        page.locator(".push-switch[aria-checked=false]:enabled").wait_for()
        assert files.read().browsers == ()
        assert page.evaluate("async () => (await navigator.serviceWorker.getRegistrations()).length") == 0

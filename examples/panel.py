#!/usr/bin/env python3
"""Take a picture of the web panel: how the README's pictures of it were made. Needs playwright and Chromium.

examples/panel.py [--dark] OUT.png hyperhive -a NAME web --bind 127.0.0.1:0
"""

import shutil
import subprocess
import sys
from typing import Literal

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1280, 800


def take_picture(url: str, target: str, scheme: Literal["light", "dark"]) -> None:
    """Open the panel in the system's Chromium and wait until it is live and what is beside the feed is drawn."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    chromium = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
        page.goto(url)
        page.locator("body[data-phase=live]").wait_for()
        page.locator(".charts .chart").first.wait_for()
        page.locator(".inbox li, .inbox-words:not(:empty)").first.wait_for()
        page.screenshot(path=target, animations="disabled")
        browser.close()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    is_dark = arguments[0] == "--dark"
    target, *command = arguments[int(is_dark) :]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline() if server.stdout else ""
            take_picture(url.strip(), target, "dark" if is_dark else "light")
        finally:
            server.terminate()

#!/usr/bin/env python3
"""Take pictures of the web panel: how the README's were made. Needs playwright and Chromium.

examples/panel.py OUT hyperhive -a NAME web --bind 127.0.0.1:0

The pictures are OUT.png and OUT-dark.png.
"""

import shutil
import subprocess
import sys

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1280, 800
SETTLES_MS = 2000  # for what comes after the newest events


def take_pictures(url: str, target: str) -> None:
    """Open the panel in the system's Chromium, wait until it is live and its charts are drawn, and take pictures."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    chromium = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(url)
        page.locator("body[data-phase=live]").wait_for()
        page.locator(".of-usage .chart").first.wait_for()
        page.wait_for_timeout(SETTLES_MS)
        page.screenshot(path=f"{target}.png", animations="disabled")
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=f"{target}-dark.png", animations="disabled")
        browser.close()


if __name__ == "__main__":
    target, *command = sys.argv[1:]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline() if server.stdout else ""
            take_pictures(url.strip(), target)
        finally:
            server.terminate()

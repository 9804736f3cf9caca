#!/usr/bin/env python3
"""Take a picture of the web panel: how the README's picture of it was made. Needs playwright and Chromium.

examples/panel.py OUT.png hyperhive -a NAME web --bind 127.0.0.1:0
"""

import shutil
import subprocess
import sys

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1120, 700


def take_picture(url: str, target: str) -> None:
    """Open the panel in the system's Chromium and wait until it is live, its inbox read and its charts drawn."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    chromium = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(url)
        page.locator("body[data-phase=live]").wait_for()
        page.locator(".plots figure").first.wait_for()
        page.locator(".inbox li, .inbox-words:not(:empty)").first.wait_for()
        page.screenshot(path=target, animations="disabled")
        browser.close()


if __name__ == "__main__":
    target, *command = sys.argv[1:]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline() if server.stdout else ""
            take_picture(url.strip(), target)
        finally:
            server.terminate()

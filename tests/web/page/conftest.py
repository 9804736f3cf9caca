"""The browser that all tests of the page share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.web.page.browser import open_browser


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with open_browser() as found:
        yield found

"""A Chromium for the tests of a file, and the console of the small world for each of them.

Not one for all files: while Playwright is open, no other test of the process can run a loop.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browsing import Served, chromium, served
from tests.http_doubles import World

pytest_plugins = ["tests.http_fixtures"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def server(here: World) -> Iterator[Served]:
    with served(here.app) as running:
        yield running

"""A real server and a real Chromium for the tests of the console."""

import asyncio
import os
import shutil
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright

from api.ports import free_port
from tests.brokers import HOST
from tests.http_doubles import WRITE_TOKEN

STARTS_WITHIN_S = 15.0
PHONE, DESKTOP = (360, 740), (1280, 860)
GRAVE = {"serious", "critical"}
TABS_MAX = 200
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Served:
    """An application on a free port of the loopback, on a loop in a thread of its own."""

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=HOST,
                port=self.port,
                log_config=None,
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._started.wait(STARTS_WITHIN_S):
            pytest.fail("the server does not start")

    def do(self, what: Coroutine[None, None, None]) -> None:
        """Run something on the loop of the server, as the pipeline would."""
        asyncio.run_coroutine_threadsafe(what, self._loop).result(STARTS_WITHIN_S)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STARTS_WITHIN_S)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started and not serving.done():  # noqa: ASYNC110  (it has no event)
            await asyncio.sleep(0.01)
        self._started.set()
        await serving


@contextmanager
def served(app: FastAPI, port: int = 0) -> Iterator[Served]:
    server = Served(app, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser. Without one the test is skipped, and fails where CI is set."""
    binary = CHROMIUM if os.path.exists(CHROMIUM) else shutil.which("chromium")  # noqa: PTH110
    if binary is None:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell("no chromium on this machine; install it with: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def at_the_console(  # noqa: PLR0913  (as many things differ between people's browsers)
    browser: Browser,
    server: Served,
    lang: str = "zh",
    size: tuple[int, int] = (1180, 800),
    *,
    token: str = WRITE_TOKEN,
    night: bool = False,
    permissions: Sequence[str] = (),
    forgiven: Sequence[str] = (),
) -> Iterator[Page]:
    """Yield a page, logged in; what the browser complains of fails the test.

    `forgiven` are beginnings of complaints that the test is about.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if night else "light",
        permissions=list(permissions),
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.extend([said.text] * (said.type == "error")))
    page.goto(f"{server.url}/?lang={lang}")
    log_in_with_token(page, token)
    page.wait_for_url(f"{server.url}/**")
    yield page
    context.close()
    if held := [each for each in complaints if not each.startswith(tuple(forgiven))]:
        pytest.fail(f"the browser complains: {held}")


def log_in_with_token(page: Page, token: str) -> None:
    """Fill in the form of the login page that is open."""
    page.locator(".login summary").click()
    page.fill("#token", token)
    page.locator("form:has(#token) button").click()
    expect(page.locator(".login")).to_have_count(0)


def grave_violations(page: Page) -> list[str]:
    """Return what axe-core finds on the open page that is serious or critical, and where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]


def walked_with_tab(page: Page) -> list[str]:
    """Press Tab until the focus has been everywhere; return what it was on, in words.

    Fails if something has the focus and cannot be seen.
    """
    page.evaluate("document.activeElement && document.activeElement.blur()")
    been: list[str] = []
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => {
              const at = document.activeElement;
              if (!at || at === document.body) return null;
              const box = at.getBoundingClientRect();
              const words = (at.innerText || at.getAttribute("aria-label") || at.id).trim();
              const again = at.dataset.walked === "yes";
              at.dataset.walked = "yes";
              return { words, again, hidden: box.width < 1 || box.height < 1 };
            }"""
        )
        if seen is None or seen["again"]:
            return been
        if seen["hidden"]:
            pytest.fail(f"the focus is on what cannot be seen: {seen['words']!r}")
        been.append(seen["words"])
    pytest.fail("the focus goes on and on")


def is_too_wide(page: Page) -> bool:
    """Say whether the open page must be scrolled sideways."""
    wide: bool = page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    return wide

"""The page of a score in a real browser, with scripts forbidden and without a network."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from api.score.page import page
from api.score.report import Asked, scored
from api.text import LANGUAGES, Texts
from tests.browsing import DESKTOP, PHONE, grave_violations
from tests.scores import month

pytest_plugins = ["tests.browser_fixtures"]


def heard(shown: Page) -> list[str]:
    """Return what the browser will say of a page."""
    said: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    return said


def test_a_month_can_be_read_and_filtered_by_everybody_on_any_screen(
    tmp_path: Path, browser: Browser
) -> None:
    result = scored(*month(), Asked())
    for lang in LANGUAGES:
        path = tmp_path / f"{lang}.html"
        html = page(result, ZoneInfo("Asia/Shanghai"), Texts.of(lang))
        path.write_text(html, encoding="utf-8")
        for size, night in ((PHONE, True), (DESKTOP, False)):
            context = browser.new_context(
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if night else "light",
                offline=True,
            )
            shown = context.new_page()
            complaints = heard(shown)
            shown.goto(path.as_uri())
            assert shown.evaluate("document.documentElement.scrollWidth") == size[0]
            assert grave_violations(shown) == []
            assert not complaints
            missed = len({miss.incident.place for miss in result.report.score.missed})
            shown.check("#f-missed")
            expect(shown.locator(".site:visible")).to_have_count(missed)
            expect(shown.locator(".quiet:visible")).to_have_count(0)
            context.close()


def test_a_browser_runs_nothing_that_was_smuggled_in(tmp_path: Path, browser: Browser) -> None:
    html = page(scored(*month(days=1), Asked()), ZoneInfo("Asia/Shanghai"), Texts.of("en"))
    evil = "<script>document.title = 'run'</script><img src=x onerror=\"document.title='run'\">"
    path = tmp_path / "evil.html"
    path.write_text(html.replace("<main>", f"<main>{evil}"), encoding="utf-8")
    shown = browser.new_page()
    shown.goto(path.as_uri())
    if shown.title() == "run":
        pytest.fail("the page's own policy lets scripts run")

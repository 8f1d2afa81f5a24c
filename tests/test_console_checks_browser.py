"""Duty-post checks as a person has them: a phone, a key, the dark."""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from playwright.sync_api import Browser, expect

from api.links import Purpose
from ingest.clock import utc_now
from ingest.ledger import post_checks as kept
from ingest.post_checks import CheckState, PostCheck
from tests.browsing import (
    DESKTOP,
    PHONE,
    Served,
    at_the_console,
    grave_violations,
    is_too_wide,
    served,
    walked_with_tab,
)
from tests.checking import asks, gate
from tests.http_doubles import LINKS, NOON, World

pytest_plugins = ["tests.browser_fixtures"]

LISTEN = """() => {
  window.heard = [];
  document.addEventListener("chargewatch:sound", (event) => window.heard.push(event.detail));
}"""
ENDED = (CheckState.ANSWERED, CheckState.LATE, CheckState.MISSED)


@pytest.fixture
def server(here: World) -> Iterator[Served]:
    here.directory.posts["gate"] = gate(area="xuhui", per_week=3)
    with served(here.app) as running:
        running.do(history_of(here))
        yield running


async def history_of(here: World) -> None:
    """Write down some weeks of checks."""
    for number in range(24):
        at = NOON - timedelta(days=24 - number)
        state = ENDED[2 if number % 11 == 5 else number % 7 == 3]
        took = timedelta(seconds=200 if state is CheckState.LATE else 20 + number)
        check = PostCheck(
            post="gate",
            area="xuhui",
            asked_at=at,
            due_at=at + timedelta(minutes=3),
            state=state,
            answered_at=None if state is CheckState.MISSED else at + took,
            answered_by="" if state is CheckState.MISSED else "post:gate",
        )
        await here.ledger.write(partial(kept.begin_check, check=check, deed=asks("x")))


async def ask(here: World) -> None:
    await here.post_checks.begin("gate", asks("chief"))


@pytest.mark.parametrize(("lang", "button"), [("zh", "我在岗"), ("en", "I am here")])
def test_on_a_phone_the_question_appears_sounds_and_one_press_answers_it(
    here: World, server: Served, browser: Browser, lang: str, button: str
) -> None:
    with at_the_console(browser, server, lang, PHONE) as page:
        expect(page.locator(".overview.calm")).to_be_visible()
        page.evaluate(LISTEN)
        page.locator("#sound").click()
        expect(page.locator("#sound")).to_have_attribute("aria-pressed", "true")
        page.evaluate("window.sameDocument = true")
        server.do(ask(here))
        press = page.get_by_role("button", name=button)
        expect(press).to_be_visible()
        page.wait_for_function("() => window.heard.includes('check')")
        expect(page.locator("#announcer")).to_contain_text(
            "查岗" if lang == "zh" else "Duty check"
        )
        expect(page.locator(".overview.calm")).to_be_visible()  # nothing is wrong
        box = press.bounding_box()
        assert box
        assert box["height"] >= 60
        assert box["width"] >= 250
        assert grave_violations(page) == []
        assert not is_too_wide(page)
        press.click()
        expect(press).to_have_count(0)
        assert page.evaluate("window.sameDocument") is True


@pytest.mark.parametrize("night", [False, True], ids=["day", "night"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_everybody_can_use_the_page_of_checks(
    server: Served,
    browser: Browser,
    lang: str,
    size: tuple[int, int],
    *,
    night: bool,
) -> None:
    with at_the_console(browser, server, lang, size, night=night) as page:
        page.goto(f"{server.url}/checks")
        expect(page.locator(".post-card")).to_have_count(1)
        assert grave_violations(page) == []
        assert not is_too_wide(page)


def test_a_post_is_asked_with_keys_alone_and_the_page_shows_how_it_goes_on(
    here: World, server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server, "en", DESKTOP) as page:
        page.goto(f"{server.url}/checks")
        assert "Ask now East gate" in [
            each.replace("\n", " ") for each in walked_with_tab(page)
        ]
        page.get_by_role("button", name=re.compile("Ask now")).press("Enter")
        expect(page.locator(".post-card")).to_contain_text("Waiting for an answer")
        server.do(answer(here))
        expect(page.locator(".post-card")).not_to_contain_text("Waiting for an answer")
        expect(page.locator("table.cards tbody tr").first).to_contain_text("In time")


async def answer(here: World) -> None:
    [check] = here.post_checks.open.values()
    await here.post_checks.answer(check.id, asks("li"))


def test_the_link_works_without_scripts_in_the_dark_and_for_everybody(
    here: World, server: Served, browser: Browser
) -> None:
    server.do(ask(here))
    [check] = here.post_checks.open.values()
    path = LINKS.make(Purpose.CHECK, check.id, "", utc_now() + timedelta(hours=1))
    plain = browser.new_context(
        viewport={"width": PHONE[0], "height": PHONE[1]},
        java_script_enabled=False,
        color_scheme="dark",
    )
    page = plain.new_page()
    page.goto(f"{server.url}{path}?lang=en")
    press = page.get_by_role("button", name="I am here")
    box = press.bounding_box()
    assert box
    assert box["height"] >= 64
    press.click()
    expect(page.locator("h1")).to_have_text("In time")
    plain.close()
    with at_the_console(browser, server, "zh", PHONE) as seen:
        seen.goto(f"{server.url}{path}")
        assert grave_violations(seen) == []
        assert not is_too_wide(seen)

"""The duty flow as a person has it: a phone, a key, a bad network."""

import re
from datetime import timedelta
from functools import partial
from typing import get_type_hints
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from rules.readings import Reading
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
from tests.http_doubles import PILE, SMOKE, World

pytest_plugins = ["tests.browser_fixtures"]

WICKED = r"<img src=x onerror=window.attacked=1><script>window.attacked=1</script>"
TEXTS = {"fault", "firmware", "port_state", "stop_reason"}
FIRST_LOAD_BYTES_MAX, NEXT_LOAD_BYTES_MAX = 50_000, 10_000
"""docs/console.md says 39 KB and 5 KB."""
NETWORK = "Failed to load resource"
LISTEN = """() => {
  window.heard = [];
  document.addEventListener("chargewatch:sound", (event) => window.heard.push(event.detail));
}"""
PATHS = (
    "/",
    "/stations",
    "/stations?view=map",
    "/stations/xuhui/renmin-lu",
    "/sockets/xuhui/renmin-lu/pile-1?channel=1",
    "/devices",
    "/devices/xuhui/renmin-lu/pile-1",
    "/sessions?which=open",
    "/cut?device=xuhui/renmin-lu/pile-1&channel=1",
    "/alerts/1",
    "/quarantine",
    "/nothing",
)


def turn_sound_on(page: Page) -> None:
    page.evaluate(LISTEN)
    page.locator("#sound").click()
    expect(page.locator("#sound")).to_have_attribute("aria-pressed", "true")


def heard(page: Page) -> list[str]:
    found: list[str] = page.evaluate("window.heard")
    return found


@pytest.mark.parametrize(("lang", "button"), [("zh", "确认警报"), ("en", "Acknowledge")])
def test_on_a_phone_an_alarm_appears_and_one_press_acknowledges_it(
    here: World, server: Served, browser: Browser, lang: str, button: str
) -> None:
    with at_the_console(browser, server, lang, PHONE) as page:
        expect(page.locator(".overview.calm")).to_be_visible()
        page.evaluate("window.sameDocument = true")
        server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
        expect(page.locator(".overview.critical")).to_be_visible()
        expect(page).to_have_title(re.compile(r"^\(1\) "))
        press = page.get_by_role("button", name=button)
        box = press.bounding_box()
        assert box
        assert box["height"] >= 56
        assert box["width"] >= 250
        press.click()
        expect(page.locator(".overview.attended")).to_be_visible()
        expect(page.locator(".alert.seen")).to_contain_text("patrol")
        expect(page).not_to_have_title(re.compile(r"^\("))
        assert page.evaluate("window.sameDocument") is True


def test_an_alarm_sounds_again_and_again_until_it_is_acknowledged(
    here: World, server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server) as page:
        page.clock.install()
        page.reload()
        turn_sound_on(page)
        server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
        page.wait_for_function("() => window.heard.includes('critical')")
        page.clock.fast_forward(5_100)
        page.wait_for_function(
            "() => window.heard.filter(each => each === 'critical').length === 2"
        )
        page.get_by_role("button", name="确认警报").click()
        expect(page.locator(".overview.attended")).to_be_visible()
        before = len(heard(page))
        page.clock.fast_forward(20_000)
        assert len(heard(page)) == before


def test_what_is_hushed_is_silent_until_something_new_comes(
    here: World, server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server, "en") as page:
        turn_sound_on(page)
        expect(page.locator("#hush")).to_be_hidden()
        server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
        page.get_by_role("button", name="Hush these").click()
        expect(page.locator("#hush")).to_be_hidden()
        page.evaluate("window.heard = []")
        server.do(here.hear(PILE, Reading(overtemperature=True)))
        page.wait_for_function("() => window.heard.length > 0")
        expect(page.locator("#hush")).to_be_visible()


def test_sound_that_was_turned_on_is_remembered_and_asks_for_a_touch_after_a_reload(
    server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server, "en") as page:
        expect(page.locator("#sound")).to_have_text("Turn sound on")
        turn_sound_on(page)
        page.reload()
        expect(page.locator("#sound")).to_have_text(re.compile("Tap to hear|Sound is on"))
        page.locator("h1").click()
        expect(page.locator("#sound")).to_have_attribute("aria-pressed", "true")
        page.locator("#sound").click()
        page.reload()
        expect(page.locator("#sound")).to_have_text("Turn sound on")


def test_a_notification_is_shown_if_that_is_allowed_and_no_button_asks_then(
    here: World, server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server, permissions=["notifications"]) as page:
        expect(page.locator("#notify")).to_be_hidden()
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
        page.wait_for_function(
            """async () => {
              const worker = await navigator.serviceWorker.ready;
              const [shown] = await worker.getNotifications();
              return shown && shown.tag === "alert-1" && shown.title.includes("烟雾报警")
                && shown.data.path === "/alerts/1";
            }"""
        )


def test_a_cut_connection_is_shown_with_since_when_and_mends_by_itself(
    here: World, browser: Browser
) -> None:
    with served(here.app) as first:
        port = first.port
        waiting = at_the_console(
            browser, first, "en", PHONE, forgiven=[NETWORK, "[object Event]", "htmx:"]
        )
        page = waiting.__enter__()
        expect(page.locator(".overview.calm")).to_be_visible()
    expect(page.locator("#offline")).to_be_visible(timeout=15_000)
    expect(page.locator("#offline")).to_contain_text("As of 23 Nov 2026, 12:00:00")
    expect(page.locator(".live-mark")).to_contain_text("Cut off")
    with served(here.app, port) as second:
        second.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
        expect(page.locator("#offline")).to_be_hidden(timeout=15_000)
        expect(page.locator(".overview.critical")).to_be_visible()
        waiting.__exit__(None, None, None)


def test_an_acknowledgement_that_fails_says_so_and_can_be_pressed_again(
    here: World, server: Served, browser: Browser
) -> None:
    server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
    with at_the_console(browser, server, "en", forgiven=[NETWORK, "htmx:"]) as page:
        page.route("**/acknowledge", lambda route: route.abort())
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.locator("#toast")).to_contain_text("did not work")
        page.unroute("**/acknowledge")
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.locator(".overview.attended")).to_be_visible()


def test_with_keys_alone_one_gets_to_an_alarm_and_acknowledges_it(
    here: World, server: Served, browser: Browser
) -> None:
    server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
    with at_the_console(browser, server, "en", DESKTOP) as page:
        been = walked_with_tab(page)
        assert been[0] == "Skip to content"
        assert any(each.startswith("Acknowledge") for each in been)
        assert {"Stations", "Quarantine", "Log out", "Turn sound on"} <= set(been)
        page.locator("[id^=acknowledge-]").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".overview.attended")).to_be_visible()
        expect(page.locator("#announcer")).to_have_text("Acknowledged.")
        expect(page.locator("#main")).to_be_focused()


def test_the_menu_of_a_phone_opens_with_a_key_and_closes_with_escape(
    server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server, "en", PHONE) as page:
        expect(page.get_by_role("link", name="Quarantine")).to_be_hidden()
        page.get_by_role("button", name="More").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Quarantine")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("link", name="Quarantine")).to_be_hidden()


def test_no_field_that_a_device_fills_in_becomes_markup_on_any_page(
    here: World, server: Served, browser: Browser
) -> None:
    hints = get_type_hints(Reading)
    assert {name for name in hints if hints[name] == str | None} == TEXTS
    said = partial(
        Reading, fault=WICKED, firmware=WICKED, port_state=WICKED, stop_reason=WICKED
    )
    wicked = here.registry.enter(
        "native", f"xuhui/renmin-lu/{WICKED.replace('/', '')}", here.at
    )
    assert wicked
    here.registry.learn(wicked, [Reading(smoke_alarm=True)])
    server.do(here.hear(wicked.id, said(smoke_alarm=True)))
    server.do(here.hear(PILE, said(channel=1, power_w=300.0)))
    server.do(here.refuse(WICKED, WICKED.encode(), "not_json", WICKED))
    server.do(here.wait(timedelta(minutes=2)))
    with at_the_console(browser, server, forgiven=[NETWORK]) as page:
        page.goto(f"{server.url}/alerts/1")
        page.fill("textarea", WICKED)
        page.locator("form.acknowledge button").first.click()
        expect(page.locator(".panel.seen .note")).to_have_text(WICKED)
        for path in (*PATHS, f"/devices/{quote(wicked.id)}", "/sessions"):
            page.goto(server.url + path)
            assert page.locator("main :is(img, script, iframe)").count() == 0, path
            assert page.evaluate("window.attacked") is None, path
        for path in ("/quarantine", "/devices", f"/devices/{quote(wicked.id)}"):
            page.goto(server.url + path)
            expect(page.locator("main")).to_contain_text("<img src=x")


def test_a_bad_network_has_little_to_carry_and_less_the_second_time(
    here: World, server: Served, browser: Browser
) -> None:
    server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
    with at_the_console(browser, server, size=PHONE) as page:
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        wire.send("Network.clearBrowserCache")
        carried: list[float] = []
        wire.on(
            "Network.loadingFinished", lambda done: carried.append(done["encodedDataLength"])
        )
        page.goto(server.url)
        expect(page.locator(".overview")).to_be_visible()
        page.wait_for_load_state("load")
        assert 20_000 < sum(carried) < FIRST_LOAD_BYTES_MAX
        carried.clear()
        page.goto(server.url)
        page.wait_for_load_state("load")
        assert sum(carried) < NEXT_LOAD_BYTES_MAX


@pytest.mark.parametrize("night", [False, True], ids=["day", "night"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_axe_finds_nothing_grave_and_no_page_is_wider_than_a_phone(
    here: World, server: Served, browser: Browser, lang: str, night: bool
) -> None:
    server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
    server.do(here.hear(PILE, Reading(overtemperature=True), Reading(channel=1, power_w=200.0)))
    server.do(here.refuse("a/topic", b"{", "not_json", "cut off"))
    server.do(here.wait(timedelta(seconds=5)))
    with at_the_console(browser, server, lang, PHONE, night=night, forgiven=[NETWORK]) as page:
        for size in (PHONE, DESKTOP):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            for path in PATHS:
                page.goto(server.url + path)
                assert grave_violations(page) == [], (path, size)
                assert not is_too_wide(page), (path, size)
        page.context.clear_cookies()
        page.goto(f"{server.url}/login?lang={lang}")
        page.locator("summary").click()
        assert grave_violations(page) == []

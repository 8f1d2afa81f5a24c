"""Alerts, stations, sockets and lists as a person has them: on a phone, in both languages."""

import re
from datetime import timedelta

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from ingest.registry import Location
from rules.readings import Reading
from tests.browsing import (
    DESKTOP,
    PHONE,
    Served,
    at_the_console,
    grave_violations,
    is_too_wide,
    log_in_with_token,
)
from tests.http_doubles import PILE, SMOKE, WRITE_TOKEN, World

pytest_plugins = ["tests.browser_fixtures"]

STATION = "/stations/xuhui/renmin-lu"
SOCKET = f"/sockets/{PILE}?channel=3"
NETWORK = "Failed to load resource"
MINUTE = timedelta(minutes=1)
PIXELS = """(canvas) => {
  const { width, height } = canvas;
  const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] > 200) seen.add(data.slice(at, at + 3).join(","));
  }
  return [...seen];
}"""
CRITICAL, WARNING, LINE = "179,32,26", "221,143,0", "26,79,180"
"""--critical, --warning-fill and --charging of console.css, by day."""


def charge(server: Served, here: World, *powers_w: float) -> None:
    """Let socket 3 say a power each minute."""
    for power_w in powers_w:
        server.do(here.hear(PILE, Reading(channel=3, power_w=power_w, relay_on=True)))
        server.do(here.wait(MINUTE))


def drawn(page: Page) -> int:
    """Return how many points the script has drawn, once it has."""
    figure = page.locator("[data-drawn]").first
    figure.wait_for()
    return int(figure.get_attribute("data-drawn") or "0")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_an_alert_shows_what_was_measured_against_which_limit(
    here: World, server: Served, browser: Browser, lang: str
) -> None:
    charge(server, here, 200.0, 210.0, 205.0, 1203.0, 1198.0)
    with at_the_console(browser, server, lang, PHONE) as page:
        page.goto(f"{server.url}/alerts/1")
        assert drawn(page) == 5
        seen = page.locator("#chart canvas").evaluate(PIXELS)
        assert {CRITICAL, WARNING, LINE} <= set(seen)
        summary = page.locator(".chart-summary")
        expect(summary).to_contain_text("1,203 W")
        expect(summary).to_be_visible()
        expect(page.locator(".chart-legend")).to_contain_text(
            "触发" if lang == "zh" else "fired"
        )
        page.locator(".chart summary").click()
        expect(page.locator(".figures tbody tr")).to_have_count(5)
        assert not is_too_wide(page)
        assert grave_violations(page) == []


def test_a_finger_on_the_chart_reads_a_value_and_the_buttons_zoom(
    here: World, server: Served, browser: Browser
) -> None:
    charge(server, here, 200.0, 1203.0, 1198.0)
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    page = context.new_page()
    page.goto(f"{server.url}/?lang=en")
    log_in_with_token(page, WRITE_TOKEN)
    page.goto(f"{server.url}/alerts/1")
    drawn(page)
    over = page.locator("#chart .u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    expect(page.locator(".chart-readout")).to_contain_text("1,198 W")
    before = page.locator("#chart canvas").evaluate("canvas => canvas.toDataURL()")
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_function(
        "before => document.querySelector('#chart canvas').toDataURL() !== before", arg=before
    )
    page.get_by_role("button", name="Show all").click()
    context.close()


def test_the_chart_grows_while_one_looks_and_says_when_the_history_is_away(
    here: World, server: Served, browser: Browser
) -> None:
    charge(server, here, 1203.0, 1198.0)
    with at_the_console(browser, server, "en", PHONE) as page:
        page.clock.install()
        page.goto(f"{server.url}/alerts/1")
        assert drawn(page) == 2
        page.clock.fast_forward(11_000)
        charge(server, here, 1190.0)
        page.locator("[data-drawn='3']").wait_for()
        here.history.down = "no route to host"
        page.goto(f"{server.url}/alerts/1")
        expect(page.locator(".chart-none")).to_contain_text("The history cannot be read now")
        expect(page.get_by_role("heading", name="Everything that happened")).to_be_visible()


def test_without_scripts_the_chart_is_a_picture_and_every_page_is_there(
    here: World, server: Served, browser: Browser
) -> None:
    charge(server, here, 200.0, 1203.0, 1198.0)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.url)
    log_in_with_token(page, WRITE_TOKEN)
    page.goto(f"{server.url}/alerts/1")
    expect(page.locator(".chart svg .chart-line")).to_be_visible()
    expect(page.locator(".chart svg .chart-limit")).to_have_count(2)
    page.goto(server.url + SOCKET)
    expect(page.locator(".chart svg .chart-line").first).to_be_visible()
    for path in (STATION, "/stations?view=map", "/devices", "/sessions?which=open"):
        page.goto(server.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    context.close()


def test_a_socket_changes_while_one_looks_and_what_has_the_focus_keeps_it(
    here: World, server: Served, browser: Browser
) -> None:
    server.do(here.hear(PILE, *[Reading(channel=n, power_w=0.0) for n in range(1, 11)]))
    with at_the_console(browser, server, "en", PHONE) as page:
        page.goto(server.url + STATION)
        expect(page.locator(".tile")).to_have_count(10)
        page.evaluate("window.sameDocument = true")
        third = page.locator(".tile").nth(2)
        expect(third).to_have_class(re.compile(r"\bfree\b"))
        page.locator(".tile").nth(4).focus()
        server.do(here.hear(PILE, Reading(channel=3, power_w=187.0, device_temperature_c=31.0)))
        expect(third).to_have_class(re.compile(r"\bcharging\b"))
        expect(third).to_contain_text("187 W")
        expect(page.locator(".tile").nth(4)).to_be_focused()
        assert page.evaluate("window.sameDocument") is True
        server.do(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
        expect(third).to_have_class(re.compile(r"\bcritical\b"))
        third.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Socket 3")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_socket_is_cut_by_two_deliberate_presses_and_its_latch_cleared_with_a_reason(
    here: World, server: Served, browser: Browser, lang: str
) -> None:
    charge(server, here, 200.0)
    cut, now, clear, on = {
        "zh": ("断电…", "立即断电", "解除锁定…", "解除锁定，恢复供电"),
        "en": ("Cut off…", "Cut it off now", "Clear the latch…", "Clear the latch, switch on"),
    }[lang]
    with at_the_console(browser, server, lang, PHONE, forgiven=[NETWORK]) as page:
        page.goto(server.url + SOCKET)
        page.get_by_role("link", name=cut).click()
        expect(page.locator(".place")).to_contain_text("pile-1")
        page.get_by_role("button", name=now).click()  # nothing is ticked, nothing said
        assert page.url.split("?")[0] == f"{server.url}/cut"
        assert here.engine.device(PILE).sockets[3].cut is None  # type: ignore[union-attr]
        page.fill("#f-reason", "smells of <b>burning</b>")
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name=now).click()
        expect(page.locator(".control.latched")).to_be_visible()
        expect(page.locator(".steps .now")).to_have_count(1)
        expect(page.locator(".control")).to_contain_text("smells of <b>burning</b>")
        server.do(here.wait(timedelta(seconds=5)))
        server.do(here.hear(PILE, Reading(channel=3, power_w=0.0, relay_on=False)))
        expect(page.locator(".life.verified")).to_be_visible()

        page.get_by_role("link", name=clear).click()
        assert grave_violations(page) == []
        page.fill("#f-reason", "charger replaced")
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name=on).click()
        expect(page.locator(".control:not(.latched)")).to_be_visible()
    deeds = here.engine.device(PILE)
    assert deeds
    assert deeds.sockets[3].cut
    assert deeds.sockets[3].cut.latch is None


def test_the_map_is_walked_with_keys_and_names_what_is_not_well(
    here: World, server: Served, browser: Browser
) -> None:
    for number, site in enumerate(list(here.registry.sites.values())):
        place = Location(latitude=31.2 + number, longitude=121.4)
        here.registry.sites[site.id] = msgspec.structs.replace(site, location=place)
    server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
    with at_the_console(browser, server, "en", DESKTOP) as page:
        page.goto(f"{server.url}/stations?view=map")
        spot = page.locator("a.spot.critical")
        expect(spot).to_have_attribute("aria-label", "Renmin Road station: Critical")
        assert grave_violations(page) == []
        spot.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Renmin Road station")


def test_a_stranger_is_found_by_filter_and_its_page_says_how_to_declare_it(
    here: World, server: Served, browser: Browser
) -> None:
    stranger = here.registry.enter("tasmota", 'plug "7"', here.at)
    assert stranger
    here.registry.learn(stranger, [Reading(power_w=20.0)])
    server.do(here.hear(stranger.id, Reading(power_w=20.0)))
    with at_the_console(browser, server, "en", PHONE) as page:
        page.goto(f"{server.url}/devices")
        page.get_by_role("link", name=re.compile("^1 Undeclared|^Undeclared 1")).click()
        expect(page.locator("tbody tr")).to_have_count(1)
        page.locator(".device-link").click()
        expect(page.locator(".undeclared-notice pre")).to_contain_text('name = "plug \\"7\\""')
        assert grave_violations(page) == []
        assert not is_too_wide(page)

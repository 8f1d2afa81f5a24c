import re
from datetime import timedelta

from playwright.sync_api import Browser, expect

from rules.readings import DeviceId, Kind, Reading
from tests.browsing import Served, at_the_console, log_in_with_token
from tests.http_doubles import PILE, SMOKE, WRITE_TOKEN, World

WICKED = '<img src=x onerror="document.title=1">{{7919*7907}}'

pytest_plugins = ["tests.browser_fixtures"]


def test_a_new_alarm_appears_by_itself_and_is_acknowledged_by_a_click(
    here: World, server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server) as page:
        expect(page.get_by_text("当前没有警报")).to_be_visible()
        page.evaluate("window.sameDocument = true")
        server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
        alarm = page.locator(".alert.critical")
        expect(alarm).to_contain_text("烟雾报警")
        expect(page.locator("#announcer")).to_contain_text("新警报：【紧急】烟雾报警")
        expect(page).to_have_title(re.compile(r"^\(1\) "))
        assert page.evaluate("window.sameDocument") is True
        alarm.get_by_role("button", name="确认警报").click()
        expect(page.locator(".alert.seen")).to_contain_text("patrol")
        expect(page.get_by_role("button", name="确认警报")).to_have_count(0)


def test_a_second_page_learns_of_an_acknowledgement_and_keeps_what_is_being_typed(
    here: World, server: Served, browser: Browser
) -> None:
    server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
    with (
        at_the_console(browser, server, "en") as page,
        at_the_console(browser, server) as other,
    ):
        page.goto(f"{server.url}/alerts/1")
        page.fill("#note", WICKED)
        other.get_by_role("button", name="确认警报").click()
        expect(page.locator(".timeline")).to_contain_text("Acknowledged by patrol")
        expect(page.locator("#note")).to_have_value(WICKED)


def test_switching_the_language_keeps_the_page(
    here: World, server: Served, browser: Browser
) -> None:
    server.do(here.hear(PILE, Reading(channel=1, power_w=300.0)))
    with at_the_console(browser, server) as page:
        page.get_by_role("link", name="充电站", exact=True).click()
        page.get_by_role("link", name="人民路充电站").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("人民路充电站")
        page.get_by_role("link", name="English").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Renmin Road station")
        page.get_by_role("link", name="Duty desk").click()
        expect(page.get_by_role("heading", name="Duty desk", exact=True)).to_be_visible()


def test_no_page_is_wider_than_a_small_telephone(
    here: World, server: Served, browser: Browser
) -> None:
    long = DeviceId("xuhui/renmin-lu/" + "x" * 128)
    here.registry.enter("native", long, here.at)
    here.registry.learn(here.registry.devices[long], [Reading(smoke_alarm=True)])
    server.do(here.hear(long, Reading(smoke_alarm=True)))
    server.do(here.hear(PILE, *[Reading(channel=n, power_w=9_999.9) for n in range(1, 11)]))
    server.do(here.wait(timedelta(seconds=31)))
    server.do(here.refuse("t" * 300, b"y" * 4_096, "not_json", "z" * 200))
    for lang in ("zh", "en"):
        with at_the_console(browser, server, lang, (360, 740)) as page:
            for path in ("/", "/stations/xuhui/renmin-lu", "/alerts/1", "/quarantine"):
                page.goto(server.url + path)
                page.evaluate(
                    "document.querySelectorAll('details').forEach(d => d.open = true)"
                )
                assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
            page.goto(server.url + "/")
            for button in page.get_by_role("button").all():
                box = button.bounding_box()
                assert box
                assert box["height"] >= 44


def test_what_a_device_calls_itself_runs_nothing_in_a_real_browser(
    here: World, server: Served, browser: Browser
) -> None:
    wicked = f"xuhui/renmin-lu/{WICKED}"
    device = here.registry.enter("native", wicked, here.at)
    assert device is not None
    assert here.registry.learn(device, [Reading(smoke_alarm=True)]).kind is Kind.SMOKE
    with at_the_console(browser, server) as page:
        expect(page.get_by_text("当前没有警报")).to_be_visible()
        server.do(here.hear(device.id, Reading(smoke_alarm=True)))
        expect(page.locator(".place")).to_contain_text(WICKED)
        page.locator(".alert h3 a").click()
        page.fill("#note", "<script>document.title=1</script>")
        page.locator(".panel.acknowledge .primary").click()
        expect(page.locator(".panel.seen .note")).to_have_text(
            "<script>document.title=1</script>"
        )
        assert page.locator("main img, main script").count() == 0
        assert page.title() != "1"


def test_a_lost_connection_is_shown_until_it_is_back(server: Served, browser: Browser) -> None:
    forgiven = ["Failed to load resource", "htmx:", "[object Event]"]
    with at_the_console(browser, server, "en", forgiven=forgiven) as page:
        expect(page.get_by_text("No open alerts")).to_be_visible()
        page.context.set_offline(True)
        expect(page.get_by_text("The connection is lost")).to_be_visible()
        expect(page.locator("#offline-since")).to_contain_text("As of 23 Nov 2026, 12:00:00")
        page.context.set_offline(False)
        expect(page.get_by_text("The connection is lost")).to_be_hidden()


def test_a_page_without_script_works_too(here: World, server: Served, browser: Browser) -> None:
    server.do(here.hear(SMOKE, Reading(smoke_alarm=True)))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.url)
    log_in_with_token(page, WRITE_TOKEN)
    page.get_by_role("button", name="确认警报").click()
    expect(page.locator(".alert.seen")).to_contain_text("patrol")
    context.close()

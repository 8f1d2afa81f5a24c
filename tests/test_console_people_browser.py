"""Entering people in a real Chromium, on a phone, in both languages; and for everybody."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browsing import (
    DESKTOP,
    PHONE,
    Served,
    at_the_console,
    grave_violations,
    is_too_wide,
    walked_with_tab,
)
from tests.http_doubles import World

pytest_plugins = ["tests.browser_fixtures"]

REFUSED = "Failed to load resource: the server responded with a status of 422"
"""A browser says so of a form with a mistake in it."""


def test_a_manager_and_a_route_are_entered_on_a_phone(
    here: World, server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server, "zh", PHONE) as page:
        page.locator("[popovertarget=more]").click()
        page.get_by_role("link", name="人员与通知").click()
        page.get_by_role("link", name="添加人员").click()
        page.get_by_label("编号").fill("wang.li")
        page.get_by_label("姓名").fill("王力")
        page.get_by_label("角色").select_option("manager")
        page.get_by_label("徐汇区").check()
        page.get_by_label("方式 1").select_option("email")
        page.get_by_label("号码或地址").first.fill("wang@example.org")
        page.get_by_label("值班时间").fill("08:00-18:00")
        page.get_by_role("button", name="保存").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("王力")
        page.goto(f"{server.url}/people?which=routes")
        page.get_by_role("link", name="添加通知路线").click()
        page.get_by_label("编号").fill("danger")
        page.get_by_label("全部辖区").check()
        page.get_by_label("通知级别").fill("role:manager\nrole:admin")
        page.get_by_role("button", name="保存").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("danger")
        page.goto(f"{server.url}/people/explain?site=xuhui/renmin-lu")
        expect(page.locator("main")).to_contain_text("王力 · 邮件")
        assert not is_too_wide(page)
    assert here.directory.routes["danger"].tiers == (("role:manager",), ("role:admin",))


def test_what_is_wrong_is_said_beside_the_field_on_a_phone(
    server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server, "en", PHONE, forgiven=[REFUSED]) as page:
        page.goto(f"{server.url}/people/route/new")
        page.get_by_label("Id", exact=True).fill("danger")
        page.get_by_label("All areas").check()
        page.get_by_label("Tiers").fill("role:manger")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".field-error")).to_contain_text('1: There is no role "manger"')
        expect(page.get_by_label("Tiers")).to_have_value("role:manger")


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_pages_are_for_everybody(
    server: Served, browser: Browser, lang: str, size: tuple[int, int]
) -> None:
    with at_the_console(browser, server, lang, size) as page:
        for path in (
            "/people",
            "/people?which=routes",
            "/people/person/new",
            "/people/post/new",
            "/people/route/new",
            "/people/explain",
            "/me",
        ):
            page.goto(f"{server.url}{path}")
            assert grave_violations(page) == [], path
            assert not is_too_wide(page), path
            assert walked_with_tab(page), path

"""The office side of the console in a real Chromium: one flow each, on a phone or a desk."""

import json
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, expect

from rules.readings import Reading
from tests.browsing import (
    DESKTOP,
    PHONE,
    Served,
    at_the_console,
    grave_violations,
    is_too_wide,
    walked_with_tab,
)
from tests.http_doubles import PILE, World

WICKED = '<img src=x onerror="document.title=1">{{7919*7907}}'

REFUSED = "Failed to load resource: the server responded with a status of 422"
"""A browser says so of a form with a mistake in it."""

pytest_plugins = ["tests.browser_fixtures"]


def test_a_silence_is_made_and_ended_on_a_phone(
    here: World, server: Served, browser: Browser
) -> None:
    with at_the_console(browser, server, "zh", PHONE) as page:
        page.locator("[popovertarget=more]").click()
        page.get_by_role("link", name="静默与维护").click()
        page.get_by_role("link", name="新建静默或维护").click()
        page.get_by_label("哪个充电站").select_option("xuhui/renmin-lu")
        page.get_by_role("button", name="下一步").click()
        expect(page.get_by_text("任何静默都挡不住")).to_be_visible()
        page.get_by_label("范围").select_option(label="pile-1 · 3 号插座")
        page.get_by_label("原因").fill("更换电表")
        page.get_by_label("2 小时").check()
        page.get_by_role("button", name="开始静默").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "人民路充电站 · pile-1 · 3 号插座"
        )
        server.do(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
        server.do(here.wait(timedelta(seconds=31)))
        expect(page.locator("[data-alert]")).to_contain_text("插座功率过高")
        page.get_by_role("button", name="立即结束").click()
        expect(page.get_by_text("提前结束")).to_be_visible()
        assert not is_too_wide(page)


def test_what_strangers_sent_stays_text_in_a_browser(
    here: World, server: Served, browser: Browser
) -> None:
    server.do(here.refuse(WICKED, WICKED.encode() + b"\x1b[2J", "not_json", WICKED))
    with at_the_console(browser, server, "en", PHONE) as page:
        page.goto(f"{server.url}/quarantine?reason=not_json")
        page.locator("details[id^=payload] summary").click()
        expect(page.locator("pre")).to_contain_text(WICKED + "⟨U+001B⟩[2J")
        expect(page.locator(".panel.reasons dd")).to_contain_text("./chargewatch decode")
        assert page.locator("main img, main script").count() == 0
        with page.expect_download() as saved:
            page.get_by_role("link", name="Save as it was").click()
        assert saved.value.suggested_filename == "quarantine-1.bin"
        assert saved.value.path().read_bytes() == WICKED.encode() + b"\x1b[2J"


def test_limits_are_looked_up_on_a_phone(here: World, server: Served, browser: Browser) -> None:
    here.policy_file.write_text('[site."xuhui/renmin-lu".overload]\nact_w = 900\n')
    with at_the_console(browser, server, "zh", PHONE) as page:
        page.locator("[popovertarget=more]").click()
        page.get_by_role("link", name="限值与规则").click()
        with page.expect_navigation():
            page.get_by_role("button", name="重新读取文件").click()
        page.get_by_label("地点").select_option(label="— 人民路充电站")
        page.get_by_role("button", name="查看").click()
        rule = page.locator("#rule-overload")
        expect(rule.locator(".is-set")).to_contain_text("900 W")
        expect(rule.locator(".is-set")).to_contain_text("站点 xuhui/renmin-lu")
        heat = page.locator("#rule-heat")
        expect(heat.get_by_text("达到此温度警告")).to_be_hidden()
        heat.locator("summary").click()
        expect(heat.get_by_text("达到此温度警告")).to_be_visible()


def test_the_log_of_deeds_is_narrowed_and_taken_home(server: Served, browser: Browser) -> None:
    with at_the_console(browser, server, "zh", DESKTOP) as page:
        page.get_by_role("link", name="操作日志").click()
        expect(page.get_by_text("日志完整，直到第 1 行")).to_be_visible()
        page.get_by_text("筛选", exact=True).click()
        page.get_by_label("操作", exact=True).select_option(label="退出登录")
        page.get_by_role("button", name="查找").click()
        expect(page.get_by_text("没有符合条件的记录")).to_be_visible()
        page.get_by_role("link", name="清除筛选").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        with page.expect_download() as saved:
            page.get_by_role("link", name="导出").click()
        [line] = saved.value.path().read_text().splitlines()
        assert json.loads(line)["what"] == "login.begun"


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_pages_are_for_everybody(
    server: Served, browser: Browser, lang: str, size: tuple[int, int]
) -> None:
    with at_the_console(browser, server, lang, size, forgiven=[REFUSED]) as page:
        for path in OFFICE:
            page.goto(server.url + path)
            assert grave_violations(page) == [], path
            assert not is_too_wide(page), path
            assert walked_with_tab(page), path


OFFICE = (
    "/silences",
    "/silences/new?site=xuhui/renmin-lu",
    "/hazards",
    "/quarantine",
    "/policy?place=xuhui/renmin-lu",
    "/service",
    "/audit",
    "/audit?since=2026-11-24T00:00&until=2026-11-23T00:00",
)

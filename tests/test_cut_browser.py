"""A socket is switched off from a telephone: browser, service, broker, and a simulated pile."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from api.tokens import read_tokens
from ingest.clock import utc_now
from tests.brokers import HOST, Mosquitto
from tests.browsing import PHONE, log_in_with_token
from tests.processes import ServiceProcess, eventually, service
from tests.test_cut_system import PILE, POLICY, SITES, bike, latches, pile, power_w, states

pytest_plugins = ["tests.browser_fixtures", "tests.system_fixtures"]

SOCKET = f"/sockets/{PILE}?channel=1"


@pytest.fixture
def watch(tmp_path: Path, broker: Mosquitto) -> Iterator[ServiceProcess]:
    sites, policy = tmp_path / "sites.toml", tmp_path / "policy.toml"
    sites.write_text(SITES, encoding="utf-8")
    policy.write_text(POLICY, encoding="utf-8")
    with service(tmp_path, broker, sites=sites, policy=policy) as process:
        yield process


def test_two_presses_on_a_phone_take_the_power_from_a_pile_and_give_it_back(
    broker: Mosquitto, watch: ServiceProcess, browser: Browser
) -> None:
    watch.begin()
    began = utc_now()
    with pile(broker, {}, bike(1, began), bike(2, began), starts=began):
        eventually("it charges", lambda: power_w(watch, 1) > 100, 20)
        page = browser.new_page(viewport={"width": PHONE[0], "height": PHONE[1]})
        url = f"http://{HOST}:{watch.port}"
        page.goto(f"{url}/?lang=en")
        [token] = [each for each in read_tokens(watch.data) if each.name == "admin"]
        log_in_with_token(page, token.secret)

        page.goto(f"{url}/stations/cut/site")
        tile = page.locator(".tile").first
        expect(tile).to_contain_text("W")
        tile.click()
        page.get_by_role("link", name="Cut off…").click()
        page.fill("#f-reason", "smells of burning")
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Cut it off now").click()

        # Its life goes on before one's eyes: ordered, sent, answered, power gone.
        expect(page.locator(".life.verified")).to_be_visible(timeout=20_000)
        expect(page.locator(".steps .done")).to_have_count(4)
        expect(page.locator(".control.latched")).to_contain_text("admin")
        assert states(watch, 1) == [("switch_off", "verified")]
        assert power_w(watch, 1) < 1
        assert power_w(watch, 2) > 100  # its neighbour charges on

        page.get_by_role("link", name="Clear the latch…").click()
        page.fill("#f-reason", "charger replaced")
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Clear the latch, switch on").click()
        expect(page.locator(".control:not(.latched)")).to_be_visible()
        eventually("it charges again", lambda: power_w(watch, 1) > 100, 20)
        assert latches(watch) == []
        page.close()
    watch.stop()

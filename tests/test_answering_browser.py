"""The page behind a link, in a browser on a phone: from the link to the answer."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from ingest.ledger import tables
from tests.browsing import (
    PHONE,
    Served,
    chromium,
    grave_violations,
    is_too_wide,
    served,
    walked_with_tab,
)
from tests.http_doubles import World
from tests.test_answering import LI, path_for, smoking
from tests.test_handling import picture

pytest_plugins = ["tests.http_fixtures"]

Links = dict[tuple[str, str], str]
__all__ = ["smoking"]  # a fixture of this file too


@pytest.fixture
def links(smoking: World, runner: asyncio.Runner) -> Links:
    """Return the paths of links, by who has them and in which language."""
    return {
        (who, lang): path_for(smoking, runner, who, lang)
        for who in ("person:li", "duty")
        for lang in ("zh", "en")
    }


@pytest.fixture
def browser(links: Links) -> Iterator[Browser]:
    """One for each test, once its links are made: beside an open browser no loop can run."""
    assert links
    with chromium() as found:
        yield found


@pytest.fixture
def server(smoking: World) -> Iterator[Served]:
    with served(smoking.app) as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on a phone of somebody who has never logged in; complaints fail the test."""
    context = browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]})
    page, complaints = context.new_page(), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.extend([said.text] * (said.type == "error")))
    yield page
    context.close()
    assert complaints == []


@pytest.mark.parametrize(("lang", "answer"), [("zh", "确认警报"), ("en", "Acknowledge")])
def test_a_person_opens_the_link_and_answers_with_one_press(  # noqa: PLR0913, PLR0917
    smoking: World,
    server: Served,
    page: Page,
    links: Links,
    lang: str,
    answer: str,
) -> None:
    page.goto(server.url + links["person:li", lang])
    button = page.get_by_role("button", name=answer, exact=True)
    expect(button).to_be_in_viewport()
    assert grave_violations(page) == []
    assert not is_too_wide(page)
    assert answer in walked_with_tab(page)
    button.click()
    expect(page.locator(".seen")).to_contain_text(LI.name)
    expect(button).to_have_count(0)
    assert grave_violations(page) == []
    with smoking.ledger.engine.connect() as connection:
        assert connection.scalar(sa.select(tables.alerts.c.acknowledged_by)) == "li"


def test_whoever_reads_a_group_types_a_name_once_and_sends_a_photo(
    server: Served, page: Page, links: Links, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture())
    page.goto(server.url + links["duty", "en"])
    page.fill("#name", "Wang Fang")
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.locator(".seen")).to_contain_text("Wang Fang via duty")
    page.locator("summary", has_text="Add a photo").click()
    expect(page.locator("#photo-name")).to_have_value("Wang Fang")
    page.set_input_files("#f-photo", photo)
    assert grave_violations(page) == []
    page.get_by_role("button", name="Send").click()
    expect(page.locator("summary", has_text="1 so far")).to_be_visible()

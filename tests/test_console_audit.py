"""The log of deeds on its page: words, filters, its chain, and taking it home."""

import asyncio
import json
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from api.console import audit
from api.console.audit import DEEDS_PER_PAGE
from api.text import Texts
from ingest.ledger.audit import Audited, append_audit
from ingest.people import Role
from tests.http_doubles import (
    NOON,
    PAGE,
    READ_TOKEN,
    Client,
    World,
    log_in,
    log_in_as,
    somebody,
)

pytest_plugins = ["tests.http_fixtures"]

WICKED = '<img src=x onerror="document.title=1">{{7919*7907}}'


def deed(**values: str) -> Audited:
    said = {"who": "li", "via": "console", "what": "alert.acknowledged", "about": "1"}
    return Audited(at=NOON, **(said | values))


def did(here: World, runner: asyncio.Runner, *deeds: Audited) -> None:
    for each in deeds:
        runner.run(here.ledger.write(lambda c, each=each: append_audit(c, each)))  # type: ignore[misc]


def rows(client: Client, query: str = "") -> list[str]:
    page = client.get(f"/audit{query}", headers=PAGE)
    assert page.status_code == 200
    return re.findall(r"<tr>\n(.*?)</tr>", page.text, re.DOTALL)


def test_deeds_are_told_in_words_with_a_way_to_what_they_were_about(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    did(here, runner, deed(), deed(what="silence.made", about="7"), deed(what="x.y", about="z"))
    log_in(client)
    [_, unknown, silence, alert] = rows(client, "?lang=en")
    assert "Acknowledged an alert" in alert
    assert '<a href="/alerts/1">Alert 1</a>' in alert
    assert '<a href="/silences/7">Silence 7</a>' in silence
    assert "x.y" in unknown
    assert "<a" not in unknown
    assert Texts.of("zh")("audit.alert.acknowledged") in rows(client, "?lang=zh")[3]


def test_what_people_wrote_is_text(here: World, client: Client, runner: asyncio.Runner) -> None:
    values = dict.fromkeys(("who", "via", "what", "about", "area", "detail"), WICKED + "\u202e")
    did(here, runner, deed(**values))
    log_in(client)
    page = client.get("/audit?who=" + WICKED, headers=PAGE).text
    assert "&lt;img src=x" in page
    page += client.get("/audit", headers=PAGE).text
    assert "<img src=x" not in page
    assert "62615533" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?who=li", 2),
        ("?who=wang", 1),
        ("?who=nobody", 0),
        ("?what=login.refused", 1),
        ("?what=login.", 2),  # our own, and the one that was refused
        ("?area=berlin", 1),
        ("?who=&what=&area=&since=&until=", 4),
        ("?since=2026-11-23T12:00", 4),
        ("?until=2026-11-23T12:00", 0),
        ("?since=2026-11-23T12:01", 0),
    ],
)
def test_each_part_of_the_filter_narrows_the_log(
    here: World, client: Client, runner: asyncio.Runner, query: str, found: int
) -> None:
    did(here, runner, deed(), deed(area="berlin"), deed(who="wang", what="login.refused"))
    log_in(client)
    assert len(rows(client, query)) == found


def test_a_range_that_is_none_is_explained(client: Client) -> None:
    log_in(client)
    for query, words in (
        ("?since=2026-11-24T00:00&until=2026-11-23T00:00", "The end must be after"),
        ("?since=yesterday", "Enter a date and a time."),
    ):
        page = client.get(f"/audit{query}&lang=en", headers=PAGE)
        assert page.status_code == 422
        assert words in page.text
        assert client.get(f"/audit/export{query}", headers=PAGE).status_code == 422


def test_pages_are_turned_with_the_filter_kept(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    did(here, runner, *[deed(detail=f"d{n}.") for n in range(DEEDS_PER_PAGE + 2)])
    log_in(client)
    page = client.get("/audit?who=li", headers=PAGE).text
    [older] = re.findall(r'href="(/audit\?who=li&amp;before_id=\d+)"', page)
    last = rows(client, older.removeprefix("/audit").replace("&amp;", "&"))
    assert ["d1." in last[0], "d0." in last[1], len(last)] == [True, True, 2]


def test_a_log_that_is_whole_says_so_with_a_digest_to_note(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    did(here, runner, *[deed()] * 3)
    log_in(client)
    page = client.get("/audit?lang=en", headers=PAGE).text
    assert "The log is whole, up to line 4." in page
    chain = sa.text("SELECT hex(chain) FROM audit WHERE id = 4")
    digest = str(runner.run(here.ledger.read(lambda c: c.scalar(chain))))
    assert f"audit:4:{digest.lower()}" in page


def test_a_line_that_was_changed_is_named(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    did(here, runner, *[deed()] * 3)
    change = "UPDATE audit SET who = 'wang' WHERE id = 2"
    runner.run(here.ledger.write(lambda c: _forced(c, change)))
    log_in(client)
    assert "Line 2 does not fit" in client.get("/audit?lang=en", headers=PAGE).text


def _forced(c: sa.Connection, change: str) -> None:
    """Do what somebody with the file in hands can do."""
    for (trigger,) in c.execute(
        sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
    ).all():
        c.execute(sa.text(f'DROP TRIGGER "{trigger}"'))
    c.execute(sa.text(change))


def test_only_the_last_lines_are_checked_for_a_page(
    here: World, client: Client, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "CHECKED_MAX", 3)
    did(here, runner, *[deed()] * 5)
    log_in(client)
    assert "The last 3 lines were checked." in client.get("/audit?lang=en", headers=PAGE).text


def test_the_log_is_taken_home_line_by_line_and_no_more_than_was_asked_for(
    here: World, client: Client, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "EXPORTED_AT_ONCE", 2)
    did(here, runner, *[deed(detail=f"{n}\n") for n in range(5)], deed(who="wang"))
    log_in(client)
    saved = client.get("/audit/export?who=li", headers=PAGE)
    assert saved.headers["content-type"].startswith("application/x-ndjson")
    assert saved.headers["content-disposition"] == 'attachment; filename="audit.jsonl"'
    lines = [json.loads(line) for line in saved.text.splitlines()]
    assert [line["detail"] for line in lines] == ["4\n", "3\n", "2\n", "1\n", "0\n"]
    assert {line["who"] for line in lines} == {"li"}
    monkeypatch.setattr(audit, "EXPORTED_MAX", 3)
    assert len(client.get("/audit/export", headers=PAGE).text.splitlines()) == 3


def test_an_administrator_of_an_area_sees_the_deeds_of_that_one_and_of_none(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    did(here, runner, deed(area="berlin", detail="foreign."), deed(area="xuhui", detail="own."))
    runner.run(here.add(somebody("a", Role.ADMIN, frozenset({"xuhui"})), "a long phrase"))
    here.at += timedelta(minutes=1)
    assert log_in_as(client, "a", "a long phrase").status_code == 303
    for path in ("/audit", "/audit?area=berlin", "/audit/export"):
        text = client.get(path, headers=PAGE).text
        assert "foreign." not in text
        assert ("own." in text) is (path != "/audit?area=berlin")


def test_who_may_not_see_the_log_is_refused(client: Client) -> None:
    log_in(client, READ_TOKEN)
    for path in ("/audit", "/audit/export"):
        assert client.get(path, headers=PAGE).status_code == 403

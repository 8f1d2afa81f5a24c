"""How the service does, on its page: calm when all is well, and plain about what is not."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from api.console import service
from api.console.service import Disk, disk_of, troubles_of
from api.delivery import LaneHealth
from api.text import LANGUAGES, Texts
from api.watch import Part
from api.workings import LinkNow, Workings
from ingest.history_writer import HistoryHealth
from ingest.mqtt import LinkState
from ingest.people import Role
from tests.http_doubles import (
    NOON,
    PAGE,
    READ_TOKEN,
    Client,
    World,
    csrf_on,
    log_in,
    log_in_as,
    somebody,
)

pytest_plugins = ["tests.http_fixtures"]

WICKED = '<img src=x onerror="document.title=1">{{7919*7907}}'
ROOM = Disk(free=10 * 1024**3, total=20 * 1024**3)
LINK = LinkNow(
    name="chargewatch",
    state=LinkState.CONNECTED,
    reason="",
    since=NOON - timedelta(hours=3),
    connections=1,
    lost=0,
    malformed=0,
)
LANE = LaneHealth(waiting=0, oldest_at=None, digests=0, failing_since=None, budget_left=18)


def page_of(client: Client) -> str:
    response = client.get("/service?lang=en", headers=PAGE)
    assert response.status_code == 200
    return response.text


def told(workings: Workings, disk: Disk = ROOM) -> list[str]:
    return [each.words.rpartition(".")[2] for each in troubles_of(workings, disk, NOON)]


def test_each_thing_that_is_not_well_is_told(here: World) -> None:
    well = replace(here.workings, links=(LINK,), lanes={"dingtalk a1": LANE})
    assert told(well) == []
    lost = replace(LINK, state=LinkState.REFUSED)
    assert told(replace(well, links=(LINK, lost))) == ["link"]
    failing = replace(LANE, failing_since=NOON, oldest_at=NOON - timedelta(hours=1))
    assert told(replace(well, lanes={"sms": failing})) == ["lane_fails"]
    waits = replace(LANE, waiting=1, oldest_at=NOON - timedelta(minutes=3))
    assert told(replace(well, lanes={"sms": waits})) == ["lane_waits"]
    just_now = replace(LANE, waiting=1, oldest_at=NOON - timedelta(minutes=1))
    assert told(replace(well, lanes={"sms": just_now})) == []
    behind = HistoryHealth(ok=True, since=NOON, behind=5_000)
    assert told(replace(well, history=behind)) == ["history"]
    assert told(replace(well, history=HistoryHealth(ok=True, since=NOON))) == []
    assert told(well, Disk(free=1, total=2)) == ["disk"]
    assert disk_of(here.workings.data_dir).total > 0


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_state_of_a_session_has_words(lang: str) -> None:
    assert {f"link.{state}" for state in LinkState} <= Texts.of(lang).messages.keys()


def test_a_service_that_is_well_is_told_so_calmly(
    here: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "DISK_LOW_BYTES", 0)
    here.workings = replace(here.workings, links=(LINK,), lanes={"dingtalk a1": LANE})
    log_in(client)
    page = page_of(client)
    assert "All is well" in page
    assert "Part of the system is not well" not in page
    assert "Nothing waits." in page
    assert "the provider takes 18 more this minute" in page
    assert Texts.of("en").ago(LINK.since, NOON) in page


def test_what_is_not_well_comes_first_with_its_reason(here: World, client: Client) -> None:
    here.parts = (Part("broker", ok=False, reason=WICKED, since=NOON), Part("ledger", ok=True))
    lane = replace(
        LANE,
        waiting=7,
        oldest_at=NOON - timedelta(minutes=9),
        failing_since=NOON - timedelta(minutes=8),
        digests=2,
    )
    here.workings = replace(
        here.workings,
        links=(
            replace(
                LINK, state=LinkState.REFUSED, reason=WICKED, connections=4, lost=2, malformed=3
            ),
        ),
        lanes={"sms": lane},
        failing={"sms": WICKED},
        history=HistoryHealth(ok=False, since=NOON, reason="gone", behind=12_000),
    )
    log_in(client)
    page = page_of(client)
    assert "All is well" not in page
    assert page.index("Part of the system is not well") < page.index("The parts")
    for words in (
        "The way sms fails, and is tried again.",
        "7 wait.",
        "The oldest has waited for 9 minutes.",
        "2 digests wait.",
        "It has failed for 8 minutes:",
        "12,000 entries behind",
        "session lost 2 times",
        "3 packets made no sense",
    ):
        assert words in page
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
    assert "62615533" not in page


def test_a_drill_is_begun_and_followed(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    log_in(client)
    assert "There was none yet." in page_of(client)
    form = {"csrf": csrf_on(client, "/service"), "site": "xuhui/renmin-lu"}
    begun = client.post("/service/drills", data=form, headers=PAGE)
    assert begun.headers["location"] == "/service#drills"
    assert "Under way…" in page_of(client)
    again = client.post("/service/drills?lang=en", data=form, headers=PAGE)
    assert again.status_code == 429
    assert "The last drill was a moment ago." in again.text
    assert here.drills.last
    here.drills.last.published_at = here.at + timedelta(seconds=0.25)
    assert "the broker has taken it, after 0.25 s" in page_of(client)
    runner.run(here.wait(timedelta(minutes=2)))
    assert "The drill is stuck: the message was sent and did not come back." in page_of(client)
    here.drills.last.failure = WICKED
    page = page_of(client)
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page


def test_a_drill_is_at_a_site_of_theirs(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.add(somebody("t", Role.TESTER, frozenset({"berlin"})), "a long phrase"))
    assert log_in_as(client, "t", "a long phrase").status_code == 303
    assert "renmin-lu" not in page_of(client)
    csrf = csrf_on(client, "/service")
    for site in ("xuhui/renmin-lu", "", "berlin/x"):
        form = {"csrf": csrf, "site": site}
        assert client.post("/service/drills", data=form, headers=PAGE).status_code == 422
    form = {"csrf": csrf, "site": "berlin/hof"}
    assert client.post("/service/drills", data=form, headers=PAGE).status_code == 303


def test_who_may_look_and_not_drill_is_offered_none(client: Client) -> None:
    log_in(client, READ_TOKEN)
    assert "/service/drills" not in page_of(client)


def test_a_drill_of_a_foreign_area_is_not_shown(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.add(somebody("t", Role.TESTER, frozenset({"berlin"})), "a long phrase"))
    log_in(client)
    form = {"csrf": csrf_on(client, "/service"), "site": "xuhui/renmin-lu"}
    assert client.post("/service/drills", data=form, headers=PAGE).status_code == 303
    client.post("/logout", data={"csrf": form["csrf"]}, headers=PAGE)
    assert log_in_as(client, "t", "a long phrase").status_code == 303
    assert "There was none yet." in page_of(client)

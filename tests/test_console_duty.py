"""What the duty view shows, to whom."""

import asyncio
import re
from datetime import timedelta

import msgspec
import pytest

from api.console.duty import Contact, contact_for, map_address, overview_of
from api.console.views import AlertCard
from api.http.access import RIGHTS, Caller
from api.text import Texts, explained
from ingest.people import EVERYWHERE, Directory, Person, Role, Via, Way
from ingest.registry import Location
from rules.readings import Reading
from rules.schedule import Schedule
from rules.verdict import Evidence, Severity
from tests.http_doubles import (
    NOON,
    PAGE,
    PILE,
    SMOKE,
    TOKENS,
    Client,
    World,
    csrf_on,
    log_in,
    registry,
)
from tests.test_text import SHANGHAI, firing, row_of

pytest_plugins = ["tests.http_fixtures"]

OWN = Way(via=Via.VOICE, address="+86 138-0000 0001")
POLICE_TOKEN = "the-token-of-the-police"


def manager(name: str, *areas: str, ways: tuple[Way, ...] = (OWN,)) -> Person:
    return Person(
        id=name,
        name=name,
        role=Role.MANAGER,
        areas=frozenset(areas),
        ways=ways,
        added_at=NOON,
    )


def directory(*people: Person) -> Directory:
    return Directory(people)


def card(severity: Severity, *, seen: bool = False, drill: bool = False) -> AlertCard:
    row = msgspec.structs.replace(
        row_of(firing("overload", Evidence())),
        severity=severity,
        acknowledged_at=NOON if seen else None,
        drill=drill,
    )
    words = explained(row, registry(), Texts.of("zh"))
    return AlertCard(row=row, words=words, zone=SHANGHAI)


# --- at a glance -----------------------------------------------------------------------------


def test_the_mood_is_that_of_the_gravest_that_nobody_has_acknowledged() -> None:
    cards = [card(Severity.WARNING), card(Severity.CRITICAL, seen=True)]
    seen = overview_of(cards, blind=True)
    assert (seen.mood, seen.waiting, seen.attended) == (Severity.WARNING, 1, 1)
    worse = overview_of([*cards, card(Severity.EMERGENCY)], blind=False)
    assert worse.mood == Severity.EMERGENCY
    assert list(worse.unseen) == [Severity.EMERGENCY, Severity.WARNING]


def test_it_is_calm_only_if_nothing_is_open_and_nothing_is_hidden_from_us() -> None:
    assert overview_of([], blind=False).mood == "calm"
    assert overview_of([], blind=True).mood == "blind"
    assert overview_of([card(Severity.CRITICAL, seen=True)], blind=True).mood == "attended"


def test_a_drill_frightens_nobody() -> None:
    assert overview_of([card(Severity.EMERGENCY, drill=True)], blind=False).mood == "calm"


# --- whom to call ----------------------------------------------------------------------------


def test_the_manager_on_duty_is_called_before_others_and_the_areas_own_before_the_rest() -> (
    None
):
    off = msgspec.structs.replace(manager("a-off", "xuhui"), duty=Schedule.nightly())
    everywhere, own = manager("b-all", EVERYWHERE), manager("c-own", "xuhui")
    assert contact_for(directory(off, everywhere, own), "xuhui", NOON) == Contact(
        "c-own", "+8613800000001"
    )
    found = contact_for(directory(off, everywhere), "xuhui", NOON)
    assert found
    assert found.name == "b-all"
    assert contact_for(directory(off), "xuhui", NOON)


@pytest.mark.parametrize(
    "person",
    [
        manager("elsewhere", "berlin"),
        manager("mail", "xuhui", ways=(Way(via=Via.EMAIL, address="a@b.example"),)),
        msgspec.structs.replace(manager("gone", "xuhui"), active=False),
        msgspec.structs.replace(manager("police", "xuhui"), role=Role.POLICE),
    ],
    ids=lambda person: person.id,
)
def test_nobody_is_called_who_is_no_manager_of_the_area_with_a_telephone(
    person: Person,
) -> None:
    assert contact_for(directory(person), "xuhui", NOON) is None


def test_only_digits_of_a_number_are_dialled() -> None:
    odd = Way(via=Via.SMS, address="138;javascript:0")
    found = contact_for(directory(manager("a", "xuhui", ways=(odd,))), "xuhui", NOON)
    assert found
    assert found.number == "1380"


# --- where it is -----------------------------------------------------------------------------


def test_a_map_is_named_by_its_place_and_escapes_what_it_is_called() -> None:
    place = Location(30.2741, 120.1551)
    chinese = map_address(place, "柳树&村", "zh")
    assert chinese.startswith("https://uri.amap.com/marker?position=120.155100%2C30.274100&")
    assert "coordinate=wgs84" in chinese
    assert "%26" in chinese
    assert "#map=18/30.274100/120.155100" in map_address(place, "Willow", "en")
    assert not map_address(None, "Willow", "en")


# --- the page --------------------------------------------------------------------------------


def placed(here: World) -> None:
    site = here.registry.sites["xuhui/renmin-lu"]
    here.registry.sites[site.id] = msgspec.structs.replace(site, location=Location(31.2, 121.4))
    here.directory.people["wang"] = manager("wang", "xuhui")


def test_an_alarm_shows_what_where_whom_to_call_and_a_map(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    placed(here)
    runner.run(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
    runner.run(here.wait(timedelta(seconds=31)))
    log_in(client)
    text = client.get("/?lang=en", headers=PAGE).text
    for words in ("1 to acknowledge", "1,203 W", "1,000 W", "Renmin Road station", "Call wang"):
        assert words in text
    assert 'href="tel:+8613800000001"' in text
    assert "openstreetmap.org" in text
    assert "uri.amap.com" in client.get("/?lang=zh", headers=PAGE).text


def test_whoever_may_only_look_sees_no_telephone_number_and_no_button(
    here: World, runner: asyncio.Runner
) -> None:
    placed(here)
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    reader = Client(here.app, runner)
    log_in(reader, token=next(iter(TOKENS)))
    text = reader.get("/", headers=PAGE).text
    assert "tel:" not in text
    assert "/acknowledge" not in text


def test_a_police_station_sees_its_own_areas_alarms_and_nothing_else(
    here: World, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    police = Caller(
        name="berlin-police", rights=RIGHTS[Role.POLICE], areas=frozenset({"berlin"})
    )
    theirs = Client(here.app_for({POLICE_TOKEN: police}), runner)
    log_in(theirs, token=POLICE_TOKEN)
    text = theirs.get("/", headers=PAGE).text
    assert "当前没有警报" in text
    assert "人民路" not in text
    assert "徐汇" not in text


def test_what_was_over_lately_is_shown_and_what_was_over_long_ago_is_not(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    log_in(client)
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=False)))
    runner.run(here.wait(timedelta(minutes=11)))
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=False)))
    page = client.get("/?lang=en", headers=PAGE).text
    assert re.search(r'class="alert resolved[^>]*data-alert="1"', page)
    assert "No open alerts" in page
    here.at += timedelta(hours=13)
    assert 'data-alert="1"' not in client.get("/", headers=PAGE).text


def test_the_area_that_was_chosen_is_kept_by_an_acknowledgement(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    log_in(client)
    assert 'data-alert="1"' not in client.get("/?area=berlin", headers=PAGE).text
    page = client.get("/?area=xuhui", headers=PAGE).text
    assert 'name="back" value="/?area=xuhui"' in page
    data = {"csrf": csrf_on(client, "/"), "back": "/?area=xuhui"}
    done = client.post("/alerts/1/acknowledge", data=data, headers=PAGE)
    assert done.headers["location"] == "/?area=xuhui"
    assert "1 条警报处理中" in client.get("/", headers=PAGE).text


def test_without_scripts_the_page_is_loaded_again_and_again(client: Client) -> None:
    log_in(client)
    page = client.get("/", headers=PAGE).text
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in page


def test_the_worker_is_asked_for_anew_each_time(client: Client) -> None:
    response = client.get("/service-worker.js")
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["cache-control"] == "no-cache"

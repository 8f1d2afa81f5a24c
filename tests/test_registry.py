"""Who is who: what the operator declares, what strangers say, and what becomes of both."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from ingest import registry as registry_module
from ingest.registry import Area, Device, Gone, Name, Registry, Site
from rules.policy import Policy
from rules.readings import DeviceId, Kind, Reading
from rules.schedule import Schedule

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
LATER = NOON + timedelta(days=1)
TOWN = Area(id="town", name=Name("镇", "Town"))
NORTH = Site(
    id="town/north",
    area="town",
    name=Name("北", "North"),
    schedule=Schedule("Europe/Berlin", ()),
)
PILE = Device(
    id=DeviceId("town/north/pile-1"),
    site="town/north",
    dialect="native",
    name="town/north/pile-1",
    kind=Kind.CHARGER,
    sockets=frozenset({1, 2}),
)
PLUG = Device(
    id=DeviceId("town/north/plug-1"),
    site="town/north",
    dialect="tasmota",
    name="plug",
    kind=Kind.CHARGER,
)


def declared(*devices: Device) -> Registry:
    known = Registry([], [], [])
    known.declare([TOWN], [NORTH], devices, NOON)
    list(known.take_news())
    return known


def test_a_device_that_nobody_knows_is_not_found() -> None:
    known = declared(PILE)
    assert known.find("native", "town/north/pile-2") is None
    assert known.find("tasmota", PILE.name) is None
    assert known.find("native", PILE.name) == replace(PILE, added_at=NOON)
    assert PILE.name in known.names("native")
    assert PILE.name not in known.names("tasmota")


def test_a_native_stranger_is_entered_where_it_says_it_is() -> None:
    known = declared(PILE)
    stranger = known.enter("native", "town/south/pile-9", LATER)
    assert stranger is not None
    assert (stranger.id, stranger.site, stranger.declared, stranger.added_at) == (
        "town/south/pile-9",
        "town/south",
        False,
        LATER,
    )
    news = list(known.take_news())
    assert [type(entry) for entry in news] == [Site, Device]  # the area is known
    assert known.sites["town/south"].declared is False
    assert list(known.take_news()) == []


def test_a_stranger_of_another_dialect_is_entered_among_the_undeclared() -> None:
    known = declared()
    stranger = known.enter("zigbee2mqtt", "Hall/left", NOON)
    assert stranger is not None
    assert (stranger.id, stranger.site) == (
        "undeclared/zigbee2mqtt/Hall/left",
        "undeclared/zigbee2mqtt",
    )
    assert [type(entry) for entry in known.take_news()] == [Area, Site, Device]
    assert known.find("zigbee2mqtt", "Hall/left") == stranger
    assert known.profile_of(stranger.id).declared is False
    assert known.policy_of(stranger.id) == Policy()


def test_who_speaks_natively_as_a_device_of_another_dialect_does_not_take_its_place() -> None:
    known = declared(PLUG)
    stranger = known.enter("native", str(PLUG.id), LATER)
    assert stranger is not None
    assert (stranger.id, stranger.site) == (f"undeclared/native/{PLUG.id}", "undeclared/native")
    assert known.find("tasmota", "plug") == replace(PLUG, added_at=NOON)
    assert known.find("native", str(PLUG.id)) == stranger


def test_strangers_are_limited_and_the_declared_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry_module, "DEVICES_MAX", 1)
    known = declared(PILE, PLUG)
    assert known.enter("native", "a/b/1", NOON) is not None
    assert known.enter("native", "a/b/2", NOON) is None
    again = Registry(known.areas.values(), known.sites.values(), known.devices.values())
    assert again.enter("native", "a/b/2", NOON) is None


def test_kind_and_sockets_are_learnt_from_what_is_said() -> None:
    known = declared()
    stranger = known.enter("native", "a/b/1", NOON)
    assert stranger is not None
    assert known.learn(stranger, [Reading(battery_pct=9)]) is stranger
    learnt = known.learn(stranger, [Reading(channel=2, relay_on=True), Reading(channel=1)])
    assert (learnt.kind, learnt.sockets) == (Kind.CHARGER, frozenset({1, 2}))
    assert known.learn(learnt, [Reading(channel=1, power_w=3)]) is learnt
    assert known.profile_of(learnt.id).kind is Kind.CHARGER


def test_the_kind_that_the_operator_gave_is_not_overruled() -> None:
    known = declared(PILE)
    pile = known.devices[PILE.id]
    assert known.learn(pile, [Reading(smoke_alarm=False)]) is pile


def test_what_is_declared_keeps_what_was_learnt_and_since_when() -> None:
    known = declared(PILE)
    known.learn(known.devices[PILE.id], [Reading(channel=7)])
    known.declare([TOWN], [NORTH], [replace(PILE, kind=Kind.SMOKE)], LATER)
    pile = known.devices[PILE.id]
    assert (pile.sockets, pile.added_at, pile.kind) == (frozenset({1, 2, 7}), NOON, Kind.SMOKE)
    assert known.profile_of(PILE.id).kind is Kind.SMOKE


def test_what_is_declared_no_more_becomes_a_stranger_and_stays_watched() -> None:
    known = declared(PILE, PLUG)
    known.declare([], [], [PLUG], LATER)
    pile = known.devices[PILE.id]
    assert pile.declared is False
    assert known.devices[PLUG.id].declared is True
    assert known.areas["town"].declared is known.sites["town/north"].declared is False
    assert known.site_policy_of("town/north").schedule == NORTH.schedule
    assert pile in list(known.take_news())


def test_a_stranger_that_is_declared_under_another_id_is_gone_under_its_old_one() -> None:
    known = declared()
    stranger = known.enter("tasmota", "plug", NOON)
    assert stranger is not None
    list(known.take_news())
    known.declare([TOWN], [NORTH], [PLUG], LATER)
    assert known.find("tasmota", "plug") == replace(PLUG, added_at=LATER)
    assert stranger.id not in known.devices
    news = list(known.take_news())
    assert news.index(Gone(stranger.id)) < news.index(known.devices[PLUG.id])


def test_a_device_that_is_renamed_answers_to_its_new_name_only() -> None:
    known = declared(PLUG)
    known.declare([TOWN], [NORTH], [replace(PLUG, name="socket")], LATER)
    assert known.find("tasmota", "plug") is None
    assert known.find("tasmota", "socket") == replace(PLUG, name="socket", added_at=NOON)


def test_two_devices_may_swap_their_names() -> None:
    other = replace(PLUG, id=DeviceId("town/north/plug-2"), name="other")
    known = declared(PLUG, other)
    known.declare(
        [TOWN], [NORTH], [replace(PLUG, name="other"), replace(other, name="plug")], LATER
    )
    first, second = known.find("tasmota", "other"), known.find("tasmota", "plug")
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == (PLUG.id, other.id)
    assert len(known.devices) == 2


def test_a_codec_is_told_the_kind_and_the_zone() -> None:
    known = declared(PILE)
    profile = known.codec_profile(known.devices[PILE.id])
    assert (profile.kind, profile.zone.key) == (Kind.CHARGER, "Europe/Berlin")

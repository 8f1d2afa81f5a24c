"""Simulated devices that speak Tasmota and Zigbee2MQTT: what they say is what they mean."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.sites import read_sites
from ingest.codecs.native import Command, Event, Native, Status, Telemetry
from ingest.codecs.tasmota import Tasmota
from ingest.codecs.zigbee2mqtt import Zigbee2Mqtt
from ingest.wire import Codec, Ignored, Message, Profile, Rejected, Said, Switch
from rules.readings import Kind, Reading
from simulator.emissions import Emission
from simulator.player import Player, recorded
from simulator.scenario_file import ScenarioWrong
from simulator.skins.skin import Skin
from simulator.skins.tasmota import TasmotaSkin
from simulator.skins.zigbee2mqtt import Zigbee2MqttSkin
from simulator.village import Village, sites_toml
from tests.backtests import run
from tests.simulated import PILE, PLACE, SENSOR, SOUTH, at, played, village

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 5, 12, 4, tzinfo=UTC)
NATIVE = Native()
BUSY = 'lasts = "6 h"\n[[events]]\nfault = "overload"\nat = "02:00"\nwhere = "town/*"\n'
TASMOTA = PLACE.replace('carrier = "radio"', 'skin = "tasmota"')
ZIGBEE = PLACE.replace('carrier = "radio"', 'skin = "zigbee2mqtt", sensor_skin = "zigbee2mqtt"')
MIXED = PLACE.replace('carrier = "radio"', 'skin = "tasmota", sensor_skin = "zigbee2mqtt"')
PLACES = pytest.mark.parametrize("place", [TASMOTA, ZIGBEE, MIXED], ids=["tas", "z2m", "mixed"])


def codec_of(skin: Skin) -> Codec:
    return Tasmota() if skin.dialect == "tasmota" else Zigbee2Mqtt()


def tasmota(sockets: int) -> TasmotaSkin:
    return TasmotaSkin(PILE, Kind.CHARGER, sockets, ZONE)


def strip(sockets: int) -> Zigbee2MqttSkin:
    return Zigbee2MqttSkin(PILE, Kind.CHARGER, sockets, ZONE)


DETECTOR = Zigbee2MqttSkin(SENSOR, Kind.SMOKE, 0, ZONE)


def native(body: Telemetry | Event | Status, device: str = PILE) -> Emission:
    branch = type(body).__name__.lower()
    topic = f"chargewatch/v1/{device}/{branch}"
    return Emission(NOON, device, topic, msgspec.json.encode(body))


def decoded(codec: Codec, emission: Emission, kind: Kind) -> Said:
    name = codec.address(emission.topic, {PILE, SENSOR})
    assert isinstance(name, str), emission.topic
    message = Message(emission.topic, emission.payload, emission.at)
    said = codec.decode(message, name, Profile(kind, ZONE))
    assert isinstance(said, Said), (emission, said)
    return said


Known = dict[int | None, dict[str, Any]]


def values(readings: Iterable[Reading]) -> Known:
    """Return all values of some readings, by socket."""
    found: Known = defaultdict(dict)
    for each in readings:
        for key, value in msgspec.structs.asdict(each).items():
            if value is not None and key != "channel":
                found[each.channel][key] = value
    return dict(found)


def heard(skin: Skin, kind: Kind, body: Telemetry | Event | Status) -> Known:
    """Return what the product's codec makes of a message in a skin."""
    said = [
        decoded(codec_of(skin), each, kind) for each in skin.worn(native(body, skin.device))
    ]
    return values(reading for each in said for reading in each.readings)


def rounded(known: Known, digits: dict[str, int]) -> Known:
    """Return what a dialect can say of it: these quantities, so finely."""
    found: Known = {}
    for channel, quantities in known.items():
        kept = {
            key: round(value, digits[key]) if isinstance(value, float) else value
            for key, value in quantities.items()
            if key in digits
        }
        if kept:
            found[channel] = kept
    return found


figures = st.floats(-1e4, 1e5).map(lambda value: round(value, 3))
percents = st.integers(0, 100).map(float)
socket_readings = st.builds(
    Reading,
    power_w=st.none() | figures,
    current_a=st.none() | figures,
    voltage_v=st.none() | st.floats(0, 500).map(lambda value: round(value, 1)),
    energy_kwh=st.none() | figures,
    relay_on=st.none() | st.booleans(),
    device_temperature_c=st.none() | figures,
    port_state=st.none() | st.sampled_from(["idle", "charging", "cut"]),
    session_energy_kwh=st.none() | figures,
)
device_readings = st.builds(
    Reading,
    device_temperature_c=st.none() | st.floats(-40, 120).map(lambda value: round(value, 1)),
    signal_pct=st.none() | percents,
)
detector_readings = st.builds(
    Reading,
    smoke_alarm=st.none() | st.booleans(),
    self_test=st.none() | st.booleans(),
    battery_pct=st.none() | st.floats(0, 100).map(lambda value: round(value, 1)),
    battery_low=st.none() | st.booleans(),
    ambient_temperature_c=st.none() | st.floats(-40, 120).map(lambda value: round(value, 1)),
    tamper=st.none() | st.booleans(),
    fault=st.none() | st.sampled_from(["", "dirty", "sensor contaminated"]),
    signal_pct=st.none() | percents,
)


@st.composite
def piles(draw: st.DrawFn) -> Telemetry:
    sockets = draw(st.lists(socket_readings, min_size=1, max_size=16))
    numbered = [
        msgspec.structs.replace(each, channel=number)
        for number, each in enumerate(sockets, start=1)
    ]
    return Telemetry(at=NOON, boot="b", seq=1, readings=(draw(device_readings), *numbered))


IN_TASMOTA = {
    "power_w": 0,
    "voltage_v": 0,
    "current_a": 3,
    "energy_kwh": 3,
    "relay_on": 0,
    "device_temperature_c": 1,
    "signal_pct": 0,
}
IN_ZIGBEE = dict.fromkeys((*IN_TASMOTA, "smoke_alarm", "self_test", "battery_pct"), 3)
OF_DETECTORS = dict.fromkeys(
    ("smoke_alarm", "self_test", "battery_pct", "battery_low", "ambient_temperature_c"), 1
) | {"tamper": 0, "fault": 0}


def without_socket_warmth(known: Known) -> Known:
    """Leave out what neither dialect has a word for."""
    return {
        channel: kept
        for channel, quantities in known.items()
        if (
            kept := {
                key: value
                for key, value in quantities.items()
                if channel is None or key != "device_temperature_c"
            }
        )
    }


@given(piles())
def test_what_a_pile_says_in_tasmota_is_what_it_means(telemetry: Telemetry) -> None:
    skin = tasmota(len(telemetry.readings) - 1)
    meant = without_socket_warmth(rounded(values(telemetry.readings), IN_TASMOTA))
    assert heard(skin, Kind.CHARGER, telemetry) == meant


def apart_from_signal(known: Known) -> Known:
    return {
        channel: kept
        for channel, quantities in known.items()
        if (kept := {key: value for key, value in quantities.items() if key != "signal_pct"})
    }


@given(piles())
def test_what_a_pile_says_behind_zigbee2mqtt_is_what_it_means(telemetry: Telemetry) -> None:
    skin = strip(len(telemetry.readings) - 1)
    meant = without_socket_warmth(rounded(values(telemetry.readings), IN_ZIGBEE))
    understood = heard(skin, Kind.CHARGER, telemetry)
    assert apart_from_signal(understood) == apart_from_signal(meant)
    signal = telemetry.readings[0].signal_pct
    if signal is not None:
        assert understood[None]["signal_pct"] == pytest.approx(signal, abs=100 / 255)


@given(detector_readings)
def test_what_a_detector_says_behind_zigbee2mqtt_is_what_it_means(reading: Reading) -> None:
    telemetry = Telemetry(at=NOON, readings=(reading,))
    meant = rounded(values(telemetry.readings), OF_DETECTORS)
    assert apart_from_signal(heard(DETECTOR, Kind.SMOKE, telemetry)) == meant


@given(
    st.builds(
        Event,
        event=st.sampled_from(["smoke", "tamper", "fault", "self_test"]),
        active=st.booleans(),
        detail=st.sampled_from(["", "dirty"]),
        at=st.just(NOON),
    )
)
def test_an_event_is_told_at_once_and_means_the_same(event: Event) -> None:
    message = native(event, SENSOR)
    same = decoded(NATIVE, message, Kind.SMOKE)
    assert heard(DETECTOR, Kind.SMOKE, event) == values(same.readings)


@given(st.booleans())
def test_presence_is_retained_and_means_the_same(online: bool) -> None:
    body = Status(online=online, firmware="1.4.2", model="CW")
    for skin in (tasmota(2), strip(2), DETECTOR):
        first, *_ = skin.worn(native(body, skin.device))
        assert first.retain
        said = decoded(codec_of(skin), first, Kind.UNKNOWN)
        assert said.presence_only
        assert [each.online for each in said.readings] == [online]
    assert heard(tasmota(2), Kind.CHARGER, body)[None]["firmware"] == "1.4.2"


@given(st.integers(1, 16), st.data(), st.booleans())
def test_the_products_order_reaches_the_socket_it_is_meant_for(
    sockets: int, data: st.DataObject, on: bool
) -> None:
    channel = data.draw(st.integers(1, sockets))
    switch = Switch(id="c", on=on, channel=channel, sockets=sockets, expires_at=NOON)
    for skin in (tasmota(sockets), strip(sockets)):
        ordered = codec_of(skin).command(skin.name, switch)
        assert ordered is not None
        topic, payload = ordered
        assert skin.addressed(topic) == PILE
        command = msgspec.json.decode(skin.order(topic, payload, 5), type=Command)
        assert (command.command, command.channel) == (
            "switch_on" if on else "switch_off",
            channel,
        )


@given(st.binary(max_size=60))
def test_no_order_however_odd_makes_a_skin_stumble(payload: bytes) -> None:
    for skin, topics in (
        (tasmota(3), ("cmnd/a/POWER2", "cmnd/a/Backlog", "cmnd/a/POWER0")),
        (strip(3), ("zigbee2mqtt/a/b/c/set", "zigbee2mqtt/a/b/c/get")),
    ):
        for topic in topics:
            assert msgspec.json.decode(skin.order(topic, payload, 1))["id"].startswith("1")


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b'{"readings": 4}'])
def test_what_is_broken_stays_broken(payload: bytes) -> None:
    message = Emission(NOON, PILE, f"chargewatch/v1/{PILE}/telemetry", payload)
    for skin in (tasmota(2), strip(2)):
        [worn] = skin.worn(message)
        assert worn.payload == payload
        assert worn.topic in {f"tele/{skin.name}/SENSOR", f"zigbee2mqtt/{skin.name}"}


def test_neither_dialect_keeps_anything_back() -> None:
    telemetry = Telemetry(at=NOON, buffered=True, readings=(Reading(channel=1, power_w=4.0),))
    for skin in (tasmota(2), strip(2)):
        assert list(skin.worn(native(telemetry))) == []


# --- villages --------------------------------------------------------------------------


def by_device(said: Iterable[Emission]) -> dict[str, list[Emission]]:
    found: dict[str, list[Emission]] = defaultdict(list)
    for each in said:
        found[each.device].append(each)
    return found


def foreign(said: Iterable[Emission]) -> Iterator[Emission]:
    return (each for each in said if not each.topic.startswith("chargewatch/"))


@PLACES
def test_no_message_of_a_village_in_skins_is_refused(place: str) -> None:
    names = {plan.id for plan in village(BUSY).piles} | {s.id for s in village(BUSY).sensors}
    said = played(village(BUSY, place=place))
    assert len(said) > 1000
    for emission in said:
        answers = [
            (codec, name)
            for codec in (NATIVE, Tasmota(), Zigbee2Mqtt())
            if (name := codec.address(emission.topic, names)) is not None
        ]
        [(codec, name)] = answers
        if isinstance(name, Ignored):
            assert emission.topic == "zigbee2mqtt/bridge/state"
            continue
        assert isinstance(name, str)
        message = Message(emission.topic, emission.payload, emission.at)
        assert not isinstance(codec.decode(message, name, Profile()), Rejected)


@PLACES
def test_a_village_in_skins_says_the_same_bytes_again(place: str) -> None:
    assert played(village(BUSY, place=place)) == played(village(BUSY, place=place))


def test_a_skin_for_one_station_changes_no_other_devices_stream() -> None:
    head, mark, south = PLACE.partition('"town/south"')
    dressed_south = south.replace('carrier = "radio"', 'carrier = "radio", skin = "tasmota"', 1)
    before = by_device(played(village(BUSY)))
    after = by_device(played(village(BUSY, place=head + mark + dressed_south)))
    changed = {name for name, said in before.items() if said != after[name]}
    assert changed == {f"{SOUTH}/pile-01", f"{SOUTH}/pile-02"}
    assert before.keys() == after.keys()


def test_a_skin_changes_nothing_about_what_is_true() -> None:
    assert village(BUSY, place=MIXED).happens == village(BUSY).happens


def test_the_register_says_what_the_devices_speak(tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    file.write_text(sites_toml(village(BUSY, place=MIXED)), encoding="utf-8")
    declared = read_sites(file, ["native", "tasmota", "zigbee2mqtt"], 2026).devices
    known = {str(each.id): (each.dialect, each.name) for each in declared}
    assert known[PILE] == ("tasmota", "town_north_pile-01")
    assert known[SENSOR] == ("zigbee2mqtt", SENSOR)


def test_a_bridge_says_that_it_is_there_and_speaks_for_its_devices() -> None:
    player = Player(village(BUSY, place=MIXED).devices())
    wills = player.last_wills(at(0), everybody=True)
    assert set(wills) == {"zigbee2mqtt", *(plan.id for plan in village(BUSY).piles)}
    assert wills["zigbee2mqtt"].payload == b'{"state":"offline"}'
    assert wills[PILE].topic == "tele/town_north_pile-01/LWT"
    assert (wills[PILE].payload, wills[PILE].last_will) == (b"Offline", True)
    assert player.speaks(SENSOR) == "zigbee2mqtt"
    assert player.speaks(PILE) == PILE
    assert "zigbee2mqtt/+/+/+/set" in player.ears("zigbee2mqtt")
    assert player.ears(PILE) == ("cmnd/town_north_pile-01/+",)


def test_a_village_without_zigbee_has_no_bridge() -> None:
    assert "zigbee2mqtt" not in Player(village(BUSY).devices()).last_wills(
        at(0), everybody=True
    )


CHARGES = f'lasts = "6 h"\n[[events]]\nfault = "bike"\nat = "01:00"\nwhere = "{PILE}#3"\n'


@pytest.mark.parametrize(
    ("place", "topic", "payload"),
    [
        (TASMOTA, "cmnd/town_north_pile-01/POWER3", b"OFF"),
        (ZIGBEE, f"zigbee2mqtt/{PILE}/set", b'{"state_l3": "OFF"}'),
    ],
)
def test_an_order_in_the_dialect_cuts_and_is_answered_in_the_dialect(
    place: str, topic: str, payload: bytes
) -> None:
    player = Player(village(CHARGES, place=place).devices())
    before = [each for each in player.play(at(1.5)) if each.device == PILE]
    assert before
    said = [each for each in player.obey(topic, payload, at(1.5)) if each.device == PILE]
    codec: Codec = Tasmota() if place == TASMOTA else Zigbee2Mqtt()
    known: Known = defaultdict(dict)
    for each in said:
        for channel, found in values(decoded(codec, each, Kind.CHARGER).readings).items():
            known[channel] |= found
    assert known[3]["relay_on"] is False
    assert known[3]["power_w"] < 3
    assert not [each for each in said if each.topic.startswith("chargewatch/")]


def test_tasmota_answers_as_tasmota_does() -> None:
    player = Player(village(CHARGES, place=TASMOTA).devices())
    folder = "town_north_pile-01"

    def answers(branch: str, payload: bytes) -> list[tuple[str, bytes]]:
        said = player.obey(f"cmnd/{folder}/{branch}", payload, at(2))
        return [(e.topic, e.payload) for e in said if e.topic.startswith("stat/")]

    assert answers("POWER3", b"off") == [
        (f"stat/{folder}/RESULT", b'{"POWER3":"OFF"}'),
        (f"stat/{folder}/POWER3", b"OFF"),
    ]
    assert answers("POWER3", b"ON")[1] == (f"stat/{folder}/POWER3", b"ON")
    assert answers("POWER3", b"off")[1] == (f"stat/{folder}/POWER3", b"OFF")
    assert answers("Dimmer", b"50") == [(f"stat/{folder}/RESULT", b'{"Command":"Unknown"}')]
    assert answers("POWER30", b"ON") == [(f"stat/{folder}/RESULT", b'{"Command":"Unknown"}')]
    assert answers("STATE", b"") == []


def test_a_dressed_device_is_deaf_to_our_own_format_and_a_plain_one_to_others() -> None:
    order = b'{"id": "c", "command": "switch_off", "channel": 3}'
    dressed = Player(village(CHARGES, place=TASMOTA).devices())
    assert list(foreign(dressed.obey(f"chargewatch/v1/{PILE}/command", order, at(0)))) == []
    plain = Player(village(CHARGES).devices())
    assert plain.obey("cmnd/town_north_pile-01/POWER3", b"OFF", at(0)) == []


def test_a_strip_of_zigbee_has_no_more_endpoints_than_there_are() -> None:
    with pytest.raises(ScenarioWrong, match="at most 16 sockets"):
        village(BUSY, place=ZIGBEE.replace("piles = 2", "piles = 2, sockets = 17"))


@pytest.mark.parametrize("word", ['skin = "tasmotta"', 'sensor_skin = "tasmota"'])
def test_a_skin_that_does_not_exist_is_a_mistake(word: str) -> None:
    with pytest.raises(ScenarioWrong):
        village(BUSY, place=PLACE.replace('carrier = "radio"', word))


# --- through the product ---------------------------------------------------------------

HAPPENS = f"""
lasts = "5 h"
[[events]]
fault = "overload"
at = "02:00"
where = "{PILE}"
[[events]]
fault = "smoke"
at = "03:00"
where = "{SENSOR}"
[[events]]
fault = "device_dead"
at = "03:30"
where = "{SOUTH}/pile-02"
"""


def alarms(tmp_path: Path, here: Village) -> list[tuple[str, str | None, int | None, datetime]]:
    result = run(tmp_path, map(recorded, played(here)), sites=sites_toml(here))
    return sorted(
        (e.rule, e.device, e.channel, e.fired_at)
        for e in result.in_force.episodes
        if e.severity != "info"
    )


@PLACES
def test_the_same_alarms_are_raised_whatever_the_dialect(tmp_path: Path, place: str) -> None:
    meant = alarms(tmp_path, village(HAPPENS))
    raised = alarms(tmp_path, village(HAPPENS, place=place))
    assert {rule for rule, *_ in meant} >= {"overload", "smoke", "silence"}
    assert [each[:3] for each in raised] == [each[:3] for each in meant]
    for one, other in zip(meant, raised, strict=True):
        assert abs(one[3] - other[3]) <= timedelta(seconds=2), (one, other)

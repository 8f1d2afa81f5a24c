"""The dialects: golden messages in payloads/, and what no list of messages can show.

A golden file is JSON Lines: a message as `chargewatch decode --jsonl` takes it, with the name
of its case, and below it the answer; of a refusal, the reason without its details.
"""

import json
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.codecs import all_codecs, tasmota, zigbee2mqtt
from ingest.codecs.native import Native
from ingest.codecs.tasmota import Tasmota
from ingest.codecs.zigbee2mqtt import Zigbee2Mqtt
from ingest.decode import decode_lines
from ingest.wire import Codec, Ignored, Message, Profile, Refusal, Rejected, Said
from rules.readings import QUANTITIES, Kind, Reading

PAYLOADS = Path(__file__).parent / "payloads"
NOW = datetime(2026, 1, 13, 23, 30, tzinfo=UTC)
ANYONE = Profile()
BERLIN = Profile(zone=ZoneInfo("Europe/Berlin"))


class Case(NamedTuple):
    where: str
    message: bytes
    answer: dict[str, Any]


def cases_in(path: Path) -> list[Case]:
    lines = path.read_bytes().splitlines()
    where = path.relative_to(PAYLOADS).with_suffix("").as_posix()
    return [
        Case(f"{where}: {json.loads(message)['case']}", message, json.loads(answer))
        for message, answer in zip(lines[::2], lines[1::2], strict=True)
    ]


CASES = [case for path in sorted(PAYLOADS.glob("*/*.jsonl")) for case in cases_in(path)]


def test_every_codec_has_golden_messages_each_under_its_own_name() -> None:
    names = [case.where for case in CASES]
    assert len(names) == len(set(names))
    assert {name.partition("/")[0] for name in names} == {c.name for c in all_codecs()}


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*/*.jsonl")), ids=lambda p: p.stem)
def test_golden_files_begin_with_what_does_not_happen(path: Path) -> None:
    negative = [": does not " in case.where for case in cases_in(path)]
    assert negative[0]
    assert negative == sorted(negative, reverse=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.where)
def test_golden(case: Case) -> None:
    (line,) = decode_lines([case.message], lambda: NOW)
    answer = json.loads(line)
    if "rejected" in answer:
        answer["rejected"] = answer["rejected"].partition(":")[0]
    assert answer == case.answer


def decoded(
    codec: Codec, topic: str, payload: bytes, profile: Profile = ANYONE
) -> Said | Rejected | Ignored | None:
    name = codec.address(topic, known=())
    if not isinstance(name, str):
        return name
    return codec.decode(Message(topic, payload, NOW), name, profile)


@pytest.mark.parametrize("shown", ["2026-10-25T02:30:00", "2026-03-29T02:30:00"])
def test_does_not_guess_in_an_hour_that_comes_twice_or_never(shown: str) -> None:
    said = decoded(Tasmota(), "tele/p/STATE", f'{{"Time":"{shown}"}}'.encode(), BERLIN)
    assert said == Said((), at=None)


def test_an_offset_tells_the_two_hours_apart() -> None:
    payload = b'{"Time":"2026-10-25T02:30:00+01:00"}'
    said = decoded(Tasmota(), "tele/p/STATE", payload, BERLIN)
    assert said == Said((), at=datetime(2026, 10, 25, 1, 30, tzinfo=UTC))


def test_presence_is_told_apart_from_signs_of_life() -> None:
    online = Said((Reading(online=True),), presence_only=True)
    assert decoded(Tasmota(), "tele/p/LWT", b"Online") == online
    assert decoded(Zigbee2Mqtt(), "zigbee2mqtt/p/availability", b"online") == online
    status = "chargewatch/v1/a/b/c/status"
    assert decoded(Native(), status, b'{"online":true}') == online


@pytest.mark.parametrize(
    ("full_topic", "topic", "filters"),
    [
        ("%prefix%/%topic%/", "tele/p/SENSOR", ("stat/+/+", "tele/+/+")),
        ("%topic%/%prefix%", "p/tele/SENSOR", ("+/stat/+", "+/tele/+")),
        ("shed 3/x-%topic%/", "shed 3/x-p/SENSOR", ("shed 3/+/+",)),
        (
            "%prefix%/%id%/%topic%/",
            "tele/A1B2C3/p/SENSOR",
            ("stat/+/+/+", "tele/+/+/+"),
        ),
        ("%topic%/%prefix%/%topic%/", "p/tele/p/SENSOR", ("+/stat/+/+", "+/tele/+/+")),
    ],
)
def test_tasmota_topics_in_any_order(
    full_topic: str, topic: str, filters: tuple[str, ...]
) -> None:
    codec = Tasmota(full_topic=full_topic)
    assert codec.address(topic, known=()) == "p"
    assert codec.filters == filters


def test_tasmota_topics_without_a_prefix_leave_those_of_others_alone() -> None:
    codec = Tasmota(full_topic="%topic%/")
    assert codec.address("zigbee2mqtt/plug", known=()) is None
    assert codec.address("p/cmnd/POWER", known=()) is None


@pytest.mark.parametrize("full_topic", ["%prefix%/", "tele/#/%topic%", "+/%topic%"])
def test_tasmota_does_not_start_with_topics_that_cannot_be(full_topic: str) -> None:
    with pytest.raises(ValueError, match="FullTopic"):
        Tasmota(full_topic=full_topic)


def test_tasmota_words_and_prefixes_are_settings() -> None:
    codec = Tasmota(
        prefixes=("befehl", "zustand", "messung"),
        state_words=("AUS", "EIN"),
        presence_words=("weg", "da"),
    )
    assert decoded(codec, "tele/p/LWT", b"Online") is None
    assert decoded(codec, "befehl/p/POWER", b"EIN") == Ignored("a command")
    assert decoded(codec, "messung/p/LWT", b"Da") == Said(
        (Reading(online=True),), presence_only=True
    )
    assert decoded(codec, "zustand/p/POWER", b"EIN") == Said(
        (Reading(channel=1, relay_on=True),)
    )
    assert decoded(codec, "zustand/p/RESULT", b'{"POWER2":"AUS","POWER3":"ON"}') == Said(
        (Reading(channel=2, relay_on=False),)
    )


@pytest.mark.parametrize("base", ["", "a//b", "a/#"])
def test_zigbee2mqtt_does_not_start_with_a_base_that_cannot_be(base: str) -> None:
    with pytest.raises(ValueError, match="base topic"):
        Zigbee2Mqtt(base=base)


def test_zigbee2mqtt_may_have_another_base() -> None:
    codec = Zigbee2Mqtt(base="village/zigbee")
    assert codec.filters == ("village/zigbee/#",)
    assert codec.address("zigbee2mqtt/plug", known=()) is None
    assert codec.address("village/zigbee/shed/plug", known=()) == "shed/plug"


@pytest.mark.parametrize(
    ("topic", "known", "name"),
    [
        ("shed/power", (), "shed/power"),
        ("shed/power", ("shed", "shed/power"), "shed/power"),
        ("shed/power", ("shed",), "shed"),
        ("shed/plug/power", ("shed",), "shed/plug/power"),
        ("shed/plug/power", ("shed", "shed/plug"), "shed/plug"),
        ("shed/linkquality", ("shed",), "shed"),
        ("shed/smoke 1", ("shed",), "shed/smoke 1"),
        ("shed/smoke 1/availability", ("shed",), "shed/smoke 1"),
    ],
)
def test_zigbee2mqtt_prefers_the_longest_name_it_knows(
    topic: str, known: tuple[str, ...], name: str
) -> None:
    assert Zigbee2Mqtt().address(f"zigbee2mqtt/{topic}", known) == name


def test_zigbee2mqtt_does_not_hide_a_device_that_is_called_like_a_key() -> None:
    message = Message("zigbee2mqtt/shed/smoke", b'{"smoke":true}', NOW)
    said = Zigbee2Mqtt().decode(message, "shed", ANYONE)
    assert isinstance(said, Rejected)
    assert "register its name" in str(said)


def test_deep_nesting_is_refused_or_passed_over() -> None:
    deep = b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    topics = ("tele/p/SENSOR", "zigbee2mqtt/p", "chargewatch/v1/a/b/c/status")
    for codec in all_codecs():
        (said,) = (s for topic in topics if (s := decoded(codec, topic, deep)) is not None)
        assert isinstance(said, Rejected)
        assert said.reason in {Refusal.TOO_DEEP, Refusal.WRONG_TYPE}


def test_an_integer_without_end_is_refused() -> None:
    said = decoded(Zigbee2Mqtt(), "zigbee2mqtt/p", b'{"power":' + b"9" * 5000 + b"}")
    assert isinstance(said, Rejected)
    assert said.reason is Refusal.WRONG_TYPE


def test_the_words_of_a_talkative_device_are_cut_short() -> None:
    payload = json.dumps({"fault": "x" * 300, "trouble": "y\n" * 300}).encode()
    said = decoded(Zigbee2Mqtt(), "zigbee2mqtt/p", payload)
    assert isinstance(said, Said)
    assert said.readings == (Reading(fault="x" * 200),)
    check(*said.readings, may_be_empty=False)


TOPICS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["p", "a/b", "a/b/c", "bridge", "名", " ", ""]).flatmap(
        lambda name: st.sampled_from(
            [f"tele/{name}/{branch}" for branch in tasmota.READ]
            + [f"stat/{name}/{branch}" for branch in ("POWER", "POWER2", "POWER0", "X")]
            + [f"zigbee2mqtt/{name}{end}" for end in ("", "/availability", "/set")]
            + [f"zigbee2mqtt/{name}/{key}" for key in zigbee2mqtt.KEYS]
            + [f"chargewatch/v1/a/b/{name}/{x}" for x in ("telemetry", "event", "status")]
        )
    ),
)
KEYS = st.sampled_from(
    sorted(zigbee2mqtt.KEYS | set(tasmota.CLAMP) | set(QUANTITIES))
    + """ENERGY ANALOG ESP32 BL09XX CTEnergy1 POWER POWER2 Temperature TempUnit StatusSNS
        StatusSTS Time MaxPowerReached1 BatteryPercentage DS18B20 event at channel
        readings""".split()  # noqa: SIM905
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**400),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["ON", "off", "nan", "inf", "1_0", " 7 ", "١", "alarm", "checking", "F"]),
    st.datetimes().map(datetime.isoformat),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)
PAYLOAD = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(KEYS, VALUES, max_size=8).map(lambda value: json.dumps(value).encode()),
)


@settings(derandomize=True, max_examples=400)
@given(TOPICS, PAYLOAD, st.sampled_from(Kind), st.sets(st.sampled_from(["p", "a", "a/b"])))
def test_no_message_makes_a_codec_raise_or_say_what_cannot_be(
    topic: str, payload: bytes, kind: Kind, known: set[str]
) -> None:
    for codec in all_codecs():
        name = codec.address(topic, known)
        if not isinstance(name, str):
            assert name is None or isinstance(name, Rejected | Ignored)
            continue
        said = codec.decode(Message(topic, payload, NOW), name, Profile(kind))
        if not isinstance(said, Said):
            assert isinstance(said, Rejected | Ignored)
            continue
        for reading in said.readings:
            check(reading, may_be_empty=isinstance(codec, Native))


def check(reading: Reading, *, may_be_empty: bool) -> None:
    values = [value for name in QUANTITIES if (value := getattr(reading, name)) is not None]
    assert values or may_be_empty
    assert all(isfinite(value) for value in values if isinstance(value, float))
    again = msgspec.json.decode(msgspec.json.encode(reading), type=Reading)
    assert again == reading, "the journal would not give it back"


def test_sockets_are_told_apart_in_what_is_kept() -> None:
    said = decoded(Tasmota(), "tele/p/SENSOR", b'{"ENERGY":{"Power":[1,2],"Voltage":230}}')
    assert isinstance(said, Said)
    assert [reading.channel for reading in said.readings] == [None, 1, 2]

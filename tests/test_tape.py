"""Tapes of raw MQTT: their lines and files, times that are moved, names that are taken out."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.backtest.recording import Recording
from api.backtest.running import Asked, on_recording
from api.sites import read_sites
from api.tape.address import Address
from api.tape.anonymising import Anonymiser
from api.tape.anonymous_sites import anonymous_sites
from api.tape.pseudonyms import KeyUnusable, Pseudonyms, key_of
from api.tape.replaying import dues, why_not_heard
from api.tape.shifting import Unshifted, shifted, text
from api.tape.taken import MqttProperties, Taken, taken_line, taken_message
from api.tape.writing import Limits, Tape, TapeUnwritable
from ingest.codecs import all_codecs
from ingest.lines import recorded_message
from ingest.wire import Message, Profile, Rejected, Said
from simulator.player import Player, recorded
from simulator.village import sites_toml
from simulator.village_evening import village_evening
from tests.test_codecs import CASES

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
DAY = timedelta(days=1)
CODECS = all_codecs()
KEY = b"a key that nobody guesses"
TELEMETRY = "chargewatch/v1/xuhui/renmin-lu/pile-1/telemetry"


def taken(
    topic: str, payload: bytes | str, after_s: float = 0, *, retained: bool = False
) -> Taken:
    said = payload.encode() if isinstance(payload, str) else payload
    return Taken(topic, said, NOON + timedelta(seconds=after_s), retained)


# --- lines --------------------------------------------------------------------------------

PROPERTIES = st.builds(
    MqttProperties,
    content_type=st.none() | st.text(max_size=9),
    response_topic=st.none() | st.text(max_size=9),
    correlation_base64=st.none() | st.just("AAH/"),
    expiry_s=st.none() | st.integers(0, 2**32 - 1),
    utf8=st.none() | st.booleans(),
    user=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3).map(tuple),
)


@given(
    topic=st.text(max_size=20),
    payload=st.binary(max_size=50),
    flags=st.tuples(st.booleans(), st.booleans(), st.integers(0, 2), st.booleans()),
    properties=st.none() | PROPERTIES,
)
def test_a_line_is_read_back_as_it_was_and_the_backtest_reads_it_too(
    topic: str, payload: bytes, flags: tuple[bool, bool, int, bool], properties: MqttProperties
) -> None:
    retained, again, qos, retain = flags
    message = Taken(topic, payload, NOON, retained, again, qos, retain, properties)
    line = taken_line(message)
    assert taken_message(line) == message
    assert recorded_message(line) == Message(topic, payload, NOON, retained, again)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b'{"at":"2026-01-05T04:00:00Z","topic":"t","payload":{},"qos":3}',
        b'{"at":"2026-01-05T04:00:00Z","topic":"t","payload":{},"properties":{"expiry_s":-1}}',
        (
            b'{"at":"2026-01-05T04:00:00Z","topic":"t","payload":{},'
            b'"properties":{"correlation_base64":"\xc3\xa4"}}'
        ),
    ],
)
def test_a_line_that_is_none_is_refused_and_nothing_is_raised(line: bytes) -> None:
    assert isinstance(taken_message(line), Rejected)


def test_what_the_simulator_writes_is_a_tape_with_its_births_to_be_kept() -> None:
    village = village_evening(7, date(2026, 5, 12))
    said = list(Player(village.devices()).play(village.starts + timedelta(minutes=1)))
    found = [taken_message(recorded(each)) for each in said]
    assert [each.retain for each in found if isinstance(each, Taken)] == [
        e.retain for e in said
    ]
    assert any(each.retain for each in said)


# --- files --------------------------------------------------------------------------------


def on(tape: Tape, count: int, apart_s: float = 1) -> None:
    for number in range(count):
        tape.take(taken(TELEMETRY, '{"readings":[]}', number * apart_s))
    tape.close()


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_a_tape_is_read_by_the_backtest_packed_or_not(tmp_path: Path, name: str) -> None:
    on(Tape(tmp_path / name), 3)
    assert len(list(Recording(tmp_path / name).messages())) == 3
    assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_what_was_flushed_can_be_read_if_the_power_is_cut_then(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "t.jsonl.gz")
    tape.take(taken(TELEMETRY, "{}"))
    tape.flush()
    packed = (tmp_path / "t.jsonl.gz").read_bytes()
    with gzip.open(tmp_path / "t.jsonl.gz") as file:
        assert file.readline() == taken_line(taken(TELEMETRY, "{}"))
    assert packed
    tape.close()


def test_a_full_file_is_followed_by_another_and_nothing_is_lost(tmp_path: Path) -> None:
    line = len(taken_line(taken(TELEMETRY, '{"readings":[]}')))
    tape = Tape(tmp_path / "t.jsonl", Limits(file_bytes=2 * line + 5))
    on(tape, 5)
    assert [each.name for each in tape.files] == ["t.jsonl", "t-2.jsonl", "t-3.jsonl"]
    assert [len(each.read_bytes().splitlines()) for each in tape.files] == [2, 2, 1]
    by_time = Tape(tmp_path / "u.jsonl.gz", Limits(file_lasts=timedelta(seconds=30)))
    on(by_time, 4, apart_s=20)
    assert [each.name for each in by_time.files] == ["u.jsonl.gz", "u-2.jsonl.gz"]


def test_a_tape_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("precious")
    with pytest.raises(TapeUnwritable, match="File exists"):
        on(Tape(tmp_path / "t.jsonl"), 1)
    assert (tmp_path / "t.jsonl").read_text() == "precious"


# --- times that are moved -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "payload", "expected"),
    [
        (
            TELEMETRY,
            (
                '{"at":"2026-01-05T12:00:00.250+08:00","boot":"b7","seq":1,"readings":'
                '[{"channel":1,"power_w":187.50,"fault":"2026-01-05T12:00:00Z"}]}'
            ),
            (
                '{"at":"2026-01-06T12:00:00.250+08:00","boot":"b7","seq":1,"readings":'
                '[{"channel":1,"power_w":187.50,"fault":"2026-01-05T12:00:00Z"}]}'
            ),
        ),
        (
            "chargewatch/v1/a/b/c/command",
            '{"id":"1","command":"switch_off","expires_at":"2026-01-05T12:00:00Z"}',
            '{"id":"1","command":"switch_off","expires_at":"2026-01-06T12:00:00Z"}',
        ),
        (
            "tele/plug/SENSOR",
            (
                '{"Time":"2026-02-28T23:59:59","ENERGY":{"TotalStartTime":"2025-01-01T00:00:00",'
                '"Power":1e2}}'
            ),
            (
                '{"Time":"2026-03-01T23:59:59","ENERGY":{"TotalStartTime":"2025-01-02T00:00:00",'
                '"Power":1e2}}'
            ),
        ),
        (
            "stat/plug/STATUS8",
            '{"StatusSNS":{"Time":"1970-01-01T00:00:05"}}',
            '{"StatusSNS":{"Time":"1970-01-02T00:00:05"}}',
        ),
        ("tele/plug/LWT", "Offline", "Offline"),
        (
            "zigbee2mqtt/plug",
            '{"power":1,"last_seen":1767585600000}',
            '{"power":1,"last_seen":1767672000000}',
        ),
        ("zigbee2mqtt/plug", '{"last_seen":"1767585600000"}', '{"last_seen":"1767672000000"}'),
        ("zigbee2mqtt/plug/last_seen", "2026-01-05T04:00:00Z", "2026-01-06T04:00:00Z"),
        ("zigbee2mqtt/plug/set", '{"last_seen":1767585600000}', '{"last_seen":1767585600000}'),
        (TELEMETRY, '{"at":"yesterday","readings":[]}', '{"at":"yesterday","readings":[]}'),
        (TELEMETRY, '{ "readings" : [] }', '{ "readings" : [] }'),
        (TELEMETRY, "", ""),
    ],
)
def test_a_devices_own_times_are_moved_and_nothing_else_is_touched(
    topic: str, payload: str, expected: str
) -> None:
    assert shifted(taken(topic, payload), DAY, CODECS) == expected.encode()


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        (TELEMETRY, b'{"at":', "no JSON"),
        ("somebody/else", b'{"at":"2026-01-05T04:00:00Z"}', "a topic of no dialect"),
        (TELEMETRY, b'{"at":"9999-12-31T12:00:00Z"}', "a time at the end of the calendar"),
        ("zigbee2mqtt/plug/last_seen", b"\xff", "no time"),
    ],
)
def test_what_cannot_be_moved_says_why(topic: str, payload: bytes, why: str) -> None:
    assert shifted(taken(topic, payload), DAY, CODECS) == Unshifted(why)


def understood(message: Message) -> Said | None:
    for codec in CODECS:
        name = codec.address(message.topic, ())
        if isinstance(name, str):
            said = codec.decode(message, name, Profile(zone=ZoneInfo("Asia/Shanghai")))
            return said if isinstance(said, Said) else None
    return None


def golden() -> Iterator[Message]:
    for case in CASES:
        line = json.loads(case.message)
        if "payload_base64" not in line and isinstance(line.get("topic"), str):
            payload = line["payload"]
            said = payload if isinstance(payload, str) else json.dumps(payload)
            yield Message(line["topic"], said.encode(errors="surrogatepass"), NOON)


def test_every_dialects_golden_messages_mean_the_same_at_another_time() -> None:
    """A dialect whose times are not known here says so, and is played as it is."""
    timed = Counter[str]()
    for message in golden():
        before = understood(message)
        moved = shifted(message, DAY, CODECS)
        if before is None or isinstance(moved, Unshifted):
            continue
        after = understood(msgspec.structs.replace(message, payload=moved))
        assert after is not None
        assert after.readings == before.readings
        assert (after.at is None) is (before.at is None)
        if before.at is not None and after.at is not None:
            assert after.at - before.at == DAY, message
            timed[message.topic.partition("/")[0]] += 1
    assert {"chargewatch", "tele", "zigbee2mqtt"} <= timed.keys()


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)), st.timedeltas(-DAY, DAY))
def test_moving_a_time_there_and_back_changes_nothing(at: datetime, by: timedelta) -> None:
    said = at.isoformat(timespec="microseconds")
    assert text(text(said, by), -by) == said


@given(st.binary(max_size=60), st.sampled_from([TELEMETRY, "tele/p/SENSOR", "zigbee2mqtt/p"]))
def test_no_bytes_are_more_than_unshifted(payload: bytes, topic: str) -> None:
    assert isinstance(shifted(taken(topic, payload), DAY, CODECS), bytes | Unshifted)


# --- when it is due -----------------------------------------------------------------------


def test_messages_are_due_as_they_arrived_only_faster_and_never_earlier_than_the_last() -> None:
    tape = [taken("t", "", at) for at in (0, 10, 9, 30)]
    assert [due.after_s for due in dues(tape, 10)] == [0, 1, 1, 3]
    assert [due.after_s for due in dues(tape, 0)] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("chargewatch/v1/a/b/c/command", "a command"),
        ("cmnd/plug/POWER", "a command"),
        ("zigbee2mqtt/plug/set", "a command"),
        ("zigbee2mqtt/bridge/request/permit_join", "the bridge itself"),
        ("shellies/plug/relay/0/command", "a topic of no dialect"),
        (TELEMETRY, ""),
        ("tele/plug/SENSOR", ""),
        ("zigbee2mqtt/plug", ""),
    ],
)
def test_no_order_is_played_to_real_devices(topic: str, why: str) -> None:
    assert why_not_heard(topic, CODECS) == why


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not mqtt"):
        Address.of(url)


def test_an_address_has_what_its_url_says_unless_it_is_said_beside_it() -> None:
    found = Address.of("mqtts://me:pass%20word@host", password="other")
    assert (found.host, found.port, found.tls) == ("host", 8883, True)
    assert (found.username, found.password) == ("me", "other")


# --- names that are taken out -------------------------------------------------------------

SECRET = st.text(
    st.characters(codec="utf-8", exclude_characters='/+#"\\', exclude_categories=["C", "Z"]),
    min_size=8,
    max_size=16,
).map(lambda said: f"§{said}§")
"""What must not be on a tape: long enough not to be there by accident."""


def native_of(words: list[str]) -> tuple[str, bytes]:
    area, site, device, one, two, three, four = words[:7]
    body = {
        "at": "2026-01-05T04:00:00Z",
        "boot": one,
        "seq": 4,
        "device": device,
        "gps": {"lat": 30.12345678, "owner": two},
        three: four,
        "readings": [
            {"channel": 1, "power_w": 5, "fault": one, "port_state": two, "iccid": three},
            {"channel": 2, "stop_reason": two, "firmware": four, three: 5},
        ],
    }
    return f"chargewatch/v1/{area}/{site}/{device}/telemetry", json.dumps(body).encode()


def tasmota_of(words: list[str]) -> tuple[str, bytes]:
    plug, one, two, three, *_ = words
    body = {
        "Time": "2026-01-05T12:00:00",
        "ENERGY": {"Power": [5, one], "Total": two, three: 1, "Voltage": "230"},
        "DS18B20": {"Id": one, "Temperature": 21.5},
        "Wifi": {"SSId": two, "BSSId": three, "RSSI": 70},
        one: {"Power": 3},
        "POWER1": three,
    }
    return f"tele/{plug}/SENSOR", json.dumps(body).encode()


def zigbee_of(words: list[str]) -> tuple[str, bytes]:
    name, one, two, three, *_ = words
    body = {
        "power": 5,
        "state": one,
        "fault": two,
        "device": {"friendlyName": name, "serial": three},
        "last_seen": "2026-01-05T12:00:00Z",
        one: two,
        "update": {"installed_version": three},
    }
    return f"zigbee2mqtt/{name}", json.dumps(body).encode()


def raw_of(words: list[str]) -> tuple[str, bytes]:
    return "/".join(words[:3]), "".join(words).encode()


SHAPES = st.sampled_from([native_of, tasmota_of, zigbee_of, raw_of])
BRANCHES = st.sampled_from(["", "/event", "/availability", "/status", "/LWT", "/power"])


@settings(max_examples=300)
@given(st.lists(SECRET, min_size=8, max_size=8, unique=True), SHAPES, BRANCHES, st.data())
def test_no_word_of_a_message_is_on_the_tape(
    words: list[str], shape: object, branch: str, data: st.DataObject
) -> None:
    topic, payload = shape(words)  # type: ignore[operator]
    if data.draw(st.booleans()):
        topic = topic.rpartition("/")[0] + branch
    if data.draw(st.booleans()):
        payload = data.draw(st.sampled_from([words[0].encode(), payload[:-3], b"[" + payload]))
    user = MqttProperties(user=((words[6], words[7]),), response_topic=words[5])
    message = Taken(topic, payload, NOON, properties=user)
    changed = Anonymiser(KEY)(message)
    line = changed.encode() if isinstance(changed, str) else taken_line(changed)
    shown = line.decode(errors="replace") + json.dumps(line.decode(errors="replace"))
    for word in words:
        assert word not in shown
        assert json.dumps(word)[1:-1] not in shown


@given(st.binary(max_size=200), st.text(max_size=40))
def test_no_bytes_stop_it(payload: bytes, topic: str) -> None:
    assert isinstance(Anonymiser(KEY)(taken(topic, payload)), Taken | str)


def test_what_the_rules_look_at_is_still_there() -> None:
    topic, payload = native_of(["a" * 9, "b" * 9, "c" * 9, "boot", "poor_contact", "x", "y"])
    changed = Anonymiser(KEY)(taken(topic, payload, retained=True))
    assert isinstance(changed, Taken)
    assert changed.retained
    before, after = understood(taken(topic, payload)), understood(changed)
    assert before is not None
    assert after is not None
    assert after.at == before.at
    assert (after.identity is None) is (before.identity is None)
    one, two = after.readings
    assert (one.power_w, one.port_state, one.fault) == (5, "poor_contact", "fault")
    assert (two.stop_reason, two.firmware) == ("stopped", None)


def test_every_golden_message_that_is_understood_says_the_same_numbers_without_its_names() -> (
    None
):
    words = {"fault", "port_state", "stop_reason", "firmware"}
    checked = 0
    for message in golden():
        anonymiser = Anonymiser(KEY)
        before = understood(message)
        changed = anonymiser(taken(message.topic, message.payload))
        if before is None or not before.readings or isinstance(changed, str):
            continue
        after = understood(changed)
        assert after is not None, message
        for one, other in zip(before.readings, after.readings, strict=False):
            for name in one.__struct_fields__:
                if name not in words and getattr(one, name) is not None:
                    assert getattr(other, name) == getattr(one, name), (message, name)
                    checked += 1
    assert checked > 100


def test_a_name_is_the_same_under_one_key_and_another_under_another() -> None:
    one, same, other = Pseudonyms(KEY), Pseudonyms(KEY), Pseudonyms(KEY + b"!")
    assert one.device("a", "s", "d") == same.device("a", "s", "d")
    assert one.device("a", "s", "d") != other.device("a", "s", "d")
    assert one.device("a", "s", "d")[1] != one.device("b", "s", "d")[1]


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    made = key_of(tmp_path / "key")
    assert key_of(tmp_path / "key") == made
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    (tmp_path / "short").write_text("1234")
    with pytest.raises(KeyUnusable, match="at least 16 bytes"):
        key_of(tmp_path / "short")


SITES = """
[areas.xuhui]
name = {zh = "徐汇", en = "Xuhui"}
[sites."xuhui/renmin-lu"]
name = {zh = "人民路", en = "People's Road"}
zone = "Asia/Shanghai"
closed = ["23:00-05:00"]
calendar = "CN"
extra_workdays = [2026-10-10]
carrier = "a carrier of ours"
location = {latitude = 31.19, longitude = 121.43}
[[sites."xuhui/renmin-lu".exceptions]]
from = 2026-01-01
to = 2026-01-02
closed = []
[[devices]]
id = "xuhui/renmin-lu/pile-1"
kind = "charger"
sockets = 10
[[devices]]
id = "xuhui/renmin-lu/plug-1"
kind = "charger"
dialect = "tasmota"
name = "lisas-plug"
silent_after_min = 20
"""


def test_a_sites_file_has_the_same_hours_and_devices_without_their_names(
    tmp_path: Path,
) -> None:
    (tmp_path / "sites.toml").write_text(SITES, encoding="utf-8")
    made = anonymous_sites(tmp_path / "sites.toml", KEY)
    for word in ("xuhui", "renmin", "徐汇", "人民路", "People", "lisa", "31.19", "of ours"):
        assert word not in made
    (tmp_path / "made.toml").write_text(made, encoding="utf-8")
    dialects = [codec.name for codec in CODECS]
    before = read_sites(tmp_path / "sites.toml", dialects, 2026)
    after = read_sites(tmp_path / "made.toml", dialects, 2026)
    assert [site.schedule for site in after.sites] == [site.schedule for site in before.sites]
    assert [(d.kind, d.sockets, d.dialect) for d in after.devices] == [
        (d.kind, d.sockets, d.dialect) for d in before.devices
    ]
    plug = Anonymiser(KEY)(taken("tele/lisas-plug/LWT", "Online"))
    assert isinstance(plug, Taken)
    assert plug.topic.split("/")[1] in {device.name for device in after.devices}


def test_an_anonymous_evening_raises_what_the_evening_raised(tmp_path: Path) -> None:
    village = village_evening(7, date(2026, 5, 12))
    (tmp_path / "sites.toml").write_text(sites_toml(village), encoding="utf-8")
    hidden_sites = anonymous_sites(tmp_path / "sites.toml", KEY)
    (tmp_path / "hidden.toml").write_text(hidden_sites, encoding="utf-8")
    anonymiser, open_tape, hidden_tape = (
        Anonymiser(KEY),
        Tape(tmp_path / "t.jsonl"),
        Tape(tmp_path / "h.jsonl"),
    )
    for said in Player(village.devices()).play(village.starts + timedelta(minutes=35)):
        message = Taken(said.topic, said.payload, said.at)
        open_tape.take(message)
        hidden = anonymiser(message)
        if isinstance(hidden, Taken):
            hidden_tape.take(hidden)
    open_tape.close()
    hidden_tape.close()

    def raised(sites: str, tape: str) -> list[tuple[str, int | None, datetime]]:
        asked = Asked(sites=tmp_path / sites)
        result = on_recording(asked, tmp_path / tape, lambda _share, _now: None)
        return sorted((e.rule, e.channel, e.fired_at) for e in result.in_force.episodes)

    found = raised("hidden.toml", "h.jsonl")
    assert {"overload", "smoke", "after_hours"} <= {rule for rule, *_ in found}
    assert found == raised("sites.toml", "t.jsonl")

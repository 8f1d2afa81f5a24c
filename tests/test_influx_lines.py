import asyncio
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.influx_client import InfluxAddress, open_client
from ingest.influx_lines import Value, invisible, line, place_of, reading_lines, visible
from ingest.influxql import literal
from ingest.journal import Entry
from ingest.measurements import ALERT_EVENT, SITE_NOW, Kept
from rules.readings import DeviceId, Reading, Report
from tests.influx import influxdb

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
START_US = 1_767_600_000_000_000

NASTY = (
    "a b,c=d",
    "socket,device=x power_w=1 1",
    "\nsocket,device=x power_w=1 1\n",
    "\r\n# comment",
    "\\",
    "\\\\",
    "ends in a backslash \\",
    "\\\nsocket power_w=1",
    "\\,\\=\\ ",
    '"',
    '\\"',
    '" ,power_w=1,fault="',
    "' OR 1=1 --",
    "\\' OR 1=1 --",
    "nul \x00 del \x7f escape \x1b tab \t",
    "\x85\u2028\u2029\ufeff\ufffd",
    "满电 ⚡ 🔥",
    "␦",
    "␛",
    "␦␊ ␦␦ ␦x",
    "#",
    "=",
    ",",
    " ",
    "\n",
    "$device",
    "%0A",
    "x" * 200,
)
TEXTS = (
    st.sampled_from(NASTY)
    | st.text(st.sampled_from("\\,= \"'\n\r\x00\t␦␊∖#a"), max_size=12)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
NUMBERS = st.none() | st.floats(-1e9, 1e9) | st.integers(-1000, 1000).map(float)
READINGS = st.builds(
    Reading,
    channel=st.none() | st.integers(1, 256),
    power_w=NUMBERS,
    session_duration_s=NUMBERS,
    relay_on=st.none() | st.booleans(),
    fault=st.none() | TEXTS,
    port_state=st.none() | TEXTS,
    stop_reason=st.none() | TEXTS,
)


# --- A reader of line protocol, written from its description and from nothing of ours -----

TOKEN = r"(?:\\[,= ]|[^\\,= \n])+"
TAG = rf",({TOKEN})=({TOKEN})"
FIELD = rf'({TOKEN})=("(?:\\["\\]|[^"\\\n])*"|true|false|-?\d+i|-?\d[\d.e+-]*)'
POINT = re.compile(rf"({TOKEN})((?:{TAG})*) ({FIELD}(?:,{FIELD})*) (-?\d+)")

Point = tuple[str, dict[str, str], dict[str, Value], int]


def points(lines: bytes) -> Iterator[Point]:
    """Yield measurement, tags, fields and time of every point; fails on anything else."""
    for text in lines.decode().split("\n"):
        found = POINT.fullmatch(text)
        assert found is not None, text
        tags = {name: _unescaped(value) for name, value in re.findall(TAG, found[2])}
        fields = {name: _value(said) for name, said in re.findall(FIELD, found[5])}
        yield found[1], tags, fields, int(found[found.re.groups])


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _value(said: str) -> Value:
    match said[0], said[-1]:
        case '"', _:
            return re.sub(r"\\([\"\\])", r"\1", said[1:-1])
        case (("t" | "f"), _):
            return said == "true"
        case _, "i":
            return int(said[:-1])
        case _:
            return float(said)


# --- Readings -----------------------------------------------------------------------------


def report(*readings: Reading, device: str = "a/b/pile-1", late_s: float = 0) -> Report:
    return Report(
        device=DeviceId(device),
        at=START,
        received_at=START + timedelta(seconds=late_s),
        identity="1",
        readings=readings,
    )


def said(*reports: Report, number: int = 1) -> list[Point]:
    return list(points(b"\n".join(reading_lines(Entry(number, START, reports)))))


def test_a_reading_is_a_point_of_its_socket_or_of_the_whole_device() -> None:
    entry = report(Reading(channel=3, power_w=1, relay_on=False, fault=""), Reading(muted=True))
    assert said(entry, number=12_345) == [
        (
            "socket",
            {"area": "a", "device": "a/b/pile-1", "site": "a/b", "socket": "3"},
            {
                "entry": 12_345,
                "position": 0,
                "received_at_us": START_US,
                "power_w": 1.0,
                "relay_on": False,
                "fault": "",
            },
            START_US * 1000 + 345,
        ),
        (
            "device",
            {"area": "a", "device": "a/b/pile-1", "site": "a/b"},
            {"entry": 12_345, "position": 1, "received_at_us": START_US, "muted": True},
            START_US * 1000 + 345,
        ),
    ]


def test_readings_of_one_socket_and_moment_in_one_entry_are_told_apart() -> None:
    one, other = Reading(channel=1, power_w=1.0), Reading(channel=2, power_w=1.0)
    agains = [tags.get("again") for _, tags, _, _ in said(report(one, one, other), report(one))]
    assert agains == [None, "1", None, "2"]


@pytest.mark.parametrize(
    ("late_s", "late"),
    [(0, False), (900, False), (900.000001, True), (-300, False), (-300.000001, True)],
)
def test_what_arrived_far_from_its_time_is_tagged_late(late_s: float, *, late: bool) -> None:
    [(_, tags, _, _)] = said(report(Reading(power_w=1.0), late_s=late_s))
    assert tags.get("late") == ("yes" if late else None)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_is_left_out_and_the_reading_is_not(value: float) -> None:
    [(_, _, fields, _)] = said(report(Reading(power_w=value, voltage_v=230.0)))
    assert "power_w" not in fields
    assert fields["voltage_v"] == 230


def test_a_name_of_three_parts_says_area_and_site_and_others_do_not() -> None:
    assert place_of("a/b/c/d") == {"area": "a", "device": "a/b/c/d", "site": "a/b"}
    assert place_of("a/b") == {"device": "a/b"}
    assert place_of("pile-1") == {"device": "pile-1"}


@given(device=TEXTS.filter(bool), readings=st.lists(READINGS, min_size=1, max_size=5))
def test_no_text_of_a_device_adds_or_changes_a_point(
    device: str, readings: list[Reading]
) -> None:
    found = said(report(*readings, device=device))
    assert len(found) == len(readings)
    for (name, tags, fields, _), reading in zip(found, readings, strict=True):
        assert name == ("device" if reading.channel is None else "socket")
        assert invisible(tags["device"]) == device
        assert set(tags) <= {"area", "site", "device", "socket", "again"}
        quantities = {
            key: invisible(value) if isinstance(value, str) else value
            for key, value in fields.items()
            if key not in ("entry", "position", "received_at_us")
        }
        assert Reading(channel=reading.channel, **quantities) == reading  # type: ignore[arg-type]


# --- Any other point ----------------------------------------------------------------------


def test_what_is_empty_or_unknown_is_left_out() -> None:
    tags = {"area": "a", "site": "", "device": "d"}
    made = line(
        ALERT_EVENT, tags, {"episode": "e", "severity": True, "who": "", "detail": None}, 5
    )
    assert list(points(made)) == [
        (
            "alert_event",
            {"area": "a", "device": "d"},
            {"episode": "e", "severity": 1, "who": ""},
            5,
        )
    ]


def test_a_point_without_fields_is_none() -> None:
    assert line(SITE_NOW, {"area": "a"}, {"power_w": math.nan, "latitude": None}, 5) == b""


def test_a_field_has_the_declared_type_whatever_number_it_is_given() -> None:
    [(_, _, fields, _)] = points(line(SITE_NOW, {}, {"power_w": 3, "sockets": 3.0}, 5))
    assert [(value, type(value)) for value in fields.values()] == [(3.0, float), (3, int)]


@pytest.mark.parametrize(("tags", "fields"), [({"x": "1"}, {"who": "a"}), ({}, {"x": 1})])
def test_only_declared_names_are_written(
    tags: dict[str, str], fields: dict[str, Value]
) -> None:
    with pytest.raises(ValueError, match="alert_event has no 'x'"):
        line(ALERT_EVENT, tags, fields, 5)


@given(tag=TEXTS.filter(bool), text=TEXTS, time_ns=st.integers(-(10**18), 10**18))
@example(tag="\udfff", text="\ud800", time_ns=0)
def test_no_text_adds_or_changes_a_tag_or_a_field(tag: str, text: str, time_ns: int) -> None:
    made = line(ALERT_EVENT, {"site": tag, "what": tag}, {"who": text, "severity": 1}, time_ns)
    [(name, tags, fields, time)] = points(made)
    assert (name, time, set(tags), fields["severity"]) == (
        "alert_event",
        time_ns,
        {"site", "what"},
        1,
    )
    whole = tag.encode(errors="replace").decode()
    assert {invisible(value) for value in tags.values()} == {whole}
    assert invisible(str(fields["who"])) == text.encode(errors="replace").decode()


@given(text=TEXTS)
def test_what_was_made_visible_is_found_again(text: str) -> None:
    shown = visible(text)
    assert invisible(shown) == text
    assert not set(shown) & {*map(chr, range(32)), "\x7f", "\\"}


@given(text=TEXTS)
def test_a_literal_of_influxql_is_one_text_and_ends_where_it_ends(text: str) -> None:
    quoted = literal(text)
    assert re.fullmatch(r"'(?:\\'|[^'\\\x00-\x1f])*'", quoted)
    assert invisible(quoted[1:-1].replace("\\'", "'")) == text


# --- The real server ----------------------------------------------------------------------


def test_influxdb_has_exactly_what_was_written_whatever_the_texts(tmp_path: Path) -> None:
    entry = Entry(
        1,
        START,
        tuple(
            report(Reading(fault=text, stop_reason=text, power_w=1.0), device=text)
            for text in NASTY
        ),
    )
    with influxdb(tmp_path) as server:
        server.query("CREATE DATABASE chargewatch")
        address = InfluxAddress(url=server.url, database="chargewatch", token=server.token)

        async def play() -> None:
            async with open_client(address) as client:
                await client.write(Kept.READINGS, reading_lines(entry))
                assert client.losses.refused == 0
                found = await client.query("SELECT power_w FROM device GROUP BY device")
                assert {series.tags["device"] for series in found} == set(NASTY)
                for text in NASTY:
                    [series] = await client.query(
                        "SELECT fault, stop_reason, power_w FROM device WHERE device = $device",
                        {"device": text},
                    )
                    assert [row[1:] for row in series.values] == [[text, text, 1]]

        asyncio.run(play())
        [measurements] = server.query("SHOW MEASUREMENTS")
        assert measurements["values"] == [["device"]]
        [fields] = server.query("SHOW FIELD KEYS")
        assert len(fields["values"]) == 6
        [tags] = server.query("SHOW TAG KEYS")
        assert [key for [key] in tags["values"]] == ["device"]

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import decode_lines
from ingest.wire import PAYLOAD_BYTES_MAX

NOW = datetime(2026, 1, 13, 23, 30, tzinfo=UTC)
STATUS = "chargewatch/v1/a/b/pile-9/status"
ONLINE = {
    "quantity": "online",
    "channel": None,
    "value": True,
    "at": "2026-01-13T23:30:00Z",
    "device": "pile-9",
}


def answers(*lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in decode_lines(lines, lambda: NOW)]


def answer(**line: object) -> dict[str, Any]:
    (only,) = answers(json.dumps(line).encode())
    return only


def test_does_not_answer_blank_lines() -> None:
    assert answers(b"\n", b"  \r\n", b"") == []


def test_does_not_wait_for_the_last_line() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"{}\n"

    replies = decode_lines(endless(), lambda: NOW)
    assert next(replies).endswith(b"\n")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not_json"),
        (b"\xff", "not_utf8"),
        (b"[" * 100_000, "too_deep"),
        (b"9" * 5000, "not_json"),
        (b"[]", "wrong_type"),
        (b"null", "wrong_type"),
        (b"{}", "wrong_type"),
        (b'{"topic":1,"payload":""}', "wrong_type"),
        (b'{"topic":"t"}', "wrong_type"),
        (b'{"topic":"t","payload":"","payload_base64":""}', "wrong_type"),
        (b'{"topic":"t","payload_base64":"?"}', "wrong_type"),
        (b'{"topic":"t","payload":"","retained":1}', "wrong_type"),
        (b'{"topic":"t","payload":"","kind":"toaster"}', "wrong_type"),
        (b'{"topic":"t","payload":"","received_at":"yesterday"}', "wrong_type"),
        (b'{"topic":"t","payload":"","received_at":"9999-12-31T23:59:59Z"}', "wrong_type"),
        (b'{"topic":"t","payload":"","received_at":"0001-01-01T00:00:00+14:00"}', "wrong_type"),
        (b'{"topic":"t","payload":"","format":7}', "wrong_type"),
        (b'{"topic":"nobody/knows","payload":""}', "unknown_topic"),
        (b'{"topic":"tele/p/LWT","payload":"Online","format":"native"}', "unknown_topic"),
    ],
)
def test_does_not_stumble_over(line: bytes, reason: str) -> None:
    (only,) = answers(line)
    assert only["rejected"].partition(":")[0] == reason


def test_does_not_know_every_format_and_says_which() -> None:
    refused = answer(topic="t", payload="", format="morse")["rejected"]
    assert "morse" in refused
    assert "native, tasmota, zigbee2mqtt" in refused


def test_does_not_look_into_a_payload_beyond_the_limit() -> None:
    status = '{"online":true}'
    fits = status + " " * (PAYLOAD_BYTES_MAX - len(status))
    assert answer(topic=STATUS, payload=fits) == {"readings": [ONLINE]}
    for payload in (fits + " ", "x" * 1_000_000):
        assert answer(topic=STATUS, payload=payload)["rejected"].startswith("too_large")


def test_does_not_fail_on_text_that_is_no_unicode() -> None:
    assert answer(topic="\ud800", payload="")["rejected"].startswith("unknown_topic")
    assert answer(topic="tele/\ud800/LWT", payload="")["rejected"].startswith("bad_name")
    assert answer(topic=STATUS, payload="\ud800")["rejected"].startswith("not_")
    said = answer(topic="zigbee2mqtt/p", payload={"fault": "\ud800E1"})
    assert said["rejected"].startswith("not_utf8")


def test_an_escape_that_is_no_unicode_does_not_reach_a_reading() -> None:
    said = answer(topic="zigbee2mqtt/p", payload='{"fault":"\\ud800E1"}')
    assert said["readings"][0]["value"] == "E1"


@pytest.mark.parametrize("payload", ['{"online":true}', {"online": True}])
def test_a_payload_is_a_text_or_any_json(payload: object) -> None:
    assert answer(topic=STATUS, payload=payload) == {"readings": [ONLINE]}


def test_a_payload_may_be_base64() -> None:
    coded = base64.b64encode(b'{"online":true}').decode()
    assert answer(topic=STATUS, payload_base64=coded) == {"readings": [ONLINE]}


def test_the_nan_of_a_device_reaches_its_codec() -> None:
    (only,) = answers(b'{"topic":"zigbee2mqtt/p","payload":{"power":NaN,"current":1}}')
    assert [reading["quantity"] for reading in only["readings"]] == ["current_a"]


def test_null_stands_for_a_hint_that_is_not_given() -> None:
    said = answer(topic=STATUS, payload='{"online":true}', format=None, kind=None)
    assert said == {"readings": [ONLINE]}


@pytest.mark.parametrize(
    "received_at",
    ["2026-01-14T07:30:00+08:00", "2026-01-13T23:30:00Z", "2026-01-13T23:30:00"],
)
def test_the_arrival_may_be_given(received_at: str) -> None:
    line = {"topic": STATUS, "payload": {"online": True}, "received_at": received_at}
    (only,) = decode_lines([json.dumps(line).encode()], lambda: NOW + timedelta(days=1))
    assert json.loads(only) == {"readings": [ONLINE]}


def test_one_answer_to_each_line_in_their_order() -> None:
    good = json.dumps({"topic": STATUS, "payload": {"online": True}}).encode()
    assert answers(good, b"{", b"", good) == [
        {"readings": [ONLINE]},
        {"rejected": answers(b"{")[0]["rejected"]},
        {"readings": [ONLINE]},
    ]


LINES = st.one_of(
    st.binary(max_size=80),
    st.fixed_dictionaries(
        {"topic": st.sampled_from([STATUS, "tele/p/SENSOR", "zigbee2mqtt/p"]) | st.text()},
        optional={
            "payload": st.text() | st.dictionaries(st.text(max_size=5), st.floats()),
            "payload_base64": st.text(max_size=8),
            "format": st.sampled_from(["native", "tasmota", "x"]),
            "received_at": st.datetimes().map(datetime.isoformat) | st.text(max_size=5),
            "retained": st.booleans(),
        },
    ).map(lambda line: json.dumps(line).encode()),
)


@settings(derandomize=True, max_examples=200)
@given(st.lists(LINES, max_size=5))
def test_every_line_that_is_not_blank_gets_one_line_of_json(lines: list[bytes]) -> None:
    replies = list(decode_lines(lines, lambda: NOW))
    assert len(replies) == sum(1 for line in lines if line.strip())
    for reply in replies:
        assert reply.count(b"\n") == 1
        assert json.loads(reply).keys() in ({"readings"}, {"rejected"})

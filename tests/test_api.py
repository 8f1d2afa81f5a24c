import asyncio
import base64
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from api.http.routes.readings import QUANTITIES_NUMERIC
from api.watch import Part
from ingest.history import QUANTITY_TYPES
from rules.readings import Reading
from tests.http_doubles import (
    NOON,
    PILE,
    READ_TOKEN,
    SMOKE,
    WRITE_TOKEN,
    Client,
    World,
    bearer,
    problem,
)

API = "/api/v1"
READER, WRITER = bearer(READ_TOKEN), bearer(WRITE_TOKEN)
PROBLEM = "application/problem+json"
READING = f"{API}/readings?device={PILE}"

pytest_plugins = ["tests.http_fixtures"]

# --- health ------------------------------------------------------------------------------


def test_a_vital_part_that_fails_makes_the_service_not_ready(
    here: World, client: Client
) -> None:
    here.parts = (Part("broker", ok=False, reason="refused", since=NOON),)
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.json() == {
        "ready": False,
        "parts": [
            {
                "name": "broker",
                "ok": False,
                "reason": "refused",
                "since": "2026-11-23T04:00:00Z",
                "vital": True,
            }
        ],
    }


def test_a_part_that_is_not_vital_is_named_and_no_more(here: World, client: Client) -> None:
    here.parts = (Part("history", ok=False, reason="full", vital=False),)
    response = client.get(f"{API}/ready")
    assert response.status_code == 200
    assert response.json()["parts"][0]["reason"] == "full"


def test_metrics_are_in_the_form_that_prometheus_reads(client: Client) -> None:
    response = client.get("/metrics", headers=READER)
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert response.text == "chargewatch_messages_total 7.0\n"


# --- readings ----------------------------------------------------------------------------


def test_readings_of_a_socket_come_oldest_first_and_say_if_there_are_more(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    for power_w in (10.0, 20.0, 30.0):
        runner.run(here.hear(PILE, Reading(channel=1, power_w=power_w)))
        runner.run(here.wait(timedelta(seconds=30)))
    found = client.get(f"{READING}&channel=1&limit=2", headers=READER).json()
    assert [each["values"] for each in found["readings"]] == [
        {"power_w": 10.0},
        {"power_w": 20.0},
    ]
    assert found["complete"] is False
    path = f"{API}/readings/aggregate?device={PILE}&channel=1&quantity=power_w&how=max"
    bins = client.get(path, headers=READER).json()["bins"]
    assert bins == [{"at": "2026-11-23T04:00:00Z", "value": 30.0}]


def test_every_numeric_quantity_can_be_aggregated() -> None:
    numeric = {name for name, kind in QUANTITY_TYPES.items() if kind is float}
    assert set(QUANTITIES_NUMERIC) == numeric


# --- alerts ------------------------------------------------------------------------------


def test_an_alert_is_pending_then_firing(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    def alerts(query: str) -> list[dict[str, Any]]:
        found = client.get(f"{API}/alerts?{query}", headers=READER).json()["alerts"]
        return list(found)

    runner.run(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
    assert alerts("") == []
    (pending,) = alerts("state=pending")
    assert (pending["id"], pending["rule"], pending["fired_at"]) == (None, "overload", None)
    assert alerts("state=pending&site=berlin/hof") == []
    assert alerts("state=pending&acknowledged=true") == []
    runner.run(here.wait(timedelta(seconds=31)))
    (firing,) = alerts("state=firing&rule=overload&severity=critical&acknowledged=false")
    assert firing["evidence"]["measured"] == 1203.0
    assert alerts("state=pending") == alerts("state=resolved") == alerts("device=x") == []


def test_alerts_come_page_by_page(here: World, client: Client, runner: asyncio.Runner) -> None:
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True)))
    runner.run(
        here.hear(PILE, Reading(channel=1, power_w=2e3), Reading(channel=2, power_w=2e3))
    )
    runner.run(here.wait(timedelta(seconds=31)))
    first = client.get(f"{API}/alerts?limit=2", headers=READER).json()
    assert len(first["alerts"]) == 2
    rest = client.get(
        f"{API}/alerts?limit=2&before_id={first['next_before_id']}", headers=READER
    ).json()
    assert [alert["rule"] for alert in rest["alerts"]] == ["smoke"]
    assert rest["next_before_id"] is None


@pytest.mark.usefixtures("overloaded")
def test_an_alert_explains_itself_in_both_languages_with_its_log(client: Client) -> None:
    found = client.get(f"{API}/alerts/1", headers=READER).json()
    assert found["explanation"]["zh"]["title"].startswith("【紧急】插座功率过高")
    assert found["explanation"]["en"]["limit"] == "1,000 W"
    assert [line["what"] for line in found["log"]] == ["firing"]
    assert [each["channel"] for each in found["deliveries"]] == ["duty"]


def test_the_first_acknowledgement_stays_and_open_pages_are_told(
    overloaded: World, client: Client
) -> None:
    path = f"{API}/alerts/1/acknowledge"
    with overloaded.changes.listening() as told:
        first = client.post(path, json={"note": " on my way "}, headers=WRITER).json()
        assert told.get_nowait().alerts
    assert (first["acknowledged_by"], first["note"]) == ("patrol", "on my way")
    assert client.post(path, json={"note": "me too"}, headers=WRITER).json() == first
    problem(client.post(f"{API}/alerts/2/acknowledge", json={}, headers=WRITER), 404)


# --- what was refused and counted ----------------------------------------------------------


def test_quarantine_shows_text_as_text_and_the_rest_as_base64(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(here.refuse("a/b", b'{"\xe6\xa1\xa9": <b>', "not_json", "cut off"))
    runner.run(here.refuse("a/b", b"\xff\x00", "not_utf8"))
    runner.run(here.refuse("a/b", b"bell\x07", "not_json"))
    found = client.get(f"{API}/quarantine", headers=READER).json()["refused"]
    assert [(each["payload"], each["encoding"]) for each in found] == [
        (base64.b64encode(b"bell\x07").decode(), "base64"),
        ("/wA=", "base64"),
        ('{"桩": <b>', "text"),
    ]
    page = client.get(f"{API}/quarantine?reason=not_json&limit=1", headers=READER).json()
    assert page["next_before_id"] == 3


@pytest.mark.usefixtures("overloaded")
def test_the_summary_counts_messages_and_alerts(client: Client) -> None:
    found = client.get(f"{API}/summary", headers=READER).json()
    assert found["tallies"]["readings"] == 2
    assert found["alerts"] == [{"rule": "overload", "state": "firing", "count": 1}]


# --- the description -----------------------------------------------------------------------


def test_openapi_describes_every_answer_with_an_example(client: Client) -> None:
    described = client.get(f"{API}/openapi.json").json()
    schemas = described["components"]["schemas"]
    assert {"Problem", "FieldError"} <= schemas.keys()
    assert "HTTPValidationError" not in schemas
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert PROBLEM in operation["responses"]["default"]["content"], path
            [done] = [each for each in operation["responses"] if each.startswith("2")]
            content = operation["responses"][done].get("content", {})
            assert len(content) == (done != "204"), path
            for kind, described_as in content.items():
                if kind == "image/jpeg":
                    assert described_as["schema"]["format"] == "binary"
                elif "example" not in described_as:
                    name = described_as["schema"]["$ref"].rsplit("/", 1)[1]
                    assert schemas[name]["examples"], path
            assert "health" in operation["tags"] or operation["security"], path


def test_the_examples_are_what_the_api_would_answer(here: World) -> None:
    for route in here.app.routes:
        model = getattr(route, "response_model", None)
        if model is not None:
            for example in model.model_config["json_schema_extra"]["examples"]:
                model.model_validate_json(msgspec.json.encode(example))

"""Sessions through the API: those that go on, and those that ended."""

import asyncio
from datetime import timedelta

import pytest

from rules.readings import Reading
from tests.http_doubles import (
    ODD,
    PAGE,
    PILE,
    READ_TOKEN,
    Client,
    World,
    bearer,
    log_in,
    problem,
)

SESSIONS = "/api/v1/sessions"
READER = bearer(READ_TOKEN)

pytest_plugins = ["tests.http_fixtures"]


@pytest.fixture
def charged(here: World, runner: asyncio.Runner) -> World:
    """Two bikes on two sockets for ten minutes; the second was pulled then."""
    for minute in range(14):
        second_w = 240.0 if minute < 11 else 0.4
        for device in (PILE, ODD):
            readings = (
                Reading(channel=1, power_w=195.0),
                Reading(channel=2, power_w=second_w),
            )
            runner.run(here.hear(device, *readings))
        runner.run(here.wait(timedelta(minutes=1)))
    return here


@pytest.mark.usefixtures("charged")
def test_a_session_that_ended_is_listed_with_what_it_drew_and_how_it_ended(
    client: Client,
) -> None:
    found = client.get(f"{SESSIONS}?device={PILE}", headers=READER).json()
    [session] = found["sessions"]
    assert session.pop("energy_kwh") == pytest.approx(0.04, abs=0.003)
    assert session.pop("id") > 0
    assert session == {
        "device": PILE,
        "channel": 2,
        "site": "xuhui/renmin-lu",
        "began_at": "2026-11-23T04:00:00Z",
        "ended_at": "2026-11-23T04:11:00Z",
        "duration_s": 660.0,
        "power_w": None,
        "charging_w": 240.0,
        "peak_w": 240.0,
        "phase": "charging",
        "ending": "abrupt",
        "stop_reason": "",
    }
    assert found["next_before_id"] is None


@pytest.mark.usefixtures("charged")
def test_the_sessions_that_go_on_are_listed_with_what_they_draw(client: Client) -> None:
    [session] = client.get(f"{SESSIONS}?open=true&site=xuhui/renmin-lu", headers=READER).json()[
        "sessions"
    ]
    assert (session["id"], session["channel"], session["power_w"]) == (None, 1, 195.0)
    assert (session["phase"], session["ended_at"], session["ending"]) == (
        "charging",
        None,
        None,
    )


@pytest.mark.usefixtures("charged")
@pytest.mark.parametrize(
    ("asked", "channels"),
    [
        ("", [2, 2]),
        ("channel=1", []),
        ("ending=abrupt", [2, 2]),
        ("ending=finished", []),
        ("since=2026-11-23T04:11:01Z", []),
        ("until=2026-11-23T04:00:00Z", []),
        ("open=true", [1, 1]),
        (f"open=true&device={PILE}", [1]),
        ("open=true&device=no/such/one", []),
        ("open=true&site=no/such", []),
        ("open=true&channel=2", []),
        ("open=true&ending=abrupt", []),
        ("open=true&until=2026-11-23T04:00:00Z", []),
        ("open=true&since=2026-11-23T05:00:00Z", []),
        ("open=true&limit=1", [1]),
    ],
)
def test_sessions_are_found_by_each_of_their_parts(
    client: Client, asked: str, channels: list[int]
) -> None:
    found = client.get(f"{SESSIONS}?{asked}", headers=READER).json()["sessions"]
    assert [session["channel"] for session in found] == channels


@pytest.mark.usefixtures("charged")
def test_sessions_come_in_pages(client: Client) -> None:
    first = client.get(f"{SESSIONS}?limit=1", headers=READER).json()
    page = f"{SESSIONS}?limit=1&before_id={first['next_before_id']}"
    second = client.get(page, headers=READER).json()
    assert second["next_before_id"] is None
    devices = [each["sessions"][0]["device"] for each in (first, second)]
    assert sorted(devices) == sorted([PILE, ODD])


def test_sessions_need_a_token_and_a_range_that_runs_forward(client: Client) -> None:
    problem(client.get(SESSIONS), 401)
    backward = "since=2026-11-23T05:00:00Z&until=2026-11-23T04:00:00Z"
    problem(client.get(f"{SESSIONS}?{backward}", headers=READER), 422)
    problem(client.get(f"{SESSIONS}?ending=unknown", headers=READER), 422)


@pytest.mark.usefixtures("charged")
def test_a_device_and_its_stations_page_show_the_charge_that_goes_on(client: Client) -> None:
    first, second, *_ = client.get(f"/api/v1/devices/{PILE}", headers=READER).json()["sockets"]
    assert first["charge"]["began_at"] == "2026-11-23T04:00:00Z"
    assert first["charge"]["phase"] == "charging"
    assert first["charge"]["energy_kwh"] == pytest.approx(0.195 * 13 / 60)
    assert second["charge"] is None
    log_in(client)
    page = client.get("/stations/xuhui/renmin-lu", headers=PAGE).text
    assert page.count('<span class="tile-word">充电中</span>') == 1
    assert '<span class="tile-more">14分钟</span>' in page
    assert "0.04 kWh" in page

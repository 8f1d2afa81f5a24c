import asyncio
from datetime import timedelta
from urllib.parse import quote

from rules.readings import Reading
from tests.http_doubles import (
    ODD,
    PILE,
    READ_TOKEN,
    SMOKE,
    Client,
    World,
    bearer,
)

API = "/api/v1"
READER = bearer(READ_TOKEN)

pytest_plugins = ["tests.http_fixtures"]


def test_areas_and_sites_come_with_both_names(client: Client) -> None:
    areas = client.get(f"{API}/areas", headers=READER).json()["areas"]
    assert [(area["id"], area["name"]["zh"], area["sites"]) for area in areas] == [
        ("berlin", "柏林", 1),
        ("xuhui", "徐汇区", 1),
    ]
    sites = client.get(f"{API}/sites?area=berlin", headers=READER).json()["sites"]
    assert [site["id"] for site in sites] == ["berlin/hof"]
    assert sites[0]["condition"] == "unknown"


def test_a_site_counts_its_sockets_its_power_and_its_alarms(
    overloaded: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(overloaded.hear(SMOKE, Reading(smoke_alarm=True)))
    found = client.get(f"{API}/sites/xuhui/renmin-lu", headers=READER).json()
    site = found["site"]
    assert site["sockets"] == {"charging": 1, "free": 1, "unknown": 8}
    assert site["smoke"]["alarm"] == 1
    assert (site["power_w"], site["firing"], site["condition"]) == (1203.0, 2, "critical")
    assert found["policy"]["closed"] == [
        {"start": "22:00:00", "end": "05:00:00", "days": [0, 1, 2, 3, 4, 5, 6]}
    ]


def test_power_that_is_old_is_not_known_rather_than_free(
    overloaded: World, client: Client, runner: asyncio.Runner
) -> None:
    runner.run(overloaded.wait(timedelta(minutes=9)))
    device = client.get(f"{API}/devices/{PILE}", headers=READER).json()
    assert {socket["use"] for socket in device["sockets"]} == {"unknown"}
    assert device["power_w"] is None
    assert device["sockets"][2]["values"] == {"power_w": 1203.0}


def test_a_smoke_detector_is_fine_only_while_it_is_heard(
    here: World, client: Client, runner: asyncio.Runner
) -> None:
    def smoke() -> str:
        return str(client.get(f"{API}/devices/{SMOKE}", headers=READER).json()["smoke"])

    assert smoke() == "never"
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=False)))
    assert smoke() == "fine"
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=True, self_test=True)))
    assert smoke() == "testing"
    runner.run(here.hear(SMOKE, Reading(smoke_alarm=False, self_test=False)))
    runner.run(here.wait(timedelta(hours=26)))
    assert smoke() == "silent"


def test_a_device_is_found_by_an_id_with_slashes_spaces_and_unicode(client: Client) -> None:
    for path in (quote(ODD), quote(ODD, safe="")):
        device = client.get(f"{API}/devices/{path}", headers=READER).json()
        assert device["id"] == ODD
        assert device["label"] == "Säule <b>1</b> 桩"


def test_devices_are_listed_page_by_page_and_filtered(client: Client) -> None:
    def ids(query: str) -> tuple[list[str], str | None]:
        found = client.get(f"{API}/devices?{query}", headers=READER).json()
        return [device["id"] for device in found["devices"]], found["next_after"]

    assert ids("limit=2") == ([ODD, PILE], PILE)
    assert ids(f"limit=2&after={PILE}") == ([SMOKE], None)
    assert ids("kind=smoke") == ([SMOKE], None)
    assert ids("site=berlin/hof") == ([ODD], None)
    assert ids("q=PILE") == ([PILE], None)
    assert ids("declared=false") == ([], None)

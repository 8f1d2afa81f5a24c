"""The service beside a real InfluxDB: what happened and what it sees are there, by itself."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from ingest.influx_client import InfluxClient
from ingest.influx_lines import reading_lines
from ingest.journal import Entry
from ingest.measurements import Kept
from rules.readings import DeviceId, Reading, Report
from tests.brokers import Mosquitto
from tests.influx_databases import AnyInflux, made_address, remove, settings_for
from tests.processes import eventually, publish, service
from tests.test_ledger import run

pytest_plugins = ["tests.system_fixtures", "tests.influx_fixtures"]

SITES = """
[areas.town]
name = {zh = "镇", en = "Town"}

[sites."town/north"]
name = {zh = "北", en = "North"}

[[devices]]
id = "town/north/smoke-1"
kind = "smoke"

[[devices]]
id = "town/north/pile-1"
kind = "charger"
sockets = 1
"""
DAYS = ["--since", "2026-01-04", "--until", "2026-01-05"]
SMOKE = "chargewatch/v1/town/north/smoke-1/event"


def test_an_alert_is_in_influxdb_with_its_life_and_so_is_what_the_service_sees(
    tmp_path: Path, broker: Mosquitto, influx: AnyInflux
) -> None:
    address = made_address(influx)
    sites = tmp_path / "sites.toml"
    sites.write_text(SITES, encoding="utf-8")

    def count(measurement: str, field: str, where: str = "1 = 1") -> int:
        statement = f'SELECT count({field}) FROM "long".{measurement} WHERE {where}'
        found = influx.query(statement, address.database)
        return int(found[0]["values"][0][1]) if found else 0

    with service(tmp_path, broker, sites=sites, settings=settings_for(address)) as watch:
        watch.begin()
        publish(broker, [(SMOKE, json.dumps({"event": "smoke"}))])
        eventually("it fires", lambda: count("alert", "open", "rule = 'smoke'"))
        [alert] = watch.alerts()
        watch.post(f"/alerts/{alert['id']}/acknowledge", note="on my way")
        acknowledged = "what = 'acknowledged'"
        eventually("it is seen", lambda: count("alert_event", "severity", acknowledged))
        eventually("the service is seen", lambda: count("service_now", "broker_ok"), 30)
        parts = watch.ready()[1]
        assert (parts["facts"]["ok"], parts["rollups"]["ok"]) == (True, True)
    assert count("alert", "open") == 1
    assert count("alert_event", "severity", acknowledged) == 1
    remove(influx, address)


def test_days_are_made_anew_by_hand(
    tmp_path: Path, broker: Mosquitto, influx: AnyInflux, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = made_address(influx)
    sites = tmp_path / "sites.toml"
    sites.write_text(SITES, encoding="utf-8")
    with service(tmp_path, broker, sites=sites) as watch:  # for its ledger
        watch.begin()
    noon = datetime(2026, 1, 5, 4, tzinfo=UTC)
    client = InfluxClient(address)
    reports = tuple(
        Report(
            device=DeviceId("town/north/pile-1"),
            at=noon + timedelta(minutes=n),
            received_at=noon + timedelta(minutes=n),
            identity="",
            readings=(Reading(channel=1, energy_kwh=1 + n / 100),),
        )
        for n in range(10)
    )
    run(client.write(Kept.READINGS, reading_lines(Entry(1, noon, reports))))
    client.close()

    for name, value in settings_for(address).items():
        monkeypatch.setenv(f"CHARGEWATCH_{name}", value)
    monkeypatch.setenv("CHARGEWATCH_DATA_DIR", str(watch.data))
    monkeypatch.setenv("CHARGEWATCH_HISTORY__KEEP_DAYS", "36500")
    told = CliRunner().invoke(
        app, ["history", "rollup", "--since", "2026-01-04", "--until", "2026-01-05"]
    )
    assert (told.exit_code, told.output) == (0, "town/north: 2 days\n")
    days = influx.query('SELECT energy_kwh FROM "long".site_day', address.database)
    assert [day[1] for day in days[0]["values"]] == [0, pytest.approx(0.09)]
    remove(influx, address)


@pytest.mark.parametrize(
    ("options", "settings", "words"),
    [
        (DAYS, {"HISTORY__KIND": "duckdb"}, "kept in a file"),
        (DAYS, {"HISTORY__KIND": "influxdb"}, "no ledger"),
        (["--since", "2026-01-04", "--until", "2026-01-03"], {}, "before"),
        (DAYS, {"HISTORY__KEEP_DAYS": "1"}, "not kept any more"),
        (["--since", "2020-01-01", "--until", "2026-01-03"], {}, "at most 1000"),
    ],
)
def test_what_cannot_be_rolled_up_is_said(
    options: list[str],
    settings: dict[str, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHARGEWATCH_DATA_DIR", str(tmp_path))
    for name, value in ({"HISTORY__KEEP_DAYS": "36500"} | settings).items():
        monkeypatch.setenv(f"CHARGEWATCH_{name}", value)
    told = CliRunner().invoke(app, ["history", "rollup", *options])
    assert told.exit_code == 2
    assert words in told.output

"""Databases of tests' own in an InfluxDB that they share."""

import secrets
from collections import Counter
from contextlib import closing
from datetime import timedelta

from influxdb_client.client.influxdb_client import InfluxDBClient

from ingest.influx_http import InfluxAddress, InfluxHttp
from ingest.influx_setup import setup_of
from ingest.measurements import Kept
from tests.influx import Influx, RealInflux

AnyInflux = Influx | RealInflux


def made_address(server: AnyInflux) -> InfluxAddress:
    """Make an empty database with our retention policies, and return where it is."""
    address = InfluxAddress(
        url=server.url,
        org=server.org,
        token=server.token,
        database=f"test-{secrets.token_hex(6)}",
    )
    prepare(address)
    return address


def settings_for(address: InfluxAddress) -> dict[str, str]:
    """Return the service's settings, without CHARGEWATCH_, to keep its readings there."""
    return {
        "HISTORY__KIND": "influxdb",
        "INFLUX__URL": address.url,
        "INFLUX__ORG": address.org,
        "INFLUX__DATABASE": address.database,
        "INFLUX__TOKEN": address.token,
    }


def readings_kept(
    server: AnyInflux, address: InfluxAddress, field: str
) -> Counter[tuple[str, float]]:
    """Count the readings of sockets that have a field, by device and its value."""
    found = server.query(f'SELECT "{field}" FROM socket GROUP BY device', address.database)
    return Counter(
        (series["tags"]["device"], float(value))
        for series in found
        for _, value in series["values"]
    )


def prepare(address: InfluxAddress, keep: timedelta = timedelta(days=36_500)) -> None:
    """Do what `history setup` does."""
    with closing(InfluxHttp(address)) as http:
        for _ in setup_of(http).places(keep):
            pass


def remove(server: AnyInflux, address: InfluxAddress) -> None:
    """Remove a database and all that is in it."""
    if isinstance(server, Influx):
        server.query(f'DROP DATABASE "{address.database}"')
        return
    with InfluxDBClient(address.url, address.token, org=address.org) as client:
        buckets = client.buckets_api()
        for kept in Kept:
            buckets.delete_bucket(buckets.find_bucket_by_name(address.bucket(kept)))

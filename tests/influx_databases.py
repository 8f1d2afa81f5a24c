"""Databases of tests' own in an InfluxDB that they share."""

import secrets
from collections import Counter

from ingest.influx_http import InfluxAddress
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
    prepare(server, address)
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


def prepare(server: AnyInflux, address: InfluxAddress) -> None:
    server.query(f'CREATE DATABASE "{address.database}"')
    server.query(
        f'CREATE RETENTION POLICY "long" ON "{address.database}" DURATION INF REPLICATION 1'
    )


def remove(server: AnyInflux, address: InfluxAddress) -> None:
    server.query(f'DROP DATABASE "{address.database}"')

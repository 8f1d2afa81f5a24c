"""Databases of tests' own in an InfluxDB that they share."""

import secrets

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


def prepare(server: AnyInflux, address: InfluxAddress) -> None:
    server.query(f'CREATE DATABASE "{address.database}"')
    server.query(
        f'CREATE RETENTION POLICY "long" ON "{address.database}" DURATION INF REPLICATION 1'
    )


def remove(server: AnyInflux, address: InfluxAddress) -> None:
    server.query(f'DROP DATABASE "{address.database}"')

"""Which history the settings ask for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from api.settings import Settings
from ingest.duckdb_history import open_duckdb
from ingest.history import History
from ingest.influx_history import open_influx
from ingest.influx_http import InfluxAddress
from ingest.influx_writing import Losses


def duckdb_file(data_dir: Path) -> Path:
    return data_dir / "history.duckdb"


def influx_address(settings: Settings) -> InfluxAddress | None:
    """Return where the InfluxDB of the readings is; None: they are kept in a file."""
    if settings.history.kind != "influxdb":
        return None
    influx = settings.influx
    return InfluxAddress(
        url=influx.url,
        org=influx.org,
        database=influx.database,
        token="" if influx.token is None else influx.token.get_secret_value(),
        ca_file=influx.ca_file,
    )


@asynccontextmanager
async def open_history(settings: Settings, losses: Losses) -> AsyncIterator[History]:
    """Yield the history, whether or not it can be reached; `losses` counts its refusals."""
    address = influx_address(settings)
    if address is None:
        async with open_duckdb(duckdb_file(settings.data_dir)) as in_file:
            yield in_file
    else:
        async with open_influx(address, losses) as in_influx:
            yield in_influx

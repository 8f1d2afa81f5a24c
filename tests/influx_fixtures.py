"""A real InfluxDB that tests share."""

from collections.abc import Iterator

import pytest

from tests.influx import influxdb, named_by_environment
from tests.influx_databases import AnyInflux


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyInflux]:
    """Return the InfluxDB 2 that the environment names, or a 1.6 of our own."""
    named = named_by_environment()
    if named is not None:
        yield named
    else:
        with influxdb(tmp_path_factory.mktemp("influx")) as server:
            yield server

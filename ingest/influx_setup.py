"""Makes what the history needs in an InfluxDB: two places, and who may use them.

Everything may be done again: what is as it should be is left alone.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Protocol

from ingest.errors import ChargewatchError
from ingest.influx1_setup import Setup1
from ingest.influx2_setup import Setup2
from ingest.influx_http import InfluxHttp
from ingest.influx_roles import Role


class SetupFailed(ChargewatchError):
    """It is no InfluxDB that chargewatch knows how to set up."""


class Setup(Protocol):
    """How one generation of InfluxDB is set up. Everything raises HistoryUnavailable."""

    def places(self, keep: timedelta) -> Iterator[str]:
        """Make the places for readings and for facts; yield what was done, in words."""
        ...

    def token(self, role: Role) -> str:
        """Make a token that allows what the role needs, and no more."""
        ...


def setup_of(http: InfluxHttp) -> Setup:
    """Return how to set up the server there; raises HistoryUnavailable or SetupFailed."""
    version = http.version()
    if version.startswith("1."):
        return Setup1(http)
    if version.startswith("2."):
        return Setup2(http)
    raise SetupFailed(
        f"{http.address.url}: this is InfluxDB {version or 'of an unknown version'};"
        " chargewatch sets up 1.8 and 2"
    )

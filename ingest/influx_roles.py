"""Who needs what in an InfluxDB, and how long: the same for every generation of it."""

from datetime import timedelta
from enum import StrEnum

LONG_SHARD = timedelta(weeks=4)
"""How much time a file of facts spans: they are few, for many years."""


class Role(StrEnum):
    """Who has a token of their own."""

    SERVICE = "service"
    """Writes and reads."""
    GRAFANA = "grafana"
    """Reads."""


def shard_of(keep: timedelta) -> timedelta:
    """Return how much time a file of readings spans, as InfluxDB itself would choose."""
    if keep < timedelta(days=2):
        return timedelta(hours=1)
    return timedelta(days=1) if keep <= timedelta(days=180) else timedelta(days=7)

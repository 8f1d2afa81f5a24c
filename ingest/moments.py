"""Moments as whole microseconds since 1970, which is how every store of ours keeps them."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Return whole microseconds since 1970, exactly (a float would lose some)."""
    return (moment - EPOCH) // MICROSECOND


def from_us(moment_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=moment_us)

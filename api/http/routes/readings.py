"""Readings of the past, from the history."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Depends, Query

from api.http.access import Right
from api.http.context import Allowed, ScopedHere
from api.http.problems import Trouble
from api.http.routes.inputs import Channel, Id, Limit, Moment, in_order
from api.http.shapes.readings import Bins, Readings
from api.watch import Watch
from ingest.history import Aggregate

BINS_MAX = 5_000
STEP_S_MAX = 31 * 86_400
RANGE_DEFAULT = timedelta(days=1)

Quantity = Literal[
    "power_w",
    "current_a",
    "voltage_v",
    "energy_kwh",
    "device_temperature_c",
    "ambient_temperature_c",
    "battery_pct",
    "signal_pct",
    "session_energy_kwh",
    "session_duration_s",
]
QUANTITIES_NUMERIC: tuple[str, ...] = get_args(Quantity)

readings = APIRouter(tags=["readings"], dependencies=[Depends(Allowed(Right.SEE))])


@readings.get("/readings")
async def past(  # noqa: PLR0913, PLR0917  (a question has this many parts)
    scoped: ScopedHere,
    device: Id,
    channel: Channel | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Limit = 500,
) -> Readings:
    """Return the readings of one socket or device, oldest first; the last day unless told."""
    watch, known = scoped.watch, scoped.device(device).id
    begin, end = _range(watch, since, until)
    rows = await watch.history.range(known, channel, begin, end, limit + 1)
    return Readings(
        device=known,
        channel=channel,
        readings=[Readings.One.of(row) for row in rows[:limit]],
        complete=len(rows) <= limit,
    )


@readings.get("/readings/aggregate")
async def aggregate(  # noqa: PLR0913, PLR0917
    scoped: ScopedHere,
    device: Id,
    quantity: Quantity,
    channel: Channel | None = None,
    how: Aggregate = Aggregate.MEAN,
    step_s: Annotated[int, Query(ge=1, le=STEP_S_MAX)] = 3_600,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Bins:
    """Return one number per step."""
    watch, known = scoped.watch, scoped.device(device).id
    begin, end = _range(watch, since, until)
    step = timedelta(seconds=step_s)
    if (end - begin) / step > BINS_MAX:
        raise Trouble(422, f"That is more than {BINS_MAX} steps; take longer ones.")
    bins = await watch.history.aggregate(
        known, channel, quantity=quantity, how=how, since=begin, until=end, step=step
    )
    return Bins(
        device=known,
        channel=channel,
        quantity=quantity,
        how=how,
        step_s=step_s,
        bins=[Bins.One.of(found) for found in bins],
    )


def _range(
    watch: Watch, since: datetime | None, until: datetime | None
) -> tuple[datetime, datetime]:
    end = until or watch.now()
    begin = since or end - RANGE_DEFAULT
    in_order(begin, end)
    return begin, end

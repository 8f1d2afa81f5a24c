"""How the demo went: the service's alarms beside the simulator's truth."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from rich.table import Table

from api.service import Running
from ingest.ledger import queries
from ingest.ledger.queries import AlertFilter, AlertRow

PERCENT = 100


class Expected(msgspec.Struct, frozen=True):
    """An alarm that the scenario must cause."""

    rule: str
    device: str
    channel: int | None
    earliest: datetime
    latest: datetime


class Truth(msgspec.Struct, frozen=True):
    """What the simulator says of the evening that it plays, in the time of the devices."""

    scenario: str
    starts: datetime
    ends: datetime
    expected_refused: int
    alerts: tuple[Expected, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed at the end. Delays are real milliseconds, arrival to first telling."""

    ok: bool
    scenario: str
    speed: float
    seconds: float
    messages: int
    readings: int
    refused: int
    alerts: dict[str, int]
    expected: int
    told: int
    delay_ms_p50: float | None
    delay_ms_p99: float | None
    missed: tuple[str, ...]
    not_due: tuple[str, ...]
    """Alarms whose time had not come when the demo was ended."""
    unexpected: tuple[str, ...]
    not_told: tuple[str, ...]


async def summed_up(
    service: Running, truth: Truth, now: datetime, took: timedelta, speed: float
) -> Summary:
    """Compare what was raised and told with what had to be."""
    tallies = await service.ledger.read(queries.tallies)
    alerts = await all_alerts(service)
    absent = [each for each in truth.alerts if not any(_is(each, alert) for alert in alerts)]
    missed = [_name(each) for each in absent if each.latest <= now]
    not_due = [_name(each) for each in absent if each.latest > now]
    unexpected = [
        f"{alert.rule} {alert.device} {alert.channel}"
        for alert in alerts
        if not any(_is(each, alert) for each in truth.alerts)
    ]
    not_told = [alert.episode for alert in alerts if not await _was_told(service, alert)]
    delays = sorted(service.metrics.delays_s)
    refused = sum(n for name, n in tallies.items() if name.startswith("refused:"))
    return Summary(
        ok=not (missed or not_due or unexpected or not_told),
        scenario=truth.scenario,
        speed=speed,
        seconds=round(took.total_seconds(), 1),
        messages=tallies.get("messages", 0),
        readings=tallies.get("readings", 0),
        refused=refused,
        alerts=dict(Counter(alert.rule for alert in alerts)),
        expected=len(truth.alerts),
        told=len(alerts) - len(not_told),
        delay_ms_p50=_percentile_ms(delays, 50),
        delay_ms_p99=_percentile_ms(delays, 99),
        missed=tuple(missed),
        not_due=tuple(not_due),
        unexpected=tuple(unexpected),
        not_told=tuple(not_told),
    )


async def all_alerts(service: Running) -> list[AlertRow]:
    return await service.ledger.read(
        lambda connection: queries.find_alerts(
            connection, AlertFilter(drill=False), queries.LIMIT_MAX
        )
    )


def _is(expected: Expected, alert: AlertRow) -> bool:
    """Say whether an alert is the expected one, at a time at which it may come."""
    same = (expected.rule, expected.device, expected.channel)
    return same == (alert.rule, alert.device, alert.channel) and (
        expected.earliest <= alert.fired_at <= expected.latest
    )


def _name(expected: Expected) -> str:
    return f"{expected.rule} {expected.device} {expected.channel}"


async def _was_told(service: Running, alert: AlertRow) -> bool:
    deliveries = await service.ledger.read(
        lambda connection: queries.deliveries_of(connection, alert.episode)
    )
    return any(each.state == "told" and each.transition == "firing" for each in deliveries)


def _percentile_ms(delays_s: Sequence[float], percent: int) -> float | None:
    """Return a percentile of sorted delays in milliseconds; None if there are none."""
    if not delays_s:
        return None
    rank = min(len(delays_s) - 1, round(percent / PERCENT * (len(delays_s) - 1)))
    return round(delays_s[rank] * 1000, 2)


def table(summary: Summary) -> Table:
    """Return the summary for people."""
    result = Table(title="summary", show_header=False)
    for name, value in msgspec.to_builtins(summary).items():
        result.add_row(name.replace("_", " "), str(value))
    return result

"""The command line's words about rollups: `history rollup`."""

import asyncio
import os
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_errors import run_or_explain
from ingest.clock import utc_now
from ingest.errors import ChargewatchError

if TYPE_CHECKING:
    from api.settings import Settings
    from ingest.registry import Registry

DAYS_MAX = 1_000


class NothingToRollUp(ChargewatchError):
    """There is no InfluxDB, no ledger, no such site, or no such days."""


def rollup(
    *,
    since: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], help="The first day, on each site's clock."),
    ],
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The last day; if not given: today."),
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="area/site; if not given: all of them.")
    ] = None,
) -> None:
    """Make the quarters of an hour and the days in InfluxDB anew, from what readings there are.

    The service does it by itself for the last days and for what came late. Do it by hand
    after readings older than a month have come, or opening hours were wrong. Both may run at
    the same time.
    """

    def run() -> None:
        from api.settings import read_settings

        last = until or utc_now()
        days = tuple(_days(since.date(), last.date()))
        settings = read_settings(os.environ)
        kept_since = (utc_now() - timedelta(days=settings.history.keep_days)).date()
        if days[0] <= kept_since:
            raise NothingToRollUp(
                f"--since: readings before {kept_since} are not kept any more"
                " (CHARGEWATCH_HISTORY__KEEP_DAYS), so those days would come to nothing"
            )
        asyncio.run(_roll_up(settings, days, site))

    run_or_explain(run)


def _days(first: date, last: date) -> Iterator[date]:
    if last < first:
        raise NothingToRollUp(f"{last} is before {first}")
    count = (last - first).days + 1
    if count > DAYS_MAX:
        raise NothingToRollUp(f"{count} days; at most {DAYS_MAX} at a time")
    yield from (first + timedelta(days=n) for n in range(count))


async def _roll_up(settings: "Settings", days: tuple[date, ...], site: str | None) -> None:
    from api.histories import influx_address
    from ingest.influx_client import open_client
    from ingest.rolling_up import RollUps, plans_of

    address = influx_address(settings)
    if address is None:
        raise NothingToRollUp(
            "readings are kept in a file: set CHARGEWATCH_HISTORY__KIND=influxdb"
        )
    registry = await _registry(settings)
    plans = [plan for plan in plans_of(registry) if site in {None, plan.id}]
    if not plans:
        raise NothingToRollUp("no site has devices" if site is None else f"no site {site!r}")
    async with open_client(address) as client:
        rollups = RollUps(
            client,
            lambda: plans,
            now=utc_now,
            keep=timedelta(days=settings.history.keep_days),
            ready=lambda: True,
        )
        for plan in plans:
            before = rollups.made.days
            await rollups.make(plan, days)
            typer.echo(f"{plan.id}: {rollups.made.days - before} days")


async def _registry(settings: "Settings") -> "Registry":
    """Return who is who and what is in force, as the service last had it."""
    from api.policy_keeper import policy_at_start
    from ingest.ledger.policy_log import last_change
    from ingest.ledger.store import opened

    file = settings.data_dir / "ledger.sqlite"
    if not file.exists():
        raise NothingToRollUp(f"{file}: no ledger, so nobody knows which sites there are")
    async with opened(file) as ledger:
        registry = await asyncio.to_thread(ledger.registry)
        policy = policy_at_start(settings.policy_file, await ledger.read(last_change))
    registry.apply(policy.text.policies)
    return registry

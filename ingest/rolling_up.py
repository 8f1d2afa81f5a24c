"""Keeps the rollups up to date: what is missing is made, what came late is made anew.

How far they are is found in InfluxDB itself: the last window and the last day of each site.
So an outage of any length, of us or of InfluxDB, is caught up without anybody's doing.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta

import msgspec

from ingest.clock import Now
from ingest.measurements import Kept
from ingest.point_store import PointStore
from ingest.registry import Registry
from ingest.rollup_points import Day, quarter_lines
from ingest.rollup_queries import (
    ask_happened,
    ask_slice,
    first_reading,
    last_day,
    last_quarter,
    late_windows,
)
from ingest.rollups import SitePlan, Watched, quarters
from ingest.timing import BEHIND_MAX
from ingest.windows import QUARTER, bounds, day_of, floor

GRACE = timedelta(minutes=2)
"""After the end of a window: messages are on their way, and so are entries of the journal."""

AGAIN = BEHIND_MAX
"""The last window is made once more: a device's clock may be so far behind and believed."""

DAY_GRACE = BEHIND_MAX + GRACE
DAYS_AGAIN = 2
"""Days that are made anew each night, besides the one that has just ended: charges end late,
and so do outages of devices that keep their readings."""

ROWS_MAX = 5_000
"""Sockets times windows that are asked for, and held, at a time: some 3 MiB."""

LOOK_AGAIN = timedelta(minutes=1)


class Made(msgspec.Struct):
    """What was made, of all sites together."""

    windows: int = 0
    days: int = 0


class RollUps:
    """Makes windows and days; remembers nothing."""

    def __init__(
        self,
        store: PointStore,
        plans: Callable[[], Iterable[SitePlan]],
        *,
        now: Now,
        keep: timedelta,
        ready: Callable[[], bool],
    ) -> None:
        """`keep` is for how long there are readings.

        `ready` says whether all readings are there that the service has: while they are still
        being carried, there is no use in adding them up.
        """
        self._store, self._plans = store, plans
        self._now, self._keep, self._ready = now, keep, ready
        self._until: datetime | None = None
        """How far all sites were when they were last looked at; nothing but time is saved."""
        self.made = Made()

    async def catch_up(self) -> None:
        """Make all that is missing, of every site. Raises HistoryUnavailable."""
        until = floor(self._now() - GRACE)
        if until == self._until or not self._ready():
            return
        for plan in self._plans():
            await self._catch_up(plan, until)
        self._until = until

    async def make(self, plan: SitePlan, days: Iterable[date]) -> None:
        """Make local days of a site anew, whatever is there; of today what is over of it.

        Days whose readings may be gone are left as they are: they would come to nothing.
        """
        until = floor(self._now() - GRACE)
        for day in days:
            begins, ends = bounds(day, plan.schedule)
            if begins < until - self._keep:
                continue
            if ends <= until:
                await self._make_day(plan, day)
            elif begins < until:
                await self._make_windows(plan, begins, until)

    async def _catch_up(self, plan: SitePlan, until: datetime) -> None:
        oldest = until - self._keep
        last = await last_quarter(self._store, plan.id, until)
        if last is None:
            first = await first_reading(self._store, plan.id)
            if first is None or first >= until:
                return
            since, late = max(floor(first), oldest), set[datetime]()
        else:
            since = max(last + QUARTER - AGAIN, oldest)
            late = await late_windows(self._store, plan.id, last, since)
        today = day_of(until, plan.schedule)
        days = {day_of(at, plan.schedule) for at in late if at >= oldest} - {today}
        days |= set(await self._days_due(plan, until))
        for day in sorted(days):
            await self._make_day(plan, day)
            _, ends = bounds(day, plan.schedule)
            if bounds(day, plan.schedule)[0] <= since < ends:
                since = ends
        for at in sorted(at for at in late if day_of(at, plan.schedule) == today):
            await self._make_windows(plan, at, at + QUARTER)
        await self._make_windows(plan, since, until)

    async def _days_due(self, plan: SitePlan, until: datetime) -> Iterator[date]:
        """Return the days that are over and not there, and with them some that are."""
        last = day_of(self._now() - DAY_GRACE, plan.schedule) - timedelta(days=1)
        done = await last_day(self._store, plan.id, until)
        if done is not None:
            first = day_of(done, plan.schedule) + timedelta(days=1)
            again = timedelta(days=DAYS_AGAIN)
        else:
            begun = await first_reading(self._store, plan.id) or until
            first = day_of(max(begun, until - self._keep), plan.schedule)
            again = timedelta(0)
        if last < first:
            return iter(())
        first -= again
        return (first + timedelta(days=n) for n in range((last - first).days + 1))

    async def _make_day(self, plan: SitePlan, day: date) -> None:
        begins, ends = bounds(day, plan.schedule)
        total = Day(plan, begins)
        await self._make_windows(plan, begins, ends, total)
        happened = await ask_happened(self._store, plan, begins, ends)
        await self._store.write(Kept.LONG, list(total.lines(happened)))
        self.made.days += 1

    async def _make_windows(
        self, plan: SitePlan, since: datetime, until: datetime, day: Day | None = None
    ) -> None:
        step = QUARTER * max(1, ROWS_MAX // max(1, plan.sockets))
        while since < until:
            ends = min(since + step, until)
            said = await ask_slice(self._store, plan, since, ends)
            lines: list[bytes] = []
            for quarter in quarters(plan, said):
                lines += quarter_lines(plan, quarter)
                if day is not None:
                    day.add(quarter)
                self.made.windows += 1
                await asyncio.sleep(0)  # alarms do not wait for sums
            await self._store.write(Kept.LONG, lines)
            since = ends


def plans_of(registry: Registry) -> list[SitePlan]:
    """Return the sites that have devices, as they are now."""
    devices: dict[str, list[Watched]] = {}
    sockets: dict[str, int] = {}
    for device in registry.devices.values():
        policy = registry.policy_of(device.id)
        watched = Watched(
            id=device.id,
            silent_after=device.silent_after or policy.silent_after(device.kind),
            charging_min_w=policy.charging.min_w,
            declared=device.declared,
            added_at=device.added_at,
        )
        devices.setdefault(device.site, []).append(watched)
        sockets[device.site] = sockets.get(device.site, 0) + max(1, len(device.sockets))
    return [
        SitePlan(
            id=site.id,
            area=site.area,
            name=site.name,
            schedule=site.schedule,
            devices=tuple(devices[site.id]),
            sockets=sockets[site.id],
        )
        for site in registry.sites.values()
        if site.id in devices
    ]

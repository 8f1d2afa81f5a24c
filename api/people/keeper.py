"""The directory of the running service: what the ledger has of people, posts and routes.

Whoever changes them (the API, a page, a command beside the service) writes the ledger. From
there the directory is read anew: at once if we were told, and else within seconds.
"""

import asyncio

import structlog
from msgspec.structs import replace

from api.calendars import calendar_of
from ingest.clock import Now
from ingest.desk import Desk, DeskBusy
from ingest.ledger.people import Kept, read_edition, read_kept
from ingest.ledger.store import Ledger, LedgerUnavailable
from ingest.people import Directory
from rules.schedule import Days, Schedule

LOOK_S = 2.0
"""How often the edition is looked at, in real time."""
CALENDAR = "CN"
"""By whose holidays people's workdays and days of rest go."""

log = structlog.get_logger()


class PeopleKeeper:
    """Reads the ledger, and has the task that owns the directory take over what is there."""

    def __init__(self, ledger: Ledger, directory: Directory, desk: Desk, now: Now) -> None:
        self._ledger, self._directory, self._desk, self._now = ledger, directory, desk, now
        self._edition = -1
        self._reading = asyncio.Lock()

    async def begin(self) -> None:
        """Fill the directory, before there is anybody who owns it."""
        self._take(await self._read())

    async def refresh(self) -> None:
        """Return when all that is in the ledger by now is in the directory."""
        async with self._reading:  # lest an older look comes after a newer one
            kept = await self._read()
            await self._desk.ask(lambda _: self._take(kept))

    async def run(self) -> None:
        """Look for ever whether somebody else has changed something."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if await self._ledger.read(read_edition) != self._edition:
                    await self.refresh()
            except (LedgerUnavailable, DeskBusy) as error:
                log.warning("people.not_read", reason=str(error))

    async def _read(self) -> Kept:
        kept = await self._ledger.read(read_kept)
        return await asyncio.to_thread(with_calendars, kept, self._now().year)

    def _take(self, kept: Kept) -> None:
        self._directory.take(kept.people.values(), kept.posts.values(), kept.routes.values())
        self._edition = kept.edition
        log.info(
            "people.known",
            people=len(kept.people),
            posts=len(kept.posts),
            routes=len(kept.routes),
        )


def with_calendars(kept: Kept, year: int) -> Kept:
    """Return the same, with the holidays around `year` wherever workdays are named.

    They are not kept: the calendar is announced year by year.
    """
    people = (replace(one, duty=dated(one.duty, year)) for one in kept.people.values())
    posts = (
        replace(one, check_hours=dated(one.check_hours, year)) for one in kept.posts.values()
    )
    routes = (replace(one, hours=dated(one.hours, year)) for one in kept.routes.values())
    return replace(
        kept,
        people={one.id: one for one in people},
        posts={one.id: one for one in posts},
        routes={one.id: one for one in routes},
    )


def dated(schedule: Schedule | None, year: int) -> Schedule | None:
    """Return a schedule that knows the holidays around `year`, if it speaks of workdays."""
    if schedule is None or not any(isinstance(each.days, Days) for each in schedule.closed):
        return schedule
    calendar = calendar_of(CALENDAR, year)
    return replace(
        schedule, holidays=calendar.holidays, makeup_workdays=calendar.makeup_workdays
    )

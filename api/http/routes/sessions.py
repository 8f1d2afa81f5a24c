"""Charging sessions: what was drawn where, from when to when, and how it ended."""

import asyncio
from collections.abc import Iterator
from heapq import nlargest
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends

from api.http.access import Right
from api.http.context import Allowed, ScopedHere
from api.http.routes.inputs import BeforeId, Channel, Id, Limit, Moment, in_order
from api.http.scope import Scoped
from api.http.shapes.sessions import Session, Sessions
from ingest.ledger import sessions as ledger
from ingest.ledger.sessions import SessionFilter
from rules.alerts import Group, GroupKind
from rules.readings import DeviceId
from rules.session import Ending
from rules.session import Session as Charge
from rules.subject import DeviceState, Values

AT_ONCE = 500
"""Devices looked at before the engine has its turn again."""

sessions = APIRouter(tags=["sessions"], dependencies=[Depends(Allowed(Right.SEE))])


async def wanted_sessions(  # noqa: PLR0913, PLR0917  (each is a filter)
    site: Id | None = None,
    device: Id | None = None,
    channel: Channel | None = None,
    ending: Ending | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    before_id: BeforeId | None = None,
) -> SessionFilter:
    in_order(since, until)
    return SessionFilter(
        site=site,
        device=device,
        channel=channel,
        ending=ending,
        since=since,
        until=until,
        before_id=before_id,
    )


@sessions.get("/sessions")
async def find(
    scoped: ScopedHere,
    wanted: Annotated[SessionFilter, Depends(wanted_sessions)],
    open: bool = False,  # noqa: A002, FBT002  (the word that people look for)
    limit: Limit = 100,
) -> Sessions:
    """List sessions that ended, newest first; with open=true those that go on now."""
    if open:
        return Sessions(
            sessions=await open_sessions(scoped, wanted, limit), next_before_id=None
        )
    asked = min(limit + 1, ledger.LIMIT_MAX)
    own = msgspec.structs.replace(wanted, areas=scoped.caller.within)
    found = await scoped.watch.ledger.read(lambda c: ledger.find_sessions(c, own, asked))
    page = found[:limit]
    more = len(found) > limit or len(found) == ledger.LIMIT_MAX
    return Sessions(
        sessions=[Session.of(row) for row in page],
        next_before_id=page[-1].id if more else None,
    )


async def open_sessions(scoped: Scoped, wanted: SessionFilter, limit: int) -> list[Session]:
    """Return the newest of those that go on now, giving way to the engine."""
    if wanted.ending is not None or wanted.before_id is not None:
        return []
    found: list[tuple[DeviceState, Values, Charge]] = []
    for number, device in enumerate(_devices(scoped, wanted)):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        for part in device.parts:
            charge = part.session
            if (
                charge is not None
                and charge.is_open
                and (wanted.channel is None or part.channel == wanted.channel)
                and (wanted.since is None or charge.at >= wanted.since)
                and (wanted.until is None or charge.began_at < wanted.until)
            ):
                found.append((device, part, charge))
    newest = nlargest(limit, found, key=lambda each: each[2].began_at)
    return [Session.of_open(charge, device, part.channel) for device, part, charge in newest]


def _devices(scoped: Scoped, wanted: SessionFilter) -> Iterator[DeviceState]:
    """Yield the devices in question, as far as they were ever heard."""
    engine = scoped.watch.engine
    if wanted.device is not None:
        ids = [DeviceId(wanted.device)]
    elif wanted.site is None:
        ids = [device.id for device in engine.devices()]
    elif scoped.has_site(wanted.site):
        ids = list(engine.group(Group(GroupKind.SITE, wanted.site)).members)
    else:
        ids = []
    for device_id in ids:
        device = engine.device(device_id)
        own = device is not None and scoped.caller.sees(device.site)
        if device is not None and own and wanted.site in {None, device.site}:
            yield device

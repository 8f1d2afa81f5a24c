"""Areas, sites and devices: who is who, and how they are now."""

import asyncio
from collections import Counter
from heapq import nsmallest

from fastapi import APIRouter, Depends

from api.http.access import Right
from api.http.context import Allowed, ScopedHere
from api.http.live import device_of, devices_by_site, site_of, sites_of
from api.http.routes.inputs import Id, NameInPath
from api.http.routes.inputs import Limit as AtMost
from api.http.shapes.places import (
    Area,
    Areas,
    Device,
    Devices,
    Limit,
    Policy,
    SiteInFull,
    Sites,
    Window,
)
from api.http.shapes.shape import Names
from ingest.registry import Device as Entry
from ingest.registry import Registry
from ingest.registry import Site as SiteEntry
from rules.policies import as_written
from rules.readings import Kind
from rules.schedule import Days

places = APIRouter(tags=["places"], dependencies=[Depends(Allowed(Right.SEE))])


@places.get("/areas")
async def areas(scoped: ScopedHere) -> Areas:
    """List the areas, which are jurisdictions."""
    counts = Counter(site.area for site in scoped.sites())
    return Areas(
        areas=[
            Area(
                id=area.id,
                name=Names.of(area.name),
                declared=area.declared,
                sites=counts[area.id],
            )
            for area in scoped.areas()
        ]
    )


@places.get("/sites")
async def sites(scoped: ScopedHere, area: Id | None = None) -> Sites:
    """List the sites (of one area) with what is going on there."""
    found = await sites_of(scoped, area)
    return Sites(sites=sorted(found, key=lambda site: site.id))


@places.get("/sites/{area}/{site}")
async def one_site(scoped: ScopedHere, area: NameInPath, site: NameInPath) -> SiteInFull:
    """Return a site with the limits that are in force there."""
    watch, entry = scoped.watch, scoped.site(f"{area}/{site}")
    live = site_of(watch, entry, devices_by_site(watch)[entry.id])
    return SiteInFull(site=live, policy=_policy(watch.registry, entry))


@places.get("/devices")
async def devices(  # noqa: PLR0913, PLR0917  (each is a filter)
    scoped: ScopedHere,
    site: Id | None = None,
    kind: Kind | None = None,
    declared: bool | None = None,
    q: Id | None = None,
    after: Id | None = None,
    limit: AtMost = 100,
) -> Devices:
    """List devices by id; `q` is a part of the id."""

    def wanted(device: Entry) -> bool:
        return (
            (site is None or device.site == site)
            and (kind is None or device.kind is kind)
            and (declared is None or device.declared is declared)
            and (q is None or q.casefold() in device.id.casefold())
            and (after is None or device.id > after)
        )

    matching = filter(wanted, scoped.devices())
    found = nsmallest(limit + 1, matching, key=lambda device: device.id)
    page: list[Device] = []
    for device in found[:limit]:
        page.append(device_of(scoped.watch, device))
        await asyncio.sleep(0)  # the engine's alarms go first
    return Devices(devices=page, next_after=page[-1].id if len(found) > limit else None)


@places.get("/devices/{area}/{site}/{device:path}")
async def one_device(
    scoped: ScopedHere, area: NameInPath, site: NameInPath, device: NameInPath
) -> Device:
    """Return a device, its sockets and the latest of everything they said."""
    return device_of(scoped.watch, scoped.device(f"{area}/{site}/{device}"))


def _policy(registry: Registry, site: SiteEntry) -> Policy:
    return Policy(
        zone=site.schedule.zone_name,
        closed=[
            Window(start=window.start, end=window.end, days=_days(window.days))
            for window in site.schedule.closed
        ],
        limits=[
            Limit(rule=each.table, key=each.key, value=as_written(each.value), layer=each.layer)
            for each in registry.policies.explain(site.id, None)
        ],
    )


def _days(days: frozenset[int] | Days) -> list[int] | Days:
    return days if isinstance(days, Days) else sorted(days)

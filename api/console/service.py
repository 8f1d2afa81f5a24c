"""How the service does, for whoever serves it: calm when all is well, plain when it is not."""

import asyncio
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from api.console.login import Posting, ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.drills import UNDER_WAY, Progress, Station, stuck_at
from api.http.access import Right
from api.http.routes.drills import drill_begun
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.shape import NAME_CHARS_MAX
from api.text import Texts
from api.text.explaining import site_name
from api.workings import Workings
from ingest.ledger import queries
from ingest.ledger.outbox import OutboxState
from ingest.ledger.queries import AlertFilter, AlertRow, DeliveryRow
from ingest.mqtt import LinkState
from rules.alerts import Transition
from rules.schedule import Schedule

DISK_LOW_BYTES = 1024**3
"""As for the doctor: some weeks of a village's journal."""
DRILLS_SHOWN_MAX = 6
DELIVERIES_MAX = 20
"""Of each drill."""
BEHIND_MAX = 1_000
"""Journal entries that the history may lack for a while, after a restart for one."""
STALE = timedelta(minutes=2)
"""A notification that has waited for longer is worth a look."""

service = APIRouter()

Drilled = tuple[AlertRow, list[DeliveryRow]]
"""A drill's alert, and who was told of it."""


class Disk(msgspec.Struct, frozen=True):
    free: int
    total: int

    @property
    def is_low(self) -> bool:
        return self.free < DISK_LOW_BYTES


class DrillCard(msgspec.Struct, frozen=True, kw_only=True):
    """A drill, in words: where, and how far it came."""

    site: str
    who: str
    began_at: datetime
    stations: Sequence[tuple[Station, timedelta]]
    """What was reached, and how long after the beginning; only of the last one."""
    told: list[DeliveryRow]
    stuck: Station | None
    failure: str = ""
    alert: int | None = None
    under_way: bool = False


class Unwell(msgspec.Struct, frozen=True):
    """Something that is not well: which part, and in which words it is said."""

    words: str
    about: str


@service.get("/service")
async def show(
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SERVICE))],
    scoped: ScopedPage,
) -> Response:
    """Show what is not well first, and then how every part does."""
    watch, say = scoped.watch, Texts.of(language_of(request))
    now, workings, parts = watch.now(), watch.workings(), watch.health()

    def ask(c: Connection) -> tuple[dict[str, int], list[tuple[AlertRow, list[DeliveryRow]]]]:
        wanted = AlertFilter(drill=True, areas=scoped.caller.within)
        drills = queries.find_alerts(c, wanted, DRILLS_SHOWN_MAX)
        return queries.tallies(c), [
            (row, queries.deliveries_of(c, row.episode)) for row in drills
        ]

    tallies, drills = await watch.ledger.read(ask)
    disk = await asyncio.to_thread(disk_of, workings.data_dir)
    unwell = [part for part in parts if not part.ok]
    return await asyncio.to_thread(
        page,
        request,
        "service.html",
        here="service",
        session=session,
        live=True,
        now=now,
        parts=parts,
        unwell=unwell,
        troubles=troubles_of(workings, disk, now),
        workings=workings,
        disk=disk,
        counts=[(name, tallies.get(name, 0)) for name in ("messages", "readings")],
        refused=sum(n for name, n in tallies.items() if name.startswith("refused:")),
        drills=_drills(scoped, drills, say),
        sites=_sites(scoped, say),
        zone=Schedule.nightly().zone,
    )


@service.post("/service/drills")
async def begin(
    _session: Annotated[Session, Depends(Posting(Right.DRILL))],
    scoped: ScopedPage,
    site: Annotated[str, Form(max_length=NAME_CHARS_MAX)] = "",
) -> Response:
    """Begin a drill; the page shows how far it comes."""
    await drill_begun(scoped, site)
    return RedirectResponse("/service#drills", 303)


def disk_of(folder: Path) -> Disk:
    """Return how much room there is where the data is. It may be slow: ask in a thread."""
    usage = shutil.disk_usage(folder)
    return Disk(free=usage.free, total=usage.total)


def troubles_of(workings: Workings, disk: Disk, now: datetime) -> list[Unwell]:
    """Return what is not well beside the parts, which speak for themselves."""
    found = [
        Unwell("ui.service.trouble.link", link.name)
        for link in workings.links
        if link.state is not LinkState.CONNECTED
    ]
    for name, lane in workings.lanes.items():
        if lane.failing_since is not None:
            found.append(Unwell("ui.service.trouble.lane_fails", name))
        elif lane.oldest_at is not None and now - lane.oldest_at > STALE:
            found.append(Unwell("ui.service.trouble.lane_waits", name))
    history = workings.history
    if history is not None and (history.behind or 0) > BEHIND_MAX:
        found.append(Unwell("ui.service.trouble.history", str(history.behind)))
    if disk.is_low:
        found.append(Unwell("ui.service.trouble.disk", ""))
    return found


def _sites(scoped: Scoped, say: Texts) -> list[tuple[str, str]]:
    """Return where a drill can be."""
    sites = sorted((site.id, say.name(site.name)) for site in scoped.sites())
    return [("", say("drill.place")), *sites] if scoped.caller.is_everywhere else sites


def _drills(scoped: Scoped, drills: list[Drilled], say: Texts) -> list[DrillCard]:
    """Return the last drills; how far one came station by station is known of the last."""
    last = scoped.watch.drills.last
    if last is not None and not (scoped.caller.is_everywhere or scoped.caller.sees(last.site)):
        last = None
    found = [_of_ledger(scoped, row, told, say) for row, told in drills]
    told_of = {row.episode: told for row, told in drills}
    numbers = {row.episode: row.id for row, _ in drills}
    if last is None:
        return found
    if last.episode:
        found = [each for each in found if each.alert != numbers.get(last.episode)]
    card = _of_progress(scoped, last, told_of.get(last.episode, []), say)
    return [msgspec.structs.replace(card, alert=numbers.get(last.episode)), *found]


def _of_progress(
    scoped: Scoped, last: Progress, told: list[DeliveryRow], say: Texts
) -> DrillCard:
    reached = [
        (station, at - last.began_at)
        for station in Station
        if station is not Station.TOLD and (at := getattr(last, f"{station}_at")) is not None
    ]
    stuck = stuck_at(last, told)
    return DrillCard(
        site=site_name(scoped.watch.registry, last.site, say),
        who=last.who,
        began_at=last.began_at,
        stations=reached,
        told=_firing(told),
        stuck=stuck,
        failure=last.failure,
        under_way=stuck is not None
        and not last.failure
        and scoped.watch.now() - last.began_at <= UNDER_WAY,
    )


def _of_ledger(scoped: Scoped, row: AlertRow, told: list[DeliveryRow], say: Texts) -> DrillCard:
    firing = _firing(told)
    untold = not firing or any(each.state != OutboxState.TOLD for each in firing)
    over = None if row.resolved_at else Station.OVER
    return DrillCard(
        site=site_name(scoped.watch.registry, row.site, say),
        who="",
        began_at=row.fired_at,
        stations=[],
        told=firing,
        stuck=Station.TOLD if untold else over,
        alert=row.id,
    )


def _firing(told: list[DeliveryRow]) -> list[DeliveryRow]:
    found = [each for each in told if each.transition == Transition.FIRING]
    return found[:DELIVERIES_MAX]

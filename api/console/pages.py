"""The pages of the console."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from api.console import views
from api.console.login import NEXT_CHARS_MAX, Posting, ScopedPage, Viewing, own_path
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.live import devices_by_site, station_of
from api.http.routes.alerts import NOTE_CHARS_MAX, acknowledged, alert_in_full
from api.http.routes.inputs import Id, NameInPath, NumberInPath
from api.http.sessions import Session
from api.text.explaining import area_name
from rules.schedule import Schedule

pages = APIRouter()

MaySee = Annotated[Session, Depends(Viewing(Right.SEE))]


@pages.get("/stations")
async def stations(
    request: Request, session: MaySee, scoped: ScopedPage, area: Id | None = None
) -> Response:
    """Show every station, the worst first."""
    watch = scoped.watch
    return await asyncio.to_thread(
        page,
        request,
        "stations.html",
        here="stations",
        session=session,
        live=True,
        now=watch.now(),
        unwell=views.unwell(watch),
        stations=await views.stations(scoped, area),
        areas=scoped.areas(),
        area=area,
        zone=Schedule.nightly().zone,
    )


@pages.get("/stations/{area}/{site}")
async def station(
    request: Request, session: MaySee, scoped: ScopedPage, area: NameInPath, site: NameInPath
) -> Response:
    """Show a station: each device, its sockets, and what happened lately."""
    watch, entry = scoped.watch, scoped.site(f"{area}/{site}")
    devices = devices_by_site(watch)[entry.id]
    return await asyncio.to_thread(
        page,
        request,
        "station.html",
        session=session,
        live=True,
        now=watch.now(),
        unwell=views.unwell(watch),
        entry=entry,
        area_name=area_name,
        registry=watch.registry,
        station=station_of(watch, entry, devices),
        alerts=await views.recent_alerts(watch, entry.id, language_of(request)),
        overload={
            device.id: watch.registry.policy_of(device.id).overload for device in devices
        },
        zone=entry.schedule.zone,
    )


@pages.get("/alerts/{number}")
async def alert(
    request: Request, session: MaySee, scoped: ScopedPage, number: NumberInPath
) -> Response:
    """Show an alert with all that is known of it."""
    watch = scoped.watch
    row, log, deliveries = await alert_in_full(scoped, number)
    card = views.card(watch, row, language_of(request))
    return await asyncio.to_thread(
        page,
        request,
        "alert.html",
        session=session,
        live=True,
        now=watch.now(),
        unwell=views.unwell(watch),
        card=card,
        log=log,
        deliveries=deliveries,
        zone=card.zone,
        note_chars_max=NOTE_CHARS_MAX,
    )


@pages.post("/alerts/{number}/acknowledge")
async def acknowledge(
    _session: Annotated[Session, Depends(Posting(Right.ACKNOWLEDGE))],
    scoped: ScopedPage,
    number: NumberInPath,
    note: Annotated[str, Form(max_length=NOTE_CHARS_MAX)] = "",
    back: Annotated[str, Form(max_length=NEXT_CHARS_MAX)] = "/",
) -> Response:
    """Note that somebody sees to the alert, and go back to where the button was."""
    await acknowledged(scoped, number, note=note)
    return RedirectResponse(own_path(back), 303)

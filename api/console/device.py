"""The page of one device: its latest values, its charges, its alerts; and how to declare it."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.console import views
from api.console.charted import UNITS
from api.console.declaring import snippet_of
from api.console.devices import line_of
from api.console.drawing import drawing_of
from api.console.links import chart_path, device_path
from api.console.login import ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.console.station import HOURS, last_hours, pile_of
from api.http.access import Right
from api.http.live import device_of
from api.http.routes.inputs import NameInPath
from api.http.sessions import Session
from api.http.shapes.places import Device as Live
from api.text import Texts
from api.watch import Watch
from ingest.ledger import queries
from ingest.ledger import sessions as kept_sessions
from ingest.ledger.queries import AlertFilter, AlertRow
from ingest.ledger.sessions import SessionFilter, SessionRow
from ingest.registry import Device

SESSIONS_MAX, ALERTS_MAX = 8, 12
CHARTED = ("ambient_temperature_c", "device_temperature_c", "voltage_v", "battery_pct")
"""Of the device as a whole; its sockets have pages of their own."""
CHARTS_MAX = 2

device = APIRouter()


@device.get("/devices/{area}/{site}/{device:path}")
async def show(  # noqa: PLR0913, PLR0917  (a device is named by as much)
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SEE))],
    scoped: ScopedPage,
    area: NameInPath,
    site: NameInPath,
    device: NameInPath,
) -> Response:
    """Show a device with everything that is known of it now, and what it did lately."""
    watch, lang = scoped.watch, language_of(request)
    entry = scoped.device(f"{area}/{site}/{device}")
    place = watch.registry.sites[entry.site]
    live, now = device_of(watch, entry), watch.now()
    alerts, sessions = await _past(watch, entry)
    say, zone = Texts.of(lang), place.schedule.zone
    charts = []
    if request.headers.get("hx-request") != "true":
        charts = [
            (
                drawing_of(await last_hours(watch, entry.id, None, each, HOURS), say, zone),
                chart_path(entry.id, None, each, HOURS),
            )
            for each in _charted(live)
        ]
    return await asyncio.to_thread(
        page,
        request,
        "device.html",
        session=session,
        live=True,
        now=now,
        unwell=views.unwell(watch),
        entry=entry,
        site=place,
        line=line_of(watch, entry, now),
        pile=pile_of(watch, live),
        charts=charts,
        hours=HOURS,
        alerts=[views.card(watch, row, lang) for row in alerts],
        sessions=sessions,
        snippet=""
        if entry.declared
        else snippet_of(entry, place, known=watch.registry.areas[place.area].declared),
        here_again=device_path(entry.id),
        zone=zone,
    )


async def _past(watch: Watch, entry: Device) -> tuple[list[AlertRow], list[SessionRow]]:
    """Return the newest alerts and sessions of a device."""

    def ask(c: Connection) -> tuple[list[AlertRow], list[SessionRow]]:
        return (
            queries.find_alerts(c, AlertFilter(device=entry.id), ALERTS_MAX),
            kept_sessions.find_sessions(c, SessionFilter(device=entry.id), SESSIONS_MAX),
        )

    return await watch.ledger.read(ask)


def _charted(live: Live) -> list[str]:
    return [each for each in CHARTED if each in live.values and each in UNITS][:CHARTS_MAX]

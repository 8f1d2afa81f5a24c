"""One station with every socket at a glance, and the page of one socket."""

import asyncio
from datetime import timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from api.console import views
from api.console.chart import Chart, Question, drawn
from api.console.charted import UNITS, limits_of, present_of
from api.console.control import control_of
from api.console.drawing import as_json, drawing_of
from api.console.links import chart_path, socket_path
from api.console.login import ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.live import condition_of, station_of
from api.http.problems import Trouble
from api.http.routes.inputs import Channel, NameInPath
from api.http.sessions import Session
from api.http.shapes.places import Condition, Device, Socket
from api.text import Texts
from api.text.explaining import area_name, zone_of
from api.watch import Watch
from ingest.ledger import queries
from ingest.ledger import sessions as kept_sessions
from ingest.ledger.queries import AlertFilter, AlertRow
from ingest.ledger.sessions import SessionFilter, SessionRow
from rules.alerts import State
from rules.policy import Policy
from rules.readings import DeviceId

HOURS, HOURS_MAX = 6, 24 * 31
SESSIONS_MAX = 5
ALERTS_ASKED_MAX, ALERTS_MAX = 100, 8

station = APIRouter()

MaySee = Annotated[Session, Depends(Viewing(Right.SEE))]


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One socket in the drawing of its pile."""

    socket: Socket
    look: str
    """What it is at a glance: critical, warning, latched, charging, free or unknown."""
    hot: bool
    address: str


class Pile(msgspec.Struct, frozen=True):
    device: Device
    tiles: list[Tile]


@station.get("/stations/{area}/{site}")
async def show(
    request: Request, session: MaySee, scoped: ScopedPage, area: NameInPath, site: NameInPath
) -> Response:
    """Show a station: each device, its sockets, and what happened lately."""
    watch, entry = scoped.watch, scoped.site(f"{area}/{site}")
    found = station_of(watch, entry, scoped.devices_at(entry.id))
    piles = [pile_of(watch, device) for device in found.devices]
    span = entry.schedule.span(watch.now())
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
        station=found,
        chargers=[pile for pile in piles if pile.tiles],
        others=[pile.device for pile in piles if not pile.tiles],
        alerts=await views.recent_alerts(watch, entry.id, language_of(request)),
        span=span,
        zone=entry.schedule.zone,
    )


@station.get("/sockets/{area}/{site}/{device:path}")
async def socket(  # noqa: PLR0913, PLR0917  (a socket is named by as much)
    request: Request,
    session: MaySee,
    scoped: ScopedPage,
    area: NameInPath,
    site: NameInPath,
    device: NameInPath,
    channel: Channel | None = None,
) -> Response:
    """Show a socket: its charge, its last hours, its latch, and what can be done."""
    watch, lang = scoped.watch, language_of(request)
    entry = scoped.device(f"{area}/{site}/{device}")
    control = await control_of(scoped, entry, channel)
    if control.socket is None:
        raise Trouble(404, "There is no such socket.")
    say, zone = Texts.of(lang), zone_of(watch.registry, entry.site)
    asked_by_htmx = request.headers.get("hx-request") == "true"
    quantities = _charted(control.socket)
    charts = (
        []
        if asked_by_htmx
        else [
            (
                drawing_of(await last_hours(watch, entry.id, channel, each, HOURS), say, zone),
                chart_path(entry.id, channel, each, HOURS),
            )
            for each in quantities
        ]
    )
    alerts, sessions = await _past(watch, entry.id, channel)
    return await asyncio.to_thread(
        page,
        request,
        "socket.html",
        session=session,
        live=True,
        now=watch.now(),
        unwell=views.unwell(watch),
        entry=entry,
        site=watch.registry.sites[entry.site],
        control=control,
        tile=tile_of(watch, entry.id, control.socket),
        charts=charts,
        hours=HOURS,
        sessions=sessions,
        alerts=[views.card(watch, row, lang) for row in alerts],
        here_again=socket_path(entry.id, channel),
        zone=zone,
    )


@station.get("/charts/{area}/{site}/{device:path}")
async def chart(  # noqa: PLR0913, PLR0917
    request: Request,
    _session: MaySee,
    scoped: ScopedPage,
    area: NameInPath,
    site: NameInPath,
    device: NameInPath,
    quantity: Annotated[str, Query(max_length=40)],
    channel: Channel | None = None,
    hours: Annotated[int, Query(ge=1, le=HOURS_MAX)] = HOURS,
) -> Response:
    """Return the last hours of one quantity, for the script that draws them."""
    watch, entry = scoped.watch, scoped.device(f"{area}/{site}/{device}")
    if quantity not in UNITS:
        raise Trouble(422, "That quantity is not charted.")
    found = await last_hours(watch, entry.id, channel, quantity, hours)
    zone = zone_of(watch.registry, entry.site)
    body = as_json(found, Texts.of(language_of(request)), zone)
    return Response(body, media_type="application/json")


def pile_of(watch: Watch, device: Device) -> Pile:
    tiles = [tile_of(watch, DeviceId(device.id), each) for each in device.sockets]
    return Pile(device, tiles)


def tile_of(watch: Watch, device: DeviceId, socket: Socket) -> Tile:
    """Return how a socket looks: what fires there, then its latch, then how it is used."""
    firing = [
        alert
        for alert in watch.engine.alerts_of(device)
        if alert.state is State.FIRING
        and alert.key.channel == socket.channel
        and socket.channel is not None
    ]
    policy = watch.registry.policy_of(device)
    worst = condition_of(firing)
    if worst in {Condition.CRITICAL, Condition.WARNING}:
        look = str(worst)
    elif socket.latched_since is not None:
        look = "latched"
    else:
        look = _by_values(socket, policy)
    heat_c = socket.device_temperature_c
    return Tile(
        socket=socket,
        look=look,
        hot=heat_c is not None and heat_c >= policy.heat.warn_c,
        address=socket_path(device, socket.channel),
    )


def _by_values(socket: Socket, policy: Policy) -> str:
    """Return how bad its values are before anything fires: that takes a while."""
    heat_c, power_w = socket.device_temperature_c, socket.power_w
    heat, overload = policy.heat, policy.overload
    if (heat_c or 0.0) >= heat.act_c or (power_w or 0.0) > overload.act_w:
        return "critical"
    if (heat_c or 0.0) >= heat.warn_c or (power_w or 0.0) > overload.warn_w:
        return "warning"
    return str(socket.use)


def _charted(socket: Socket) -> list[str]:
    found = ["power_w"]
    if socket.device_temperature_c is not None:
        found.append("device_temperature_c")
    return found


async def last_hours(
    watch: Watch, device: DeviceId, channel: int | None, quantity: str, hours: int
) -> Chart:
    """Return the chart of one quantity up to now."""
    now = watch.now()
    question = Question(
        device=device,
        channels=(channel,),
        quantity=quantity,
        unit=UNITS[quantity],
        lowest=quantity == "battery_pct",
    )
    return await drawn(
        watch.history,
        question,
        (now - timedelta(hours=hours), now + timedelta(seconds=1)),
        limits=list(limits_of(quantity, watch.registry.policy_of(device))),
        present=present_of(watch.engine.device(device), question),
    )


async def _past(
    watch: Watch, device: DeviceId, channel: int | None
) -> tuple[list[AlertRow], list[SessionRow]]:
    """Return the newest alerts and sessions of a socket."""

    def ask(c: Connection) -> tuple[list[AlertRow], list[SessionRow]]:
        return (
            queries.find_alerts(c, AlertFilter(device=device), ALERTS_ASKED_MAX),
            kept_sessions.find_sessions(
                c, SessionFilter(device=device, channel=channel), SESSIONS_MAX
            ),
        )

    alerts, sessions = await watch.ledger.read(ask)
    own = [row for row in alerts if row.channel in {channel, None}]
    return own[:ALERTS_MAX], sessions

"""The page of one alert: what, where, since when; how it was measured; what can be done."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from api.console import views
from api.console.charted import chart_of_alert
from api.console.control import Control, control_of
from api.console.drawing import as_json, drawing_of
from api.console.duty import open_alert
from api.console.handling import handling_of
from api.console.login import NEXT_CHARS_MAX, Posting, ScopedPage, Viewing, own_path
from api.console.rendering import language_of, page
from api.console.timeline import timeline
from api.http.access import Right
from api.http.live import device_of
from api.http.routes.alerts import NOTE_CHARS_MAX, acknowledged, alert_in_full
from api.http.routes.inputs import NumberInPath
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.places import Device as Live
from api.text import Texts
from api.watch import Watch
from ingest.ledger import commanding, queries
from ingest.ledger.commanding import CommandFilter
from ingest.ledger.queries import AlertRow, EventRow
from rules.readings import DeviceId, Kind

NEAR_MAX = 24
"""Devices shown beside the one that the alert is about."""
COMMANDS_ASKED_MAX = 50
AFTERWARDS = timedelta(days=1)
"""How long after its end a command at the same socket still belongs to the alert's story."""

alert = APIRouter()

MaySee = Annotated[Session, Depends(Viewing(Right.SEE))]


class Near(msgspec.Struct, frozen=True):
    """The other devices of the station, those that may know more of a fire first."""

    devices: list[Live]
    more: int


@alert.get("/alerts/{number}")
async def show(
    request: Request, session: MaySee, scoped: ScopedPage, number: NumberInPath
) -> Response:
    """Show an alert with all that is known of it."""
    watch, lang = scoped.watch, language_of(request)
    now = watch.now()
    row, log, deliveries = await alert_in_full(scoped, number)
    log = await _with_commands(watch, row, log)
    card = views.card(watch, row, lang)
    say = Texts.of(lang)
    happened, left_out = timeline(log, deliveries, watch.directory, say)
    # A chart costs the history a question, and stays as it is when the rest is exchanged.
    asked_by_htmx = request.headers.get("hx-request") == "true"
    chart = None if asked_by_htmx else await chart_of_alert(watch, card.row, log, now)
    return await asyncio.to_thread(
        page,
        request,
        "alert.html",
        session=session,
        live=True,
        now=now,
        unwell=views.unwell(watch),
        card=card,
        reach=open_alert(scoped, card, now, lang),
        controls=await _controls(scoped, card.row),
        handling=await handling_of(scoped, row, lang),
        near=_near(scoped, card.row),
        drawing=chart and drawing_of(chart, say, card.zone),
        chart_address=f"/alerts/{number}/chart",
        happened=happened,
        left_out=left_out,
        here_again=f"/alerts/{number}",
        zone=card.zone,
        note_chars_max=NOTE_CHARS_MAX,
    )


@alert.get("/alerts/{number}/chart")
async def chart(
    request: Request, _session: MaySee, scoped: ScopedPage, number: NumberInPath
) -> Response:
    """Return the chart around an alert, for the script that draws it."""
    watch, lang = scoped.watch, language_of(request)
    row, log, _ = await alert_in_full(scoped, number)
    log = await _with_commands(watch, row, log)
    card = views.card(watch, row, lang)
    found = await chart_of_alert(watch, card.row, log, watch.now())
    body = b"null" if found is None else as_json(found, Texts.of(lang), card.zone)
    return Response(body, media_type="application/json")


@alert.post("/alerts/{number}/acknowledge")
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


async def _with_commands(
    watch: Watch, row: AlertRow, log: Sequence[EventRow]
) -> list[EventRow]:
    """Return the log with what people ordered at the same socket meanwhile.

    Their orders have logs of their own: an alert does not own its socket.
    """
    if not row.device:
        return list(log)
    wanted = CommandFilter(device=row.device, channel=row.channel)
    until = None if row.resolved_at is None else row.resolved_at + AFTERWARDS

    def ask(c: Connection) -> list[EventRow]:
        found = commanding.find_commands(c, wanted, COMMANDS_ASKED_MAX)
        episodes = {
            each.episode: None
            for each in found
            if each.ordered_at >= row.began_at and (until is None or each.ordered_at < until)
        }
        own = [each for each in episodes if each != row.episode]
        return [event for episode in own for event in queries.events_of(c, episode)]

    return _in_order([*log, *await watch.ledger.read(ask)])


def _in_order(log: Iterable[EventRow]) -> list[EventRow]:
    return sorted(log, key=_moment)


def _moment(event: EventRow) -> datetime:
    return event.at


async def _controls(scoped: Scoped, row: AlertRow) -> list[Control]:
    """Return the socket that the alert is about, or those of its charger that draw power."""
    if row.drill or not row.device or not scoped.has_device(row.device):
        return []
    entry = scoped.device(row.device)
    if entry.kind is not Kind.CHARGER:
        return []
    live = device_of(scoped.watch, entry)
    concerned = [
        socket.channel
        for socket in live.sockets
        if socket.channel == row.channel
        or (row.channel is None and (socket.charge or socket.latched_since))
    ]
    return [await control_of(scoped, entry, channel) for channel in concerned[:NEAR_MAX]]


def _near(scoped: Scoped, row: AlertRow) -> Near:
    """Return what else stands there: smoke detectors first, then what is not well."""
    watch = scoped.watch
    if row.drill:
        return Near([], 0)
    own = DeviceId(row.device)
    others = [entry for entry in scoped.devices_at(row.site) if entry.id != own]
    others.sort(key=lambda entry: (entry.kind is not Kind.SMOKE, entry.id))
    found = [device_of(watch, entry) for entry in others[:NEAR_MAX]]
    return Near(found, max(0, len(others) - NEAR_MAX))

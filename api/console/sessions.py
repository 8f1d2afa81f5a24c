"""Charging sessions: those that go on, and those that ended, newest first."""

import asyncio
import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.console import views
from api.console.login import ScopedPage, Viewing
from api.console.rendering import page
from api.http.access import Right
from api.http.problems import Trouble
from api.http.routes.inputs import BeforeId, Channel
from api.http.routes.sessions import open_sessions
from api.http.scope import Scoped
from api.http.sessions import Session as Login
from api.http.shapes.sessions import Session
from api.http.shapes.shape import NAME_CHARS_MAX
from ingest.ledger import queries
from ingest.ledger import sessions as kept
from ingest.ledger.queries import AlertFilter, AlertRow
from ingest.ledger.sessions import SessionFilter
from rules.schedule import Schedule
from rules.session import Ending

PER_PAGE = 50
OPEN_MAX = 200
"""Those that go on have no pages: they change while one turns them."""
SITES_MAX = 400
"""More stations than that are no list to choose from: one is typed."""
ALERTS_ASKED_MAX = 500
CSV_ROWS_MAX = 1_000
CSV_COLUMNS = (
    "device",
    "channel",
    "began_at",
    "ended_at",
    "duration_s",
    "energy_kwh",
    "peak_w",
    "ending",
    "stop_reason",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

sessions = APIRouter()

MaySee = Annotated[Login, Depends(Viewing(Right.SEE))]


class Which(StrEnum):
    ENDED = "ended"
    OPEN = "open"


class Charge(msgspec.Struct, frozen=True):
    """One session, with the alerts that fired meanwhile at its socket."""

    session: Session
    alerts: tuple[AlertRow, ...]
    zone: ZoneInfo


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the list is narrowed to, as it was asked."""

    which: Which
    site: str
    device: str
    channel: int | None
    day: str
    ending: str

    @property
    def query(self) -> dict[str, object]:
        which = None if self.which is Which.ENDED else self.which
        return msgspec.structs.asdict(self) | {"which": which}


async def asked(  # noqa: PLR0913, PLR0917  (each is a filter)
    which: Which = Which.ENDED,
    site: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = "",
    device: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = "",
    channel: Channel | None = None,
    day: Annotated[str, Query(max_length=10)] = "",
    ending: Annotated[str, Query(max_length=20)] = "",
) -> Asked:
    known = ending if ending in set(Ending) else ""
    return Asked(which=which, site=site, device=device, channel=channel, day=day, ending=known)


WhatIsAsked = Annotated[Asked, Depends(asked)]


@sessions.get("/sessions")
async def show(
    request: Request,
    session: MaySee,
    scoped: ScopedPage,
    wanted: WhatIsAsked,
    before_id: BeforeId | None = None,
) -> Response:
    """Show a page of sessions."""
    watch, zone = scoped.watch, _zone(scoped, wanted)
    found, older, wrong = await _found(scoped, wanted, zone, before_id)
    names = watch.registry.sites
    choices = sorted(scoped.sites(), key=lambda each: each.id)
    return await asyncio.to_thread(
        page,
        request,
        "sessions.html",
        here="sessions",
        session=session,
        now=watch.now(),
        unwell=views.unwell(watch),
        charges=await _with_alerts(scoped, found),
        older=older,
        wrong=wrong,
        wanted=wanted,
        whichs=list(Which),
        endings=list(Ending),
        choices=choices if len(choices) <= SITES_MAX else None,
        sites=names,
        zone=zone,
    )


@sessions.get("/sessions.csv")
async def as_csv(session: MaySee, scoped: ScopedPage, wanted: WhatIsAsked) -> Response:
    """Return what is listed as a table for a spreadsheet, the newest thousand."""
    del session
    zone = _zone(scoped, wanted)
    found, _, wrong = await _found(scoped, wanted, zone, None, limit=CSV_ROWS_MAX - 1)
    if wrong:
        raise Trouble(422, "day must be a date: 2026-11-23.")
    return Response(
        written(found, zone),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="sessions.csv"'},
    )


def written(found: Iterable[Session], zone: ZoneInfo) -> str:
    """Return sessions as CSV; no cell of it is a formula, whatever a device calls itself."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(CSV_COLUMNS)
    for each in found:
        rows.writerow(_cell(getattr(each, name), zone) for name in CSV_COLUMNS)
    return text.getvalue()


def _cell(value: object, zone: ZoneInfo) -> object:
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="seconds")
    if isinstance(value, str) and value.lstrip().startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _zone(scoped: Scoped, wanted: Asked) -> ZoneInfo:
    """Return on whose clock a day is: that of the site, if one was asked for."""
    site = wanted.site or "/".join(wanted.device.split("/")[:2])
    if scoped.has_site(site):
        return scoped.site(site).schedule.zone
    return Schedule.nightly().zone


async def _found(
    scoped: Scoped,
    wanted: Asked,
    zone: ZoneInfo,
    before_id: int | None,
    *,
    limit: int = PER_PAGE,
) -> tuple[list[Session], int | None, bool]:
    """Return a page, where the next one begins, and whether the day is none."""
    day = _day(wanted.day)
    if wanted.day and day is None:
        return [], None, True
    since = None if day is None else datetime.combine(day, time(), zone)
    question = SessionFilter(
        site=wanted.site or None,
        device=wanted.device or None,
        channel=wanted.channel,
        ending=wanted.ending or None,
        since=since,
        until=None if since is None else since + timedelta(days=1),
        before_id=before_id,
        areas=scoped.caller.within,
    )
    if wanted.which is Which.OPEN:
        return await open_sessions(scoped, question, max(limit, OPEN_MAX)), None, False
    rows = await scoped.watch.ledger.read(lambda c: kept.find_sessions(c, question, limit + 1))
    shown = [Session.of(row) for row in rows[:limit]]
    return shown, rows[limit - 1].id if len(rows) > limit else None, False


async def _with_alerts(scoped: Scoped, found: Sequence[Session]) -> list[Charge]:
    """Return sessions with the alerts at their sockets meanwhile, by one question for all."""
    watch = scoped.watch
    if not found:
        return []
    now = watch.now()
    wanted = AlertFilter(
        since=min(each.began_at for each in found),
        until=max(each.ended_at or now for each in found) + timedelta(minutes=1),
        areas=scoped.caller.within,
    )
    rows = await watch.ledger.read(lambda c: queries.find_alerts(c, wanted, ALERTS_ASKED_MAX))
    sites = watch.registry.sites
    zone = Schedule.nightly().zone
    return [
        Charge(
            each,
            tuple(row for row in rows if _within(row, each, now)),
            sites[each.site].schedule.zone if each.site in sites else zone,
        )
        for each in found
    ]


def _within(row: AlertRow, session: Session, now: datetime) -> bool:
    same = row.device == session.device and row.channel in {session.channel, None}
    return same and session.began_at <= row.fired_at <= (session.ended_at or now)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None

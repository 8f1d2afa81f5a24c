"""The duty view: what is open, whom to call, where it is; then what was over lately.

It is the page that stands open all night, so it is one answer: nothing is fetched later.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, Response

from api.console import views
from api.console.assets import ASKED_AGAIN, STATIC
from api.console.login import ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.routes.inputs import Id
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.places import Condition, Site
from api.text import Texts
from ingest.ledger import queries
from ingest.ledger.queries import AlertFilter
from ingest.people import Directory, Person, Role, Via
from ingest.registry import Location
from rules.alerts import State
from rules.schedule import Schedule
from rules.verdict import Severity

OVER_FOR = timedelta(hours=12)
OVER_MAX = 8
OVER_ASKED_MAX = 100
NEEDING_MAX = 12
DIALLED = frozenset("+*#0123456789")
MAPS = {"zh": "https://uri.amap.com/marker", "en": "https://www.openstreetmap.org/"}
"""Opened by a press only. AMap converts from WGS 84, without which it is 500 m off in China."""

duty = APIRouter()


class Contact(msgspec.Struct, frozen=True):
    """Whom to ring up about a site."""

    name: str
    number: str


class OpenAlert(msgspec.Struct, frozen=True, kw_only=True):
    card: views.AlertCard
    call: Contact | None
    map: str
    """The address of a map; empty: nobody said where the site is."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """How it looks at a glance."""

    mood: str
    """The gravest severity that nobody has acknowledged; else attended, blind or calm."""
    unseen: dict[Severity, int]
    attended: int

    @property
    def waiting(self) -> int:
        return sum(self.unseen.values())


@duty.get("/")
async def show(
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SEE))],
    scoped: ScopedPage,
    area: Id | None = None,
) -> Response:
    """Show what is open now, unacknowledged first, and then what else there is to know."""
    watch, lang = scoped.watch, language_of(request)
    now, unwell = watch.now(), views.unwell(watch)
    alerts = await views.open_alerts(scoped, lang, area)
    stations = await views.stations(scoped, area)
    needing = [each for each in stations.stations if each.condition != Condition.FINE]
    return await asyncio.to_thread(
        page,
        request,
        "duty.html",
        here="duty",
        session=session,
        live=True,
        now=now,
        unwell=unwell,
        calls=[
            (each, watch.directory.posts.get(each.post))
            for each in watch.post_checks.open.values()
            if scoped.may_answer(each)
        ],
        overview=overview_of(alerts.cards, blind=bool(unwell)),
        alerts=[open_alert(scoped, card, now, lang) for card in alerts.cards],
        more=alerts.more,
        over=await _lately_over(scoped, now, area, lang),
        needing=needing[:NEEDING_MAX],
        needing_more=max(0, len(needing) - NEEDING_MAX),
        watched=len(stations.stations) + stations.more,
        devices=_devices(stations.stations),
        areas=scoped.areas(),
        area=area,
        zone=Schedule.nightly().zone,
    )


@duty.get("/service-worker.js")
async def service_worker() -> Response:
    """Return the script that shows notifications: on a phone no page may do that itself."""
    return FileResponse(
        STATIC / "service-worker.js",
        media_type="text/javascript",
        headers={"Cache-Control": ASKED_AGAIN},
    )


def overview_of(cards: Iterable[views.AlertCard], *, blind: bool) -> Overview:
    """Return what the head of the page says. Drills are shown, but nothing is wrong."""
    real = [card.row for card in cards if not card.row.drill]
    unseen = Counter(Severity(row.severity) for row in real if row.acknowledged_at is None)
    gravest = max(unseen, key=lambda severity: severity.rank, default=None)
    calm = "attended" if real else "blind" if blind else "calm"
    return Overview(
        mood=gravest or calm,
        unseen={each: unseen[each] for each in reversed(Severity) if unseen[each]},
        attended=len(real) - unseen.total(),
    )


def open_alert(scoped: Scoped, card: views.AlertCard, now: datetime, lang: str) -> OpenAlert:
    """Telephone numbers are shown to those who may act, and of their own areas."""
    watch, site = scoped.watch, scoped.watch.registry.sites.get(card.row.site)
    if site is None or not scoped.caller.sees(site.id):
        return OpenAlert(card=card, call=None, map="")
    may_call = scoped.caller.may(Right.ACKNOWLEDGE)
    return OpenAlert(
        card=card,
        call=contact_for(watch.directory, site.area, now) if may_call else None,
        map=map_address(site.location, Texts.of(lang).name(site.name), lang),
    )


def contact_for(directory: Directory, area: str, now: datetime) -> Contact | None:
    """Return the manager to ring up: on duty before off duty, the area's own before others."""

    def order(person: Person) -> tuple[bool, bool, str]:
        return not person.on_duty(now), area not in person.areas, person.id

    able = [
        (person, number)
        for person in directory.people.values()
        if person.active and person.role is Role.MANAGER and person.answers_for(area)
        if (number := _number_of(person))
    ]
    if not able:
        return None
    person, number = min(able, key=lambda each: order(each[0]))
    return Contact(person.name, number)


def map_address(place: Location | None, name: str, lang: str) -> str:
    """Return where a map of the place is; it is opened only if somebody asks for it."""
    if place is None:
        return ""
    north, east = f"{place.latitude:.6f}", f"{place.longitude:.6f}"
    if lang == "zh":
        asked = {"position": f"{east},{north}", "name": name, "coordinate": "wgs84"}
        return f"{MAPS['zh']}?{urlencode(asked | {'callnative': '1'})}"
    return f"{MAPS['en']}?{urlencode({'mlat': north, 'mlon': east})}#map=18/{north}/{east}"


def _number_of(person: Person) -> str:
    for way in person.ways:
        if way.via in {Via.VOICE, Via.SMS}:
            return "".join(char for char in way.address if char in DIALLED)
    return ""


async def _lately_over(
    scoped: Scoped, now: datetime, area: str | None, lang: str
) -> list[views.AlertCard]:
    wanted = AlertFilter(state=State.RESOLVED, areas=scoped.caller.within)
    rows = await scoped.watch.ledger.read(
        lambda c: queries.find_alerts(c, wanted, OVER_ASKED_MAX)
    )
    lately = [
        row
        for row in rows
        if row.resolved_at is not None
        and now - row.resolved_at <= OVER_FOR
        and (area is None or row.site.startswith(f"{area}/"))
    ]
    lately.sort(key=lambda row: row.resolved_at or now, reverse=True)
    return [views.card(scoped.watch, row, lang) for row in lately[:OVER_MAX]]


def _devices(stations: Sequence[Site]) -> int:
    return sum(station.devices for station in stations)

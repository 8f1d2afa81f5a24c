"""Silences and maintenance windows: which there are, what they withhold; making and ending."""

import asyncio
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from api.console import views
from api.console.local_time import TYPED_CHARS_MAX, as_typed
from api.console.login import Posting, ScopedPage, Viewing
from api.console.rendering import language_of, page
from api.console.silence_cards import (
    SILENCED,
    Phase,
    card_of,
    places_to_choose,
    rule_names,
    withheld_by,
)
from api.console.silence_form import (
    Mistakes,
    Typed,
    Until,
    end_of,
    silence_typed,
    where_typed,
)
from api.http.access import Right
from api.http.problems import Trouble
from api.http.routes.inputs import Channel, Id, NumberInPath, Word
from api.http.routes.silences import silence_ended, silenced
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.shapes.shape import NAME_CHARS_MAX
from api.text import Texts
from ingest.ledger import silences as kept
from ingest.ledger.queries import AlertRow
from ingest.ledger.silences import SilenceRow
from rules.schedule import Schedule
from rules.silences import TEXT_CHARS_MAX, SilenceKind

OVER_FOR = timedelta(days=30)
OVER_SHOWN_MAX = 100

silences = APIRouter()

MaySee = Annotated[Session, Depends(Viewing(Right.SEE))]
Text = Annotated[str, Form(max_length=TEXT_CHARS_MAX)]
Time = Annotated[str, Form(max_length=TYPED_CHARS_MAX)]
Chosen = Annotated[str, Form(max_length=NAME_CHARS_MAX + 8)]


@silences.get("/silences")
async def show(request: Request, session: MaySee, scoped: ScopedPage) -> Response:
    """Show what is in force and planned, and what was over within the last 30 days."""
    watch, lang, own = scoped.watch, language_of(request), scoped.caller.within
    now = watch.now()

    def ask(c: Connection) -> tuple[list[SilenceRow], list[SilenceRow], list[AlertRow]]:
        return (
            kept.not_over(c, now, own),
            kept.over_since(c, now - OVER_FOR, now, OVER_SHOWN_MAX, own),
            withheld_by(c, scoped, SILENCED),
        )

    here, over, alerts = await watch.ledger.read(ask)
    cards = [card_of(scoped, row, alerts, lang) for row in here]
    return await asyncio.to_thread(
        page,
        request,
        "silences.html",
        here="silences",
        session=session,
        live=True,
        now=now,
        unwell=views.unwell(watch),
        in_force=[card for card in cards if card.phase is Phase.IN_FORCE],
        planned=sorted(
            (card for card in cards if card.phase is Phase.PLANNED),
            key=lambda card: card.row.silence.starts,
        ),
        over=[card_of(scoped, row, [], lang) for row in over],
        zone=Schedule.nightly().zone,
    )


@silences.get("/silences/new")
async def form(  # noqa: PLR0913, PLR0917  (each may be filled in by a link)
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.SILENCE))],
    scoped: ScopedPage,
    site: Id | None = None,
    device: Id | None = None,
    channel: Channel | None = None,
    rule: Word | None = None,
) -> Response:
    """Show the form; without a place, which site it is to be at."""
    if device is not None:
        site = scoped.device(device).site
    typed = Typed(
        site=site or "",
        where=where_typed(device or "", channel),
        rule=rule if rule in rule_names() else "",
        owner=session.caller.name,
    )
    return await _form(request, session, scoped, typed)


@silences.post("/silences")
async def make(  # noqa: PLR0913, PLR0917  (the fields of the form)
    request: Request,
    session: Annotated[Session, Depends(Posting(Right.SILENCE))],
    scoped: ScopedPage,
    site: Chosen = "",
    where: Chosen = "",
    rule: Annotated[str, Form(max_length=64)] = "",
    kind: Annotated[str, Form(max_length=20)] = SilenceKind.SILENCE,
    owner: Text = "",
    reason: Text = "",
    starts: Time = "",
    until: Annotated[str, Form(max_length=20)] = Until.HALF_HOUR,
    ends: Time = "",
) -> Response:
    """Put a silence in force, and show what it withholds; or show what is wrong with it."""
    typed = Typed(
        site=site,
        where=where,
        rule=rule,
        kind=kind,
        owner=owner,
        reason=reason,
        starts=starts,
        until=until,
        ends=ends,
    )
    place = scoped.site(site)
    devices = [device.id for device in scoped.devices() if device.site == place.id]
    wanted = silence_typed(typed, devices, scoped.watch.now(), place.schedule.zone)
    if isinstance(wanted, Mistakes):
        return await _form(request, session, scoped, typed, wanted)
    try:
        made = await silenced(scoped, wanted)
    except Trouble as refused:
        words = "too_many" if refused.status == 409 else "refused"  # noqa: PLR2004  (Conflict)
        mistakes = Mistakes({"": f"ui.silence.wrong.{words}"})
        return await _form(request, session, scoped, typed, mistakes)
    return RedirectResponse(f"/silences/{made.id}", 303)


@silences.get("/silences/{number}")
async def one(
    request: Request, session: MaySee, scoped: ScopedPage, number: NumberInPath
) -> Response:
    """Show one, what it withholds now, and what ending it would do."""
    watch, row = scoped.watch, await scoped.silence(number)
    alerts = await watch.ledger.read(lambda c: withheld_by(c, scoped, f"{SILENCED}{number}"))
    card = card_of(scoped, row, alerts, language_of(request))
    return await asyncio.to_thread(
        page,
        request,
        "silence.html",
        here="silences",
        session=session,
        live=True,
        now=watch.now(),
        unwell=views.unwell(watch),
        card=card,
        zone=card.zone,
    )


@silences.post("/silences/{number}/end")
async def end(
    _session: Annotated[Session, Depends(Posting(Right.SILENCE))],
    scoped: ScopedPage,
    number: NumberInPath,
) -> Response:
    """End one now: what still fires is told at once."""
    await silence_ended(scoped, number)
    return RedirectResponse(f"/silences/{number}", 303)


async def _form(
    request: Request,
    session: Session,
    scoped: Scoped,
    typed: Typed,
    mistakes: Mistakes | None = None,
) -> Response:
    """Return the form, or first the choice of a site."""
    say, now = Texts.of(language_of(request)), scoped.watch.now()
    site = scoped.site(typed.site) if typed.site else None
    zone = (site.schedule if site else Schedule.nightly()).zone
    return await asyncio.to_thread(
        page,
        request,
        "silence_new.html",
        status=200 if mistakes is None else 422,
        here="silences",
        session=session,
        now=now,
        typed=typed,
        wrong={} if mistakes is None else mistakes.fields,
        site=site,
        sites=sorted((each.id, say.name(each.name)) for each in scoped.sites()),
        places=places_to_choose(scoped, site, typed, say),
        rules=[(name, say(f"rule.{name}.name")) for name in rule_names()],
        untils=[(until, end_of(until, now, zone)) for until in Until],
        earliest=as_typed(now, zone),
        text_chars_max=TEXT_CHARS_MAX,
        zone=zone,
    )

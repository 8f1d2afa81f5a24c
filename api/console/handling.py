"""The part of an alert's page on which people say and show what they do about it."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from api.console.login import Posting, ScopedPage, Viewing, not_from_elsewhere
from api.http import handling
from api.http.access import Right
from api.http.context import context_of
from api.http.handling import HAND_NOTE_CHARS_MAX, NOTE_CHARS_MAX
from api.http.problems import Trouble
from api.http.routes.handling import jpeg_response
from api.http.routes.inputs import NumberInPath
from api.http.scope import Scoped
from api.http.sessions import Session
from api.http.uploads import form_of, photograph_in, text_in
from api.text import Texts, plain
from api.text.naming import named
from ingest.ledger.photos import Photo
from ingest.ledger.queries import AlertRow
from ingest.people import Person, Post
from rules.alerts import State

handled = APIRouter()

MayAct = Annotated[Session, Depends(Posting(Right.ACKNOWLEDGE))]


class Handling(msgspec.Struct, frozen=True, kw_only=True):
    """Who follows an alert, what there is to see of it, and what the reader may do."""

    handler: str
    """In words; empty: nobody."""
    mine: bool
    photos: list[Photo]
    candidates: list[tuple[str, str]]
    """To whom it may be handed over: the id, and what they are called."""
    may: bool
    lasts: bool
    """Whether it can still be taken and handed over."""
    note_chars_max: int = NOTE_CHARS_MAX
    hand_note_chars_max: int = HAND_NOTE_CHARS_MAX


async def handling_of(scoped: Scoped, row: AlertRow, lang: str) -> Handling:
    """Return what the partial `handling.html` shows of an alert."""
    say, caller, directory = Texts.of(lang), scoped.caller, scoped.watch.directory
    may, lasts = caller.may(Right.ACKNOWLEDGE), row.state == State.FIRING
    candidates = handling.candidates_for(scoped, row) if may and lasts else []
    return Handling(
        handler=named(row.handler, directory, say),
        mine=row.handler == caller.name and row.handler_since is not None,
        photos=await handling.photos(scoped, row.id),
        candidates=[(each.recipient, _called(each.who, say)) for each in candidates],
        may=may,
        lasts=lasts,
    )


@handled.post("/alerts/{number}/notes")
async def note(
    _session: MayAct,
    scoped: ScopedPage,
    number: NumberInPath,
    text: Annotated[str, Form(max_length=2 * NOTE_CHARS_MAX)] = "",
) -> Response:
    """Write a note into the alert's log."""
    await handling.noted(scoped, number, text)
    return _back_to(number)


@handled.post("/alerts/{number}/photos")
async def add_photo(
    request: Request,
    session: Annotated[Session, Depends(Viewing(Right.ACKNOWLEDGE))],
    scoped: ScopedPage,
    number: NumberInPath,
) -> Response:
    """Add a photo. The form is read here: only of whoever may is so much taken."""
    not_from_elsewhere(request)
    await scoped.alert(number)
    async with form_of(request) as form:
        if not session.allows(text_in(form, "csrf")):
            raise Trouble(403, "The form is too old.", words="problem.form_old")
        photograph = await photograph_in(form, context_of(request).darkroom)
    await handling.photographed(scoped, number, photograph)
    return _back_to(number)


@handled.get("/alerts/{number}/photos/{photo}")
async def one_photo(
    _session: Annotated[Session, Depends(Viewing(Right.SEE))],
    scoped: ScopedPage,
    number: NumberInPath,
    photo: NumberInPath,
) -> Response:
    """Show a photo."""
    return jpeg_response(await handling.jpeg(scoped, number, photo), number, photo)


@handled.post("/alerts/{number}/take")
async def take(_session: MayAct, scoped: ScopedPage, number: NumberInPath) -> Response:
    """Follow the alert from now on."""
    await handling.taken(scoped, number)
    return _back_to(number)


@handled.post("/alerts/{number}/hand")
async def hand(
    _session: MayAct,
    scoped: ScopedPage,
    number: NumberInPath,
    to: Annotated[str, Form(max_length=200)] = "",
    note: Annotated[str, Form(max_length=HAND_NOTE_CHARS_MAX)] = "",
) -> Response:
    """Ask somebody to take the alert over."""
    await handling.handed(scoped, number, to, note)
    return _back_to(number)


def _back_to(number: int) -> Response:
    return RedirectResponse(f"/alerts/{number}#handling", 303)


def _called(who: Person | Post, say: Texts) -> str:
    if isinstance(who, Person):
        return plain(who.name)
    return say("handling.hand.post", name=say.name(who.name))

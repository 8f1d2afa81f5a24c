"""One's own page: how one is reached, where one is logged in, tokens for one's programs."""

import asyncio
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from api.console.login import OwnPost, Visitor
from api.console.people import area_name
from api.console.people_forms import typed_way
from api.console.rendering import language_of, page
from api.http.access import Right
from api.http.context import context_of
from api.http.people_tokens import LASTS_MAX, NAME_CHARS_MAX
from api.http.problems import Trouble
from api.http.routes.inputs import NumberInPath
from api.http.scope import Scoped
from api.http.sessions import Session
from api.text import Texts
from ingest.clock import utc_now
from rules.schedule import Schedule

me = APIRouter()

DIGEST_CHARS = 64


@me.get("/me")
async def show(request: Request, session: Visitor) -> Response:
    return await _page(request, session)


@me.post("/me/logins/end")
async def end_login(
    request: Request,
    session: OwnPost,
    login: Annotated[str, Form(max_length=DIGEST_CHARS)] = "",
) -> Response:
    """End a login of one's own at another place."""
    try:
        digest = bytes.fromhex(login)
    except ValueError as error:
        raise Trouble(404, "There is no such login.") from error
    if not digest or not await context_of(request).sessions.end(session, digest):
        raise Trouble(404, "There is no such login.")
    return RedirectResponse("/me", 303)


@me.post("/me/tokens")
async def make_token(
    request: Request,
    session: OwnPost,
    name: Annotated[str, Form(max_length=NAME_CHARS_MAX)] = "",
    right: Annotated[list[Right], Form()] = [],  # noqa: B006
    days: Annotated[int, Form(ge=1, le=LASTS_MAX.days)] = 90,
) -> Response:
    """Make a token; its secret is on this page, this once."""
    say = Texts.of(language_of(request))
    tokens = context_of(request).tokens
    try:
        _, secret = await tokens.make(session.caller, name, right, timedelta(days=days))
    except Trouble as refused:
        if refused.status == 403:  # noqa: PLR2004  (who came with a token of the operator's)
            raise
        return await _page(request, session, wrong=say("ui.me.token.wrong"))
    return await _page(request, session, secret=secret)


@me.post("/me/tokens/{number}/revoke")
async def revoke_token(request: Request, session: OwnPost, number: NumberInPath) -> Response:
    """Revoke a token of one's own."""
    tokens = context_of(request).tokens
    if number not in {each.id for each in await tokens.of(session.caller)}:
        raise Trouble(404, "There is no such token.")
    await tokens.revoke(session.caller, number)
    return RedirectResponse("/me", 303)


async def _page(
    request: Request, session: Session, *, secret: str = "", wrong: str = ""
) -> Response:
    context, caller = context_of(request), session.caller
    watch, wall = context.watch, utc_now()
    person = watch.directory.people.get(caller.person)
    say, scoped = Texts.of(language_of(request)), Scoped(watch, caller)
    logins = await context.sessions.of(caller)
    tokens = await context.tokens.of(caller) if caller.person else []
    return await asyncio.to_thread(
        page,
        request,
        "me.html",
        status=422 if wrong else 200,
        headers={"Cache-Control": "no-store"},
        here="me",
        session=session,
        person=person,
        ways=[] if person is None else [typed_way(way) for way in person.ways],
        on_duty=person is not None and person.on_duty(watch.now()),
        areas=[area_name(scoped, each, say) for each in sorted(caller.areas)],
        logins=logins,
        tokens=[each for each in tokens if each.revoked_at is None],
        rights=[(right.value, say.word("right", right)) for right in sorted(caller.rights)],
        secret=secret,
        wrong=wrong,
        name_chars_max=NAME_CHARS_MAX,
        now=wall,
        zone=Schedule.nightly().zone,
    )

"""The page behind a notification's link: one alert, one big button, no login.

Whoever fetches it changes nothing: chats and mail scanners open every link. It knows the one
alert and nothing else, is kept by nobody, and tells a guesser nothing but that it is no link.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import RedirectResponse, Response

from api.answering import NAME_CHARS_MAX
from api.console import views
from api.console.login import not_from_elsewhere
from api.console.rendering import YEAR_S, is_secure, language_of, page
from api.http import handling
from api.http.answers import Answers, Opened
from api.http.context import context_of
from api.http.handling import NOTE_CHARS_MAX
from api.http.uploads import form_of, photograph_in, text_in
from api.links import PATHS, TOKEN_CHARS_MAX, LinkRefused, Purpose
from api.text import Texts
from api.text.naming import named

NAME_COOKIE = "chargewatch_name"
FORM_CHARS_MAX = 200
APART = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow, noarchive"}
"""The address is the key: it goes nowhere from here."""
STATUS = {
    LinkRefused.WRONG: HTTPStatus.NOT_FOUND,
    LinkRefused.EXPIRED: HTTPStatus.GONE,
    LinkRefused.ENDED: HTTPStatus.GONE,
}

answering = APIRouter()

Token = Annotated[str, Path(max_length=2 * TOKEN_CHARS_MAX)]
Name = Annotated[str, Form(max_length=FORM_CHARS_MAX)]


@answering.get("/a/{token}")
async def show(request: Request, token: Token) -> Response:
    """Show which alert it is. Nothing happens by that."""
    opened = await _answers(request).open(token)
    if isinstance(opened, LinkRefused):
        return _refused(request, opened)
    return await _shown(request, token, opened)


@answering.post("/a/{token}")
async def answer(request: Request, token: Token, name: Name = "", who: Name = "") -> Response:
    """Acknowledge the alert, or take it over if it was handed over."""
    not_from_elsewhere(request)
    answers = _answers(request)
    opened = await answers.open(token)
    if isinstance(opened, LinkRefused):
        return _refused(request, opened)
    said = answers.name_in(opened, name, who)
    if not opened.waits:
        return await _shown(request, token, opened, status=HTTPStatus.CONFLICT)
    if opened.person is None and not said:
        return await _shown(request, token, opened, nameless=True)
    if not await answers.answer(opened, said):
        return await _again(request, token)
    return _back(request, token, said)


@answering.post("/a/{token}/notes")
async def note(
    request: Request,
    token: Token,
    text: Annotated[str, Form(max_length=2 * NOTE_CHARS_MAX)] = "",
    name: Name = "",
) -> Response:
    """Write a note into the alert's log."""
    not_from_elsewhere(request)
    answers = _answers(request)
    opened = await answers.open(token)
    if isinstance(opened, LinkRefused):
        return _refused(request, opened)
    said = answers.name_in(opened, name)
    if opened.person is None and not said:
        return await _shown(request, token, opened, nameless=True)
    await handling.noted(answers.scoped(opened, said), opened.row.id, text)
    return _back(request, token, said)


@answering.post("/a/{token}/photos")
async def photo(request: Request, token: Token) -> Response:
    """Add a photo. Only behind a link that is good is so much taken."""
    not_from_elsewhere(request)
    answers = _answers(request)
    opened = await answers.open(token)
    if isinstance(opened, LinkRefused):
        return _refused(request, opened)
    async with form_of(request) as form:
        said = answers.name_in(opened, text_in(form, "name"))
        if opened.person is None and not said:
            return await _shown(request, token, opened, nameless=True)
        photograph = await photograph_in(form, context_of(request).darkroom)
    await handling.photographed(answers.scoped(opened, said), opened.row.id, photograph)
    return _back(request, token, said)


async def _shown(
    request: Request,
    token: str,
    opened: Opened,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    nameless: bool = False,
) -> Response:
    watch, lang = context_of(request).watch, language_of(request)
    say, row = Texts.of(lang), opened.row
    photos = await handling.photos(_answers(request).scoped(opened, ""), row.id)
    return await asyncio.to_thread(
        page,
        request,
        "answer.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if nameless else status,
        headers=APART,
        address=PATHS[Purpose.ALERT] + token,
        card=views.card(watch, row, lang),
        now=watch.now(),
        opened=opened,
        person=opened.person,
        name=_name_kept(request),
        name_chars_max=NAME_CHARS_MAX,
        note_chars_max=NOTE_CHARS_MAX,
        acknowledged_by=named(row.acknowledged_by or "", watch.directory, say),
        handler=named(row.handler, watch.directory, say),
        used_by=named(opened.used.by, watch.directory, say) if opened.used else "",
        members=[(each, each) for each in opened.members],
        photos=len(photos),
        late=status is HTTPStatus.CONFLICT,
        wrong=nameless,
    )


async def _again(request: Request, token: str) -> Response:
    """Show what has become of it, to somebody who was too late."""
    opened = await _answers(request).open(token)
    if isinstance(opened, LinkRefused):
        return _refused(request, opened)
    return await _shown(request, token, opened, status=HTTPStatus.CONFLICT)


def _refused(request: Request, why: LinkRefused) -> Response:
    return page(request, "answer_refused.html", status=STATUS[why], headers=APART, why=why)


def _back(request: Request, token: str, name: str) -> Response:
    """Lead back to the page, and remember what somebody said they are called."""
    headers: Mapping[str, str] = APART
    response = RedirectResponse(PATHS[Purpose.ALERT] + token, 303, headers=dict(headers))
    if name:
        response.set_cookie(
            NAME_COOKIE,
            quote(name[:NAME_CHARS_MAX], safe=""),
            max_age=YEAR_S,
            path=PATHS[Purpose.ALERT],
            httponly=True,
            samesite="lax",  # the link is opened from a chat, which is another site
            secure=is_secure(request),
        )
    return response


def _name_kept(request: Request) -> str:
    return unquote(request.cookies.get(NAME_COOKIE, ""))[:NAME_CHARS_MAX]


def _answers(request: Request) -> Answers:
    return context_of(request).answers

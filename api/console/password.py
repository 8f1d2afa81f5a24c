"""Choosing another password: of one's own will, or because somebody else made the first."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from api.console.login import (
    FromOwnPage,
    LoggedIn,
    address_of,
    give_cookie,
    wait_words,
)
from api.console.rendering import language_of, page
from api.http.context import context_of
from api.http.door import PasswordRefused, Wait
from api.http.problems import Trouble
from api.http.sessions import Session
from api.passwords import CHARS_MAX, CHARS_MIN
from api.text import Texts

password = APIRouter()

Typed = Annotated[str, Form(max_length=CHARS_MAX)]


@password.get("/password")
async def form(request: Request, session: LoggedIn) -> Response:
    return _form(request, session)


@password.post("/password")
async def change(
    request: Request, session: FromOwnPage, old: Typed = "", new: Typed = "", again: Typed = ""
) -> Response:
    """Change the caller's own password: all their logins end, and this one begins anew."""
    say = Texts.of(language_of(request))
    if new != again:
        return _form(request, session, status=422, message=say("ui.password.differs"))
    door = context_of(request).door
    try:
        fresh = await door.change_password(session, old, new, address_of(request))
    except PasswordRefused as refused:
        message = say(f"ui.password.{refused.reason}")
        return _form(request, session, status=422, message=message)
    except Wait as wait:
        message, headers = wait_words(request, wait.seconds)
        return _form(request, session, status=429, message=message, headers=headers)
    response = RedirectResponse("/", 303)
    give_cookie(response, request, fresh)
    return response


def _form(
    request: Request,
    session: Session,
    *,
    status: int = 200,
    message: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    if not session.caller.person:
        raise Trouble(404, "Whoever came with a token has no password.")
    return page(
        request,
        "password.html",
        status=status,
        headers=headers,
        session=session,
        message=message,
        chars_min=CHARS_MIN,
        chars_max=CHARS_MAX,
    )

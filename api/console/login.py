"""Logging in and out, and who is looking at a page."""

import math
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from api.console.rendering import is_secure, language_of, page
from api.http.access import TOKEN_CHARS_MAX, Right
from api.http.context import context_of
from api.http.door import NAME_CHARS_MAX, Wait
from api.http.problems import LoginNeeded, PasswordNeeded, Trouble
from api.http.scope import Scoped
from api.http.sessions import SESSION_S, Session
from api.passwords import CHARS_MAX
from api.text import Texts

COOKIE = "chargewatch_session"
NEXT_CHARS_MAX = 1_000

login = APIRouter()


async def logged_in(request: Request) -> Session:
    """Return the session of whoever asks, or send them to log in."""
    context = context_of(request)
    seen = context.watch.changes.number
    session = await context.sessions.find(request.cookies.get(COOKIE))
    if session is None:
        raise LoginNeeded
    context.not_too_much(session.caller)
    request.state.seen = seen  # whatever the page looks up is not older than this
    return session


LoggedIn = Annotated[Session, Depends(logged_in)]


async def visitor(session: LoggedIn) -> Session:
    """Return the session of whoever looks at a page, once their password is their own."""
    if session.must_change:
        raise PasswordNeeded
    return session


Visitor = Annotated[Session, Depends(visitor)]


async def scoped_page(request: Request, session: Visitor) -> Scoped:
    """Return the watch as the visitor may see it."""
    return Scoped(context_of(request).watch, session.caller)


ScopedPage = Annotated[Scoped, Depends(scoped_page)]
Csrf = Annotated[str, Form(max_length=200)]


async def from_own_page(request: Request, session: LoggedIn, csrf: Csrf = "") -> Session:
    """Return the session of a post that one of our own pages made, or refuse with 403."""
    not_from_elsewhere(request)
    if not session.allows(csrf):
        raise Trouble(403, "The form is too old.", words="problem.form_old")
    return session


FromOwnPage = Annotated[Session, Depends(from_own_page)]


async def own_post(session: FromOwnPage) -> Session:
    """As for `from_own_page`, once the password is their own."""
    if session.must_change:
        raise PasswordNeeded
    return session


OwnPost = Annotated[Session, Depends(own_post)]


class Viewing:
    """The dependency of every page: whose session it is, if they have the right; else 403."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, session: Visitor) -> Session:
        return _with(session, self.right)


class Posting:
    """The dependency of every post: as for a page, and one of our own pages made it."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, session: OwnPost) -> Session:
        return _with(session, self.right)


def _with(session: Session, right: Right) -> Session:
    if not session.caller.may(right):
        raise Trouble(403, f"The right {right.value!r} is missing.", words="problem.no_right")
    return session


def not_from_elsewhere(request: Request) -> None:
    """Refuse what a page of somebody else made this browser send."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Trouble(403, "Sent by a foreign page.", words="problem.foreign")


@login.get("/login")
async def form(
    request: Request,
    after: Annotated[str, Query(alias="next", max_length=NEXT_CHARS_MAX)] = "/",
) -> Response:
    return _form(request, after)


@login.post("/login")
async def begin(
    request: Request,
    name: Annotated[str, Form(max_length=NAME_CHARS_MAX)] = "",
    password: Annotated[str, Form(max_length=CHARS_MAX)] = "",
    token: Annotated[str, Form(max_length=TOKEN_CHARS_MAX)] = "",
    after: Annotated[str, Form(alias="next", max_length=NEXT_CHARS_MAX)] = "/",
) -> Response:
    """Take name and password, or an operator's token, and begin a session under a new id."""
    not_from_elsewhere(request)
    door, address = context_of(request).door, address_of(request)
    typed: dict[str, Any] = {"name": name, "with_token": bool(token)}
    try:
        if token:
            session = await door.by_token(token, address)
        else:
            session = await door.by_password(name, password, address)
    except Wait as wait:
        message, headers = wait_words(request, wait.seconds)
        return _form(request, after, status=429, message=message, headers=headers, **typed)
    if session is None:
        words = "ui.login.wrong" if token else "ui.login.wrong_password"
        message = Texts.of(language_of(request))(words)
        return _form(request, after, status=401, message=message, **typed)
    response = RedirectResponse("/password" if session.must_change else own_path(after), 303)
    give_cookie(response, request, session)
    return response


@login.post("/logout")
async def end(request: Request, session: FromOwnPage) -> Response:
    await context_of(request).sessions.end(session)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=is_secure(request))
    return response


def give_cookie(response: Response, request: Request, session: Session) -> None:
    """Have the browser hold a session, where no script and no other site reaches it."""
    response.set_cookie(
        COOKIE,
        session.id,
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )


def address_of(request: Request) -> str:
    """Return from where somebody asks: uvicorn believes the proxies that the settings name."""
    return request.client.host if request.client else ""


def wait_words(request: Request, wait_s: float) -> tuple[str, dict[str, str]]:
    """Return how to say that somebody must wait, to people and to their browser."""
    say, seconds = Texts.of(language_of(request)), math.ceil(wait_s)
    message = say("ui.login.wait", wait=say.span(timedelta(seconds=seconds)))
    return message, {"Retry-After": str(seconds)}


def _form(
    request: Request,
    after: str,
    *,
    status: int = 200,
    message: str = "",
    headers: dict[str, str] | None = None,
    **typed: object,
) -> Response:
    return page(
        request,
        "login.html",
        **typed,
        status=status,
        headers=headers,
        message=message,
        after=own_path(after),
    )


def own_path(path: str) -> str:
    """Return `path` if it leads to a page of ours, else the first page."""
    own = path.startswith("/") and not path.startswith("//") and path.isprintable()
    return path if own and "\\" not in path and len(path) <= NEXT_CHARS_MAX else "/"

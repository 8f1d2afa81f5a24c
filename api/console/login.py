"""Logging in and out, and who is looking at a page."""

import math
from datetime import timedelta
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from api.console.rendering import is_secure, language_of, page
from api.http.access import TOKEN_CHARS_MAX, Right
from api.http.context import context_of
from api.http.problems import LoginNeeded, Trouble
from api.http.scope import Scoped
from api.http.sessions import SESSION_S, Session
from api.text import Texts

COOKIE = "chargewatch_session"
NEXT_CHARS_MAX = 1_000

log = structlog.get_logger("api.console")

login = APIRouter()


async def visitor(request: Request) -> Session:
    """Return the session of whoever looks at a page, or send them to log in."""
    session = context_of(request).sessions.find(request.cookies.get(COOKIE))
    if session is None:
        raise LoginNeeded
    return session


Visitor = Annotated[Session, Depends(visitor)]


async def scoped_page(request: Request, session: Visitor) -> Scoped:
    """Return the watch as the visitor may see it."""
    return Scoped(context_of(request).watch, session.caller)


ScopedPage = Annotated[Scoped, Depends(scoped_page)]
Csrf = Annotated[str, Form(max_length=200)]


async def own_post(request: Request, session: Visitor, csrf: Csrf = "") -> Session:
    """Return the session of a post that one of our own pages made, or refuse with 403."""
    not_from_elsewhere(request)
    if not session.allows(csrf):
        raise Trouble(403, "The form is too old.", words="problem.form_old")
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
    token: Annotated[str, Form(max_length=TOKEN_CHARS_MAX)] = "",
    after: Annotated[str, Form(alias="next", max_length=NEXT_CHARS_MAX)] = "/",
) -> Response:
    """Take a token and begin a session; guesses are answered ever more slowly."""
    not_from_elsewhere(request)
    context = context_of(request)
    address = request.client.host if request.client else ""
    if wait_s := context.throttle.wait_s(address):
        return _wait(request, after, wait_s)
    caller = context.access.grant(token.strip())
    if caller is None:
        context.throttle.failed(address)
        log.warning("login.refused", address=address)
        say = Texts.of(language_of(request))
        return _form(request, after, status=401, message=say("ui.login.wrong"))
    context.throttle.succeeded(address)
    session = context.sessions.begin(caller)
    log.info("login.begun", who=caller.name, address=address)
    response = RedirectResponse(own_path(after), 303)
    response.set_cookie(
        COOKIE,
        session.id,
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )
    return response


@login.post("/logout")
async def end(request: Request, session: OwnPost) -> Response:
    context_of(request).sessions.end(session.id)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _wait(request: Request, after: str, wait_s: float) -> Response:
    say = Texts.of(language_of(request))
    wait = timedelta(seconds=math.ceil(wait_s))
    return _form(
        request,
        after,
        status=429,
        message=say("ui.login.wait", wait=say.span(wait)),
        headers={"Retry-After": str(math.ceil(wait_s))},
    )


def _form(
    request: Request,
    after: str,
    *,
    status: int = 200,
    message: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    return page(
        request,
        "login.html",
        status=status,
        headers=headers,
        message=message,
        after=own_path(after),
    )


def own_path(path: str) -> str:
    """Return `path` if it leads to a page of ours, else the first page."""
    own = path.startswith("/") and not path.startswith("//") and path.isprintable()
    return path if own and "\\" not in path and len(path) <= NEXT_CHARS_MAX else "/"

"""What every request is given: the watch, who may log in, and who is asking."""

from typing import Annotated, cast

import msgspec
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.http.access import Access, Caller, Right
from api.http.answers import Answers
from api.http.door import Door
from api.http.people_tokens import PeopleTokens
from api.http.problems import Trouble, too_much
from api.http.scope import Scoped
from api.http.sessions import Sessions
from api.http.throttle import Buckets
from api.photographs import Darkroom
from api.watch import Watch


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One for each application; made by `create_app`."""

    watch: Watch
    access: Access
    sessions: Sessions
    door: Door
    tokens: PeopleTokens
    answers: Answers
    darkroom: Darkroom
    callers: Buckets
    """How much each caller may ask."""
    tries: Buckets
    """How often a way may be tried."""

    def not_too_much(self, caller: Caller) -> None:
        """Refuse with 429 whoever asks more than anybody needs."""
        if wait_s := self.callers.wait_s(caller.person or f"token:{caller.name}"):
            raise too_much(wait_s)


def context_of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


async def watch_of(request: Request) -> Watch:
    return context_of(request).watch


_bearer = HTTPBearer(auto_error=False, description="A token with the scope read or write.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def caller_of(request: Request, credentials: Credentials) -> Caller:
    """Return who asks, or refuse with 401."""
    context = context_of(request)
    caller = credentials and await context.access.grant(credentials.credentials)
    if not caller:
        raise Trouble(
            401,
            "Send a token: Authorization: Bearer …",
            headers={"WWW-Authenticate": 'Bearer realm="chargewatch"'},
        )
    context.not_too_much(caller)
    return caller


class Allowed:
    """The dependency of every route: who asks, if they have the right; else 401 or 403."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        if not caller.may(self.right):
            raise Trouble(403, f"{caller.name!r} lacks the right {self.right.value!r}.")
        return caller


async def scoped_of(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Scoped:
    """Return the watch as the caller may see it."""
    return Scoped(context_of(request).watch, caller)


WatchHere = Annotated[Watch, Depends(watch_of)]
ScopedHere = Annotated[Scoped, Depends(scoped_of)]
MaySee = Annotated[Caller, Depends(Allowed(Right.SEE))]
MayAcknowledge = Annotated[Caller, Depends(Allowed(Right.ACKNOWLEDGE))]
MaySilence = Annotated[Caller, Depends(Allowed(Right.SILENCE))]
MayCut = Annotated[Caller, Depends(Allowed(Right.CUT))]
MayClearLatch = Annotated[Caller, Depends(Allowed(Right.CLEAR_LATCH))]
MayDrill = Annotated[Caller, Depends(Allowed(Right.DRILL))]
MayService = Annotated[Caller, Depends(Allowed(Right.SERVICE))]
MayPolicy = Annotated[Caller, Depends(Allowed(Right.POLICY))]
MayPeople = Annotated[Caller, Depends(Allowed(Right.PEOPLE))]
MayAudit = Annotated[Caller, Depends(Allowed(Right.AUDIT))]

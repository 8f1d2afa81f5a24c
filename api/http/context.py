"""What every request is given: the watch, who may log in, and who is asking."""

from typing import Annotated, cast

import msgspec
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.http.access import Access, TokenGrant
from api.http.problems import Trouble
from api.http.sessions import Sessions, Throttle
from api.watch import Watch


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One for each application; made by `create_app`."""

    watch: Watch
    access: Access
    sessions: Sessions
    throttle: Throttle


def context_of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


async def watch_of(request: Request) -> Watch:
    return context_of(request).watch


_bearer = HTTPBearer(auto_error=False, description="A token with the scope read or write.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def reader(request: Request, credentials: Credentials) -> TokenGrant:
    """Return who asks, or refuse with 401."""
    caller = credentials and context_of(request).access.grant(credentials.credentials)
    if not caller:
        raise Trouble(
            401,
            "Send a token: Authorization: Bearer …",
            headers={"WWW-Authenticate": 'Bearer realm="chargewatch"'},
        )
    return caller


async def writer(caller: Annotated[TokenGrant, Depends(reader)]) -> TokenGrant:
    """Return who wants to change something, or refuse with 401 or 403."""
    if not caller.may_write:
        raise Trouble(403, f"The token {caller.name!r} may only read.")
    return caller


WatchHere = Annotated[Watch, Depends(watch_of)]
Reader = Annotated[TokenGrant, Depends(reader)]
Writer = Annotated[TokenGrant, Depends(writer)]

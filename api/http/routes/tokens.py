"""Tokens that people make for programs of theirs."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api.http.access import Caller, Right
from api.http.context import caller_of, context_of
from api.http.people_tokens import LASTS_MAX, NAME_CHARS_MAX
from api.http.routes.inputs import NumberInPath
from api.http.shapes.tokens import NewToken, Token, Tokens

tokens = APIRouter(tags=["tokens"])

Anybody = Annotated[Caller, Depends(caller_of)]
"""What somebody may do with tokens follows from whose they are."""


class Wanted(BaseModel):
    """What the token is for, which of your own rights it has, and for how long."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "the wall display", "rights": ["see"], "days": 90}]
        },
    )

    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    rights: list[Right] = Field(min_length=1, max_length=len(Right))
    days: int = Field(90, ge=1, le=LASTS_MAX.days)


@tokens.get("/tokens")
async def find(
    request: Request,
    caller: Anybody,
    everybody: Annotated[bool, Query(description="Needs the right people.")] = False,  # noqa: FBT002
) -> Tokens:
    """List your own tokens, the newest first. None of them shows its secret."""
    found = await context_of(request).tokens.of(caller, everybody=everybody)
    return Tokens(tokens=[Token.of(each) for each in found])


@tokens.post("/tokens")
async def make(request: Request, caller: Anybody, wanted: Wanted) -> NewToken:
    """Make a token of your own, for your own areas. Its secret is in this answer only.

    It does not outlive the token that it was asked for with.
    """
    lasts = timedelta(days=wanted.days)
    made, secret = await context_of(request).tokens.make(
        caller, wanted.name, wanted.rights, lasts
    )
    return NewToken(token=Token.of(made), secret=secret)


@tokens.delete("/tokens/{number}")
async def revoke(request: Request, caller: Anybody, number: NumberInPath) -> Token:
    """Revoke a token of your own, at once; with the right people anybody's."""
    return Token.of(await context_of(request).tokens.revoke(caller, number))

"""Tokens that people made, as they are shown; the token itself only once."""

from datetime import datetime

from pydantic import JsonValue

from api.http.access import Right
from api.http.shapes.shape import WHEN, Shape, shown
from ingest.ledger.api_tokens import ApiToken

_EXAMPLE: dict[str, JsonValue] = {
    "id": 3,
    "name": "the wall display",
    "person": "li",
    "rights": ["see"],
    "made_at": WHEN,
    "ends_at": WHEN,
    "revoked_at": None,
}


class Token(Shape):
    """A token: `rights` are those it was made with; those that its person still has count."""

    id: int
    name: str
    person: str
    rights: list[Right]
    made_at: datetime
    ends_at: datetime
    revoked_at: datetime | None

    model_config = shown(_EXAMPLE)

    @classmethod
    def of(cls, token: ApiToken) -> "Token":
        return cls(
            id=token.id,
            name=token.name,
            person=token.person,
            rights=[Right(each) for each in token.rights],
            made_at=token.made_at,
            ends_at=token.ends_at,
            revoked_at=token.revoked_at,
        )


class Tokens(Shape):
    """Good ones and others, the newest first."""

    tokens: list[Token]

    model_config = shown({"tokens": [_EXAMPLE]})


class NewToken(Shape):
    """A token that was just made. `secret` is what a program sends; it is shown this once."""

    token: Token
    secret: str

    model_config = shown({"token": _EXAMPLE, "secret": "cw_…"})
